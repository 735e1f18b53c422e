//! An engine on a fake world, and what a test does with it.

use std::path::Path;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use berth_domain::{
    Event, MachineDraft, Operation, OperationId, OperationKind, StepName, StepStatus, TenantDraft, TenantSpec,
};
use berth_engine::bundles::Spool;
use berth_engine::ports::HostClock;
use berth_engine::{Batch, Engine, EngineOptions, Exports, Parts};
use berth_seal::Keys;
use berth_sign::SigningKey;
use berth_store::{Store, StoreOptions};
use chrono::Utc;
use secrecy::SecretString;
use serde_json::json;
use tempfile::TempDir;

use crate::bucket_state::FakeBuckets;
use crate::fakes::{FakeBuilder, FakeMachines, Machine, OLD, World};
use crate::offsites::FakeOffsites;
use crate::vaults::FakeVaults;

/// Where bundles lie, in the stage's folder.
pub const BUNDLES: &str = "bundles";

/// All daemons have the same: what one has sealed, its successor opens.
static KEYS: LazyLock<SecretString> = LazyLock::new(|| Keys::generate().identity());

/// An engine over a fake world, with the tenant `acme` on `vm1`.
pub struct Stage {
    pub world: Arc<World>,
    pub store: Store,
    pub engine: Engine,
    pub options: EngineOptions,
    pub folder: TempDir,
}

impl Stage {
    pub async fn set_up() -> Self {
        Self::with(EngineOptions::default()).await
    }

    pub async fn with(options: EngineOptions) -> Self {
        Self::driven_by(None, options).await
    }

    /// The same with a machine of another driver.
    pub async fn driven_by(driver: Option<&str>, options: EngineOptions) -> Self {
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
        std::fs::create_dir(folder.path().join(BUNDLES)).unwrap();
        let engine = engine(&store, &world, folder.path(), &options);
        let stage = Self { world, store, engine, options, folder };
        stage.settle_driven_by("acme", "vm1", driver).await;
        stage.engine.start();
        stage
    }

    pub async fn settle(&self, name: &str, machine: &str) -> TenantSpec {
        self.settle_driven_by(name, machine, None).await
    }

    async fn settle_driven_by(&self, name: &str, machine: &str, driver: Option<&str>) -> TenantSpec {
        let host_key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGWdXrNuQQ2w8V5CIfnUhFmpRTmhOXFE+G3wXWm0YWnj";
        let draft = MachineDraft {
            name: machine.into(),
            address: "192.0.2.1".into(),
            port: None,
            user: None,
            host_key: host_key.into(),
            driver: driver.map(str::to_owned),
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
        self.engine = engine(&self.store, &self.world, self.folder.path(), &self.options);
        self.engine.start();
    }

    /// Another daemon on the same database and the same machines.
    pub fn another(&self, options: EngineOptions) -> Engine {
        engine(&self.store, &self.world, self.folder.path(), &options)
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
                    Batch::Events(batch) => events.extend(batch.iter().map(|event| (***event).clone())),
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

    /// Waits until something hangs and an operation has come to a step: the session is opened while others go on.
    pub async fn until_waiting_in(&self, id: OperationId, step: StepName) {
        self.until_waiting().await;
        let there = async {
            while self.store.operation(id).await.unwrap().step(step).unwrap().status == StepStatus::Pending {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(30), there).await.expect("it never comes to that step");
    }

    /// Waits until something is so.
    pub async fn until(&self, so: impl Fn(&World) -> bool) {
        let waiting = async {
            while !so(&self.world) {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(30), waiting).await.expect("it never is");
    }

    /// Waits until a switch goes on, or until half of it is over.
    pub async fn until_switching(&self, half: bool) {
        self.until(|world| {
            let machine = world.machine.lock().unwrap();
            machine.switching.is_some() && (!half || machine.running.as_deref() != Some(OLD))
        })
        .await;
    }

    pub fn machine(&self) -> Machine {
        self.world.machine.lock().unwrap().clone()
    }
}

fn engine(store: &Store, world: &Arc<World>, exports: &Path, options: &EngineOptions) -> Engine {
    let builder = Arc::new(FakeBuilder(Arc::clone(world)));
    let machines = Arc::new(FakeMachines(Arc::clone(world)));
    let vaults = Arc::new(FakeVaults(Arc::clone(&world.state)));
    let buckets = Arc::new(FakeBuckets(Arc::clone(&world.buckets)));
    let offsites = Arc::new(FakeOffsites(Arc::clone(&world.offsites)));
    let (records, keys) = (Arc::new(store.clone()), Keys::read(&KEYS).unwrap());
    let exports = Exports {
        folder: exports.to_owned(),
        provider: "Harbour".into(),
        key: SigningKey::from_seed(&[7; 32]),
    };
    let spool = Spool::of_nobody(exports.folder.join(BUNDLES));

    let parts = Parts {
        records,
        keys,
        builder,
        machines,
        vaults,
        buckets,
        offsites,
        exports,
        spool,
        clock: Arc::new(HostClock),
    };
    Engine::new(parts, options.clone())
}
