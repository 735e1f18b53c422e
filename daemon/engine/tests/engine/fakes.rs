//! A builder and machines without nix and SSH.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use berth_domain::manifest::{Manifest, ServiceManifest};
use berth_domain::preview::{ClosureChange, MachineChange};
use berth_domain::revision::Files;
use berth_domain::{MachineFacts, MachineName, MachineSpec, OperationId, ServiceName, StepName, Timestamp};
use berth_engine::StepError;
use berth_engine::error::{AGENT_FAILED, REVERTED, REVERTED_BY_TIMER};
use berth_engine::ports::{
    AgentStart, Applied, Bounds, Builder, Evaluated, FarStore, Keep, Login, MachineSession, Machines,
    Platform, Rebuild, RebuildAction, RebuildEnding, Report, Sink, Way,
};
use berth_protocol::{
    Activation, ActivationOutcome, Answer, Claim, DatabaseFingerprint, Fingerprint, GivenSecret, Health,
    Outcome, Request, Reverted, RevertedBy, ServiceFingerprint, StoreCheck, UnitHealth,
};
use berth_render::{PlatformPin, Rendered, Tls};
use chrono::Utc;
use futures_util::future::BoxFuture;
use secrecy::SecretString;
use tokio::sync::Notify;
use uuid::Uuid;

use crate::bucket_state::BucketState;
use crate::nixops4;
use crate::offsites::OffsiteState;
use crate::vaults::{ADDRESS, FakeState, FakeWay};

/// What a machine that is out of touch does not answer.
const TO_THE_MACHINE: [&str; 11] = [
    "open",
    "activate",
    "follow",
    "probe",
    "outside",
    "revert",
    "outcome",
    "commit",
    "commit-answer",
    "reboot",
    "restore-ahead",
];

pub const AGENT: &str = "/nix/store/agent";
pub const OLD: &str = "/nix/store/old";

/// What a test tells the world to do, and what the world did.
#[derive(Default)]
pub struct World {
    pub machine: Mutex<Machine>,
    /// Everything that was asked for, in order.
    pub done: Mutex<Vec<String>>,
    /// What fails, by its word in `done`.
    pub failing: Mutex<BTreeSet<&'static str>>,
    /// What fails the next time only, by its word in `done`.
    pub failing_once: Mutex<BTreeSet<&'static str>>,
    /// How often something fails that may pass by itself, by its word in `done`.
    pub stumbling: Mutex<BTreeMap<&'static str, u32>>,
    /// How often the machine has no room for something, by its word in `done`.
    pub cramped: Mutex<BTreeMap<&'static str, u32>>,
    /// What does not hear that it is cancelled, by its word in `done`.
    pub deaf: Mutex<BTreeSet<&'static str>>,
    /// What waits until it is cancelled, by its word in `done`.
    pub hanging: Mutex<BTreeSet<&'static str>>,
    /// What waits until the test lets it go on or it is cancelled, by its word in `done`.
    pub paused: Mutex<BTreeSet<&'static str>>,
    /// The machine does not answer.
    pub out_of_touch: Mutex<bool>,
    /// The tenants, and the machines of the same name, whose configuration cannot be evaluated.
    pub broken: Mutex<BTreeSet<String>>,
    /// The platform that the daemon is configured with, where it is not the usual one.
    pub platform: Mutex<Option<String>>,
    /// What the machine shows from outside, and until when.
    pub certificates: Mutex<BTreeMap<String, Timestamp>>,
    /// What every system promises.
    pub services: Mutex<BTreeMap<ServiceName, ServiceManifest>>,
    /// What single systems promise in its place.
    pub promises: Mutex<BTreeMap<String, BTreeMap<ServiceName, ServiceManifest>>>,
    /// What this host does with buckets.
    pub buckets: Arc<BucketState>,
    /// What there is of a repository that lies elsewhere.
    pub offsites: Arc<OffsiteState>,
    /// The secrets that machines were given: `SERVICE/NAME=VALUE`.
    pub given: Mutex<Vec<String>>,
    /// What the machine says of itself besides.
    pub facts: Mutex<Option<MachineFacts>>,
    /// Nothing that was built is in the daemon's store any more.
    pub lost: AtomicBool,
    /// Told whenever something begins to wait.
    pub waiting: Notify,
    /// How a switch ends.
    pub exit_code: Mutex<i32>,
    /// How long a switch takes; it goes on when nobody waits for it any more.
    pub switch_takes: Mutex<Duration>,
    /// How the next calls of `nixos-rebuild` end, whatever they did; done when there is nothing in it.
    pub endings: Mutex<VecDeque<RebuildEnding>>,
    /// What machines do with vaults.
    pub state: Arc<FakeState>,
    /// Those that do not serve.
    pub sick: Mutex<BTreeSet<&'static str>>,
    /// What `nixos-rebuild` deploys in place of what it is asked to.
    pub deploys_instead: Mutex<Option<&'static str>>,
}

/// The one machine.
#[derive(Default, Clone)]
pub struct Machine {
    pub running: Option<String>,
    pub committed: Option<String>,
    pub has: BTreeSet<String>,
    /// What of its store is damaged.
    pub damaged: BTreeSet<String>,
    /// Whether it was booted since its store was looked at.
    pub booted: bool,
    /// What each operation asked to switch to.
    pub asked: BTreeMap<OperationId, String>,
    /// Which operations were reverted, and by what.
    pub reverted: BTreeMap<OperationId, RevertedBy>,
    /// Which operations asked for a reboot.
    pub rebooting: BTreeSet<OperationId>,
    /// What the machine comes back with from a reboot; never where there is nothing.
    pub boots: Option<String>,
    /// How often it was started anew.
    pub boot: u32,
    /// The operation whose switch goes on, whether or not anybody still waits for it.
    pub switching: Option<OperationId>,
}

impl World {
    async fn asked(&self, what: &'static str, detail: &str, bounds: &Bounds) -> Result<(), StepError> {
        self.done.lock().unwrap().push(format!("{what} {detail}").trim().to_owned());
        if self.deaf.lock().unwrap().contains(what) {
            self.waiting.notify_one();
            std::future::pending::<()>().await;
        }
        if self.hanging.lock().unwrap().contains(what) {
            self.waiting.notify_one();
            bounds.cancel.cancelled().await;
            return Err(StepError::Cancelled);
        }
        if self.paused.lock().unwrap().contains(what) {
            self.waiting.notify_one();
            while self.paused.lock().unwrap().contains(what) {
                if bounds.cancel.is_cancelled() {
                    return Err(StepError::Cancelled);
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        }
        if counted_down(&self.stumbling, what) {
            return Err(StepError::transient("stumbled", format!("{what} stumbled")));
        }
        if counted_down(&self.cramped, what) {
            return Err(StepError::failed(AGENT_FAILED, "no space left on device"));
        }
        let once = self.failing_once.lock().unwrap().remove(what);
        if *self.out_of_touch.lock().unwrap() && TO_THE_MACHINE.contains(&what) {
            return Err(StepError::transient("machine-unreachable", "no route to host"));
        }
        if once || self.failing.lock().unwrap().contains(what) {
            return Err(StepError::failed("told-to", format!("{what} was told to fail")));
        }
        Ok(())
    }

    /// Begins an operation's switch, unless it was begun before.
    fn begin_switch(self: &Arc<Self>, operation: OperationId, system: &str) -> Result<bool, StepError> {
        let mut machine = self.machine.lock().unwrap();
        refuse_reverted(&machine, operation)?;
        if machine.asked.get(&operation).is_some_and(|asked| asked == system) {
            return Ok(false);
        }
        if machine.switching.is_some() {
            return Err(StepError::transient("machine-busy", "this machine is being changed"));
        }
        machine.asked.insert(operation, system.to_owned());
        drop(machine);
        self.start_switch(operation, system);
        Ok(true)
    }

    fn start_switch(self: &Arc<Self>, operation: OperationId, system: &str) {
        let mut machine = self.machine.lock().unwrap();
        let takes = *self.switch_takes.lock().unwrap();
        if takes.is_zero() {
            machine.running = Some(system.to_owned());
            return;
        }
        machine.switching = Some(operation);
        let (world, system) = (Arc::clone(self), system.to_owned());
        tokio::spawn(async move {
            // As on NixOS: first the link to the running system, then the units.
            tokio::time::sleep(takes / 2).await;
            world.machine.lock().unwrap().running = Some(system);
            tokio::time::sleep(takes / 2).await;
            world.machine.lock().unwrap().switching = None;
        });
    }

    /// What `nixos-rebuild` does. It sees its switch to the end unless it is to end otherwise.
    async fn rebuild(self: &Arc<Self>, rebuild: &Rebuild<'_>) -> RebuildEnding {
        let system = self.deploys_instead.lock().unwrap().unwrap_or(rebuild.system).to_owned();
        let ending = self.endings.lock().unwrap().pop_front();
        match rebuild.action {
            RebuildAction::Build | RebuildAction::DryActivate => {
                self.machine.lock().unwrap().has.insert(system);
            }
            RebuildAction::Test if matches!(ending, Some(RebuildEnding::Failed { .. })) => {}
            RebuildAction::Test => {
                self.start_switch(rebuild.operation, &system);
                while ending.is_none() && self.machine.lock().unwrap().switching.is_some() {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
            }
            RebuildAction::Boot => self.machine.lock().unwrap().committed = Some(system),
        }
        ending.unwrap_or(RebuildEnding::Done)
    }

    /// Puts the machine back, as its timer does when nobody commits.
    pub fn timer_elapses(&self) {
        let operations: Vec<_> = self.machine.lock().unwrap().asked.keys().copied().collect();
        for operation in operations {
            self.revert(operation, None, RevertedBy::Timer);
        }
    }

    fn revert(&self, operation: OperationId, from: Option<String>, by: RevertedBy) -> Outcome {
        {
            let mut machine = self.machine.lock().unwrap();
            // Where another driver switched, the agent knows nothing: what there is to go back from is told, or runs.
            let from = machine.asked.get(&operation).cloned().or(from).or(machine.running.clone());
            if from != machine.committed && !machine.reverted.contains_key(&operation) {
                machine.running = machine.committed.clone();
                machine.reverted.insert(operation, by);
            }
        }
        self.outcome(operation)
    }

    fn outcome(&self, operation: OperationId) -> Outcome {
        let machine = self.machine.lock().unwrap();
        if let Some(by) = machine.reverted.get(&operation) {
            return Outcome::Reverted(Reverted { by: *by, to: machine.committed.clone(), problem: None });
        }
        match machine.asked.get(&operation) {
            None => Outcome::Unknown,
            asked if asked == machine.committed.as_ref() => Outcome::Committed { generation: 1 },
            _ if machine.switching == Some(operation) => Outcome::Switching,
            _ => Outcome::Switched { exit_code: 0 },
        }
    }

    /// Whether the machine was started anew since the operation asked first. It is at once, but the answer is the old boot's.
    fn reboot(&self, operation: OperationId) -> bool {
        let mut machine = self.machine.lock().unwrap();
        let first = machine.rebooting.insert(operation);
        let Some(boots) = machine.boots.clone().filter(|_| first) else {
            return !first && machine.boots.is_some();
        };
        machine.running = Some(boots);
        machine.boot += 1;
        false
    }

    /// Whether that changed anything.
    fn commit(&self, operation: OperationId, system: &str) -> Result<bool, StepError> {
        let mut machine = self.machine.lock().unwrap();
        refuse_reverted(&machine, operation)?;
        if machine.switching.is_some() {
            return Err(StepError::transient("machine-busy", "this machine is being changed"));
        }
        Ok(machine.committed.replace(system.to_owned()).as_deref() != Some(system))
    }

    /// What the services' databases hold: two rows each.
    fn fingerprint(&self) -> Fingerprint {
        let of = |name: &str| {
            let database = DatabaseFingerprint {
                tables: [("public.notes".into(), 2)].into(),
                ..DatabaseFingerprint::default()
            };
            ServiceFingerprint {
                databases: [(name.to_owned(), database)].into(),
                ..ServiceFingerprint::default()
            }
        };
        let services = self.services.lock().unwrap().clone();
        Fingerprint { services: services.keys().map(|name| (name.clone(), of(name.as_str()))).collect() }
    }

    fn health(&self) -> Health {
        let sick = self.sick.lock().unwrap().clone();
        let unit = |service: &str| UnitHealth {
            service: service.into(),
            unit: format!("{service}.service"),
            state: "failed".into(),
            healthy: false,
        };
        Health {
            healthy: sick.is_empty(),
            units: sick.iter().map(|name| unit(name)).collect(),
            probes: Vec::new(),
            also_failed: Vec::new(),
        }
    }

    pub fn fail(&self, what: &'static str) {
        self.failing.lock().unwrap().insert(what);
    }

    pub fn fail_once(&self, what: &'static str) {
        self.failing_once.lock().unwrap().insert(what);
    }

    pub fn hang(&self, what: &'static str) {
        self.hanging.lock().unwrap().insert(what);
    }

    pub fn pause(&self, what: &'static str) {
        self.paused.lock().unwrap().insert(what);
    }

    pub fn stumble(&self, what: &'static str, times: u32) {
        self.stumbling.lock().unwrap().insert(what, times);
    }

    pub fn cramp(&self, what: &'static str, times: u32) {
        self.cramped.lock().unwrap().insert(what, times);
    }

    pub fn deafen(&self, what: &'static str) {
        self.deaf.lock().unwrap().insert(what);
    }

    pub fn behave(&self) {
        self.stumbling.lock().unwrap().clear();
        self.deaf.lock().unwrap().clear();
        self.failing.lock().unwrap().clear();
        self.hanging.lock().unwrap().clear();
        self.paused.lock().unwrap().clear();
    }

    /// How often something was asked for.
    pub fn count(&self, what: &str) -> usize {
        self.done.lock().unwrap().iter().filter(|done| done.split(' ').next() == Some(what)).count()
    }
}

/// Whether something is to happen once more.
fn counted_down(times: &Mutex<BTreeMap<&'static str, u32>>, what: &str) -> bool {
    let mut times = times.lock().unwrap();
    let left = times.get_mut(what).filter(|left| **left > 0);
    left.map(|left| *left -= 1).is_some()
}

fn refuse_reverted(machine: &Machine, operation: OperationId) -> Result<(), StepError> {
    match machine.reverted.get(&operation) {
        None => Ok(()),
        Some(RevertedBy::Timer) => Err(StepError::failed(REVERTED_BY_TIMER, "put back by its timer")),
        Some(_) => Err(StepError::failed(REVERTED, "put back")),
    }
}

pub struct FakeBuilder(pub Arc<World>);

#[async_trait]
impl Builder for FakeBuilder {
    async fn platform(&self, bounds: &Bounds) -> Result<Platform, StepError> {
        self.0.asked("platform", "", bounds).await?;
        let configured = self.0.platform.lock().unwrap().clone();
        Ok(Platform {
            pin: configured.unwrap_or_else(|| "path:/platform".into()),
            agent: AGENT.into(),
            tls: Tls::None,
        })
    }

    async fn keep_platform(&self, pin: &str, bounds: &Bounds) -> Result<(), StepError> {
        self.0.asked("keep", pin, bounds).await
    }

    async fn pin_platform(&self, reference: &str, bounds: &Bounds) -> Result<String, StepError> {
        self.0.asked("pin", reference, bounds).await?;
        Ok(format!("{reference}?locked"))
    }

    async fn release_platforms(&self, used: &[String]) {
        self.0.done.lock().unwrap().push(format!("release-others {}", used.join(",")));
    }

    async fn evaluate_batch(
        &self,
        _: Uuid,
        members: &BTreeMap<String, Rendered>,
        _: &PlatformPin,
        bounds: &Bounds,
    ) -> Result<BTreeMap<String, Evaluated>, StepError> {
        let names: Vec<&str> = members.keys().map(String::as_str).collect();
        self.0.asked("batch", &names.join(","), bounds).await?;
        let broken = self.0.broken.lock().unwrap();
        if names.iter().any(|name| broken.contains(*name)) {
            return Err(StepError::failed("evaluation-failed", "one of them is broken"));
        }
        Ok(members.iter().map(|(name, rendered)| (name.clone(), evaluated(&rendered.files))).collect())
    }

    fn evaluators(&self) -> usize {
        1
    }

    async fn evaluate(
        &self,
        _: OperationId,
        files: &Files,
        machine: &MachineName,
        bounds: &Bounds,
        _: &Sink,
    ) -> Result<Evaluated, StepError> {
        self.0.asked("evaluate", machine.as_str(), bounds).await?;
        if self.0.broken.lock().unwrap().contains(machine.as_str()) {
            return Err(StepError::failed("evaluation-failed", "it is broken"));
        }
        Ok(evaluated(files))
    }

    async fn build(&self, _: Keep<'_>, _: &str, bounds: &Bounds, sink: &Sink) -> Result<(), StepError> {
        sink(Report::Line("building".into()));
        self.0.asked("build", "", bounds).await
    }

    async fn has(&self, _: &str) -> bool {
        !self.0.lost.load(Ordering::Relaxed)
    }

    async fn manifest(&self, system: &str) -> Result<Manifest, StepError> {
        let (platform, tenant, mode) = ("rehearsal".into(), None, None);
        let own = self.0.promises.lock().unwrap().get(system).cloned();
        let services = own.unwrap_or_else(|| self.0.services.lock().unwrap().clone());
        Ok(Manifest { version: 1, platform, tenant, mode, services })
    }

    async fn compare(&self, _: Option<&str>, _: &str, bounds: &Bounds) -> Result<ClosureChange, StepError> {
        self.0.asked("compare", "", bounds).await?;
        Ok(ClosureChange { bytes_before: 1, bytes_after: 2, packages: Vec::new() })
    }

    async fn send_again(
        &self,
        paths: &[String],
        _: &dyn MachineSession,
        bounds: &Bounds,
    ) -> Result<(), StepError> {
        self.0.asked("send-again", &paths.join(" "), bounds).await?;
        self.0.machine.lock().unwrap().damaged.retain(|path| !paths.contains(path));
        Ok(())
    }

    async fn copy(
        &self,
        path: &str,
        _: &dyn MachineSession,
        bounds: &Bounds,
        _: &Sink,
    ) -> Result<(), StepError> {
        let what = if path == AGENT { "copy-agent" } else { "copy" };
        self.0.asked(what, path, bounds).await?;
        self.0.machine.lock().unwrap().has.insert(path.into());
        Ok(())
    }

    async fn release(&self, keep: Keep<'_>) {
        let what = match keep {
            Keep::Machine(_) => "release-machine",
            Keep::Preview(_) => "release-preview",
        };
        self.0.done.lock().unwrap().push(what.to_owned());
    }

    async fn find_nixos_rebuild(&self, bounds: &Bounds) -> Result<(), StepError> {
        self.0.asked("find", "", bounds).await
    }

    async fn nixos_rebuild(
        &self,
        rebuild: Rebuild<'_>,
        to: &Login,
        bounds: &Bounds,
        _: &Sink,
    ) -> Result<RebuildEnding, StepError> {
        assert_eq!(to.destination, "root@vm1");
        assert!(
            rebuild.files.contains_key("flake.nix"),
            "the rendered configuration is there after a resumption too"
        );
        self.0.asked(rebuild.action.word(), rebuild.system, bounds).await?;
        Ok(self.0.rebuild(&rebuild).await)
    }

    async fn end_nixos_rebuild(&self, _: OperationId) {
        self.0.done.lock().unwrap().push("sweep".into());
    }

    async fn find_nixops4(&self, bounds: &Bounds) -> Result<(), StepError> {
        self.0.asked("find-nixops4", "", bounds).await
    }

    async fn nixops4_apply(
        &self,
        files: &Files,
        socket: &Path,
        bounds: &Bounds,
        _: &Sink,
    ) -> Result<Applied, StepError> {
        self.0.asked("nixops4", "", bounds).await?;
        nixops4::apply(&self.0, files, socket).await
    }
}

fn evaluated(files: &Files) -> Evaluated {
    let system = format!("/nix/store/{}", berth_render::revision_id(files).short());
    Evaluated { derivation: format!("{system}.drv"), system }
}

pub struct FakeMachines(pub Arc<World>);

#[async_trait]
impl Machines for FakeMachines {
    async fn open(&self, _: &MachineSpec, bounds: &Bounds) -> Result<Box<dyn MachineSession>, StepError> {
        self.0.asked("open", "", bounds).await?;
        Ok(Box::new(FakeSession(Arc::clone(&self.0))))
    }
}

struct FakeSession(Arc<World>);

#[async_trait]
impl MachineSession for FakeSession {
    async fn start_agent(&mut self, path: &str, _: &Bounds) -> Result<AgentStart, StepError> {
        let there = self.0.machine.lock().unwrap().has.contains(path);
        Ok(if there { AgentStart::Started } else { AgentStart::Missing })
    }

    async fn call(&mut self, request: Request, bounds: &Bounds, _: &Sink) -> Result<Answer, StepError> {
        match request {
            Request::Facts => {
                let machine = self.0.machine.lock().unwrap().clone();
                let told = self.0.facts.lock().unwrap().clone();
                self.0.asked("facts", "", bounds).await?;
                Ok(Answer::Facts(Box::new(told.unwrap_or_else(|| facts(&machine)))))
            }
            Request::DryActivate { system } => {
                self.0.asked("dry-activate", &system, bounds).await?;
                let restart = vec!["gitea.service".into()];
                Ok(Answer::DryActivation(Box::new(MachineChange { restart, ..MachineChange::default() })))
            }
            Request::CheckStore { always, .. } => {
                if always {
                    self.0.asked("check-store", "", bounds).await?;
                }
                let machine = self.0.machine.lock().unwrap().clone();
                let damaged = if always || machine.booted { machine.damaged } else { BTreeSet::new() };
                let damaged = damaged.iter().map(|path| path.parse().unwrap()).collect();
                Ok(Answer::Store(StoreCheck { damaged, was_damaged: false }))
            }
            Request::AwaitQuiet { .. } => {
                self.0.asked("quiet", "", bounds).await?;
                while self.0.machine.lock().unwrap().switching.is_some() {
                    if bounds.cancel.is_cancelled() {
                        return Err(StepError::Cancelled);
                    }
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
                Ok(Answer::Quiet)
            }
            Request::PrepareSecrets { given, .. } => {
                let told = given
                    .iter()
                    .map(|secret| format!("{}/{}={}", secret.service, secret.name, secret.value.expose()));
                self.0.given.lock().unwrap().extend(told);
                Ok(Answer::Prepared)
            }
            Request::Capture { pass, repository, .. } => {
                self.0.asked("capture", "", bounds).await?;
                Ok(Answer::Captured(self.0.state.capture(pass, &repository)))
            }
            Request::Restore { parts, secrets, .. } => {
                self.0.asked("restore", "", bounds).await?;
                self.0.state.restore(&parts, secrets)?;
                Ok(Answer::Restored)
            }
            Request::SecretsOf { .. } => {
                let made = *self.0.state.made.lock().unwrap();
                let made = made.unwrap_or(Ok(("gitea", "internal-token")));
                let (service, name) = made.map_err(|why| StepError::failed(AGENT_FAILED, why))?;
                let (service, name) = (service.to_owned(), name.to_owned());
                let value = SecretString::from("hunter2").into();
                Ok(Answer::Secrets(vec![GivenSecret { service, name, value }]))
            }
            Request::AdoptSecrets { secrets, .. } => {
                let told = |secret: &berth_protocol::GivenSecret| {
                    format!("{}/{}={}", secret.service, secret.name, secret.value.expose())
                };
                self.0.state.adopted.lock().unwrap().extend(secrets.iter().map(told));
                Ok(Answer::Prepared)
            }
            Request::Fingerprint { .. } => {
                self.0.asked("fingerprint", "", bounds).await?;
                let found = self.0.state.fingerprint.lock().unwrap().clone();
                Ok(Answer::Fingerprint(Box::new(found.unwrap_or_else(|| self.0.fingerprint()))))
            }
            Request::SumAhead { .. } => Ok(Answer::Summed),
            Request::RestoreAhead { .. } => {
                self.0.asked("restore-ahead", "", bounds).await?;
                Ok(Answer::RestoredAhead(self.0.state.ahead.lock().unwrap().clone()))
            }
            Request::KeepQuiet { .. } | Request::Resume { .. } => {
                Err(StepError::failed("absent", "no test asks for it"))
            }
            Request::Activate { claim, system, .. } => self.activate(claim, system, bounds).await,
            Request::Revert { claim, from } => {
                self.0.asked("revert", "", bounds).await?;
                Ok(Answer::Outcome(self.0.revert(claim.operation, from, RevertedBy::Request)))
            }
            Request::Extend { claim: Claim { operation, .. }, .. } | Request::Outcome { operation } => {
                self.0.asked("outcome", "", bounds).await?;
                Ok(Answer::Outcome(self.0.outcome(operation)))
            }
            Request::Probe { .. } => {
                self.0.asked("probe", "", bounds).await?;
                Ok(Answer::Health(self.0.health()))
            }
            Request::Commit { claim, system, .. } => {
                self.0.asked("commit", &system, bounds).await?;
                let changed = self.0.commit(claim.operation, &system)?;
                // The commit took place, whatever becomes of its answer.
                self.0.asked("commit-answer", "", bounds).await?;
                Ok(Answer::Committed { generation: 1, changed })
            }
            Request::Reboot { claim } => {
                self.0.asked("reboot", "", bounds).await?;
                Ok(Answer::Reboot { done: self.0.reboot(claim.operation) })
            }
            Request::Logs { .. } => Ok(Answer::Logs(Vec::new())),
            Request::Wipe { system, .. } => {
                self.0.asked("wipe", &system, bounds).await?;
                Ok(Answer::Wiped { removed: vec!["database gitea".into()] })
            }
        }
    }

    fn enter_anew(&self, _: Bounds) -> BoxFuture<'static, Result<(), StepError>> {
        Box::pin(async { Ok(()) })
    }

    fn probe_from_outside(
        &self,
        _: Manifest,
        bounds: Bounds,
    ) -> BoxFuture<'static, Result<Health, StepError>> {
        let world = Arc::clone(&self.0);
        Box::pin(async move {
            world.asked("outside", "", &bounds).await?;
            Ok(healthy())
        })
    }

    fn certificates(&self, _: Manifest) -> BoxFuture<'static, Vec<(String, Result<Timestamp, String>)>> {
        let shown = self.0.certificates.lock().unwrap().clone();
        Box::pin(async move { shown.into_iter().map(|(host, end)| (host, Ok(end))).collect() })
    }

    async fn lead_to(&mut self, address: SocketAddr, _: &Bounds) -> Result<Box<dyn Way>, StepError> {
        assert_eq!(address, ADDRESS);
        Ok(Box::new(FakeWay))
    }

    fn store(&self) -> FarStore {
        FarStore { url: String::new(), ssh_options: String::new(), socket: None }
    }

    fn login(&self) -> Login {
        Login { destination: "root@vm1".into(), ssh_options: String::new(), root: true }
    }
}

impl FakeSession {
    /// As the agent does it: the switch is the operation's own, is followed where it was begun before, and keeps the
    /// machine busy until it is over.
    async fn activate(
        &self,
        Claim { operation, .. }: Claim,
        system: String,
        bounds: &Bounds,
    ) -> Result<Answer, StepError> {
        let begins = self.0.begin_switch(operation, &system)?;
        self.0.asked(if begins { "activate" } else { "follow" }, &system, bounds).await?;
        while self.0.machine.lock().unwrap().switching == Some(operation) {
            if bounds.cancel.is_cancelled() {
                return Err(StepError::Cancelled);
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let exit_code = *self.0.exit_code.lock().unwrap();
        let outcome = ActivationOutcome::of(exit_code);
        Ok(Answer::Activation(Activation { exit_code, outcome, failed_units: Vec::new() }))
    }
}

fn healthy() -> Health {
    Health { healthy: true, units: Vec::new(), probes: Vec::new(), also_failed: Vec::new() }
}

pub fn facts(machine: &Machine) -> MachineFacts {
    MachineFacts {
        at: Utc::now(),
        os: "fake".into(),
        nixos_version: None,
        system: "x86_64-linux".into(),
        kernel: "1".into(),
        systemd_version: None,
        nix_version: None,
        agent_version: "0".into(),
        processors: 1,
        memory_bytes: 1,
        memory_available_bytes: 1,
        disk_bytes: 1,
        disk_available_bytes: 1,
        data_disk_bytes: 1 << 30,
        data_disk_available_bytes: 1 << 30,
        running_system: machine.running.clone(),
        booted_system: None,
        committed_system: machine.committed.clone(),
        needs_reboot: false,
        failed_units: Vec::new(),
    }
}

/// Each step's word in [`World::done`], where it has one.
pub const WORDS: [(&str, StepName); 8] = [
    ("platform", StepName::Render),
    ("evaluate", StepName::Evaluate),
    ("build", StepName::Build),
    ("open", StepName::Copy),
    ("copy", StepName::Copy),
    ("activate", StepName::Activate),
    ("probe", StepName::Verify),
    ("outside", StepName::Verify),
];
