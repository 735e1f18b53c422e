//! Drills: a tenant's snapshot on a machine that is lent for it, behind a fence, as it would be after the loss of the tenant's
//! own machine, which is neither asked nor touched.
//!
//! | module | subject |
//! | --- | --- |
//! | `restore` | each service's state comes back, or is told why not |
//! | `verify` | each service answers and has what it should, or is told why not |
//! | `empty` | nothing of it is left on the machine, however the drill ends |
//!
//! What was found is written down after each service, so that a successor goes on behind it.

mod empty;
mod restore;
mod verify;

use berth_domain::{Drill, Mode, OperationKind, TenantSpec};
use berth_protocol::Request;
use berth_store::DrillRecord;

pub(super) use empty::empty;
pub(super) use restore::restore;
pub(super) use verify::{problem_of, read_whole, verify};

use super::context::missing;
use super::{Context, Outcome, activate};
use crate::error::{NO_SUCH_SYSTEM, StepError};
use crate::ports::{Report, Sink};

/// The fenced system comes onto the machine. What an earlier drill may have left there goes first.
pub(super) async fn activate(context: &mut Context, sink: &Sink) -> Result<Outcome, StepError> {
    let record = context.drill_record().await?.clone();
    // Where the drill's own system runs, it is a predecessor's work, or what an earlier drill of the same revision left: then the
    // restore replaces its state.
    let running = context.facts(sink).await?.running_system;
    let own = context.system()?;
    if let Some(left) = running.filter(|left| record.cleans && *left != own) {
        sink(Report::Line("an earlier drill could not empty this machine: that is done first".into()));
        context.wipe_what_is_left_by(left, sink).await?;
    }
    let outcome = activate::run(context, sink).await?;
    if context.needs_reboot {
        let message =
            "only a reboot of the machine would take the system over, and a drill does not wait for one";
        return Err(StepError::failed("needs-reboot", message));
    }
    Ok(outcome)
}

impl Context {
    /// What the drill found so far.
    pub(super) async fn drill_record(&mut self) -> Result<&mut DrillRecord, StepError> {
        if self.drill.is_none() {
            let mut record = self.shared.records.drill(self.operation).await?;
            record.drill.begin(self.shared.clock.now());
            self.drill = Some(record);
        }
        self.drill.as_mut().ok_or_else(|| missing("drill"))
    }

    /// Writes down what was found.
    pub(super) async fn keep_found(&mut self, note: impl FnOnce(&mut Drill)) -> Result<(), StepError> {
        let record = self.drill_record().await?;
        note(&mut record.drill);
        let drill = record.drill.clone();
        Ok(self.shared.records.keep_drill(self.hold(), &drill).await?)
    }

    /// The tenant as it is deployed, but fenced, and on the machine that is lent.
    pub(super) async fn drilled_spec(&self) -> Result<TenantSpec, StepError> {
        let records = &self.shared.records;
        let not_deployed = || StepError::failed("not-deployed", "the tenant is not deployed any more");
        let revision = records.tenant(&self.tenant).await?.deployed_revision.ok_or_else(not_deployed)?;
        let spec = records.revision(&self.tenant, &revision).await?.spec;
        Ok(TenantSpec { mode: Mode::Fenced, machine: self.machine.clone(), ..spec })
    }

    /// Has the machine remove the state and the secrets of a system.
    pub(super) async fn wipe_what_is_left_by(
        &mut self,
        system: String,
        sink: &Sink,
    ) -> Result<(), StepError> {
        let (claim, timeout) = (self.own_claim(), self.shared.options.timeouts.activate);
        match self.call(Request::Wipe { claim, system }, timeout, sink).await {
            Err(StepError::Failed(failure)) if failure.code == NO_SUCH_SYSTEM => Ok(()),
            answer => answer.map(drop),
        }
    }

    /// Whether the operation is a drill.
    pub(crate) fn is_a_drill(&self) -> bool {
        self.kind == OperationKind::Drill
    }
}
