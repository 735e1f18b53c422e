//! What the handlers share.

use std::sync::atomic::{AtomicBool, Ordering};

use actix_web::HttpRequest;
use berth_contract::Provider;
use berth_domain::Operation;
use berth_engine::Engine;
use berth_render::Tls;
use berth_store::Store;
use berth_vault::Vault;
use tokio_util::sync::CancellationToken;

use crate::metrics::Metrics;
use crate::offer::Offer;
use crate::throttle::Throttle;

/// What the handlers share.
pub struct Api {
    /// Runs operations.
    pub engine: Engine,
    /// The database.
    store: Store,
    /// The vault, for those who bring a tenant here.
    pub vault: Option<Vault>,
    /// The services on offer.
    pub offer: Offer,
    /// What this provider tells of itself.
    pub provider: Provider,
    /// How tenants' machines do TLS; decides their links' scheme.
    pub tls: Tls,
    /// Where clients reach this daemon, without a slash at the end; from the request's `Host` when absent.
    pub public_url: Option<String>,
    /// Slows down those who guess tokens.
    pub throttle: Throttle,
    /// Counters.
    pub metrics: Metrics,
    /// Cancelled when the daemon stops: streams end, so that connections do.
    pub stopping: CancellationToken,
    ready: AtomicBool,
}

impl Api {
    /// The state of a daemon that is not ready yet.
    pub fn new(
        engine: Engine,
        store: Store,
        offer: Offer,
        provider: Provider,
        tls: Tls,
        public_url: Option<String>,
    ) -> Self {
        Self {
            engine,
            store,
            vault: None,
            offer,
            provider,
            tls,
            public_url,
            throttle: Throttle::default(),
            metrics: Metrics::default(),
            stopping: CancellationToken::new(),
            ready: AtomicBool::new(false),
        }
    }

    /// The same, whose vault is open to those who bring a tenant here.
    #[must_use]
    pub fn with_vault(self, vault: Vault) -> Self {
        Self { vault: Some(vault), ..self }
    }

    /// The database.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// From now on `/readyz` says so.
    pub fn set_ready(&self) {
        self.ready.store(true, Ordering::Release);
    }

    /// Whether requests are served.
    pub fn is_ready(&self) -> bool {
        self.ready.load(Ordering::Acquire) && !self.stopping.is_cancelled()
    }

    /// Where clients reach this daemon, without a slash at the end.
    pub fn base(&self, request: &HttpRequest) -> String {
        self.public_url.clone().unwrap_or_else(|| {
            let connection = request.connection_info();
            format!("{}://{}", connection.scheme(), connection.host())
        })
    }

    /// `https` or `http`, as the tenants' machines serve it.
    pub fn scheme(&self) -> &'static str {
        match self.tls {
            Tls::Acme | Tls::SelfSigned => "https",
            Tls::None => "http",
        }
    }
}

/// The place of an operation.
pub fn location(operation: &Operation) -> String {
    format!("/v1/operations/{}", operation.id)
}
