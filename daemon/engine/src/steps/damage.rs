//! Store paths that are not on the machine's disk as they were registered: found, sent again, and said.

use std::sync::Arc;

use berth_domain::StepName;
use berth_protocol::{Answer, Request, StoreCheck};

use super::Context;
use super::context::unexpected;
use crate::error::{AGENT_FAILED, Failure, NO_SUCH_SYSTEM, STORE_CORRUPTED, StepError};
use crate::ports::{Report, Sink};

/// What may come of a damaged path.
const MAY_COME_OF_IT: [&str; 5] =
    ["activation-failed", "units-failed", "unhealthy", AGENT_FAILED, NO_SUCH_SYSTEM];

/// Before the machine switches: whether paths were damaged and have been sent again, so that what read them is to be
/// started anew. It is looked at only where the machine was booted since the last look.
pub(super) async fn look_after_a_boot(context: &mut Context, sink: &Sink) -> Result<bool, StepError> {
    let found = match check(context, false, sink).await {
        Ok(found) => found,
        // A machine that cannot look can be deployed to all the same.
        Err(StepError::Failed(failure)) if failure.code == AGENT_FAILED => {
            sink(Report::Warning(format!("the machine's store cannot be looked at: {}", failure.message)));
            return Ok(false);
        }
        Err(error) => return Err(error),
    };
    if found.damaged.is_empty() {
        return Ok(found.was_damaged);
    }
    let paths = named(&found);
    sink(Report::Warning(format!("damaged on the machine's disk, and sent again: {paths}")));
    match send_again(context, found, sink).await {
        Err(StepError::Failed(failure)) => Err(corrupted(&paths, *failure)),
        sent => sent.map(|()| true),
    }
}

/// The same error; or that it came of damaged paths, which are sent again, so that the machine can be put back and the next
/// deployment can succeed.
pub(super) async fn explained(
    context: &mut Context,
    step: StepName,
    error: StepError,
    sink: &Sink,
) -> StepError {
    let StepError::Failed(failure) = error else { return error };
    if !switches(step) || !MAY_COME_OF_IT.contains(&failure.code) || context.system().is_err() {
        return StepError::Failed(failure);
    }
    let Ok(found) = check(context, true, sink).await else { return StepError::Failed(failure) };
    if found.damaged.is_empty() {
        return StepError::Failed(failure);
    }
    let paths = named(&found);
    let outcome = match send_again(context, found, sink).await {
        Ok(()) => "they were sent again: deploy once more".to_owned(),
        Err(error) => format!("they cannot be sent again: {error}"),
    };
    let message = format!("damaged on the machine's disk: {paths}; {outcome} ({})", failure.message);
    StepError::Failed(Box::new(Failure {
        code: STORE_CORRUPTED,
        message,
        retryable: true,
        transient: false,
        ..*failure
    }))
}

/// Whether a step starts what a system brings. The others do not wait for a look at the whole store: while one of them
/// captures or restores, services stand still.
fn switches(step: StepName) -> bool {
    use StepName::{Activate, Commit, GoLive, HandOver, Prepare, Verify, Wipe};
    matches!(step, Activate | Verify | Commit | Prepare | HandOver | GoLive | Wipe)
}

async fn check(context: &mut Context, always: bool, sink: &Sink) -> Result<StoreCheck, StepError> {
    let system = context.system()?;
    let timeout = context.shared.options.timeouts.copy;
    match context.call(Request::CheckStore { system, always }, timeout, sink).await? {
        Answer::Store(found) => Ok(found),
        _ => Err(unexpected("the state of its store")),
    }
}

/// Sends what was found, and looks once more.
async fn send_again(context: &mut Context, found: StoreCheck, sink: &Sink) -> Result<(), StepError> {
    let paths: Vec<String> = found.damaged.into_iter().map(String::from).collect();
    let bounds = context.bounds(context.shared.options.timeouts.copy);
    let builder = Arc::clone(&context.shared.builder);
    builder.send_again(&paths, context.session(sink).await?.as_ref(), &bounds).await?;
    // The agent's own file may have been replaced, and it could start nothing any more.
    context.forget_the_session();
    let left = check(context, true, sink).await?;
    if left.damaged.is_empty() {
        return Ok(());
    }
    Err(StepError::failed(STORE_CORRUPTED, format!("still damaged: {}", named(&left))))
}

fn named(found: &StoreCheck) -> String {
    let names: Vec<&str> = found.damaged.iter().map(|path| path.as_str()).collect();
    names.join(", ")
}

/// A connection that was lost meanwhile is tried again.
fn corrupted(paths: &str, failure: Failure) -> StepError {
    let message =
        format!("damaged on the machine's disk: {paths}; they cannot be sent again: {}", failure.message);
    StepError::Failed(Box::new(Failure { code: STORE_CORRUPTED, message, retryable: true, ..failure }))
}
