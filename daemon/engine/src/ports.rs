//! What the engine needs from the outside, as traits: so that a scenario can be replayed without nix or machines.

mod buckets;
mod offsite;

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use berth_domain::manifest::Manifest;
use berth_domain::preview::ClosureChange;
use berth_domain::revision::Files;
use berth_domain::{
    CapturedService, MachineName, MachineSpec, OperationId, Progress, ServiceName, Timestamp, VaultId,
};
pub use berth_nix::Applied;
pub use berth_nix::rebuild::{Action as RebuildAction, Ending as RebuildEnding};
use berth_protocol::{Answer, Health, Request};
use berth_render::{PlatformPin, Rendered};
use berth_vault::Author;
pub use berth_vault::Title;
use chrono::{DateTime, Utc};
use futures_util::future::BoxFuture;
use secrecy::SecretString;
use secrecy::zeroize::Zeroizing;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::error::StepError;
pub use buckets::{
    BucketConfig, BucketCopy, Buckets, Copied, Earlier, HeldBucket, HeldBuckets, Ledger, LedgerEntry,
    LedgerError, Moved, News, ObjectRecord, ObjectsMove, ObjectsPass, PutBack, ReadingOut, Tell,
};
pub use offsite::{Extent, Offsites, Summing, TakenOver, Wanted};

/// Tells the time that is written down. What is waited for is measured by tokio's clock.
pub trait Clock: Send + Sync {
    /// Now.
    fn now(&self) -> DateTime<Utc>;

    /// An id that nothing else has. Ids sort by the time at which they were given.
    fn id(&self) -> Uuid {
        Uuid::now_v7()
    }
}

/// The host's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct HostClock;

impl Clock for HostClock {
    fn now(&self) -> DateTime<Utc> {
        Utc::now()
    }
}

/// Something that a step reports while it runs.
#[derive(Debug, Clone, PartialEq)]
pub enum Report {
    /// How far it is.
    Progress(Progress),
    /// A line that some program wrote.
    Line(String),
    /// Something that a person should know of.
    Warning(String),
    /// What was done takes full effect only with a reboot of the machine.
    NeedsReboot(String),
}

/// Takes reports; cheap to call and never blocks.
pub type Sink = Arc<dyn Fn(Report) + Send + Sync>;

/// Takes reports that nobody is to hear.
pub(crate) fn nobody() -> Sink {
    Arc::new(|_| {})
}

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

    /// Makes sure that a platform at one fixed content is here, and keeps it from being collected as garbage. Quick where it
    /// was kept before.
    async fn keep_platform(&self, pin: &str, bounds: &Bounds) -> Result<(), StepError>;

    /// Finds the fixed content of a flake that is to be a platform, and keeps that.
    async fn pin_platform(&self, reference: &str, bounds: &Bounds) -> Result<String, StepError>;

    /// Lets go of platforms but for these and the current one.
    async fn release_platforms(&self, used: &[String]);

    /// Evaluates many rendered configurations of one platform at once. One that cannot be evaluated fails all.
    async fn evaluate_batch(
        &self,
        batch: Uuid,
        members: &BTreeMap<String, Rendered>,
        platform: &PlatformPin,
        bounds: &Bounds,
    ) -> Result<BTreeMap<String, Evaluated>, StepError>;

    /// How many evaluations this host has processors for: Nix evaluates on one.
    fn evaluators(&self) -> usize;

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

    /// Sends store paths again that a machine holds damaged.
    async fn send_again(
        &self,
        paths: &[String],
        to: &dyn MachineSession,
        bounds: &Bounds,
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

    /// Proves over a new connection that the machine can still be entered. Nothing is done before the future is awaited; it
    /// may be awaited while the agent is asked something else.
    fn enter_anew(&self, bounds: Bounds) -> BoxFuture<'static, Result<(), StepError>>;

    /// Asks the tenant's services from outside what `manifest` promises, as [`MachineSession::enter_anew`] does it.
    fn probe_from_outside(
        &self,
        manifest: Manifest,
        bounds: Bounds,
    ) -> BoxFuture<'static, Result<Health, StepError>>;

    /// When the certificates expire that the machine shows for the hosts that `manifest` probes over TLS, as seen from
    /// outside; or why none was shown, in words.
    fn certificates(
        &self,
        manifest: Manifest,
    ) -> BoxFuture<'static, Vec<(String, Result<Timestamp, String>)>>;

    /// Has a port of the machine's own lead to an address of this host.
    async fn lead_to(&mut self, address: SocketAddr, bounds: &Bounds) -> Result<Box<dyn Way>, StepError>;

    /// Where Nix finds the machine's store.
    fn store(&self) -> FarStore;

    /// How other programs get to the machine by `ssh`.
    fn login(&self) -> Login;
}

/// A machine's store, as Nix gets to it.
#[derive(Debug, Clone)]
pub struct FarStore {
    /// Its URL.
    pub url: String,
    /// The value of `NIX_SSHOPTS`.
    pub ssh_options: String,
    /// The control socket of the session's connection, where there is one.
    pub socket: Option<PathBuf>,
}

/// A port of a machine that leads to this host. It ends when this is dropped, and with the session's connection.
pub trait Way: Send + Sync {
    /// The port on the machine's loopback device.
    fn port(&self) -> u16;
}

/// What somebody may do with a vault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VaultAccess {
    /// Read.
    Read,
    /// Read and add.
    Append,
    /// Read, add and remove.
    Full,
}

/// A vault of another provider.
#[derive(Debug, Clone)]
pub struct FarVault {
    /// Where it is, with a `/` at its end.
    pub url: berth_transfer::Url,
    /// The user that it knows.
    pub user: String,
    /// The user's password.
    pub token: SecretString,
}

/// A way into one vault, for whoever presents the token. It ends when this is dropped.
pub struct Admission {
    /// Where the vault listens on this host.
    pub address: SocketAddr,
    /// The repository's path there, from `/` to `/`.
    pub path: String,
    /// The password of any user.
    pub token: SecretString,
    /// Makes the token worthless when it is dropped.
    pub end: Box<dyn Send + Sync>,
}

/// What writes snapshots into a vault, one for each service.
pub type Writing =
    Box<dyn FnOnce(&mut Author) -> Result<BTreeMap<ServiceName, CapturedService>, StepError> + Send>;

/// Where tenants' snapshots are kept.
#[async_trait]
pub trait Vaults: Send + Sync {
    /// Makes a vault, unless it is there, that is encrypted with a random key.
    async fn make(&self, vault: VaultId, key: &SecretString) -> Result<(), StepError>;

    /// Lets whoever presents the token into one vault; one that is not there yet is made by whoever writes to it first.
    async fn admit(&self, vault: VaultId, access: VaultAccess) -> Result<Admission, StepError>;

    /// Lets whoever presents the token into a vault of another provider, by way of this host. What the other asks for stands
    /// in `far` and is shown to nobody.
    async fn admit_far(&self, far: &FarVault) -> Result<Admission, StepError>;

    /// The ids of the restic snapshots that a vault holds.
    async fn snapshots(&self, vault: VaultId) -> Result<BTreeSet<String>, StepError>;

    /// The tags of restic snapshots of a vault; of those that cannot be read from here none are told.
    async fn tags(
        &self,
        vault: VaultId,
        key: &SecretString,
        snapshots: BTreeSet<String>,
    ) -> Result<BTreeMap<String, Vec<String>>, StepError>;

    /// Makes snapshots of everything of those in a vault that tell what has changed.
    async fn merge(&self, vault: VaultId, key: &SecretString) -> Result<(), StepError>;

    /// The id of the restic snapshot of everything of one that may be just the rest of it; it is made if it is not there.
    async fn complete(&self, vault: VaultId, key: &SecretString, snapshot: &str)
    -> Result<String, StepError>;

    /// Writes what a restic snapshot of a vault holds into a folder of this host, under its whole paths.
    async fn read_out(
        &self,
        vault: VaultId,
        key: &SecretString,
        snapshot: &str,
        into: &Path,
        bounds: &Bounds,
    ) -> Result<(), StepError>;

    /// Has `work` write snapshots into a vault from this host, on a thread for that.
    async fn write(
        &self,
        vault: VaultId,
        key: &SecretString,
        work: Writing,
    ) -> Result<BTreeMap<ServiceName, CapturedService>, StepError>;

    /// Keeps a file in a vault as a restic snapshot of its own, from this host and through memory alone; gives its id. Nothing
    /// where the vault is one that only restic can write to.
    async fn keep_file(
        &self,
        vault: VaultId,
        key: &SecretString,
        title: Title,
        path: &str,
        content: Zeroizing<Vec<u8>>,
    ) -> Result<Option<String>, StepError>;

    /// Forgets restic snapshots of a vault, and those of passes that were of no use by themselves; of buckets, all that are not
    /// `needed`. Removes what none of the others needs. Those that are gone already are left out. Tells how many bytes became free.
    /// Nobody else may use the vault meanwhile.
    async fn prune(
        &self,
        vault: VaultId,
        key: &SecretString,
        going: &BTreeSet<String>,
        needed: &BTreeSet<String>,
        bounds: &Bounds,
        sink: &Sink,
    ) -> Result<u64, StepError>;

    /// Removes a vault with all that is in it.
    async fn destroy(&self, vault: VaultId) -> Result<(), StepError>;
}

/// Whether an agent could be started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AgentStart {
    /// It answers.
    Started,
    /// Its store path is not on the machine.
    Missing,
}
