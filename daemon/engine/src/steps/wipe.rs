//! Removes the tenant's data from the machine, as the state contract of the system that runs there lists it.

use berth_protocol::{Answer, Request};

use super::context::unexpected;
use super::{Context, Outcome};
use crate::error::{NO_SUCH_SYSTEM, StepError};
use crate::ports::Sink;

pub(super) async fn run(context: &mut Context, sink: &Sink) -> Result<Outcome, StepError> {
    let Some(running) = context.facts(sink).await?.running_system else {
        return Ok(Outcome::AlreadyThere("nothing was ever deployed to this machine".into()));
    };
    // A resumed destroy finds the vacant system running: then the wipe was over before it.
    if running == context.system()? {
        return Ok(Outcome::AlreadyThere("the machine is vacant".into()));
    }
    let (claim, timeout) = (context.claim(), context.shared.options.timeouts.activate);
    let removed = match context.call(Request::Wipe { claim, system: running }, timeout, sink).await {
        Ok(Answer::Wiped { removed }) => removed,
        Ok(_) => return Err(unexpected("the wipe")),
        Err(StepError::Failed(failure)) if failure.code == NO_SUCH_SYSTEM => {
            return Ok(Outcome::AlreadyThere("what runs there holds no tenant".into()));
        }
        Err(error) => return Err(error),
    };
    Ok(Outcome::Done(format!("{} things removed", removed.len())))
}
