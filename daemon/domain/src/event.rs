//! What an operation reports: an append-only list of numbered events.

use chrono::{DateTime, SubsecRound, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::operation::{OperationError, OperationId, OperationStatus, StepName, StepStatus, words};
use crate::progress::Progress;

words! {
    /// What an event tells.
    EventKind {
        /// The operation was written down; always event 1.
        Accepted = "accepted",
        /// A worker took it up.
        Started = "started",
        /// A daemon took it up again after its predecessor ended.
        Resumed = "resumed",
        /// A step began.
        StepStarted = "step_started",
        /// A step came further.
        StepProgress = "step_progress",
        /// A step failed in a way that may pass by itself, and is tried again after a while.
        Retrying = "retrying",
        /// A step ended; `step_status` says how.
        StepFinished = "step_finished",
        /// A line that some program wrote.
        Log = "log",
        /// Something that a person should know of, though it does not stop the operation.
        Warning = "warning",
        /// What was done takes full effect only with a reboot of the machine.
        NeedsReboot = "needs_reboot",
        /// Somebody asked to cancel.
        CancelRequested = "cancel_requested",
        /// The operation ended; always the last event. `status` says how.
        Finished = "finished",
    }
}

/// One event. `seq` counts from 1 without holes within its operation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Event {
    /// The operation that reports.
    pub operation: Uuid,
    /// Its number within the operation: 1, 2, 3, …
    pub seq: i64,
    /// When it happened.
    pub at: DateTime<Utc>,
    /// What it tells.
    pub kind: EventKind,
    /// The step that it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<StepName>,
    /// What happened, for a person.
    pub message: String,
    /// How the step ended, with `step_finished`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step_status: Option<StepStatus>,
    /// How far the step is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub progress: Option<Progress>,
    /// When the operation will probably end, from earlier ones like it; absent while unknown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub eta: Option<DateTime<Utc>>,
    /// How the operation ended, with `finished`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<OperationStatus>,
    /// Why it failed, with `finished`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<OperationError>,
}

/// An event before it has its number.
#[derive(Debug, Clone, PartialEq)]
pub struct NewEvent {
    /// When it happened.
    pub at: DateTime<Utc>,
    /// What it tells.
    pub kind: EventKind,
    /// The step that it belongs to.
    pub step: Option<StepName>,
    /// What happened, for a person.
    pub message: String,
    /// How the step ended.
    pub step_status: Option<StepStatus>,
    /// How far the step is.
    pub progress: Option<Progress>,
    /// When the operation will probably end.
    pub eta: Option<DateTime<Utc>>,
    /// How the operation ended.
    pub status: Option<OperationStatus>,
    /// Why it failed.
    pub error: Option<OperationError>,
}

impl NewEvent {
    /// An event with nothing but words.
    pub fn new(at: DateTime<Utc>, kind: EventKind, message: impl Into<String>) -> Self {
        Self {
            // As it will be read back, and as it is written everywhere.
            at: at.trunc_subsecs(3),
            kind,
            step: None,
            message: message.into(),
            step_status: None,
            progress: None,
            eta: None,
            status: None,
            error: None,
        }
    }

    /// The same, of a step.
    #[must_use]
    pub fn of_step(mut self, step: StepName) -> Self {
        self.step = Some(step);
        self
    }

    /// The event with its number, its times as they will be read back.
    pub fn numbered(self, operation: OperationId, seq: i64) -> Event {
        Event {
            operation,
            seq,
            at: self.at.trunc_subsecs(3),
            kind: self.kind,
            step: self.step,
            message: self.message,
            step_status: self.step_status,
            progress: self.progress,
            eta: self.eta.map(|eta| eta.trunc_subsecs(3)),
            status: self.status,
            error: self.error,
        }
    }
}
