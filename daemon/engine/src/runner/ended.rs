//! The end of a step: it is written together with the beginning of the next one, as each write waits for the disk.

use berth_domain::event::NewEvent;
use berth_domain::operation::OperationError;
use berth_domain::{EventKind, Operation, RevisionId, StepName, StepStatus};
use chrono::{DateTime, Utc};

/// How a step ended, until it is written.
pub(super) struct Ended {
    pub(super) name: StepName,
    pub(super) status: StepStatus,
    pub(super) message: String,
    pub(super) at: DateTime<Utc>,
    pub(super) revision: Option<RevisionId>,
    pub(super) system: Option<String>,
    /// For a successor, should this daemon end before the machine was put back.
    pub(super) error: Option<OperationError>,
}

impl Ended {
    /// Notes it in the operation, and makes the event.
    pub(super) fn note(self, operation: &mut Operation) -> NewEvent {
        operation.revision = self.revision.or(operation.revision.take());
        operation.system = self.system.or(operation.system.take());
        operation.error = self.error;
        if let Some(step) = operation.step_mut(self.name) {
            step.status = self.status;
            step.finished_at = Some(self.at);
        }
        let mut event = NewEvent::new(self.at, EventKind::StepFinished, self.message).of_step(self.name);
        event.step_status = Some(self.status);
        event
    }
}
