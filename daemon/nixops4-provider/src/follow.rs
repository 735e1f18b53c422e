//! Following an operation to its end, telling a person how it comes along.

use berth_client::{Client, Update};
use berth_domain::progress::Unit;
use berth_domain::{Event, EventKind, Operation, Progress, StepName};

use crate::backend::{ProviderError, say};

/// Follows an operation to its end, however it ends. As soon as it turns out to be about another system than `wanted`, it is
/// cancelled: nobody asked for that.
///
/// # Errors
/// The daemon refuses, or stays away.
pub(crate) async fn to_its_end(
    client: &Client,
    begun: &Operation,
    wanted: Option<&str>,
) -> Result<Operation, ProviderError> {
    let mut watch = client.watch(begun.id, 0);
    let mut told = Told::default();
    while let Some(update) = watch.next().await? {
        match update {
            Update::Event(event) => {
                if let Some(text) = told.text(&event) {
                    say(&format!("[{}] {text}", begun.tenant));
                }
                if let Some(wanted) = wanted.filter(|_| knows_its_system(&event)) {
                    cancel_another(client, begun, wanted).await?;
                }
            }
            Update::Gap { oldest } => {
                say(&format!("[{}] events before number {oldest} are no longer kept", begun.tenant))
            }
            Update::Lost { reason, .. } => say(&format!("[{}] {reason}; trying again", begun.tenant)),
            Update::Ended(operation) => return Ok(*operation),
        }
    }
    Ok(client.operation(begun.id).await?)
}

/// From the end of this step on, the operation says which system it is about.
fn knows_its_system(event: &Event) -> bool {
    event.kind == EventKind::StepFinished && event.step == Some(StepName::Evaluate)
}

async fn cancel_another(client: &Client, begun: &Operation, wanted: &str) -> Result<(), ProviderError> {
    let now = client.operation(begun.id).await?;
    if now.system.is_some_and(|system| system != wanted) && !now.status.is_final() {
        match client.cancel(begun.id).await {
            Ok(_) => {}
            // It was faster.
            Err(error) if error.is_refusal("operation-finished") => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// What was told already.
#[derive(Default)]
struct Told {
    /// The percentage that a step's last progress came to.
    percent: Option<(StepName, u64)>,
}

impl Told {
    /// What an event is to a person who sees only lines; nothing for most of a step's progress.
    fn text(&mut self, event: &Event) -> Option<String> {
        let step = event.step.map(|step| format!("{}: ", step.word())).unwrap_or_default();
        match event.kind {
            EventKind::StepStarted => Some(format!("{step}begun")),
            EventKind::StepFinished => {
                let status = event.step_status.map(|status| status.to_string()).unwrap_or_default();
                Some(format!("{step}{status}: {}", event.message))
            }
            EventKind::StepProgress => self.progress(event).map(|text| format!("{step}{text}")),
            EventKind::Finished => None,
            _ => Some(format!("{step}{}", event.message)),
        }
    }

    /// Every tenth part of it.
    fn progress(&mut self, event: &Event) -> Option<String> {
        let (step, Progress { done, expected: Some(expected), unit }) = (event.step?, event.progress?) else {
            return None;
        };
        let tenth = done.saturating_mul(10).checked_div(expected)?;
        if self.percent == Some((step, tenth)) {
            return None;
        }
        self.percent = Some((step, tenth));
        Some(match unit {
            Unit::Bytes => format!("{} of {} MiB", done >> 20, expected >> 20),
            _ => format!("{done} of {expected}"),
        })
    }
}
