//! One step: how long it may take, how it is interrupted, and when it is tried again.

use std::time::Duration;

use berth_domain::event::NewEvent;
use berth_domain::{EventKind, StepName};
use tokio::time::Instant;

use crate::error::{Failure, REVERTED_BY_TIMER, StepError};
use crate::runner::Runner;
use crate::steps::{Context, Outcome};

/// How long a step may take to come to rest once it is interrupted, or once its time is over. Then nobody waits for it
/// any more: what it began on the machine is asked for by the way back or by a successor.
const GRACE: Duration = Duration::from_secs(4);

/// How often it is looked whether a wish to stop counts by now.
const LOOK: Duration = Duration::from_millis(500);

impl Runner {
    /// Runs a step; again, after a while, where it failed in a way that may pass by itself. The bound of the step is that of
    /// all its attempts together.
    pub(crate) async fn attempt(&self, name: StepName, context: &mut Context) -> Result<Outcome, StepError> {
        let timeouts = &self.shared.options.timeouts;
        let (start, limit) = (Instant::now(), timeouts.of(context.kind, name));
        let end = start + limit + timeouts.around();
        let (mut attempt, mut first) = (1, None);
        loop {
            let outcome = self.once(name, context, end).await;
            let outcome = outcome.map_err(|error| with_reason(error, first.as_deref()));
            let Err(StepError::Failed(failure)) = &outcome else { return outcome };
            let pause = self.shared.options.retries.pause_after(attempt, self.journal.id());
            let Some(pause) = pause.filter(|pause| failure.transient && start.elapsed() + *pause < limit)
            else {
                return outcome;
            };
            attempt += 1;
            first.get_or_insert_with(|| failure.message.clone());
            self.tell_of_retry(name, attempt, pause, failure);
            context.forget_the_session();
            let interruption = self.tenure.interruption().clone();
            if interruption.run_until_cancelled(tokio::time::sleep(pause)).await.is_none() {
                return Err(StepError::Cancelled);
            }
        }
    }

    /// Runs a step once. Each part of a step has bounds of its own and obeys them; this is for those that do not.
    async fn once(&self, name: StepName, context: &mut Context, end: Instant) -> Result<Outcome, StepError> {
        let overrun = async {
            tokio::time::sleep_until(end + GRACE).await;
            let message = format!("the step {name} took too long");
            StepError::transient("timeout", message)
        };
        let interrupted = async {
            self.interrupted().await;
            StepError::Cancelled
        };
        let outcome = tokio::select! {
            biased;
            outcome = context.run(name, &self.journal) => return outcome,
            error = overrun => error,
            error = interrupted => error,
        };
        tracing::warn!(operation = %self.journal.id(), step = %name, "nobody waits for this step any more");
        context.forget_the_session();
        Err(outcome)
    }

    /// Waits until the step under way is interrupted, and did not come to rest by itself: by somebody's wish, unless it does
    /// not heed any now, or as the operation is to be left.
    async fn interrupted(&self) {
        loop {
            let wish = self.tenure.interruption().clone();
            // Whether a wish counts may change without anybody telling.
            let _ = tokio::time::timeout(LOOK, wish.cancelled()).await;
            if !self.tenure.interruption().is_cancelled() {
                continue;
            }
            tokio::time::sleep(GRACE).await;
            if self.tenure.interruption().is_cancelled() {
                return;
            }
        }
    }

    fn tell_of_retry(&self, name: StepName, attempt: u32, pause: Duration, failure: &Failure) {
        let of = self.shared.options.retries.attempts;
        let seconds = pause.as_secs_f64();
        let message = format!("{}; attempt {attempt} of {of} in {seconds:.1} s", failure.message);
        self.journal.note(NewEvent::new(self.journal.now(), EventKind::Retrying, message).of_step(name));
    }
}

/// A machine that is asked again may have put itself back meanwhile; why it was not heard of says more than that.
fn with_reason(error: StepError, first: Option<&str>) -> StepError {
    match (error, first) {
        (StepError::Failed(mut failure), Some(first)) if failure.code == REVERTED_BY_TIMER => {
            failure.message = format!("{}: {first}", failure.message);
            StepError::Failed(failure)
        }
        (error, _) => error,
    }
}
