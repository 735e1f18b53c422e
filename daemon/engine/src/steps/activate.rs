//! The machine switches to the new system, for now: the next boot is what it was until the commit.

use berth_protocol::{Activation, ActivationOutcome, Answer, Request};

use super::{Context, Outcome, damage};
use crate::error::StepError;
use crate::ports::Sink;

/// How many journal lines of each failed unit a client is shown.
const LOG_LINES: u32 = 50;

pub(super) async fn run(context: &mut Context, sink: &Sink) -> Result<Outcome, StepError> {
    let system = context.system()?;
    let facts = context.facts(sink).await?;
    // A machine says that it runs a system before its units have started: a predecessor's switch is followed. What it runs
    // but does not boot may be put back by a timer at any moment.
    let there =
        [facts.running_system, facts.committed_system].iter().all(|path| path.as_ref() == Some(&system));
    let mended = context.switching.is_none() && damage::look_after_a_boot(context, sink).await?;
    if context.switching.is_none() && there && !mended {
        return Ok(Outcome::AlreadyThere("the machine runs it".into()));
    }
    let activation = context.switch(system, sink).await?;
    judge(context, activation, sink).await
}

/// Switches once more to what was committed, as the machine was started anew before it booted that.
pub(super) async fn again(context: &mut Context, system: &str, sink: &Sink) -> Result<(), StepError> {
    let activation = context.switch(system.to_owned(), sink).await?;
    judge(context, activation, sink).await.map(drop)
}

impl Context {
    /// Has the machine switch, or follows the switch that this operation began before, until it is over.
    async fn switch(&mut self, system: String, sink: &Sink) -> Result<Activation, StepError> {
        // A machine that cannot be reached was told nothing.
        self.session(sink).await?;
        self.prepare_secrets(&system, sink).await?;
        (self.switched, self.switched_here) = (true, true);
        self.switching = Some(system.clone());
        let answer = self.deployer().await?.switch(self, &system, sink).await;
        if !answer.as_ref().is_err_and(StepError::leaves_it_open) {
            self.switching = None;
        }
        // What was found out before is not true any more.
        self.facts = None;
        answer
    }
}

async fn judge(context: &mut Context, activation: Activation, sink: &Sink) -> Result<Outcome, StepError> {
    let code = activation.exit_code;
    let error = match activation.outcome {
        ActivationOutcome::Done => return Ok(Outcome::Done("the machine runs it".into())),
        ActivationOutcome::NeedsReboot => {
            context.needs_reboot = true;
            return Ok(Outcome::Done("only a reboot of the machine takes it over".into()));
        }
        ActivationOutcome::UnitsFailed => {
            let units = activation.failed_units.join(", ");
            StepError::failed("units-failed", format!("units failed to start: {units}"))
        }
        ActivationOutcome::ScriptFailed => {
            StepError::failed("activation-failed", "the activation script failed")
        }
        ActivationOutcome::Failed => {
            StepError::failed("activation-failed", format!("switch-to-configuration ended with code {code}"))
        }
    };
    Err(error.with_log(unit_logs(context, activation.failed_units, sink).await))
}

/// The newest journal lines of some units, each line after its unit's name; nothing where they cannot be had, as
/// the failure itself matters more.
pub(super) async fn unit_logs(context: &mut Context, units: Vec<String>, sink: &Sink) -> Vec<String> {
    if units.is_empty() {
        return Vec::new();
    }
    let timeout = context.shared.options.timeouts.brief;
    match context.call(Request::Logs { units, lines: LOG_LINES }, timeout, sink).await {
        Ok(Answer::Logs(logs)) => logs
            .into_iter()
            .flat_map(|log| log.lines.into_iter().map(move |line| format!("{}: {line}", log.unit)))
            .collect(),
        _ => Vec::new(),
    }
}
