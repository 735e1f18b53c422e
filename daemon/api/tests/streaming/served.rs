//! The API over HTTP, with one tenant and one operation.

use std::net::SocketAddr;
use std::sync::Arc;

use actix_web::HttpServer;
use actix_web::dev::ServerHandle;
use actix_web::web::Data;
use berth_api::{Api, Offer, TokenSecret};
use berth_contract::{Platform, Provider};
use berth_domain::catalogue::Catalogue;
use berth_domain::{
    MachineDraft, Operation, OperationId, OperationKind, Scope, TenantDraft, TenantSpec, TokenId,
};
use berth_engine::bundles::Spool;
use berth_engine::ports::HostClock;
use berth_engine::{Engine, EngineOptions, Exports, Parts, Retries};
use berth_render::Tls;
use berth_simulation::no_stores::{NoBuckets, NoOffsites};
use berth_store::{Store, StoreOptions, TokenRecord};
use chrono::Utc;
use secrecy::ExposeSecret as _;
use serde_json::json;
use tempfile::TempDir;
use tokio::sync::Notify;

use crate::absent::{Nobody, Talker};

/// A daemon that serves.
pub struct Served {
    pub address: SocketAddr,
    pub operation: OperationId,
    pub store: Store,
    pub token: String,
    pub token_id: TokenId,
    begin: Arc<Notify>,
    engine: Engine,
    server: ServerHandle,
    _folder: TempDir,
}

impl Served {
    /// A deployment whose build says so many lines at once so many times, once it is let.
    pub async fn with(lines: (u32, u32), options: StoreOptions) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let url = folder.path().join("berth.db").display().to_string();
        let store = Store::open(&url.parse().unwrap(), options).await.unwrap();
        store.migrate().await.unwrap();
        let begin = Arc::new(Notify::new());
        let engine = engine(&store, Talker { begin: Arc::clone(&begin), lines }, &folder);
        engine.start();
        let operation = submit(&store, &engine).await;
        let (token, token_id) = token(&store).await;
        let api = Data::new(api(engine.clone(), store.clone()));
        api.set_ready();
        let server = HttpServer::new(move || berth_api::app(api.clone())).workers(2).disable_signals();
        let server = server.bind("127.0.0.1:0").unwrap();
        let address = server.addrs()[0];
        let server = server.run();
        let handle = server.handle();
        tokio::spawn(server);
        Self { address, operation, store, token, token_id, begin, engine, server: handle, _folder: folder }
    }

    /// Lets the build begin.
    pub fn begin(&self) {
        self.begin.notify_one();
    }

    pub async fn stop(self) {
        self.engine.stop().await;
        self.server.stop(false).await;
    }
}

fn engine(store: &Store, talker: Talker, folder: &TempDir) -> Engine {
    let exports = Exports {
        folder: folder.path().to_owned(),
        provider: "Harbour".into(),
        key: berth_sign::SigningKey::from_seed(&[7; 32]),
    };
    let parts = Parts {
        records: Arc::new(store.clone()),
        keys: berth_seal::Keys::generate(),
        builder: Arc::new(talker),
        machines: Arc::new(Nobody),
        vaults: Arc::new(Nobody),
        buckets: Arc::new(NoBuckets),
        offsites: Arc::new(NoOffsites),
        exports,
        spool: Spool::of_nobody(folder.path().join("bundles")),
        clock: Arc::new(HostClock),
    };
    Engine::new(parts, EngineOptions { retries: Retries::default(), ..EngineOptions::default() })
}

fn api(engine: Engine, store: Store) -> Api {
    let platform = Platform { kind: "flake".into(), reference: None };
    let (name, version, ssh_public_key) = ("Harbour".into(), "1".into(), "ssh-ed25519 AAAA".into());
    let provider = Provider { name, version, ssh_public_key, platform };
    let offer = Offer::new(Catalogue { version: 1, services: Default::default() }).unwrap();
    Api::new(engine, store, offer, provider, Tls::None, None)
}

async fn submit(store: &Store, engine: &Engine) -> OperationId {
    let machine = MachineDraft {
        name: "vm1".into(),
        address: "192.0.2.1".into(),
        port: None,
        user: None,
        host_key: "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGWdXrNuQQ2w8V5CIfnUhFmpRTmhOXFE+G3wXWm0YWnj".into(),
        driver: None,
    };
    store.create_machine(&machine.try_into().unwrap(), Utc::now(), None).await.unwrap();
    let draft: TenantDraft = serde_json::from_value(json!({
        "name": "acme", "domain": "acme.example", "contact_email": "a@b.example", "machine": "vm1"
    }))
    .unwrap();
    let spec: TenantSpec = draft.try_into().unwrap();
    store.create_tenant(&spec, Utc::now(), None).await.unwrap();
    let (tenant, machine) = ("acme".parse().unwrap(), "vm1".parse().unwrap());
    let operation =
        Operation::queued(tenant, machine, OperationKind::Deploy, false, "test".into(), Utc::now());
    engine.submit(&operation, None).await.unwrap();
    operation.id
}

async fn token(store: &Store) -> (String, TokenId) {
    let secret = TokenSecret::generate().unwrap();
    let record = TokenRecord {
        id: secret.id,
        name: "test".into(),
        scope: Scope::Admin,
        hash: secret.hash(),
        created_at: Utc::now(),
        expires_at: None,
    };
    store.create_token(&record, None).await.unwrap();
    (secret.reveal().expose_secret().to_owned(), secret.id)
}
