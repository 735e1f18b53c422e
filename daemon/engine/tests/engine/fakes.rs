//! A builder and machines without nix and SSH.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use berth_domain::manifest::Manifest;
use berth_domain::preview::{ClosureChange, MachineChange};
use berth_domain::revision::Files;
use berth_domain::{MachineFacts, MachineName, MachineSpec, OperationId, StepName};
use berth_engine::StepError;
use berth_engine::ports::{
    AgentStart, Applied, Bounds, Builder, Evaluated, Keep, Login, MachineSession, Machines, Platform,
    Rebuild, RebuildAction, RebuildEnding, Report, Sink,
};
use berth_protocol::{Activation, ActivationOutcome, Answer, Health, Request};
use berth_render::Tls;
use chrono::Utc;
use futures_util::future::BoxFuture;
use tokio::sync::Notify;

use crate::nixops4;

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
    /// What waits until it is cancelled, by its word in `done`.
    pub hanging: Mutex<BTreeSet<&'static str>>,
    /// What waits until the test lets it go on or it is cancelled, by its word in `done`.
    pub paused: Mutex<BTreeSet<&'static str>>,
    /// Nothing that was built is in the daemon's store any more.
    pub lost: AtomicBool,
    /// Told whenever something begins to wait.
    pub waiting: Notify,
    /// How long a switch takes; it goes on when nobody waits for it any more.
    pub switch_takes: Mutex<Duration>,
    /// How the next calls of `nixos-rebuild` end, whatever they did; done when there is nothing in it.
    pub endings: Mutex<VecDeque<RebuildEnding>>,
    /// What `nixos-rebuild` deploys in place of what it is asked to.
    pub deploys_instead: Mutex<Option<&'static str>>,
}

/// The one machine.
#[derive(Default, Clone)]
pub struct Machine {
    pub running: Option<String>,
    pub committed: Option<String>,
    pub has: BTreeSet<String>,
    /// What each operation asked to switch to.
    pub asked: BTreeMap<OperationId, String>,
    /// The operation whose switch goes on, whether or not anybody still waits for it.
    pub switching: Option<OperationId>,
}

impl World {
    async fn asked(&self, what: &'static str, detail: &str, bounds: &Bounds) -> Result<(), StepError> {
        self.done.lock().unwrap().push(format!("{what} {detail}").trim().to_owned());
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
        let once = self.failing_once.lock().unwrap().remove(what);
        if once || self.failing.lock().unwrap().contains(what) {
            return Err(StepError::failed("told-to", format!("{what} was told to fail")));
        }
        Ok(())
    }

    /// Begins an operation's switch, unless it was begun before.
    fn begin_switch(self: &Arc<Self>, operation: OperationId, system: &str) -> Result<bool, StepError> {
        let mut machine = self.machine.lock().unwrap();
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

    /// Whether that changed anything.
    fn commit(&self, system: &str) -> Result<bool, StepError> {
        let mut machine = self.machine.lock().unwrap();
        if machine.switching.is_some() {
            return Err(StepError::transient("machine-busy", "this machine is being changed"));
        }
        Ok(machine.committed.replace(system.to_owned()).as_deref() != Some(system))
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

    pub fn behave(&self) {
        self.failing.lock().unwrap().clear();
        self.hanging.lock().unwrap().clear();
        self.paused.lock().unwrap().clear();
    }

    /// How often something was asked for.
    pub fn count(&self, what: &str) -> usize {
        self.done.lock().unwrap().iter().filter(|done| done.split(' ').next() == Some(what)).count()
    }
}

pub struct FakeBuilder(pub Arc<World>);

#[async_trait]
impl Builder for FakeBuilder {
    async fn platform(&self, bounds: &Bounds) -> Result<Platform, StepError> {
        self.0.asked("platform", "", bounds).await?;
        Ok(Platform { pin: "path:/platform".into(), agent: AGENT.into(), tls: Tls::None })
    }

    async fn evaluate(
        &self,
        _: OperationId,
        files: &Files,
        _: &MachineName,
        bounds: &Bounds,
        _: &Sink,
    ) -> Result<Evaluated, StepError> {
        self.0.asked("evaluate", "", bounds).await?;
        let system = format!("/nix/store/{}", berth_render::revision_id(files).short());
        Ok(Evaluated { derivation: format!("{system}.drv"), system })
    }

    async fn build(&self, _: Keep<'_>, _: &str, bounds: &Bounds, sink: &Sink) -> Result<(), StepError> {
        sink(Report::Line("building".into()));
        self.0.asked("build", "", bounds).await
    }

    async fn has(&self, _: &str) -> bool {
        !self.0.lost.load(Ordering::Relaxed)
    }

    async fn manifest(&self, _: &str) -> Result<Manifest, StepError> {
        let (platform, tenant, mode) = ("rehearsal".into(), None, None);
        Ok(Manifest { version: 1, platform, tenant, mode, services: BTreeMap::new() })
    }

    async fn compare(&self, _: Option<&str>, _: &str, bounds: &Bounds) -> Result<ClosureChange, StepError> {
        self.0.asked("compare", "", bounds).await?;
        Ok(ClosureChange { bytes_before: 1, bytes_after: 2, packages: Vec::new() })
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
                Ok(Answer::Facts(Box::new(facts(&machine))))
            }
            Request::DryActivate { system } => {
                self.0.asked("dry-activate", &system, bounds).await?;
                let restart = vec!["gitea.service".into()];
                Ok(Answer::DryActivation(Box::new(MachineChange { restart, ..MachineChange::default() })))
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
            Request::PrepareSecrets { .. } => Ok(Answer::Prepared),
            Request::Activate { operation, system, .. } => self.activate(operation, system, bounds).await,
            Request::Probe { .. } => {
                self.0.asked("probe", "", bounds).await?;
                Ok(Answer::Health(healthy()))
            }
            Request::Commit { system } => {
                self.0.asked("commit", &system, bounds).await?;
                let changed = self.0.commit(&system)?;
                // The commit took place, whatever becomes of its answer.
                self.0.asked("commit-answer", "", bounds).await?;
                Ok(Answer::Committed { generation: 1, changed })
            }
            Request::Logs { .. } => Ok(Answer::Logs(Vec::new())),
            Request::Wipe { system } => {
                self.0.asked("wipe", &system, bounds).await?;
                Ok(Answer::Wiped { removed: vec!["database gitea".into()] })
            }
        }
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

    fn store(&self) -> (String, String) {
        (String::new(), String::new())
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
        operation: OperationId,
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
        let outcome = ActivationOutcome::Done;
        Ok(Answer::Activation(Activation { exit_code: 0, outcome, failed_units: Vec::new() }))
    }
}

fn healthy() -> Health {
    Health { healthy: true, units: Vec::new(), probes: Vec::new() }
}

fn facts(machine: &Machine) -> MachineFacts {
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
        running_system: machine.running.clone(),
        booted_system: None,
        committed_system: machine.committed.clone(),
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
