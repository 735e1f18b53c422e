//! Stores to try things on, and things to put into them.

use std::io::Write;
use std::ops::{Deref, DerefMut};
use std::sync::Once;
use std::time::Duration;

use berth_domain::event::NewEvent;
use berth_domain::{
    Event, MachineDraft, MachineSpec, Operation, OperationKind, TenantDraft, TenantSpec, Timestamp,
};
use berth_store::{Claim, Claimed, Hold, IdempotencyRecord, Store, StoreError, StoreOptions};
use chrono::{SubsecRound, TimeDelta, Utc};
use serde_json::json;
use tempfile::TempDir;
use uuid::Uuid;

/// Tries promises on both databases.
macro_rules! on_both {
    ($($promise:ident),+ $(,)?) => {
        mod sqlite {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $promise() {
                let (store, _folder) = crate::support::sqlite().await;
                super::$promise(store).await;
            })+
        }
        mod postgres {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $promise() {
                let Some((store, database)) = crate::support::postgres().await else { return };
                super::$promise(store).await;
                database.remove().await;
            })+
        }
    };
}
pub(crate) use on_both;

pub async fn sqlite() -> (Store, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let url = folder.path().join("berth.db").display().to_string();
    let store = Store::open(&url.parse().unwrap(), StoreOptions::default()).await.unwrap();
    store.migrate().await.unwrap();
    (store, folder)
}

/// A PostgreSQL database of one test.
pub struct Database {
    server: String,
    name: String,
}

impl Database {
    pub fn url(&self) -> String {
        let (server, _) = self.server.rsplit_once('/').unwrap();
        format!("{server}/{}", self.name)
    }

    pub async fn remove(self) {
        let drop = format!("DROP DATABASE {} WITH (FORCE)", self.name);
        execute(&self.server, &drop).await;
    }
}

static SKIPPED: Once = Once::new();

/// Not by `eprintln!`, whose words the test runner keeps to itself where a test passes.
#[allow(clippy::explicit_write)]
fn say_skipped() {
    let words = "SKIPPED: the PostgreSQL half of this suite: BERTH_TEST_POSTGRES_URL names no server";
    writeln!(std::io::stderr(), "{words}").unwrap();
}

/// A database without tables; nothing, and a word about it, where there is no server.
pub async fn empty_database() -> Option<Database> {
    let Ok(server) = std::env::var("BERTH_TEST_POSTGRES_URL") else {
        let required = std::env::var("BERTH_REQUIRE_POSTGRES").is_ok_and(|value| value == "1");
        assert!(!required, "BERTH_TEST_POSTGRES_URL names no PostgreSQL");
        SKIPPED.call_once(say_skipped);
        return None;
    };
    let name = format!("berth_test_{}", Uuid::now_v7().simple());
    execute(&server, &format!("CREATE DATABASE {name}")).await;
    Some(Database { server, name })
}

pub async fn postgres() -> Option<(Store, Database)> {
    let database = empty_database().await?;
    let store = Store::open(&database.url().parse().unwrap(), StoreOptions::default()).await.unwrap();
    store.migrate().await.unwrap();
    Some((store, database))
}

pub async fn execute(server: &str, sql: &str) {
    let (client, connection) = tokio_postgres::connect(server, tokio_postgres::NoTls).await.unwrap();
    let connection = tokio::spawn(connection);
    client.batch_execute(sql).await.unwrap();
    drop(client);
    connection.await.unwrap().unwrap();
}

/// Now, as it will be read back.
pub fn now() -> Timestamp {
    Utc::now().trunc_subsecs(3)
}

pub fn machine(name: &str) -> MachineSpec {
    let host_key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGWdXrNuQQ2w8V5CIfnUhFmpRTmhOXFE+G3wXWm0YWnj";
    let draft = MachineDraft {
        name: name.into(),
        address: "192.0.2.1".into(),
        port: None,
        user: None,
        host_key: host_key.into(),
        driver: None,
    };
    draft.try_into().unwrap()
}

pub fn tenant(name: &str, machine: &str) -> TenantSpec {
    let draft: TenantDraft = serde_json::from_value(json!({
        "name": name, "domain": format!("{name}.example"), "contact_email": "a@b.example", "machine": machine,
        "services": {"gitea": {"app_name": "Acme"}}
    }))
    .unwrap();
    draft.try_into().unwrap()
}

/// A tenant on a machine of its own.
pub async fn settled(store: &Store, name: &str) -> TenantSpec {
    let spec = tenant(name, &format!("{name}-vm"));
    store.create_machine(&machine(spec.machine.as_str()), now(), None).await.unwrap();
    store.create_tenant(&spec, now(), None).await.unwrap();
    spec
}

pub fn deployment(spec: &TenantSpec) -> Operation {
    let (tenant, machine) = (spec.name.clone(), spec.machine.clone());
    Operation::queued(tenant, machine, OperationKind::Deploy, false, "panel".into(), now())
}

pub fn reply(key: &str) -> IdempotencyRecord {
    IdempotencyRecord {
        token: Uuid::nil(),
        key: key.into(),
        fingerprint: [1; 32],
        reply: b"sealed".to_vec(),
        created_at: now(),
        expires_at: now() + TimeDelta::hours(1),
    }
}

/// Whoever holds an operation.
#[derive(Clone)]
pub struct Holder {
    pub operation: Operation,
    pub hold: Hold,
    pub writes: i64,
    pub taken_over: bool,
}

impl Deref for Holder {
    type Target = Operation;

    fn deref(&self) -> &Operation {
        &self.operation
    }
}

impl DerefMut for Holder {
    fn deref_mut(&mut self) -> &mut Operation {
        &mut self.operation
    }
}

impl Holder {
    /// Writes the operation as it is here.
    pub async fn record(&mut self, store: &Store, events: Vec<NewEvent>) -> Result<Vec<Event>, StoreError> {
        let recorded = store.record(self.hold, self.writes + 1, &self.operation, events).await?;
        self.writes += 1;
        self.operation = recorded.operation;
        Ok(recorded.events)
    }
}

pub fn claim(owner: &str) -> Claim {
    Claim { owner: owner.into(), lasting: Duration::from_secs(60), except: Vec::new(), restarted: true }
}

/// What a daemon of that name gets when it looks for work.
pub async fn claims(store: &Store, claim: &Claim) -> Option<Holder> {
    let Claimed { operation, hold, taken_over } = store.claim(claim).await.unwrap()?;
    Some(Holder { operation, hold, writes: 0, taken_over })
}

/// The oldest queued operation, claimed by a daemon of its own.
pub async fn claimed(store: &Store) -> Holder {
    claims(store, &claim(&Uuid::now_v7().to_string())).await.unwrap()
}

/// A tenant that an operation is being made for.
pub async fn busy(store: &Store, name: &str) -> (TenantSpec, Holder) {
    let spec = settled(store, name).await;
    let running = begun(store, &spec).await;
    (spec, running)
}

/// An operation that is being made for a tenant.
pub async fn begun(store: &Store, spec: &TenantSpec) -> Holder {
    let accepted = NewEvent::new(now(), berth_domain::EventKind::Accepted, "accepted");
    store.create_operation(&deployment(spec), accepted, None).await.unwrap();
    claimed(store).await
}
