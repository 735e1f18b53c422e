//! The new system becomes the one that boots, and the record says so.

use berth_protocol::{Claim, Request};

use super::{Context, Outcome, activate};
use crate::drivers::Committed;
use crate::error::StepError;
use crate::ports::{Report, Sink};

pub(super) async fn run(context: &mut Context, sink: &Sink) -> Result<Outcome, StepError> {
    let system = context.system()?;
    if !context.kind.moves() && !context.is_a_drill() {
        context.pass_the_point_of_no_return()?;
    }
    // A migration goes on after it, and may still be given up then.
    let _deaf = context.deafen();
    if context.resumed && !context.needs_reboot {
        still_runs_it(context, sink).await?;
    }
    let deployer = context.deployer().await?;
    let Committed { generation, changed } = match deployer.commit(context, &system, sink).await {
        Ok(committed) => committed,
        // What is left to be written there may find room later.
        Err(error) if error.is_of_the_machine() && took_place(context, sink).await => {
            return Err(error.tried_again());
        }
        Err(error) => return Err(error),
    };
    // From here on there is nothing to put back.
    context.switched = false;
    context.record_what_is_deployed(&system).await?;
    if changed {
        // What was found out before is not true any more, and the API shows it.
        context.facts = None;
    }
    // The commit is done whether or not the machine tells.
    let facts = context.facts(sink).await;
    context.needs_reboot |= facts.as_ref().is_ok_and(|facts| facts.needs_reboot);
    if let Ok(facts) = &facts {
        context.may_run_another = facts.running_system.as_ref() != Some(&system);
    }
    if context.may_run_another && !context.needs_reboot {
        let what = "the machine may have been started anew during the commit; switching it again";
        sink(Report::Warning(what.into()));
        // It is committed, and the record says so: what may pass by itself, such as a full disk, is waited for.
        activate::again(context, &system, sink).await.map_err(StepError::tried_again)?;
        // Nothing is to be written any more; its timer is to be stopped.
        deployer.commit(context, &system, sink).await.map_err(StepError::tried_again)?;
        (context.switched, context.may_run_another) = (false, false);
    }
    if context.needs_reboot {
        sink(Report::NeedsReboot("the machine has to be started anew to take this system over".into()));
    }
    let message = format!("generation {generation}");
    Ok(if changed { Outcome::Done(message) } else { Outcome::AlreadyThere(message) })
}

impl Context {
    /// Writes down that the machine boots this system, where that is what the operation is for.
    pub(super) async fn record_what_is_deployed(&self, system: &str) -> Result<(), StepError> {
        let (true, Some(revision)) = (self.kind.deploys() || self.kind.moves(), &self.revision) else {
            return Ok(());
        };
        let records = &self.shared.records;
        let files = records.revision(&self.tenant, revision).await?.files;
        let platform = berth_render::platform_of(&files).map(|pin| pin.to_string()).unwrap_or_default();
        records.set_tenant_deployed(self.hold(), &self.tenant, revision, system, &platform).await?;
        self.keep_the_platform(&platform).await;
        Ok(())
    }

    /// Once more, as the end of a rollout lets go of what no tenant had been deployed with until now.
    async fn keep_the_platform(&self, pin: &str) {
        if pin.is_empty() {
            return;
        }
        let bounds = self.bounds(self.shared.options.timeouts.evaluate);
        if let Err(error) = self.shared.builder.keep_platform(pin, &bounds).await {
            tracing::warn!(tenant = %self.tenant, %error, "the platform may be collected as garbage");
        }
    }
}

/// Whether the machine says that the operation was committed, though the commit failed.
async fn took_place(context: &mut Context, sink: &Sink) -> bool {
    let Claim { operation, .. } = context.claim();
    let outcome = context.ask_for_outcome(Request::Outcome { operation }, sink).await;
    matches!(outcome, Ok(berth_protocol::Outcome::Committed { .. }))
}

/// A predecessor may have put the machine back without having written so, and a machine that was started anew since it was
/// verified runs what it boots.
async fn still_runs_it(context: &mut Context, sink: &Sink) -> Result<(), StepError> {
    context.facts = None;
    if context.runs_the_system(sink).await? {
        return Ok(());
    }
    let message = "the machine does not run the system any more that was to be committed";
    Err(StepError::retryable("activation-failed", message))
}
