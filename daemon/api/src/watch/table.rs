//! The words for the script, as JSON that may stand within HTML.

use berth_domain::{OperationStatus, StepStatus};
use serde_json::{Map, Value, json};

use super::{View, meaning, words};

/// The same words as the server's, of this operation.
pub(super) fn json(view: &View<'_>) -> String {
    let (operation, open) = (view.operation, view.opens());
    let statuses = |say: &dyn Fn(OperationStatus) -> Value| -> Map<String, Value> {
        OperationStatus::ALL.iter().map(|status| (status.word().to_owned(), say(*status))).collect()
    };
    let steps: Map<_, _> = StepStatus::ALL
        .iter()
        .map(|status| (status.word().to_owned(), words::step_status(*status).into()))
        .collect();
    let table = json!({
        "heading": statuses(&|status| words::heading(operation.kind, status, open).into()),
        "meaning": statuses(&|status| json!(meaning::with(operation, status, open))),
        "step": steps,
        "not_reached": words::NOT_REACHED,
        "stopping": meaning::STOPPING,
        "done_at": words::DONE_AT,
        "late": words::LATE,
        "lost": words::LOST,
        "ended": words::ENDED,
    });
    within_html(&table)
}

/// JSON in which nothing can end the element that it stands in: `<` is written as its escape.
fn within_html(value: &Value) -> String {
    value.to_string().replace('<', "\\u003c")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_within_html_cannot_end_its_element_and_reads_back_as_it_was() {
        let hostile = json!({ "</script><!--": "</SCRIPT\t><script>" });
        let text = within_html(&hostile);
        assert!(!text.contains('<'), "{text}");
        assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), hostile);
    }
}
