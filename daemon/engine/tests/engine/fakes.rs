//! A builder and machines without nix and SSH.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use berth_domain::manifest::Manifest;
use berth_domain::revision::Files;
use berth_domain::{
    Event, MachineDraft, MachineFacts, MachineName, MachineSpec, Operation, OperationId, OperationKind,
    StepName, TenantDraft, TenantSpec,
};
use berth_engine::ports::{
    AgentStart, Bounds, Builder, Evaluated, MachineSession, Machines, Platform, Report, Sink,
};
use berth_engine::{Batch, Engine, EngineOptions, StepError};
use berth_protocol::{Activation, ActivationOutcome, Answer, Health, Request};
use berth_render::Tls;
use berth_store::{Store, StoreOptions};
use chrono::Utc;
use futures_util::future::BoxFuture;
use serde_json::json;
use tempfile::TempDir;
use tokio::sync::Notify;

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
    /// What waits until it is cancelled, by its word in `done`.
    pub hanging: Mutex<BTreeSet<&'static str>>,
    /// Told whenever something begins to wait.
    pub waiting: Notify,
}

/// The one machine.
#[derive(Default, Clone)]
pub struct Machine {
    pub running: Option<String>,
    pub committed: Option<String>,
    pub has: BTreeSet<String>,
}

impl World {
    async fn asked(&self, what: &'static str, detail: &str, bounds: &Bounds) -> Result<(), StepError> {
        self.done.lock().unwrap().push(format!("{what} {detail}").trim().to_owned());
        if self.hanging.lock().unwrap().contains(what) {
            self.waiting.notify_one();
            bounds.cancel.cancelled().await;
            return Err(StepError::Cancelled);
        }
        if self.failing.lock().unwrap().contains(what) {
            return Err(StepError::failed("told-to", format!("{what} was told to fail")));
        }
        Ok(())
    }

    pub fn fail(&self, what: &'static str) {
        self.failing.lock().unwrap().insert(what);
    }

    pub fn hang(&self, what: &'static str) {
        self.hanging.lock().unwrap().insert(what);
    }

    pub fn behave(&self) {
        self.failing.lock().unwrap().clear();
        self.hanging.lock().unwrap().clear();
    }

    /// How often something was asked for.
    pub fn count(&self, what: &str) -> usize {
        self.done.lock().unwrap().iter().filter(|done| done.split(' ').next() == Some(what)).count()
    }
}

pub struct FakeBuilder(pub Arc<World>);

#[async_trait]
impl Builder for FakeBuilder {
    async fn platform(&self, _: &Bounds) -> Result<Platform, StepError> {
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

    async fn build(&self, _: &MachineName, _: &str, bounds: &Bounds, sink: &Sink) -> Result<(), StepError> {
        sink(Report::Line("building".into()));
        self.0.asked("build", "", bounds).await
    }

    async fn has(&self, _: &str) -> bool {
        true
    }

    async fn manifest(&self, _: &str) -> Result<Manifest, StepError> {
        let (platform, tenant, mode) = ("rehearsal".into(), None, None);
        Ok(Manifest { version: 1, platform, tenant, mode, services: BTreeMap::new() })
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

    async fn release(&self, _: &MachineName) {}
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
            Request::Activate { system, .. } => {
                // The switch takes place, whatever comes after it.
                self.0.machine.lock().unwrap().running = Some(system.clone());
                self.0.asked("activate", &system, bounds).await?;
                let outcome = ActivationOutcome::Done;
                Ok(Answer::Activation(Activation { exit_code: 0, outcome, failed_units: Vec::new() }))
            }
            Request::Probe { .. } => {
                self.0.asked("probe", "", bounds).await?;
                Ok(Answer::Health(healthy()))
            }
            Request::Commit { system } => {
                self.0.asked("commit", &system, bounds).await?;
                let mut machine = self.0.machine.lock().unwrap();
                let changed = machine.committed.as_ref() != Some(&system);
                machine.committed = Some(system);
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

/// An engine over a fake world, with the tenant `acme` on `vm1`.
pub struct Stage {
    pub world: Arc<World>,
    pub store: Store,
    pub engine: Engine,
    options: EngineOptions,
    _folder: TempDir,
}

impl Stage {
    pub async fn set_up() -> Self {
        Self::with(EngineOptions::default()).await
    }

    pub async fn with(options: EngineOptions) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let url = folder.path().join("berth.db").display().to_string();
        let store = Store::open(&url.parse().unwrap(), StoreOptions::default()).await.unwrap();
        store.migrate().await.unwrap();
        let world = Arc::<World>::default();
        {
            let mut machine = world.machine.lock().unwrap();
            machine.running = Some(OLD.into());
            machine.committed = Some(OLD.into());
        }
        let engine = engine(&store, &world, &options);
        let stage = Self { world, store, engine, options, _folder: folder };
        stage.settle("acme", "vm1").await;
        stage.engine.start();
        stage
    }

    pub async fn settle(&self, name: &str, machine: &str) -> TenantSpec {
        let host_key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGWdXrNuQQ2w8V5CIfnUhFmpRTmhOXFE+G3wXWm0YWnj";
        let draft = MachineDraft {
            name: machine.into(),
            address: "192.0.2.1".into(),
            port: None,
            user: None,
            host_key: host_key.into(),
        };
        self.store.create_machine(&draft.try_into().unwrap(), Utc::now(), None).await.unwrap();
        let draft: TenantDraft = serde_json::from_value(json!({
            "name": name, "domain": format!("{name}.example"), "contact_email": "a@b.example", "machine": machine
        }))
        .unwrap();
        let spec: TenantSpec = draft.try_into().unwrap();
        self.store.create_tenant(&spec, Utc::now(), None).await.unwrap();
        spec
    }

    /// The daemon ends, and another one takes over.
    pub async fn restart(&mut self) {
        self.engine.stop().await;
        self.engine = engine(&self.store, &self.world, &self.options);
        self.engine.start();
    }

    pub async fn submit(&self, kind: OperationKind, wipe: bool) -> OperationId {
        self.submit_of("acme", "vm1", kind, wipe).await
    }

    pub async fn submit_of(
        &self,
        tenant: &str,
        machine: &str,
        kind: OperationKind,
        wipe: bool,
    ) -> OperationId {
        let (tenant, machine) = (tenant.parse().unwrap(), machine.parse().unwrap());
        let operation = Operation::queued(tenant, machine, kind, wipe, "test".into(), Utc::now());
        self.engine.submit(&operation, None).await.unwrap();
        operation.id
    }

    /// The operation once it has ended, with all its events.
    pub async fn ended(&self, id: OperationId) -> (Operation, Vec<Event>) {
        let follow = async {
            let mut follower = self.engine.follow(id, 0);
            let mut events = Vec::new();
            loop {
                match follower.next().await.unwrap().unwrap() {
                    Batch::Events(batch) => events.extend(batch.iter().map(|event| (**event).clone())),
                    Batch::Gap { .. } => {}
                    Batch::End => return events,
                }
            }
        };
        let events = tokio::time::timeout(Duration::from_secs(30), follow).await.expect("it does not end");
        (self.store.operation(id).await.unwrap(), events)
    }

    pub async fn deploy(&self) -> (Operation, Vec<Event>) {
        let id = self.submit(OperationKind::Deploy, false).await;
        self.ended(id).await
    }

    /// Waits until something hangs.
    pub async fn until_waiting(&self) {
        tokio::time::timeout(Duration::from_secs(30), self.world.waiting.notified())
            .await
            .expect("nothing hangs");
    }

    pub fn machine(&self) -> Machine {
        self.world.machine.lock().unwrap().clone()
    }
}

fn engine(store: &Store, world: &Arc<World>, options: &EngineOptions) -> Engine {
    let builder = Arc::new(FakeBuilder(Arc::clone(world)));
    let machines = Arc::new(FakeMachines(Arc::clone(world)));
    Engine::new(store.clone(), builder, machines, options.clone())
}

/// Each step's word in [`World::done`], where it has one.
pub const WORDS: [(&str, StepName); 7] = [
    ("evaluate", StepName::Evaluate),
    ("build", StepName::Build),
    ("open", StepName::Copy),
    ("copy", StepName::Copy),
    ("activate", StepName::Activate),
    ("probe", StepName::Verify),
    ("outside", StepName::Verify),
];
