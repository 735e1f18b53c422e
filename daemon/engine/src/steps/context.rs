//! What the steps of one operation hand to each other.

use std::sync::Arc;
use std::time::Duration;

use berth_domain::manifest::Manifest;
use berth_domain::preview::{MissingPart, PreviewPart};
use berth_domain::revision::Files;
use berth_domain::{
    MachineFacts, MachineName, Operation, OperationId, OperationKind, Preview, RevisionId, StepName,
    StepStatus, TenantName,
};
use berth_protocol::{Answer, Request};
use tokio_util::sync::CancellationToken;

use super::Outcome;
use crate::drivers::{self, Deployer};
use crate::engine::Shared;
use crate::error::StepError;
use crate::ports::{AgentStart, Bounds, Evaluated, Keep, MachineSession, Platform, Sink};

/// What a call gets beyond the time that the agent keeps itself: for its answer to arrive.
pub(crate) const FOR_THE_ANSWER: Duration = Duration::from_secs(15);

/// The operation's state between its steps. Everything in it can be found again by a successor.
pub(crate) struct Context {
    pub shared: Arc<Shared>,
    pub operation: OperationId,
    pub kind: OperationKind,
    pub wipe: bool,
    pub tenant: TenantName,
    pub machine: MachineName,
    pub revision: Option<RevisionId>,
    pub files: Files,
    pub evaluated: Option<Evaluated>,
    /// The system is the one that was deployed last, so that nothing needs to be evaluated or built.
    pub unchanged: bool,
    pub facts: Option<MachineFacts>,
    /// The machine was told to switch, so that a failure from here on has something to undo.
    pub switched: bool,
    /// What the machine was told to switch to, as long as nobody saw how that ended: the switch goes on there without us.
    pub switching: Option<String>,
    /// What a preview has found so far.
    pub preview: Option<Preview>,
    /// A predecessor had begun the operation.
    pub resumed: bool,
    platform: Option<Platform>,
    session: Option<Box<dyn MachineSession>>,
    cancel: CancellationToken,
}

impl Context {
    pub(crate) fn new(shared: Arc<Shared>, operation: &Operation, cancel: CancellationToken) -> Self {
        Self {
            shared,
            operation: operation.id,
            kind: operation.kind,
            wipe: operation.wipe,
            tenant: operation.tenant.clone(),
            machine: operation.machine.clone(),
            revision: operation.revision.clone(),
            files: Files::new(),
            evaluated: None,
            unchanged: false,
            facts: None,
            switched: operation
                .step(StepName::Activate)
                .is_some_and(|step| step.status != StepStatus::Pending),
            switching: operation.system.clone().filter(|_| {
                let activate = operation.step(StepName::Activate).map(|step| step.status);
                matches!(activate, Some(StepStatus::Running | StepStatus::Unknown))
            }),
            resumed: operation.steps.iter().any(|step| step.status != StepStatus::Pending),
            preview: None,
            platform: None,
            session: None,
            cancel,
        }
    }

    /// The revision and system that the operation's row should name.
    pub(crate) fn identity(&self) -> (Option<RevisionId>, Option<String>) {
        (self.revision.clone(), self.evaluated.as_ref().map(|evaluated| evaluated.system.clone()))
    }

    /// Bounds of a call that ends after `timeout` or when the operation is cancelled.
    pub(crate) fn bounds(&self, timeout: Duration) -> Bounds {
        Bounds { cancel: self.cancel.clone(), timeout }
    }

    /// Bounds of a call that is not to be interrupted by a cancellation: putting things back.
    pub(crate) fn bounds_of_undo(&mut self, timeout: Duration) -> Bounds {
        self.cancel = CancellationToken::new();
        self.bounds(timeout)
    }

    /// From here on, only the daemon's own end interrupts the operation; not where somebody wished so before.
    pub(crate) fn pass_the_point_of_no_return(&mut self) -> Result<(), StepError> {
        if self.cancel.is_cancelled() {
            return Err(StepError::Cancelled);
        }
        self.cancel = self.shared.stopping.child_token();
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
        match name {
            StepName::Render | StepName::Evaluate | StepName::Build => self.has_the_system(operation).await,
            // A machine that was started anew meanwhile runs what it boots.
            StepName::Activate | StepName::Verify => self.runs_the_system(sink).await.unwrap_or(false),
            StepName::Compare
            | StepName::Copy
            | StepName::DryActivate
            | StepName::Wipe
            | StepName::Commit
            | StepName::Forget => true,
        }
    }

    /// Whether the machine runs the operation's system.
    pub(crate) async fn runs_the_system(&mut self, sink: &Sink) -> Result<bool, StepError> {
        let system = self.system()?;
        Ok(self.facts(sink).await?.running_system == Some(system))
    }

    async fn has_the_system(&mut self, operation: &Operation) -> bool {
        let built = operation
            .step(StepName::Build)
            .is_some_and(|step| matches!(step.status, StepStatus::Succeeded | StepStatus::Skipped));
        let Some(system) = operation.system.clone().filter(|_| built) else { return false };
        if !self.shared.builder.has(&system).await {
            return false;
        }
        self.evaluated = Some(Evaluated { derivation: String::new(), system });
        true
    }

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
            (StepError::Failed(failure), Some(preview)) if !self.cancel.is_cancelled() => {
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
            OperationKind::Deploy | OperationKind::Destroy => Keep::Machine(&self.machine),
        }
    }

    /// Puts away what only the operation itself needed, once it has come to its end.
    pub(crate) async fn conclude(&self) {
        if self.kind != OperationKind::Preview {
            return;
        }
        self.shared.builder.release(self.keep()).await;
        if let Err(error) = self.shared.store.forget_previewed_spec(self.operation).await {
            tracing::warn!(operation = %self.operation, %error, "cannot forget what was previewed");
        }
    }

    /// The system's manifest.
    pub(crate) async fn manifest(&self) -> Result<Manifest, StepError> {
        self.shared.builder.manifest(&self.system()?).await
    }

    /// The session with the machine, its agent running; opened where there is none. The agent itself is copied to a
    /// machine that does not have it.
    pub(crate) async fn session(&mut self, sink: &Sink) -> Result<&mut Box<dyn MachineSession>, StepError> {
        if self.session.is_none() {
            self.session = Some(self.connect(sink).await?);
        }
        self.session.as_mut().ok_or_else(|| missing("session"))
    }

    async fn connect(&mut self, sink: &Sink) -> Result<Box<dyn MachineSession>, StepError> {
        let agent = self.platform().await?.agent.clone();
        let machine = self.shared.store.machine(&self.machine).await?.spec;
        let timeouts = self.shared.options.timeouts.clone();
        let connect = self.bounds(timeouts.connect);
        let mut session = self.shared.machines.open(&machine, &connect).await?;
        if session.start_agent(&agent, &connect).await? == AgentStart::Missing {
            let copy = self.bounds(timeouts.copy);
            self.shared.builder.copy(&agent, session.as_ref(), &copy, sink).await?;
            if session.start_agent(&agent, &connect).await? == AgentStart::Missing {
                return Err(StepError::failed(
                    "agent-missing",
                    "the agent was copied to the machine but is not there",
                ));
            }
        }
        Ok(session)
    }

    /// How this machine is deployed to.
    pub(crate) async fn deployer(&self) -> Result<&'static dyn Deployer, StepError> {
        Ok(drivers::of(self.shared.store.machine(&self.machine).await?.spec.driver))
    }

    /// Copies a system and all that it needs over the session.
    pub(crate) async fn copy_by_nix(&mut self, system: &str, sink: &Sink) -> Result<(), StepError> {
        let bounds = self.bounds(self.shared.options.timeouts.copy);
        let builder = Arc::clone(&self.shared.builder);
        let session = self.session(sink).await?;
        builder.copy(system, session.as_ref(), &bounds, sink).await
    }

    /// Asks the machine's agent.
    pub(crate) async fn call(
        &mut self,
        request: Request,
        timeout: Duration,
        sink: &Sink,
    ) -> Result<Answer, StepError> {
        let bounds = self.bounds(timeout);
        self.session(sink).await?.call(request, &bounds, sink).await
    }

    /// What the machine says of itself, asked once an operation; also kept for the API, but by a preview, which keeps
    /// nothing.
    pub(crate) async fn facts(&mut self, sink: &Sink) -> Result<MachineFacts, StepError> {
        if let Some(facts) = &self.facts {
            return Ok(facts.clone());
        }
        let Answer::Facts(facts) =
            self.call(Request::Facts, self.shared.options.timeouts.brief, sink).await?
        else {
            return Err(unexpected("facts"));
        };
        if self.kind != OperationKind::Preview {
            self.shared.store.set_machine_facts(&self.machine, &facts).await?;
        }
        self.facts = Some((*facts).clone());
        Ok(*facts)
    }
}

/// An agent that answers something else than what was asked.
pub(crate) fn unexpected(what: &str) -> StepError {
    StepError::failed("agent-protocol", format!("the agent did not answer the question for {what}"))
}

fn missing(what: &str) -> StepError {
    StepError::failed("internal", format!("a step ran before the one that provides the {what}"))
}
