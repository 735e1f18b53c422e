//! The driver `nixops4`: the deployment is an apply of the rendered flake by NixOps4.
//!
//! The flake's resource for the machine is of our own provider, `berth-nixops4-provider`. It must not ask the API for a
//! deployment, as that is what is running; so the operation listens on a socket of its own ([`door`]), and whoever
//! `nixops4` starts finds its path in the environment. What is asked for there is done by the operation itself, as by
//! the driver [`berth`](super::berth): one switch of one machine to one system, whoever asks how often.
//!
//! | module | subject |
//! | --- | --- |
//! | [`door`] | the socket, and the talk with one provider |
//! | [`state`] | the tenant's NixOps4 state, for as long as a provider works on it |

mod door;
mod state;

use std::sync::Arc;

use async_trait::async_trait;
use berth_protocol::nixops4::Line;
use berth_protocol::{Activation, ActivationOutcome};
use tokio_util::task::AbortOnDropHandle;

use self::door::{Door, Wanted};
use super::berth::Berth;
use super::{Committed, Deployer, files, quiet};
use crate::error::{NIXOPS4_FAILED, StepError};
use crate::ports::{Applied, Sink};
use crate::steps::Context;

pub(super) struct Nixops4;

#[async_trait]
impl Deployer for Nixops4 {
    async fn check(&self, context: &mut Context) -> Result<(), StepError> {
        let bounds = context.bounds(context.shared.options.timeouts.brief);
        context.shared.builder.find_nixops4(&bounds).await
    }

    async fn switch(
        &self,
        context: &mut Context,
        system: &str,
        sink: &Sink,
    ) -> Result<Activation, StepError> {
        let files = files(context).await?;
        let mut door = Door::open(context)?;
        let mut apply = {
            let (builder, sink) = (Arc::clone(&context.shared.builder), sink.clone());
            let timeouts = &context.shared.options.timeouts;
            let bounds = context.bounds(timeouts.evaluate + timeouts.activate);
            let socket = door.path();
            let applying = async move { builder.nixops4_apply(&files, &socket, &bounds, &sink).await };
            // In a task of its own: its output is read while the machine switches.
            AbortOnDropHandle::new(tokio::spawn(applying))
        };
        let mut switched = None;
        let applied = loop {
            tokio::select! {
                ended = &mut apply => break ended,
                wanted = door.next() => answer(context, system, wanted, &mut switched, sink).await,
            }
        };
        door.close().await;
        if switched.is_none() && !context.resumed {
            // Nobody told the machine anything, so nothing goes on there and nothing is to be undone.
            context.switching = None;
        }
        let applied = applied.map_err(|error| StepError::failed("internal", error.to_string()))?;
        came_to(switched, applied)
    }

    /// Nothing may have been asked of the machine yet, so it is not asked for the switch again.
    async fn see_the_end(&self, context: &mut Context, _: &str, sink: &Sink) -> Result<(), StepError> {
        quiet(context, sink).await
    }

    async fn commit(&self, context: &mut Context, system: &str, sink: &Sink) -> Result<Committed, StepError> {
        Berth.commit(context, system, sink).await
    }
}

/// Switches the machine for a provider, unless it did so before.
async fn answer(
    context: &mut Context,
    system: &str,
    wanted: Wanted,
    switched: &mut Option<Result<Activation, StepError>>,
    sink: &Sink,
) {
    let line = if wanted.machine == context.machine.as_str() && wanted.system == system {
        if !matches!(switched, Some(Ok(_))) {
            *switched = Some(Berth.switch(context, system, sink).await);
        }
        told(context, switched)
    } else {
        Line::Failed(format!(
            "this operation switches the machine “{}” to {system}, and nothing else",
            context.machine
        ))
    };
    wanted.answer(line);
}

fn told(context: &Context, switched: &Option<Result<Activation, StepError>>) -> Line {
    match switched {
        Some(Ok(activation)) if activation.outcome == ActivationOutcome::Done => Line::Activated {
            operation: context.operation,
            revision: context.revision.as_ref().map(ToString::to_string).unwrap_or_default(),
        },
        Some(Ok(activation)) => {
            let code = activation.exit_code;
            Line::Failed(format!("switch-to-configuration ended with code {code}; the operation tells more"))
        }
        Some(Err(error)) => Line::Failed(error.to_string()),
        None => Line::Failed("the machine was not switched".into()),
    }
}

/// What the switch and the apply come to together. What the machine says of its switch counts first.
fn came_to(
    switched: Option<Result<Activation, StepError>>,
    applied: Result<Applied, StepError>,
) -> Result<Activation, StepError> {
    match (switched, applied?) {
        (Some(Err(error)), _) => Err(error),
        (Some(Ok(activation)), Applied::Done) => Ok(activation),
        (Some(Ok(activation)), _) if activation.outcome != ActivationOutcome::Done => Ok(activation),
        (Some(Ok(_)), Applied::Failed(message)) => {
            Err(failed("the machine was switched, but nixops4 failed", &message))
        }
        (None, Applied::Failed(message)) => Err(failed("nixops4 failed", &message)),
        (None, Applied::Done) => {
            let message = "nixops4 ended well, but nothing that it applied switched the machine";
            Err(StepError::failed(NIXOPS4_FAILED, message))
        }
    }
}

/// The last line that it wrote says why, as a rule; the others are the failure's log.
fn failed(what: &str, message: &str) -> StepError {
    let log: Vec<_> = message.lines().map(str::to_owned).collect();
    let why = message.lines().find(|line| line.contains("error")).or(message.lines().last());
    StepError::failed(NIXOPS4_FAILED, format!("{what}: {}", why.unwrap_or_default().trim())).with_log(log)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn activation(outcome: ActivationOutcome) -> Result<Activation, StepError> {
        Ok(Activation { exit_code: 0, outcome, failed_units: Vec::new() })
    }

    fn code(outcome: Result<Activation, StepError>) -> &'static str {
        match outcome {
            Ok(_) => "",
            Err(StepError::Failed(failure)) => failure.code,
            Err(_) => "cancelled",
        }
    }

    #[test]
    fn what_the_machine_says_counts_before_what_nixops4_says() {
        let done = || Some(activation(ActivationOutcome::Done));
        let sick = || Some(activation(ActivationOutcome::UnitsFailed));
        let lost = || Some(Err(StepError::transient("connection-lost", "x")));
        let failed = || Ok(Applied::Failed("nixops4 error: x".into()));
        assert_eq!(code(came_to(done(), Ok(Applied::Done))), "");
        assert_eq!(code(came_to(sick(), failed())), "");
        assert_eq!(code(came_to(lost(), failed())), "connection-lost");
        assert_eq!(code(came_to(done(), failed())), NIXOPS4_FAILED);
        assert_eq!(code(came_to(None, failed())), NIXOPS4_FAILED);
        assert_eq!(code(came_to(None, Ok(Applied::Done))), NIXOPS4_FAILED);
        assert_eq!(code(came_to(done(), Err(StepError::Cancelled))), "cancelled");
    }
}
