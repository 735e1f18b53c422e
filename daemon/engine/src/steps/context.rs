//! What the steps of one operation hand to each other.

mod line;

use std::sync::Arc;
use std::time::Duration;

use berth_domain::manifest::Manifest;
use berth_domain::preview::{MissingPart, PreviewPart};
use berth_domain::revision::Files;
use berth_domain::{
    Driver, MachineFacts, MachineName, MigrationId, Operation, OperationId, OperationKind, Preview,
    RevisionId, RolloutId, SnapshotId, StepName, StepStatus, TenantName, Timestamp,
};
use berth_protocol::{Claim, Deadline};
use berth_store::{DrillRecord, Hold};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use self::line::Line;
use super::Outcome;
use crate::drivers::{self, Deployer};
use crate::engine::Shared;
use crate::error::StepError;
use crate::ports::{Bounds, Evaluated, Keep, Platform, Sink};
use crate::tenure::{Deaf, Tenure};

/// What a call gets beyond the time that the agent keeps itself: for its answer to arrive.
pub(crate) const FOR_THE_ANSWER: Duration = Duration::from_secs(15);

/// The operation's state between its steps. Everything in it can be found again by a successor.
pub(crate) struct Context {
    pub shared: Arc<Shared>,
    pub operation: OperationId,
    pub rollout: Option<RolloutId>,
    pub kind: OperationKind,
    pub wipe: bool,
    pub tenant: TenantName,
    pub machine: MachineName,
    pub asked_at: Timestamp,
    /// When the snapshot was due that the operation makes.
    pub due_at: Option<Timestamp>,
    pub revision: Option<RevisionId>,
    /// The snapshot that the operation makes, or puts in place.
    pub snapshot: Option<SnapshotId>,
    /// The age recipient that the secrets of a bundle are sealed to.
    pub recipient: Option<String>,
    /// The migration that the operation is one provider's half of.
    pub migration: Option<MigrationId>,
    pub files: Files,
    pub evaluated: Option<Evaluated>,
    /// The system is the one that was deployed last, so that nothing needs to be evaluated or built.
    pub unchanged: bool,
    pub facts: Option<MachineFacts>,
    /// The machine was told to switch, so that a failure from here on has something to undo.
    pub switched: bool,
    /// It was told so in this run, so that what a predecessor verified says nothing.
    pub switched_here: bool,
    /// What the machine was told to switch to, as long as nobody saw how that ended: the switch goes on there without us.
    pub switching: Option<String>,
    /// What the machine knows the deployment by that is under way, where the operation makes several: what becomes of one says
    /// nothing of the next.
    pub switching_as: Option<Uuid>,
    /// How often one of these deployments was given up and is begun anew.
    pub tries: u32,
    /// What a preview has found so far.
    pub preview: Option<Preview>,
    /// A predecessor had begun the operation.
    pub resumed: bool,
    /// The machine was seen to run another system than was committed, or may have been started anew during the commit.
    pub may_run_another: bool,
    /// Only a reboot of the machine takes the system over.
    pub needs_reboot: bool,
    /// Until when a machine that went out of touch is waited for.
    pub hope: Option<Instant>,
    /// What is brought is a copy that is tried out, and nobody's deployment.
    pub trying_out: bool,
    /// What a drill found so far, and what is known of its machine.
    pub(super) drill: Option<DrillRecord>,
    platform: Option<Platform>,
    line: Line,
    tenure: Arc<Tenure>,
    /// No wish interrupts any more.
    undoing: bool,
}

impl Context {
    pub(crate) fn new(shared: Arc<Shared>, operation: &Operation, tenure: Arc<Tenure>) -> Self {
        Self {
            shared,
            operation: operation.id,
            rollout: operation.rollout,
            kind: operation.kind,
            wipe: operation.wipe,
            tenant: operation.tenant.clone(),
            machine: operation.machine.clone(),
            asked_at: operation.created_at,
            due_at: operation.due_at,
            revision: operation.revision.clone(),
            snapshot: operation.snapshot,
            recipient: operation.recipient.clone(),
            migration: operation.migration,
            files: Files::new(),
            evaluated: None,
            unchanged: false,
            facts: None,
            switched: may_be_put_back(operation)
                || (operation.kind.moves() && operation.started_at.is_some()),
            switched_here: false,
            switching: operation.system.clone().filter(|_| {
                let activate = operation.step(StepName::Activate).map(|step| step.status);
                matches!(activate, Some(StepStatus::Running | StepStatus::Unknown))
            }),
            switching_as: None,
            tries: 0,
            preview: None,
            resumed: operation.steps.iter().any(|step| step.status != StepStatus::Pending),
            may_run_another: false,
            needs_reboot: false,
            hope: None,
            trying_out: false,
            drill: None,
            platform: None,
            line: Line::default(),
            tenure,
            undoing: false,
        }
    }

    /// The revision and system that the operation's row should name.
    pub(crate) fn identity(&self) -> (Option<RevisionId>, Option<String>) {
        (self.revision.clone(), self.evaluated.as_ref().map(|evaluated| evaluated.system.clone()))
    }

    /// What every write of the operation names; its fence is also what the machine is to refuse older ones of.
    pub(crate) fn hold(&self) -> Hold {
        self.tenure.hold()
    }

    /// Bounds of a call that ends after `timeout` or when the operation is interrupted.
    pub(crate) fn bounds(&self, timeout: Duration) -> Bounds {
        let cancel = if self.undoing { self.tenure.end() } else { self.tenure.interruption() };
        Bounds { cancel: cancel.clone(), timeout }
    }

    /// A wish to cancel waits as long as the answer lives.
    pub(crate) fn deafen(&self) -> Deaf {
        self.tenure.deafen()
    }

    /// From here on nobody's wish interrupts a call: things are put back. Returns what would have.
    pub(crate) fn begin_to_undo(&mut self) -> CancellationToken {
        let wish = self.tenure.interruption().clone();
        self.undoing = true;
        self.forget_the_session();
        wish
    }

    /// Cancelled when the operation is left for a successor.
    pub(crate) fn end(&self) -> &CancellationToken {
        self.tenure.end()
    }

    /// Whether somebody wishes that the operation stops, or it is left for a successor.
    pub(crate) fn is_asked_to_stop(&self) -> bool {
        self.bounds(Duration::ZERO).cancel.is_cancelled()
    }

    /// From here on, only the daemon's own end interrupts the operation; not where somebody wished so before.
    pub(crate) fn pass_the_point_of_no_return(&mut self) -> Result<(), StepError> {
        if self.tenure.interruption().is_cancelled() {
            return Err(StepError::Cancelled);
        }
        self.tenure.begin_to_commit();
        Ok(())
    }

    /// Whether a resumed operation can go on behind the step `name`, which its predecessor finished: whether what
    /// that step handed on can be found again.
    pub(crate) async fn can_go_on_after(
        &mut self,
        name: StepName,
        operation: &Operation,
        sink: &Sink,
    ) -> bool {
        if self.kind == OperationKind::Preview {
            // Nothing was changed, and what was found lived in the predecessor's memory.
            return false;
        }
        if self.is_a_drill() && is_done(operation, StepName::Commit) {
            // From here on the machine boots what it was to get, until it is emptied; what was found is written down.
            self.has_the_system(operation).await;
            return true;
        }
        match name {
            StepName::Render | StepName::Evaluate | StepName::Build => self.has_the_system(operation).await,
            // A machine that was started anew meanwhile runs what it boots.
            StepName::Verify if self.switched_here => false,
            StepName::Activate | StepName::Verify => self.runs_the_system(sink).await.unwrap_or(false),
            StepName::Reboot => self.take_what_is_deployed().await.is_ok(),
            StepName::Restore => self.take_what_is_deployed().await.is_ok(),
            // The services may have served again meanwhile: only once they never will, what was captured is the newest state.
            StepName::Capture if self.kind == OperationKind::Migrate => {
                let departure = self.shared.records.departure(self.operation).await;
                departure.is_ok_and(|record| record.departure.handed_over_at.is_some())
                    || self.is_moved().await
            }
            StepName::Unpack => self.has_snapshot().await.unwrap_or(false),
            StepName::Compare
            | StepName::Agree
            | StepName::Prepare
            | StepName::Receive
            | StepName::PutInPlace
            | StepName::Rehearse
            | StepName::TryOut
            | StepName::HandOver
            | StepName::GoLive
            | StepName::Precopy
            | StepName::Capture
            | StepName::Prune
            | StepName::Bundle
            | StepName::Copy
            | StepName::DryActivate
            | StepName::Wipe
            | StepName::Commit
            | StepName::Empty
            | StepName::Forget => true,
        }
    }

    /// Whether the machine runs the operation's system.
    pub(crate) async fn runs_the_system(&mut self, sink: &Sink) -> Result<bool, StepError> {
        let system = self.system()?;
        Ok(self.facts(sink).await?.running_system == Some(system))
    }

    async fn has_the_system(&mut self, operation: &Operation) -> bool {
        let built = is_done(operation, StepName::Build);
        let Some(system) = operation.system.clone().filter(|_| built) else { return false };
        if !self.shared.builder.has(&system).await {
            return false;
        }
        self.evaluated = Some(Evaluated { derivation: String::new(), system });
        true
    }

    /// Works on what the tenant was deployed with last.
    pub(crate) async fn take_what_is_deployed(&mut self) -> Result<(), StepError> {
        let tenant = self.shared.records.tenant(&self.tenant).await?;
        let not_deployed = || StepError::failed("not-deployed", "the tenant is not deployed any more");
        let system = tenant.deployed_system.ok_or_else(not_deployed)?;
        self.revision = tenant.deployed_revision;
        self.evaluated = Some(Evaluated { derivation: String::new(), system });
        Ok(())
    }

    /// The platform that the operation's configuration is rendered for.
    pub(crate) async fn tenants_platform(&mut self) -> Result<Platform, StepError> {
        let current = self.platform().await?.clone();
        let bounds = self.bounds(self.shared.options.timeouts.evaluate);
        match self.shared.platform_for(&self.tenant, self.rollout, current.clone(), &bounds).await {
            // A machine that becomes vacant is no worse for the current one.
            Err(StepError::Failed(_))
                if matches!(self.kind, OperationKind::Destroy | OperationKind::Drill) =>
            {
                Ok(current)
            }
            platform => platform,
        }
    }

    /// The platform that the daemon is configured with, whose agent it speaks with.
    pub(crate) async fn platform(&mut self) -> Result<&Platform, StepError> {
        if self.platform.is_none() {
            let bounds = self.bounds(self.shared.options.timeouts.evaluate);
            self.platform = Some(self.shared.builder.platform(&bounds).await?);
        }
        self.platform.as_ref().ok_or_else(|| missing("platform"))
    }

    /// The system's store path.
    pub(crate) fn system(&self) -> Result<String, StepError> {
        self.evaluated.as_ref().map(|evaluated| evaluated.system.clone()).ok_or_else(|| missing("system"))
    }

    /// The revision that was rendered.
    pub(crate) fn revision(&self) -> Result<RevisionId, StepError> {
        self.revision.clone().ok_or_else(|| missing("revision"))
    }

    /// What a preview has found so far.
    pub(crate) fn preview(&self) -> Result<&Preview, StepError> {
        self.preview.as_ref().ok_or_else(|| missing("preview"))
    }

    /// A preview goes on without a part that cannot be had, and notes why. For any other operation, and for a
    /// cancellation, the error stays what it is.
    pub(crate) fn without(&mut self, part: PreviewPart, error: StepError) -> Result<Outcome, StepError> {
        match (error, &mut self.preview) {
            (StepError::Failed(failure), Some(preview)) if !self.tenure.interruption().is_cancelled() => {
                let (code, message) = (failure.code.to_owned(), failure.message);
                preview.missing.push(MissingPart { part, code, message: message.clone() });
                Ok(Outcome::Without(message))
            }
            (error, _) => Err(error),
        }
    }

    /// On whose behalf the built system is kept.
    pub(crate) fn keep(&self) -> Keep<'_> {
        match self.kind {
            OperationKind::Preview => Keep::Preview(self.operation),
            OperationKind::Deploy
            | OperationKind::Rollback
            | OperationKind::Destroy
            | OperationKind::Reboot
            | OperationKind::Snapshot
            | OperationKind::Prune
            | OperationKind::Restore
            | OperationKind::Drill
            | OperationKind::Export
            | OperationKind::Migrate
            | OperationKind::Import
            | OperationKind::Rehearse
            | OperationKind::TryOut
            | OperationKind::TakeIn => Keep::Machine(&self.machine),
        }
    }

    /// Puts away what only the operation itself needed, once it has come to its end.
    pub(crate) async fn conclude(&self) {
        match self.kind {
            OperationKind::Preview => self.shared.builder.release(self.keep()).await,
            OperationKind::TakeIn => {
                self.shared.spool.forget_order(self.operation);
                if let Err(error) = self.shared.records.settle_offsite(self.operation).await {
                    // It goes in time.
                    tracing::warn!(operation = %self.operation, %error, "what opens a repository is not forgotten yet");
                }
            }
            _ => {}
        }
    }

    /// The system's manifest.
    pub(crate) async fn manifest(&self) -> Result<Manifest, StepError> {
        self.shared.builder.manifest(&self.system()?).await
    }

    /// How this machine is deployed to.
    pub(crate) async fn deployer(&self) -> Result<&'static dyn Deployer, StepError> {
        if self.is_a_drill() || self.trying_out {
            // What it brings is nobody's deployment, which others would keep a record of.
            return Ok(drivers::of(Driver::Berth));
        }
        Ok(drivers::of(self.shared.records.machine(&self.machine).await?.spec.driver))
    }

    /// Copies a system and all that it needs over the session.
    pub(crate) async fn copy_by_nix(&mut self, system: &str, sink: &Sink) -> Result<(), StepError> {
        let bounds = self.bounds(self.shared.options.timeouts.copy);
        let builder = Arc::clone(&self.shared.builder);
        let session = self.session(sink).await?;
        builder.copy(system, session.as_ref(), &bounds, sink).await
    }

    /// By what the machine knows who asks.
    pub(crate) fn claim(&self) -> Claim {
        Claim { operation: self.switching_as.unwrap_or(self.operation), fence: self.hold().fence }
    }

    /// The same for what is not about switching the machine, which goes by the operation's own id throughout.
    pub(crate) fn own_claim(&self) -> Claim {
        Claim { operation: self.operation, fence: self.hold().fence }
    }

    /// When the machine puts its previous system back unless it heard of a commit.
    pub(crate) fn deadline(&self) -> Deadline {
        let timeouts = &self.shared.options.timeouts;
        Deadline { switch_seconds: timeouts.activate.as_secs(), commit_seconds: timeouts.commit().as_secs() }
    }
}

/// Whether there may be an uncommitted switch of a predecessor. Once a drill's is committed, its machine is emptied instead.
fn may_be_put_back(operation: &Operation) -> bool {
    let begun = operation.step(StepName::Activate).is_some_and(|step| step.status != StepStatus::Pending);
    begun && !(operation.kind == OperationKind::Drill && is_done(operation, StepName::Commit))
}

fn is_done(operation: &Operation, name: StepName) -> bool {
    operation
        .step(name)
        .is_some_and(|step| matches!(step.status, StepStatus::Succeeded | StepStatus::Skipped))
}

/// An agent that answers something else than what was asked.
pub(crate) fn unexpected(what: &str) -> StepError {
    StepError::failed("agent-protocol", format!("the agent did not answer the question for {what}"))
}

pub(super) fn missing(what: &str) -> StepError {
    StepError::failed("internal", format!("a step ran before the one that provides the {what}"))
}
