//! Puts the machine back on the system that it had, after a switch that did not reach its commit.
//!
//! A machine that cannot be reached, or that cannot do it now, does that by itself: its dead-man timer is waited for, so that
//! the operation ends with what became of the machine and not with a guess.

use std::time::Duration;

use berth_protocol::{Outcome, Request, Reverted, RevertedBy};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::Context;
use crate::error::StepError;
use crate::ports::{Report, Sink};

/// How long a machine that cannot be reached is left alone before it is tried again.
const PAUSE: Duration = Duration::from_secs(2);

/// How long the way back may take beyond the deadline.
const WAY_BACK: Duration = Duration::from_secs(30);

/// How a failed operation left its machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Left {
    /// As far as it was asked to: what it did is in the operation's events.
    Asked,
    /// It had put its previous system back by itself.
    ByItsTimer,
    /// The operation is left before that is known; the successor asks.
    Unknown,
}

impl Context {
    /// Undoes an uncommitted switch; says in the operation's events how that went.
    pub(crate) async fn undo(&mut self, sink: &Sink) -> Left {
        if !self.switched {
            return Left::Asked;
        }
        let wish = self.begin_to_undo();
        let mut told = false;
        loop {
            let error = match self.put_back(sink).await {
                Ok(outcome) => {
                    if self.record_a_commit(&outcome).await.is_err() {
                        return Left::Unknown;
                    }
                    let (left, message) = self.described(outcome);
                    sink(Report::Warning(message));
                    return left;
                }
                Err(_) if self.end().is_cancelled() => return Left::Unknown,
                Err(error) => error,
            };
            if !error.may_pass() || wish.is_cancelled() || Instant::now() >= self.hope() {
                sink(Report::Warning(not_put_back(&error)));
                return Left::Asked;
            }
            if !std::mem::replace(&mut told, true) {
                sink(Report::Warning(format!(
                    "the machine cannot be put back from here ({error}); it does so by itself, which is waited for"
                )));
            }
            if let Err(left) = self.pause(&wish).await {
                return left;
            }
        }
    }

    /// Waits before the machine is tried again; not any longer where somebody wishes so.
    async fn pause(&mut self, wish: &CancellationToken) -> Result<(), Left> {
        self.forget_the_session();
        let end = self.end().clone();
        tokio::select! {
            // The operation's end is also a wish.
            biased;
            () = end.cancelled() => Err(Left::Unknown),
            () = wish.cancelled() => Ok(()),
            () = tokio::time::sleep(PAUSE) => Ok(()),
        }
    }

    /// Leaves a machine that is out of touch alone for a while; not where the operation is left for a successor.
    pub(crate) async fn wait_a_moment(&mut self) -> Result<(), StepError> {
        let end = self.end().clone();
        self.pause(&end).await.map_err(|_| StepError::Stopping)
    }

    /// Until when a machine that is out of touch may be expected to come back: by then its timer has put it back.
    pub(crate) fn hope(&mut self) -> Instant {
        let timeouts = &self.shared.options.timeouts;
        let switch = if self.switching.is_some() { timeouts.activate } else { Duration::ZERO };
        *self.hope.get_or_insert(Instant::now() + switch + timeouts.commit() + WAY_BACK)
    }

    async fn put_back(&mut self, sink: &Sink) -> Result<Outcome, StepError> {
        // A switch that nobody saw the end of may have been broken off half-way: then what the machine says that it runs is
        // not the whole truth, and it is switched even to the system that it says it has.
        let seen = self.see_the_switch_end(sink).await?;
        let from = if seen { None } else { self.system().ok() };
        let request = Request::Revert { claim: self.claim(), from };
        let outcome = self.ask_for_outcome(request, sink).await?;
        // What was found out before is not true any more. The machine was put back whether or not it tells.
        self.facts = None;
        let _ = self.facts(sink).await;
        Ok(outcome)
    }

    /// The machine may have committed what the operation could not hear of any more: the record is to say the same as the
    /// machine, however the operation ends.
    async fn record_a_commit(&self, outcome: &Outcome) -> Result<(), StepError> {
        match (outcome, self.system()) {
            (Outcome::Committed { .. }, Ok(system)) => self.record_what_is_deployed(&system).await,
            _ => Ok(()),
        }
    }

    /// Waits for the switch that goes on although nobody waited for it: until it is over, nothing can be put back, and
    /// what the machine says of itself is about to change. Says whether its end had been seen before.
    async fn see_the_switch_end(&mut self, sink: &Sink) -> Result<bool, StepError> {
        let Some(system) = self.switching.clone() else { return Ok(true) };
        self.deployer().await?.see_the_end(self, &system, sink).await?;
        self.switching = None;
        Ok(false)
    }

    fn described(&self, outcome: Outcome) -> (Left, String) {
        let Outcome::Reverted(Reverted { by, to, problem }) = outcome else {
            let committed = matches!(outcome, Outcome::Committed { .. });
            return (Left::Asked, if committed { KEPT } else { UNTOUCHED }.to_owned());
        };
        let left = if by == RevertedBy::Timer { Left::ByItsTimer } else { Left::Asked };
        let what = match (by, to) {
            (_, None) => {
                "there is no earlier system to go back to: the services of the new one were stopped, and the next boot starts an empty machine"
            }
            (_, Some(to)) if self.system().is_ok_and(|system| system == to) => KEPT,
            (RevertedBy::Timer, _) => "the machine has put itself back on the system that it had before",
            (RevertedBy::Reboot, _) => "the machine was started anew and runs the system that it had before",
            (RevertedBy::Operation, _) => "another operation has switched the machine since",
            (RevertedBy::Request, _) => "the machine was put back on the system that it had before",
        };
        let problem = problem.map(|problem| format!(", but {problem}")).unwrap_or_default();
        (left, format!("{what}{problem}"))
    }
}

const KEPT: &str = "the machine boots this system already and was left on it; deploy again";
const UNTOUCHED: &str = "the machine runs the system that it had before";

fn not_put_back(error: &StepError) -> String {
    format!(
        "the machine could not be put back ({error}); it does so by itself, and boots its previous system in any case"
    )
}
