//! What the engine needs from the outside, as traits: so that a scenario can be replayed without nix or machines.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use berth_domain::manifest::Manifest;
use berth_domain::preview::ClosureChange;
use berth_domain::revision::Files;
use berth_domain::{MachineName, MachineSpec, OperationId, Progress};
pub use berth_nix::Applied;
pub use berth_nix::rebuild::{Action as RebuildAction, Ending as RebuildEnding};
use berth_protocol::{Answer, Health, Request};
use futures_util::future::BoxFuture;
use tokio_util::sync::CancellationToken;

use crate::error::StepError;

/// Something that a step reports while it runs.
#[derive(Debug, Clone, PartialEq)]
pub enum Report {
    /// How far it is.
    Progress(Progress),
    /// A line that some program wrote.
    Line(String),
    /// Something that a person should know of.
    Warning(String),
}

/// Takes reports; cheap to call and never blocks.
pub type Sink = Arc<dyn Fn(Report) + Send + Sync>;

/// The bounds of one call: when to give up, and who may stop it.
#[derive(Debug, Clone)]
pub struct Bounds {
    /// Stops the call when cancelled.
    pub cancel: CancellationToken,
    /// The longest it may take.
    pub timeout: Duration,
}

/// The platform that tenants are built on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Platform {
    /// The flake reference that rendered tenants name as their input, pinned.
    pub pin: String,
    /// The agent's store path.
    pub agent: String,
    /// How the machine's web server does TLS.
    pub tls: berth_render::Tls,
}

/// What evaluating a configuration yields.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Evaluated {
    /// The derivation of the system.
    pub derivation: String,
    /// The system's store path.
    pub system: String,
}

/// On whose behalf something that was built is kept from being collected as garbage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keep<'a> {
    /// A machine that may need it: it boots it, or is about to.
    Machine(&'a MachineName),
    /// A preview, until it has ended.
    Preview(OperationId),
}

/// Evaluates and builds configurations, and knows the local store.
#[async_trait]
pub trait Builder: Send + Sync {
    /// The platform; prepared on first use.
    async fn platform(&self, bounds: &Bounds) -> Result<Platform, StepError>;

    /// Evaluates a rendered configuration.
    async fn evaluate(
        &self,
        operation: OperationId,
        files: &Files,
        machine: &MachineName,
        bounds: &Bounds,
        sink: &Sink,
    ) -> Result<Evaluated, StepError>;

    /// Builds a system's derivation, and keeps its outcome on behalf of `keep`, in place of what was kept for it.
    async fn build(
        &self,
        keep: Keep<'_>,
        derivation: &str,
        bounds: &Bounds,
        sink: &Sink,
    ) -> Result<(), StepError>;

    /// Whether a store path is present here.
    async fn has(&self, path: &str) -> bool;

    /// The manifest of a system that is present here.
    async fn manifest(&self, system: &str) -> Result<Manifest, StepError>;

    /// How what `after` needs differs from what `before` needs; without `before`, everything is new.
    async fn compare(
        &self,
        before: Option<&str>,
        after: &str,
        bounds: &Bounds,
    ) -> Result<ClosureChange, StepError>;

    /// Copies a store path and all that it needs to a machine.
    async fn copy(
        &self,
        path: &str,
        to: &dyn MachineSession,
        bounds: &Bounds,
        sink: &Sink,
    ) -> Result<(), StepError>;

    /// Keeps nothing any more on behalf of `keep`.
    async fn release(&self, keep: Keep<'_>);

    /// Whether there is a `nixos-rebuild` here that can be worked with.
    async fn find_nixos_rebuild(&self, bounds: &Bounds) -> Result<(), StepError>;

    /// Has `nixos-rebuild` do something with a system that was built, and with no other.
    async fn nixos_rebuild(
        &self,
        rebuild: Rebuild<'_>,
        to: &Login,
        bounds: &Bounds,
        sink: &Sink,
    ) -> Result<RebuildEnding, StepError>;

    /// Ends what `nixos-rebuild` left running here for an operation, if a predecessor was killed.
    async fn end_nixos_rebuild(&self, operation: OperationId);

    /// Whether there is a `nixops4` here that can be called.
    async fn find_nixops4(&self, bounds: &Bounds) -> Result<(), StepError>;

    /// Has `nixops4` apply a rendered configuration. What it starts finds the operation's socket at `socket`.
    async fn nixops4_apply(
        &self,
        files: &Files,
        socket: &Path,
        bounds: &Bounds,
        sink: &Sink,
    ) -> Result<Applied, StepError>;
}

/// What `nixos-rebuild` is to do.
#[derive(Debug, Clone, Copy)]
pub struct Rebuild<'a> {
    /// For which operation.
    pub operation: OperationId,
    /// What.
    pub action: RebuildAction,
    /// To which machine.
    pub machine: &'a MachineName,
    /// The rendered configuration.
    pub files: &'a Files,
    /// The system that it comes to.
    pub system: &'a str,
}

/// How `ssh` gets to a machine over the session's connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Login {
    /// `user@machine`.
    pub destination: String,
    /// The value of `NIX_SSHOPTS`.
    pub ssh_options: String,
    /// Whether that user is root, and needs no `sudo`.
    pub root: bool,
}

/// Opens sessions with machines.
#[async_trait]
pub trait Machines: Send + Sync {
    /// A session with a machine.
    async fn open(
        &self,
        machine: &MachineSpec,
        bounds: &Bounds,
    ) -> Result<Box<dyn MachineSession>, StepError>;
}

/// A machine that answers.
#[async_trait]
pub trait MachineSession: Send + Sync {
    /// Starts the agent that stands at this store path; [`AgentStart::Missing`] where the machine does not have it.
    async fn start_agent(&mut self, path: &str, bounds: &Bounds) -> Result<AgentStart, StepError>;

    /// Asks the agent.
    async fn call(&mut self, request: Request, bounds: &Bounds, sink: &Sink) -> Result<Answer, StepError>;

    /// Asks the tenant's services from outside, over a new connection, what `manifest` promises. Nothing is asked
    /// before the future is awaited; it may be awaited while the agent is asked something else.
    fn probe_from_outside(
        &self,
        manifest: Manifest,
        bounds: Bounds,
    ) -> BoxFuture<'static, Result<Health, StepError>>;

    /// Where `nix copy` finds the machine: the store's URL and the value of `NIX_SSHOPTS`.
    fn store(&self) -> (String, String);

    /// How other programs get to the machine by `ssh`.
    fn login(&self) -> Login;
}

/// Whether an agent could be started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AgentStart {
    /// It answers.
    Started,
    /// Its store path is not on the machine.
    Missing,
}
