//! The driver `nixos-rebuild`: the command of that name on the daemon's host copies the system and switches the machine;
//! docs/src/drivers.md describes the sequence.
//!
//! The command watches its switch over SSH and knows nothing of it any more once the connection is gone. So whatever it
//! does not say is asked of the machine's agent: whether anything still switches the machine, and what runs there.
//! A switch that nobody saw the end of is waited for, and then asked for again: switch-to-configuration goes on with what
//! it had not done yet, and its exit code is seen.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use berth_protocol::{Activation, ActivationOutcome};

use super::{Committed, Deployer, berth, files, quiet};
use crate::error::{OTHER_SYSTEM, REBUILD_FAILED, StepError};
use crate::ports::{Bounds, Rebuild, RebuildAction, RebuildEnding, Report, Sink};
use crate::steps::Context;

pub(super) struct NixosRebuild;

#[async_trait]
impl Deployer for NixosRebuild {
    async fn check(&self, context: &mut Context) -> Result<(), StepError> {
        let bounds = context.bounds(context.shared.options.timeouts.brief);
        context.shared.builder.find_nixos_rebuild(&bounds).await
    }

    /// By `dry-activate`: it copies, has the machine tell what a switch would do, and changes nothing.
    async fn copy(&self, context: &mut Context, system: &str, sink: &Sink) -> Result<(), StepError> {
        let bounds = context.bounds(context.shared.options.timeouts.copy);
        match rebuild(context, RebuildAction::DryActivate, system, &bounds, sink).await? {
            RebuildEnding::Open { message } => Err(StepError::transient(
                "copy-failed",
                format!("nixos-rebuild did not finish twice: {message}"),
            )),
            ending => done(ending, RebuildAction::DryActivate),
        }
    }

    async fn switch(
        &self,
        context: &mut Context,
        system: &str,
        sink: &Sink,
    ) -> Result<Activation, StepError> {
        // A predecessor may have begun it.
        see_the_end(context, sink).await?;
        // A switch is not broken off by a wish to cancel, which would leave the machine between two systems; only the
        // daemon's end interrupts it.
        let deaf = context.deafen();
        let bounds = context.bounds(context.shared.options.timeouts.activate);
        let ending = rebuild(context, RebuildAction::Test, system, &bounds, sink).await;
        drop(deaf);
        let activation = activation(context, ending?, sink).await?;
        // A wish to cancel that came meanwhile: the switch is over, and can be undone.
        if context.bounds(Duration::ZERO).cancel.is_cancelled() {
            return Err(StepError::Cancelled);
        }
        if activation.outcome == ActivationOutcome::Done {
            let running = facts_anew(context, sink).await?.running_system;
            same_system("runs", running, system)?;
        }
        Ok(activation)
    }

    async fn see_the_end(&self, context: &mut Context, _system: &str, sink: &Sink) -> Result<(), StepError> {
        see_the_end(context, sink).await
    }

    /// By `boot`, unless the record says that this very system was committed and the machine agrees: the profile alone does
    /// not tell whether its boot entry was made. `boot` may be repeated, and is, where its end was not seen.
    async fn commit(&self, context: &mut Context, system: &str, sink: &Sink) -> Result<Committed, StepError> {
        if is_recorded(context, system, sink).await? {
            return berth::ask(context, system, sink).await;
        }
        see_the_end(context, sink).await?;
        let bounds = context.bounds(context.shared.options.timeouts.activate);
        let ending = rebuild(context, RebuildAction::Boot, system, &bounds, sink).await?;
        done(ending, RebuildAction::Boot)?;
        let committed = facts_anew(context, sink).await?.committed_system;
        same_system("boots", committed, system)?;
        // The agent finds nothing to write, and tells the generation.
        let Committed { generation, .. } = berth::ask(context, system, sink).await?;
        Ok(Committed { generation, changed: true })
    }
}

/// Ends what a predecessor left running here, then waits until nothing switches the machine.
async fn see_the_end(context: &mut Context, sink: &Sink) -> Result<(), StepError> {
    context.shared.builder.end_nixos_rebuild(context.operation).await;
    quiet(context, sink).await
}

/// Has `nixos-rebuild` do something; once more where it lost sight of it or another switch was in the way.
async fn rebuild(
    context: &mut Context,
    action: RebuildAction,
    system: &str,
    bounds: &Bounds,
    sink: &Sink,
) -> Result<RebuildEnding, StepError> {
    match rebuild_once(context, action, system, bounds, sink).await? {
        RebuildEnding::Open { message } => {
            let word = action.word();
            sink(Report::Line(format!(
                "nixos-rebuild {word} was not seen to end ({message}); asking the machine"
            )));
            see_the_end(context, sink).await?;
            rebuild_once(context, action, system, bounds, sink).await
        }
        ending => Ok(ending),
    }
}

async fn rebuild_once(
    context: &mut Context,
    action: RebuildAction,
    system: &str,
    bounds: &Bounds,
    sink: &Sink,
) -> Result<RebuildEnding, StepError> {
    let files = files(context).await?;
    let builder = Arc::clone(&context.shared.builder);
    let (operation, machine) = (context.operation, context.machine.clone());
    let login = context.session(sink).await?.login();
    let rebuild = Rebuild { operation, action, machine: &machine, files: &files, system };
    builder.nixos_rebuild(rebuild, &login, bounds, sink).await
}

/// A call that has to be done.
fn done(ending: RebuildEnding, action: RebuildAction) -> Result<(), StepError> {
    match ending {
        RebuildEnding::Done => Ok(()),
        other => Err(failed(other, action)),
    }
}

/// What a call that is not done comes to.
fn failed(ending: RebuildEnding, action: RebuildAction) -> StepError {
    let problem = match ending {
        RebuildEnding::Done => "it says that it is done".into(),
        RebuildEnding::Failed { message, .. } | RebuildEnding::Open { message } => message,
        RebuildEnding::UnitsFailed { units } => format!("units failed: {}", units.join(", ")),
        RebuildEnding::ScriptFailed => "the activation script failed".into(),
        RebuildEnding::NeedsReboot => "this system needs a reboot of the machine to be taken over".into(),
    };
    StepError::failed(REBUILD_FAILED, format!("nixos-rebuild {} failed: {problem}", action.word()))
}

/// How the switch went, as the agent would tell it.
async fn activation(
    context: &mut Context,
    ending: RebuildEnding,
    sink: &Sink,
) -> Result<Activation, StepError> {
    let of = |exit_code, failed_units| {
        let outcome = ActivationOutcome::of(exit_code);
        Ok(Activation { exit_code, outcome, failed_units })
    };
    match ending {
        RebuildEnding::Done => of(0, Vec::new()),
        RebuildEnding::ScriptFailed => of(2, Vec::new()),
        RebuildEnding::NeedsReboot => of(100, Vec::new()),
        RebuildEnding::UnitsFailed { units } if units.is_empty() => {
            let failed = facts_anew(context, sink).await?.failed_units;
            of(4, failed)
        }
        RebuildEnding::UnitsFailed { units } => of(4, units),
        RebuildEnding::Open { message } => Err(StepError::transient(
            "connection-lost",
            format!("nixos-rebuild test was twice not seen to end: {message}"),
        )),
        ending @ RebuildEnding::Failed { .. } => Err(failed(ending, RebuildAction::Test)),
    }
}

/// Whether the operation's system is what this tenant's last deployment committed, and what the machine boots.
async fn is_recorded(context: &mut Context, system: &str, sink: &Sink) -> Result<bool, StepError> {
    if !context.kind.deploys() {
        return Ok(false);
    }
    let recorded = context.shared.records.tenant(&context.tenant).await?.deployed_system;
    Ok(recorded.as_deref() == Some(system)
        && facts_anew(context, sink).await?.committed_system.as_deref() == Some(system))
}

async fn facts_anew(context: &mut Context, sink: &Sink) -> Result<berth_domain::MachineFacts, StepError> {
    context.facts = None;
    context.facts(sink).await
}

fn same_system(does: &str, found: Option<String>, wanted: &str) -> Result<(), StepError> {
    if found.as_deref() == Some(wanted) {
        return Ok(());
    }
    let found = found.unwrap_or_else(|| "no system".into());
    let message =
        format!("after nixos-rebuild the machine {does} {found} where {wanted} was evaluated and built");
    Err(StepError::failed(OTHER_SYSTEM, message))
}
