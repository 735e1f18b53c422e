//! An engine on a fake world, and what a test does with it.

use std::sync::Arc;
use std::time::Duration;

use berth_domain::{Event, MachineDraft, Operation, OperationId, OperationKind, TenantDraft, TenantSpec};
use berth_engine::{Batch, Engine, EngineOptions};
use berth_store::{Store, StoreOptions};
use chrono::Utc;
use serde_json::json;
use tempfile::TempDir;

use crate::fakes::{FakeBuilder, FakeMachines, Machine, OLD, World};

/// An engine over a fake world, with the tenant `acme` on `vm1`.
pub struct Stage {
    pub world: Arc<World>,
    pub store: Store,
    pub engine: Engine,
    pub options: EngineOptions,
    _folder: TempDir,
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
        let engine = engine(&store, &world, &options);
        let stage = Self { world, store, engine, options, _folder: folder };
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

fn engine(store: &Store, world: &Arc<World>, options: &EngineOptions) -> Engine {
    let builder = Arc::new(FakeBuilder(Arc::clone(world)));
    let machines = Arc::new(FakeMachines(Arc::clone(world)));
    Engine::new(store.clone(), berth_seal::Keys::generate(), builder, machines, options.clone())
}
