//! How fast an SQLite store opens and reads: `cargo run -p berth-store --release --example reads`.

#![allow(clippy::unwrap_used, clippy::print_stdout)]

use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use berth_domain::event::NewEvent;
use berth_domain::{
    EventKind, MachineDraft, Operation, OperationKind, Scope, TenantDraft, TenantName, TenantSpec,
};
use berth_store::{DatabaseUrl, Store, StoreOptions, TokenRecord};
use chrono::Utc;
use uuid::Uuid;

/// How many tasks ask at once.
const TASKS: usize = 64;

/// How long each kind of read is measured.
const TIME: Duration = Duration::from_secs(3);

/// How many tenants, tokens and machines there are.
const ROWS: usize = 500;

/// A store and what is in it.
struct Filled {
    store: Store,
    tokens: Vec<Uuid>,
    tenants: Vec<TenantName>,
    operations: Vec<Uuid>,
}

#[tokio::main]
async fn main() {
    let folder = tempfile::tempdir().unwrap();
    let url = DatabaseUrl::sqlite(folder.path().join("berth.db"));
    let filled = fill(open(&url, "a new file").await).await;
    let filled = Arc::new(Filled { store: open(&url, "an up-to-date file").await, ..filled });
    measure("a token and its tenant", &filled, |filled, n| {
        Box::pin(async move {
            filled.store.token_by_id(filled.tokens[n]).await.unwrap().unwrap();
            filled.store.tenant(&filled.tenants[n]).await.unwrap();
        })
    })
    .await;
    measure("an operation with its steps", &filled, |filled, n| {
        Box::pin(async move {
            filled.store.operation(filled.operations[n]).await.unwrap();
        })
    })
    .await;
    measure("a page of 50 tenants", &filled, |filled, _| {
        Box::pin(async move {
            assert_eq!(filled.store.list_tenants(None, 50).await.unwrap().items.len(), 50);
        })
    })
    .await;
}

async fn open(url: &DatabaseUrl, what: &str) -> Store {
    let start = Instant::now();
    let store = Store::open(url, StoreOptions::default()).await.unwrap();
    store.migrate().await.unwrap();
    println!("{what} is open and migrated after {:.1} ms", start.elapsed().as_secs_f64() * 1000.0);
    store
}

async fn fill(store: Store) -> Filled {
    let (mut tokens, mut tenants, mut operations) = (Vec::new(), Vec::new(), Vec::new());
    for n in 0..ROWS {
        let machine = MachineDraft {
            name: format!("vm{n}"),
            address: "192.0.2.1".into(),
            port: None,
            user: None,
            host_key: "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGWdXrNuQQ2w8V5CIfnUhFmpRTmhOXFE+G3wXWm0YWnj"
                .into(),
            driver: None,
        };
        store.create_machine(&machine.try_into().unwrap(), Utc::now(), None).await.unwrap();
        let draft: TenantDraft = serde_json::from_value(serde_json::json!({
            "name": format!("t{n}"), "domain": format!("t{n}.example"), "contact_email": "a@b.example",
            "machine": format!("vm{n}"), "services": {"gitea": {"app_name": "Acme"}}
        }))
        .unwrap();
        let spec: TenantSpec = draft.try_into().unwrap();
        store.create_tenant(&spec, Utc::now(), None).await.unwrap();
        let token = TokenRecord {
            id: Uuid::now_v7(),
            name: "panel".into(),
            scope: Scope::TenantRead(spec.name.clone()),
            hash: [7; 32],
            created_at: Utc::now(),
            expires_at: None,
        };
        store.create_token(&token, None).await.unwrap();
        let (tenant, machine) = (spec.name.clone(), spec.machine.clone());
        let operation =
            Operation::queued(tenant, machine, OperationKind::Deploy, false, "panel".into(), Utc::now());
        let accepted = NewEvent::new(Utc::now(), EventKind::Accepted, "accepted");
        store.create_operation(&operation, accepted, None).await.unwrap();
        tokens.push(token.id);
        tenants.push(spec.name);
        operations.push(operation.id);
    }
    Filled { store, tokens, tenants, operations }
}

/// One read, of the row of that number.
type Read = for<'a> fn(&'a Filled, usize) -> Pin<Box<dyn Future<Output = ()> + Send + 'a>>;

/// Lets every task read as often as it can.
async fn measure(what: &str, filled: &Arc<Filled>, read: Read) {
    let end = Instant::now() + TIME;
    let tasks = (0..TASKS).map(|task| {
        let filled = Arc::clone(filled);
        tokio::spawn(async move {
            let (mut done, mut slowest) = (0, Duration::ZERO);
            while Instant::now() < end {
                let start = Instant::now();
                read(&filled, (task * 97 + done) % ROWS).await;
                slowest = slowest.max(start.elapsed());
                done += 1;
                // A look-up may be ready at once; the other tasks want their turn.
                tokio::task::yield_now().await;
            }
            (done, slowest)
        })
    });
    let (mut done, mut slowest) = (0, Duration::ZERO);
    for task in tasks.collect::<Vec<_>>() {
        let (its, slow) = task.await.unwrap();
        done += its;
        slowest = slowest.max(slow);
    }
    let rate = done as f64 / TIME.as_secs_f64();
    println!(
        "{what}: {rate:.0} a second, {TASKS} at once, the slowest {:.1} ms",
        slowest.as_secs_f64() * 1000.0
    );
}
