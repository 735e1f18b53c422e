//! The machine goes down and comes back with what was committed.
//!
//! The agent keeps which operation asked for it, and in which boot: asked again it says whether the machine was started
//! anew since, so that a lost answer or a daemon that was killed meanwhile makes no second reboot.

use std::time::Duration;

use berth_protocol::{Answer, Request};
use tokio::time::{Instant, sleep};

use super::context::unexpected;
use super::{Context, Outcome};
use crate::drivers;
use crate::error::{AGENT_FAILED, REBOOT_FAILED, StepError};
use crate::ports::{Report, Sink};

/// How long to wait before a machine that goes down or comes up is asked again.
const PAUSE: Duration = Duration::from_secs(2);

pub(super) async fn run(context: &mut Context, sink: &Sink) -> Result<Outcome, StepError> {
    context.take_what_is_deployed().await?;
    if !context.resumed {
        // One that cannot be asked now was told nothing, and one that is being switched is left alone.
        drivers::quiet(context, sink).await?;
    }
    let begun = Instant::now();
    until_it_is_back(context, begun, sink).await?;
    let took = begun.elapsed().as_secs();
    context.facts = None;
    let facts = context.facts(sink).await?;
    let system = context.system()?;
    if facts.running_system.as_ref() != Some(&system) {
        let runs = facts.running_system.unwrap_or_else(|| "no system".into());
        let message = format!("the machine came back with {runs} and not with what was committed, {system}");
        return Err(StepError::failed(REBOOT_FAILED, message));
    }
    forget_what_was_found(context, &system).await?;
    if facts.needs_reboot {
        sink(Report::NeedsReboot(
            "the machine still has another kernel or init system than was committed".into(),
        ));
    }
    Ok(Outcome::Done(format!("the machine was started anew within {took} s")))
}

async fn until_it_is_back(context: &mut Context, begun: Instant, sink: &Sink) -> Result<(), StepError> {
    let timeout = context.shared.options.timeouts.reboot;
    let mut told = false;
    loop {
        let seen = match ask(context, sink).await {
            Ok(true) => return Ok(()),
            Ok(false) if !told => {
                told = true;
                sink(Report::Line("the machine is going down".into()));
                GOING_DOWN.to_owned()
            }
            Ok(false) => GOING_DOWN.to_owned(),
            Err(error) if error.is_out_of_touch() => error.to_string(),
            // A machine in the middle of going down cannot do much any more.
            Err(StepError::Failed(failure)) if told && failure.code == AGENT_FAILED => failure.message,
            Err(error) => return Err(left_alone(error, sink)),
        };
        if begun.elapsed() >= timeout {
            let message = format!("the machine is not back after {} s: {seen}", timeout.as_secs());
            return Err(StepError::failed(REBOOT_FAILED, message));
        }
        context.forget_the_session();
        let cancel = context.bounds(PAUSE).cancel;
        if cancel.run_until_cancelled(sleep(PAUSE)).await.is_none() {
            return Err(left_alone(StepError::Cancelled, sink));
        }
    }
}

const GOING_DOWN: &str = "it was told to start anew, and still runs as before";

/// Whether the machine was started anew; it is told to, unless it was.
async fn ask(context: &mut Context, sink: &Sink) -> Result<bool, StepError> {
    let request = Request::Reboot { claim: context.claim() };
    match context.call(request, context.shared.options.timeouts.brief, sink).await? {
        Answer::Reboot { done } => Ok(done),
        _ => Err(unexpected("the reboot")),
    }
}

/// A reboot is not taken back: whoever stops to wait for it is told so.
fn left_alone(error: StepError, sink: &Sink) -> StepError {
    if error == StepError::Cancelled {
        sink(Report::Warning("the machine is started anew all the same; it is only not waited for".into()));
    }
    error
}

/// What a check found before is not true any more. What is deployed stays what it is.
async fn forget_what_was_found(context: &Context, system: &str) -> Result<(), StepError> {
    let (records, hold) = (&context.shared.records, context.hold());
    let platform = records.tenant(&context.tenant).await?.platform.unwrap_or_default();
    let revision = context.revision()?;
    Ok(records.set_tenant_deployed(hold, &context.tenant, &revision, system, &platform).await?)
}
