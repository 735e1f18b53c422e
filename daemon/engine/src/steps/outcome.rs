//! What became of the operation's activation, as the machine tells it.

use berth_protocol::{Answer, Outcome, Request, RevertedBy};

use super::Context;
use super::context::unexpected;
use crate::error::{REVERTED, REVERTED_BY_TIMER, StepError};
use crate::ports::Sink;

impl Context {
    /// Why a resumed operation cannot go on: its machine was put back while nobody watched. Nothing where it was not, or
    /// where the machine cannot be asked yet. Otherwise the machine gives the time that the rest may take.
    pub(crate) async fn was_reverted(&mut self, sink: &Sink) -> Option<StepError> {
        if !self.switched {
            return None;
        }
        let seconds = self.shared.options.timeouts.commit().as_secs();
        let request = Request::Extend { claim: self.claim(), seconds };
        match self.ask_for_outcome(request, sink).await {
            Ok(Outcome::Reverted(reverted)) => reverted_error(reverted.by, reverted.problem),
            Ok(_) => None,
            // A successor of ours asks from now on; the steps are refused as well.
            Err(_) => None,
        }
    }

    /// Asks something that is answered by the outcome.
    pub(super) async fn ask_for_outcome(
        &mut self,
        request: Request,
        sink: &Sink,
    ) -> Result<Outcome, StepError> {
        let timeout = match request {
            Request::Revert { .. } => self.shared.options.timeouts.activate,
            _ => self.shared.options.timeouts.brief,
        };
        match self.call(request, timeout, sink).await? {
            Answer::Outcome(outcome) => Ok(outcome),
            _ => Err(unexpected("the outcome")),
        }
    }
}

/// The failure of an operation whose machine was put back. A machine that was merely booted can be switched again.
fn reverted_error(by: RevertedBy, problem: Option<String>) -> Option<StepError> {
    let (code, words) = match by {
        RevertedBy::Timer => (
            REVERTED_BY_TIMER,
            "the machine put its previous system back by itself, as nobody committed the new one in time",
        ),
        RevertedBy::Request => (REVERTED, "the machine was put back on its previous system"),
        RevertedBy::Operation => (REVERTED, "another operation has switched the machine since"),
        RevertedBy::Reboot => return None,
    };
    let problem = problem.map(|problem| format!(" ({problem})")).unwrap_or_default();
    Some(StepError::retryable(code, format!("{words}{problem}")))
}
