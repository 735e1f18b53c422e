//! What it means for the customer. Above all when it did not work: what a failure leaves behind depends on how far the
//! operation came, and nothing is promised that was not kept.

use berth_domain::{Operation, OperationKind, OperationStatus, StepName, StepStatus};
use serde::Serialize;

/// Words, and from where on they are true.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Meaning {
    /// They hold once this step has begun; always, when absent.
    pub begun: Option<StepName>,
    /// The words.
    pub text: String,
}

/// Of an operation that [is stopping](is_stopping).
pub const STOPPING: &str = "This is being stopped, as soon as nothing is left half done.";

/// Whether somebody asked to stop it, and it has not stopped yet.
pub fn is_stopping(operation: &Operation) -> bool {
    operation.cancel_requested && !operation.status.is_final()
}

/// What an operation means as it stands. `open` says whether there is a service to be opened afterwards.
pub fn of(operation: &Operation, open: bool) -> String {
    if is_stopping(operation) {
        return STOPPING.into();
    }
    let has_begun = |name| operation.step(name).is_some_and(|step| step.status != StepStatus::Pending);
    let all = with(operation, operation.status, open);
    all.into_iter().find(|meaning| meaning.begun.is_none_or(has_begun)).map(|it| it.text).unwrap_or_default()
}

/// What `status` would mean for this operation; the first whose step has begun holds.
pub fn with(operation: &Operation, status: OperationStatus, open: bool) -> Vec<Meaning> {
    let always = |text: &str| vec![Meaning { begun: None, text: text.into() }];
    let leaving = operation.kind == OperationKind::Destroy;
    match status {
        OperationStatus::Queued => always("Your turn comes as soon as the work before yours is done."),
        OperationStatus::Running => always("You can close this page; the work goes on without it."),
        OperationStatus::Succeeded if operation.kind == OperationKind::Preview => {
            always("Nothing was changed on your server. Your provider can see what would be.")
        }
        OperationStatus::Succeeded if operation.kind == OperationKind::Export => {
            always("Your provider can give you the file. Nothing else was changed.")
        }
        OperationStatus::Succeeded if operation.kind == OperationKind::Snapshot => {
            always("A copy of your data is kept. Nothing else was changed.")
        }
        OperationStatus::Succeeded if operation.kind == OperationKind::Prune => {
            always("Copies that are not kept any more were removed. Your services were not touched.")
        }
        OperationStatus::Succeeded if operation.kind == OperationKind::Drill => always(
            "The copy of your data was brought back elsewhere, for a try. Your services were not touched.",
        ),
        OperationStatus::Succeeded if operation.kind == OperationKind::Rehearse => always(
            "A copy of your services came up at your new provider, and was removed there. Your services go on here.",
        ),
        OperationStatus::Succeeded if operation.kind == OperationKind::TryOut => always(
            "A copy of your services came up here, and was removed. Your services go on at your old provider.",
        ),
        OperationStatus::Succeeded if leaving && operation.wipe => {
            always("Your services and your data were removed, as was asked.")
        }
        OperationStatus::Succeeded if leaving => always("Your services were taken down. Your data was kept."),
        OperationStatus::Succeeded if open => always("Every service was asked and has answered."),
        OperationStatus::Succeeded => always("Everything is as it was ordered."),
        OperationStatus::Failed => {
            after("Your provider can see what went wrong and can try again.", operation)
        }
        OperationStatus::Cancelled => after("Your provider can start it again.", operation),
    }
}

/// What a failed or cancelled operation leaves behind, from the last step to the first.
fn after(next: &str, operation: &Operation) -> Vec<Meaning> {
    let untouched = (None, "Nothing was changed in what your server runs, and none of your data was lost.");
    let put_back = (
        Some(StepName::Activate),
        "None of your data was lost. What was changed on your server is put back as it was before.",
    );
    let behind = match (operation.kind, operation.wipe) {
        (OperationKind::Deploy | OperationKind::Rollback, _) => vec![
            (
                Some(StepName::Commit),
                "None of your data was lost. Your server may run as it did before, or already as it was ordered.",
            ),
            put_back,
            untouched,
        ],
        (OperationKind::Preview, _) => vec![untouched],
        (OperationKind::Snapshot | OperationKind::Export, _) => vec![
            (
                Some(StepName::Capture),
                "None of your data was lost, and your services go on. The copy of your data may not be complete.",
            ),
            untouched,
        ],
        (OperationKind::Prune, _) => vec![
            (
                Some(StepName::Prune),
                "Your services and your data were not touched. Some old copies may not be removed yet.",
            ),
            untouched,
        ],
        (OperationKind::Drill, _) => vec![untouched],
        (OperationKind::Migrate, _) => vec![
            (
                Some(StepName::HandOver),
                "None of your data was lost. Your services run here, or at your new provider already.",
            ),
            (
                Some(StepName::Capture),
                "None of your data was lost. Your services stay here and are started again.",
            ),
            untouched,
        ],
        (OperationKind::Import, _) => vec![(
            None,
            "None of your data was lost. Your services stay at your old provider, where they are started again.",
        )],
        (OperationKind::Rehearse, _) => {
            vec![(None, "None of your data was lost, and your services go on here.")]
        }
        (OperationKind::TryOut, _) => vec![(
            None,
            "None of your data was lost. Your services go on at your old provider, and only a copy was tried out here.",
        )],
        (OperationKind::TakeIn, _) => vec![(
            None,
            "None of your data was lost: what you brought is as it was. Your services were not started here.",
        )],
        (OperationKind::Restore, _) => vec![
            (
                Some(StepName::Restore),
                "Where the copy of your data could not be brought back whole, your services have the data that they had before.",
            ),
            untouched,
        ],
        (OperationKind::Reboot, _) => vec![
            (
                Some(StepName::Reboot),
                "None of your data was lost. Your server was told to start anew, and may take longer to come back.",
            ),
            untouched,
        ],
        (OperationKind::Destroy, false) => vec![
            (
                Some(StepName::Forget),
                "Your services were taken down, and your data was kept. Only your provider's own records are left to be closed.",
            ),
            (
                Some(StepName::Commit),
                "None of your data was lost. Your services may run as before, or may have been taken down already.",
            ),
            put_back,
            untouched,
        ],
        (OperationKind::Destroy, true) => vec![
            (
                Some(StepName::Forget),
                "Your services and your data were removed, as was asked. Only your provider's own records are left to be closed.",
            ),
            (Some(StepName::Wipe), "Your data, or a part of it, has been removed already, as was asked."),
            untouched,
        ],
    };
    let meaning = |(begun, text)| Meaning { begun, text: format!("{text} {next}") };
    behind.into_iter().map(meaning).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::Utc;

    fn ended(kind: OperationKind, wipe: bool, status: OperationStatus, last: Option<StepName>) -> Operation {
        let (tenant, machine) = ("acme".parse().unwrap(), "vm1".parse().unwrap());
        let mut operation = Operation::queued(tenant, machine, kind, wipe, "panel".into(), Utc::now());
        operation.status = status;
        for step in &mut operation.steps {
            if last.is_some_and(|last| step.name <= last) {
                step.status = StepStatus::Succeeded;
            }
        }
        operation
    }

    const BAD: [OperationStatus; 2] = [OperationStatus::Failed, OperationStatus::Cancelled];

    #[test]
    fn nobody_is_told_that_their_data_is_there_once_its_removal_has_begun() {
        for status in BAD {
            for step in OperationKind::Destroy.steps(true) {
                let text = of(&ended(OperationKind::Destroy, true, status, Some(step)), false);
                assert_eq!(
                    text.contains("none of your data was lost"),
                    step < StepName::Wipe,
                    "{step}: {text}"
                );
                assert!(!text.contains("put back"), "{step}: {text}");
            }
        }
    }

    #[test]
    fn what_a_failure_leaves_behind_is_said_as_far_as_it_is_known() {
        for status in BAD {
            let text = |last| of(&ended(OperationKind::Deploy, false, status, last), true);
            assert!(text(None).starts_with("Nothing was changed"));
            assert!(text(Some(StepName::Copy)).starts_with("Nothing was changed"));
            assert!(text(Some(StepName::Activate)).contains("put back as it was before"));
            assert!(text(Some(StepName::Verify)).contains("put back as it was before"));
            assert!(text(Some(StepName::Commit)).contains("or already as it was ordered"));
        }
    }

    #[test]
    fn services_have_answered_only_where_there_are_some_to_be_opened() {
        let operation =
            ended(OperationKind::Deploy, false, OperationStatus::Succeeded, Some(StepName::Commit));
        assert!(of(&operation, true).contains("has answered"));
        assert!(!of(&operation, false).contains("answered"));
    }

    #[test]
    fn a_wish_to_stop_is_heard_until_it_is_granted() {
        let mut operation = ended(OperationKind::Deploy, false, OperationStatus::Running, None);
        operation.cancel_requested = true;
        assert_eq!(of(&operation, true), STOPPING);
        operation.status = OperationStatus::Cancelled;
        assert_ne!(of(&operation, true), STOPPING);
    }
}
