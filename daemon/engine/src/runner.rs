//! Walks the steps of one operation: forward, through cancellation, failure and resumption.

use std::sync::Arc;
use std::time::Duration;

use berth_domain::event::NewEvent;
use berth_domain::operation::OperationError;
use berth_domain::{EventKind, Operation, OperationStatus, StepName, StepStatus};
use berth_store::StoreError;
use chrono::Utc;
use tokio_util::sync::CancellationToken;

use crate::engine::Shared;
use crate::error::{Failure, StepError};
use crate::eta::Durations;
use crate::journal::Journal;
use crate::steps::{Context, Outcome};

/// How long to wait before the database is asked again to write an operation's end.
const AGAIN: Duration = Duration::from_secs(2);

/// How a runner came to its operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Beginning {
    /// It was queued.
    Claimed,
    /// A predecessor had begun it.
    Resumed,
}

/// How the walk ended.
enum Ending {
    Succeeded,
    Cancelled,
    Failed(OperationError),
    /// The daemon stops; nothing is written, the successor goes on.
    Left,
}

pub(crate) struct Runner {
    shared: Arc<Shared>,
    journal: Journal,
    cancel: CancellationToken,
}

impl Runner {
    pub(crate) fn new(shared: Arc<Shared>, journal: Journal, cancel: CancellationToken) -> Self {
        Self { shared, journal, cancel }
    }

    /// Runs the operation to its end, or leaves it for the successor when the daemon stops.
    pub(crate) async fn run(mut self, beginning: Beginning) {
        let flushing = CancellationToken::new();
        let flusher = tokio::spawn(self.journal.clone().keep_flushing(flushing.clone()));
        let operation = self.journal.operation().await;
        if is_past_the_point_of_no_return(&operation) {
            self.cancel = self.shared.stopping.child_token();
        }
        let mut context = Context::new(Arc::clone(&self.shared), &operation, self.cancel.clone());
        let ending = match self.walk(beginning, &operation, &mut context).await {
            Ok(ending) => ending,
            Err(error) => Ending::Failed(database_failure(&error)),
        };
        if matches!(ending, Ending::Cancelled | Ending::Failed(_)) {
            context.undo(&self.journal.sink(StepName::Activate)).await;
        }
        if !matches!(ending, Ending::Left) {
            context.conclude().await;
        }
        flushing.cancel();
        let _ = flusher.await;
        self.finish(ending).await;
    }

    async fn walk(
        &self,
        beginning: Beginning,
        operation: &Operation,
        context: &mut Context,
    ) -> Result<Ending, StoreError> {
        self.begin(beginning).await?;
        let durations = Durations::load(&self.shared.store, operation.kind).await;
        for name in operation.steps.iter().map(|step| step.name) {
            if self.is_behind_us(name, context).await {
                continue;
            }
            self.start_step(name, &durations).await?;
            let outcome = context.run(name, &self.journal).await;
            if let Some(ending) = self.end_step(name, outcome, context).await? {
                return Ok(ending);
            }
        }
        Ok(Ending::Succeeded)
    }

    /// The first event of this run. Of a resumed operation, a step that was running is `unknown` until it has been
    /// looked at, and the steps before `build` are walked again: their outcomes lived in the predecessor's memory.
    async fn begin(&self, beginning: Beginning) -> Result<(), StoreError> {
        self.journal
            .write(|operation| {
                let now = Utc::now();
                operation.status = OperationStatus::Running;
                operation.started_at.get_or_insert(now);
                match beginning {
                    Beginning::Claimed => Some(NewEvent::new(now, EventKind::Started, "started")),
                    Beginning::Resumed => {
                        reopen(operation);
                        Some(NewEvent::new(
                            now,
                            EventKind::Resumed,
                            "the daemon was restarted; looking at the machine first",
                        ))
                    }
                }
            })
            .await
    }

    /// Whether a resumed operation has this step behind it.
    async fn is_behind_us(&self, name: StepName, context: &mut Context) -> bool {
        let operation = self.journal.operation().await;
        let done = operation
            .step(name)
            .is_some_and(|step| matches!(step.status, StepStatus::Succeeded | StepStatus::Skipped));
        done && context.can_go_on_after(name, &operation, &self.journal.sink(name)).await
    }

    async fn start_step(&self, name: StepName, durations: &Durations) -> Result<(), StoreError> {
        self.journal
            .write(|operation| {
                let now = Utc::now();
                if let Some(step) = operation.step_mut(name) {
                    step.status = StepStatus::Running;
                    step.started_at = Some(now);
                    step.finished_at = None;
                }
                let mut event = NewEvent::new(now, EventKind::StepStarted, name.word()).of_step(name);
                event.eta = durations.end_of(operation, now);
                Some(event)
            })
            .await
    }

    /// Writes how a step ended; says how the operation ends, if it does.
    async fn end_step(
        &self,
        name: StepName,
        outcome: Result<Outcome, StepError>,
        context: &Context,
    ) -> Result<Option<Ending>, StoreError> {
        let (status, message, ending) = match outcome {
            Ok(Outcome::Done(message)) => (StepStatus::Succeeded, message, None),
            Ok(Outcome::Without(message)) => (StepStatus::Missed, message, None),
            Ok(Outcome::AlreadyThere(message)) => (StepStatus::Skipped, message, None),
            Err(_) if self.shared.stopping.is_cancelled() => return Ok(Some(Ending::Left)),
            Err(StepError::Stopping) => return Ok(Some(Ending::Left)),
            Err(StepError::Cancelled) => (StepStatus::Cancelled, "cancelled".into(), Some(Ending::Cancelled)),
            Err(StepError::Failed(failure)) => {
                let message = failure.message.clone();
                (StepStatus::Failed, message, Some(Ending::Failed(failure.at(name))))
            }
        };
        let (revision, system) = context.identity();
        self.journal
            .write(|operation| {
                let now = Utc::now();
                operation.revision = revision.or(operation.revision.take());
                operation.system = system.or(operation.system.take());
                if let Some(step) = operation.step_mut(name) {
                    step.status = status;
                    step.finished_at = Some(now);
                }
                let mut event = NewEvent::new(now, EventKind::StepFinished, message).of_step(name);
                event.step_status = Some(status);
                Some(event)
            })
            .await?;
        if ending.is_none() && self.cancel.is_cancelled() && may_stop_after(name) {
            return Ok(Some(if self.shared.stopping.is_cancelled() {
                Ending::Left
            } else {
                Ending::Cancelled
            }));
        }
        Ok(ending)
    }

    /// Writes the end, however long the database takes to answer again. A daemon that stops before leaves the row as it
    /// was: the next one finds it unfinished and observes the machine.
    async fn finish(&self, ending: Ending) {
        let (status, message, error) = match ending {
            Ending::Left => return,
            Ending::Succeeded => (OperationStatus::Succeeded, "done".into(), None),
            Ending::Cancelled => (OperationStatus::Cancelled, "cancelled".into(), None),
            Ending::Failed(error) => (OperationStatus::Failed, error.message.clone(), Some(error)),
        };
        while let Err(failed) = self.write_end(status, message.clone(), error.clone()).await {
            tracing::error!(operation = %self.journal.id(), error = %failed, "cannot write the operation's end yet");
            if self.shared.stopping.run_until_cancelled(tokio::time::sleep(AGAIN)).await.is_none() {
                return;
            }
        }
        if let Err(error) =
            self.shared.store.trim_events(self.journal.id(), self.shared.options.keep_events).await
        {
            tracing::warn!(operation = %self.journal.id(), %error, "cannot trim events");
        }
    }

    async fn write_end(
        &self,
        status: OperationStatus,
        message: String,
        error: Option<OperationError>,
    ) -> Result<(), StoreError> {
        self.journal
            .write(|operation| {
                let now = Utc::now();
                operation.status = status;
                operation.finished_at = Some(now);
                operation.error = error.clone();
                let mut event = NewEvent::new(now, EventKind::Finished, message);
                event.status = Some(status);
                event.error = error;
                Some(event)
            })
            .await
    }
}

/// A step whose outcome the predecessor did not write down is unknown, not failed and not done.
fn reopen(operation: &mut Operation) {
    for step in &mut operation.steps {
        if step.status == StepStatus::Running {
            step.status = StepStatus::Unknown;
        }
    }
}

/// Whether a predecessor told the machine to commit, so that a wish to cancel comes too late.
fn is_past_the_point_of_no_return(operation: &Operation) -> bool {
    let commit = operation.step(StepName::Commit).map(|step| step.status);
    matches!(
        commit,
        Some(StepStatus::Running | StepStatus::Unknown | StepStatus::Succeeded | StepStatus::Skipped)
    )
}

/// Between activation and commit an operation is not left: a machine that runs a system which it will not boot is
/// a half-done thing.
fn may_stop_after(name: StepName) -> bool {
    !matches!(name, StepName::Activate | StepName::Verify | StepName::Commit | StepName::Forget)
}

fn database_failure(error: &StoreError) -> OperationError {
    let failure = Failure {
        code: "database",
        message: format!("the daemon's database failed: {error}"),
        retryable: true,
        ..Failure::default()
    };
    OperationError { step: None, ..failure.at(StepName::Render) }
}
