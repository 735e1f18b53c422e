//! Walks the steps of one operation: forward, through cancellation, failure and resumption.

mod ended;

use std::sync::Arc;
use std::time::Duration;

use berth_domain::event::NewEvent;
use berth_domain::operation::OperationError;
use berth_domain::{EventKind, Operation, OperationKind, OperationStatus, Step, StepName, StepStatus};
use berth_store::StoreError;
use tokio_util::sync::CancellationToken;

use crate::engine::Shared;
use crate::error::{Failure, REVERTED_BY_TIMER, StepError};
use crate::eta::Durations;
use crate::journal::Journal;
use crate::steps::{Context, Left, Outcome};
use crate::tenure::Tenure;
use ended::Ended;

/// How long to wait before the database is asked again to write an operation's end.
const AGAIN: Duration = Duration::from_secs(2);

/// How a runner came to its operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Beginning {
    /// It was queued.
    Claimed,
    /// A predecessor, or another daemon, had begun it.
    TakenOver,
}

/// How the walk ended.
enum Ending {
    Succeeded,
    Cancelled,
    Failed(OperationError),
    /// The daemon stops or does not hold the operation any more; nothing is written, a successor goes on.
    Left,
}

pub(crate) struct Runner {
    pub(crate) shared: Arc<Shared>,
    pub(crate) journal: Journal,
    pub(crate) tenure: Arc<Tenure>,
}

impl Runner {
    pub(crate) fn new(shared: Arc<Shared>, journal: Journal, tenure: Arc<Tenure>) -> Self {
        Self { shared, journal, tenure }
    }

    /// Runs the operation to its end, or leaves it for a successor.
    pub(crate) async fn run(self, beginning: Beginning) {
        let flushing = CancellationToken::new();
        let flusher = tokio::spawn(self.journal.clone().keep_flushing(flushing.clone()));
        let operation = self.journal.operation().await;
        if is_past_the_point_of_no_return(&operation) {
            self.tenure.begin_to_commit();
        }
        let mut context = Context::new(Arc::clone(&self.shared), &operation, Arc::clone(&self.tenure));
        let ending = match self.walk(beginning, &operation, &mut context).await {
            Ok(ending) => ending,
            Err(_) if self.tenure.is_over() => Ending::Left,
            Err(error) => Ending::Failed(database_failure(&error)),
        };
        let ending = self.put_back(ending, &mut context).await;
        flushing.cancel();
        let _ = flusher.await;
        if !matches!(ending, Ending::Left) {
            context.conclude().await;
        }
        drop(context);
        match ending {
            Ending::Left => self.leave().await,
            ending => self.finish(ending).await,
        }
    }

    /// Gives the operation back, so that nobody waits for the lease to run out.
    async fn leave(&self) {
        if self.tenure.is_lost() {
            return;
        }
        if let Err(error) = self.shared.records.release(self.tenure.hold()).await {
            tracing::warn!(operation = %self.journal.id(), %error, "cannot give the operation back");
        }
    }

    /// Undoes what has to be undone, and has the ending say what became of the machine.
    async fn put_back(&self, ending: Ending, context: &mut Context) -> Ending {
        if matches!(ending, Ending::Succeeded | Ending::Left) {
            return ending;
        }
        if context.is_a_drill() {
            return self.empty_after(ending, context).await;
        }
        if context.tries_out() {
            return self.throw_away_after(ending, context).await;
        }
        let ending = match (context.undo(&self.journal.sink(StepName::Activate)).await, ending) {
            (Left::Unknown, _) => return Ending::Left,
            (Left::ByItsTimer, Ending::Failed(error)) => Ending::Failed(reverted_by_timer(error)),
            (_, ending) => ending,
        };
        self.give_up_moving(ending, StepName::Activate, context).await
    }

    /// The other side is told that it came to nothing.
    async fn give_up_moving(&self, ending: Ending, step: StepName, context: &mut Context) -> Ending {
        let why = match &ending {
            Ending::Failed(error) => &error.message,
            _ => "it was cancelled",
        };
        match context.give_up_moving(why, &self.journal.sink(step)).await {
            Left::Unknown => Ending::Left,
            Left::Asked | Left::ByItsTimer => ending,
        }
    }

    /// A copy that was tried out leaves nothing either; whoever waits at the other provider hears of it then.
    async fn throw_away_after(&self, ending: Ending, context: &mut Context) -> Ending {
        match self.empty_after(ending, context).await {
            Ending::Left => Ending::Left,
            ending => self.give_up_moving(ending, StepName::Empty, context).await,
        }
    }

    /// A drill, or a copy that is tried out, that did not come to its end leaves nothing on its machine.
    async fn empty_after(&self, ending: Ending, context: &mut Context) -> Ending {
        let operation = self.journal.operation().await;
        let touched =
            operation.step(StepName::Activate).is_some_and(|step| step.status != StepStatus::Pending);
        if context.undo(&self.journal.sink(StepName::Activate)).await == Left::Unknown {
            return Ending::Left;
        }
        match context.empty_in_the_end(touched, &self.journal.sink(StepName::Empty)).await {
            Left::Unknown => Ending::Left,
            Left::Asked | Left::ByItsTimer => ending,
        }
    }

    async fn walk(
        &self,
        beginning: Beginning,
        operation: &Operation,
        context: &mut Context,
    ) -> Result<Ending, StoreError> {
        self.begin(beginning).await?;
        if let Some(ending) = began_to_end(operation) {
            return Ok(ending);
        }
        if beginning == Beginning::TakenOver
            && let Some(error) = context.was_reverted(&self.journal.sink(StepName::Activate)).await
            && let (ended, Some(ending)) = self.ended(StepName::Activate, Err(error), context)
        {
            self.write_ended(ended).await?;
            return Ok(ending);
        }
        let durations = Durations::load(&*self.shared.records, operation.kind).await;
        let mut before = None;
        for name in operation.steps.iter().map(|step| step.name) {
            if self.was_done(name).await {
                self.write_ended(before.take()).await?;
                if self.is_behind_us(name, context).await {
                    continue;
                }
            }
            let after = before.as_ref().map(|before: &Ended| before.name);
            self.start_step(name, before.take(), &durations).await?;
            // Only what is written tells of a wish that another daemon was told of.
            let outcome = match after.is_some_and(|after| self.stops_after(after, context)) {
                true => Err(StepError::Cancelled),
                false => self.attempt(name, context).await,
            };
            let (ended, ending) = self.ended(name, outcome, context);
            if let Some(ending) = ending {
                self.write_ended(ended).await?;
                return Ok(ending);
            }
            before = ended;
        }
        self.write_ended(before).await?;
        Ok(Ending::Succeeded)
    }

    /// The first event of this run. Of a resumed operation, a step that was running is `unknown` until it has been
    /// looked at, and the steps before `build` are walked again: their outcomes lived in the predecessor's memory.
    async fn begin(&self, beginning: Beginning) -> Result<(), StoreError> {
        self.journal
            .write(|operation| {
                let now = self.journal.now();
                operation.status = OperationStatus::Running;
                operation.started_at.get_or_insert(now);
                match beginning {
                    Beginning::Claimed => Some(NewEvent::new(now, EventKind::Started, "started")),
                    Beginning::TakenOver => {
                        reopen(operation);
                        let message = "the daemon that ran this ended; looking at the machine first";
                        Some(NewEvent::new(now, EventKind::Resumed, message))
                    }
                }
            })
            .await
    }

    /// Whether a predecessor wrote down that a step is done.
    async fn was_done(&self, name: StepName) -> bool {
        let done = |step: &Step| matches!(step.status, StepStatus::Succeeded | StepStatus::Skipped);
        self.journal.operation().await.step(name).is_some_and(done)
    }

    /// Whether a resumed operation has a step behind it that was done.
    async fn is_behind_us(&self, name: StepName, context: &mut Context) -> bool {
        let operation = self.journal.operation().await;
        context.can_go_on_after(name, &operation, &self.journal.sink(name)).await
    }

    /// Writes that a step begins, and how the one before it ended: each write waits for the disk.
    async fn start_step(
        &self,
        name: StepName,
        before: Option<Ended>,
        durations: &Durations,
    ) -> Result<(), StoreError> {
        self.journal
            .write(|operation| {
                let ended = before.map(|before| before.note(operation));
                let now = self.journal.now();
                if let Some(step) = operation.step_mut(name) {
                    step.status = StepStatus::Running;
                    step.started_at = Some(now);
                    step.finished_at = None;
                }
                let mut started = NewEvent::new(now, EventKind::StepStarted, name.word()).of_step(name);
                started.eta = durations.end_of(operation, now);
                ended.into_iter().chain([started])
            })
            .await
    }

    /// How a step ended, which is to be written, and how the operation does, if it does.
    fn ended(
        &self,
        name: StepName,
        outcome: Result<Outcome, StepError>,
        context: &Context,
    ) -> (Option<Ended>, Option<Ending>) {
        let (status, message, ending) = match outcome {
            Ok(Outcome::Done(message)) => (StepStatus::Succeeded, message, None),
            Ok(Outcome::Without(message)) => (StepStatus::Missed, message, None),
            Ok(Outcome::AlreadyThere(message)) => (StepStatus::Skipped, message, None),
            Err(_) if self.tenure.is_over() => return (None, Some(Ending::Left)),
            Err(StepError::Stopping) => return (None, Some(Ending::Left)),
            Err(StepError::LeaseLost) => {
                self.tenure.lose();
                return (None, Some(Ending::Left));
            }
            Err(StepError::Cancelled) => (StepStatus::Cancelled, "cancelled".into(), Some(Ending::Cancelled)),
            Err(StepError::Failed(failure)) => {
                let message = failure.message.clone();
                (StepStatus::Failed, message, Some(Ending::Failed(failure.at(name))))
            }
        };
        let (revision, system) = context.identity();
        let error = match &ending {
            Some(Ending::Failed(error)) => Some(error.clone()),
            _ => None,
        };
        let ended = Ended { name, status, message, at: self.journal.now(), revision, system, error };
        let stops =
            self.tenure.interruption().is_cancelled() && (context.is_a_drill() || may_stop_after(name));
        let ending = ending
            .or_else(|| stops.then(|| if self.tenure.is_over() { Ending::Left } else { Ending::Cancelled }));
        (Some(ended), ending)
    }

    /// Whether the operation stops behind a step, as somebody wishes.
    fn stops_after(&self, name: StepName, context: &Context) -> bool {
        self.tenure.interruption().is_cancelled() && (context.is_a_drill() || may_stop_after(name))
    }

    async fn write_ended(&self, ended: Option<Ended>) -> Result<(), StoreError> {
        match ended {
            Some(ended) => self.journal.write(|operation| [ended.note(operation)]).await,
            None => Ok(()),
        }
    }

    /// Writes the end, however long the database takes to answer again. A daemon that stops before, or does not hold the
    /// operation any more, leaves the row as it was: the next one finds it unfinished and observes the machine.
    async fn finish(&self, ending: Ending) {
        let (status, message, error) = match ending {
            Ending::Left => return,
            Ending::Succeeded => (OperationStatus::Succeeded, "done".into(), None),
            Ending::Cancelled => (OperationStatus::Cancelled, "cancelled".into(), None),
            Ending::Failed(error) => (OperationStatus::Failed, error.message.clone(), Some(error)),
        };
        while let Err(failed) = self.write_end(status, message.clone(), error.clone()).await {
            if self.tenure.is_over() {
                return self.leave().await;
            }
            tracing::error!(operation = %self.journal.id(), error = %failed, "cannot write the operation's end yet");
            self.tenure.end().run_until_cancelled(tokio::time::sleep(AGAIN)).await;
        }
        if let Err(error) =
            self.shared.records.trim_events(self.journal.id(), self.shared.options.keep_events).await
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
                let now = self.journal.now();
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

/// How the operation ends whose predecessor had seen a step end badly: that is not tried again, only what is left of
/// the way back.
fn began_to_end(operation: &Operation) -> Option<Ending> {
    let bad = |step: &&Step| matches!(step.status, StepStatus::Failed | StepStatus::Cancelled);
    let step = operation.steps.iter().find(bad)?;
    if step.status == StepStatus::Cancelled {
        return Some(Ending::Cancelled);
    }
    let unknown = || Failure { code: "internal", message: "a step failed".into(), ..Failure::default() };
    Some(Ending::Failed(operation.error.clone().unwrap_or_else(|| unknown().at(step.name))))
}

/// Whether a predecessor told the machine to commit, so that a wish to cancel comes too late.
fn is_past_the_point_of_no_return(operation: &Operation) -> bool {
    // A drill commits what is removed again.
    if operation.kind == OperationKind::Drill {
        return false;
    }
    let commit = operation.step(StepName::Commit).map(|step| step.status);
    matches!(
        commit,
        Some(StepStatus::Running | StepStatus::Unknown | StepStatus::Succeeded | StepStatus::Skipped)
    )
}

/// Between activation and commit an operation is not left: a machine that runs a system which it will not boot is
/// a half-done thing.
fn may_stop_after(name: StepName) -> bool {
    !matches!(
        name,
        StepName::Activate
            | StepName::Verify
            | StepName::Commit
            | StepName::Forget
            | StepName::HandOver
            | StepName::GoLive
            | StepName::Rehearse
            | StepName::Empty
    )
}

/// A failure after which the machine put its previous system back by itself.
fn reverted_by_timer(error: OperationError) -> OperationError {
    if error.code == REVERTED_BY_TIMER {
        return error;
    }
    let message = format!("{}; the machine put its previous system back by itself", error.message);
    OperationError { code: REVERTED_BY_TIMER.into(), message, ..error }
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
