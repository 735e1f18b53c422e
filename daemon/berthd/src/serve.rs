//! Wiring, and the order of starting and stopping.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use actix_web::HttpServer;
use actix_web::dev::ServerHandle;
use actix_web::web::Data;
use anyhow::Context;
use berth_api::{Api, Offer};
use berth_contract::resources::REHEARSAL;
use berth_contract::{Platform, Provider};
use berth_engine::real::{NixBuilder, SshMachines};
use berth_engine::{Engine, EngineOptions};
use berth_machine::{Connector, ConnectorOptions};
use berth_nix::{Nix, NixOptions};
use berth_store::{Store, StoreOptions};
use tokio::signal::unix::{SignalKind, signal};

use crate::config::Config;
use crate::identity::Identity;
use crate::{admin_token, data_dir, identity, platform, secrets_key};

/// How long open requests may take to end when the daemon stops, in seconds.
const FAREWELL: u64 = 10;

/// How long running operations may take to reach a point at which a successor can go on.
const HANDOVER: Duration = Duration::from_secs(20);

/// Serves until it is told to stop.
///
/// # Errors
/// What keeps it from starting.
pub async fn serve(config: Config) -> anyhow::Result<()> {
    data_dir::create(&config.data_dir)?;
    let _lock = data_dir::lock(&config.data_dir)?;
    // One that was killed left it.
    let _ = std::fs::remove_file(config.data_dir.join("listen"));
    let store = open_store(&config).await?;
    store.migrate().await?;
    admin_token::ensure(&store, &config.data_dir).await?;
    let identity = identity::ensure(&config.data_dir)?;
    let connector = connector(&config, &identity)?;
    let engine = engine(&config, store, connector.clone())?;
    let api = Data::new(api(&config, engine.clone(), &identity)?);
    let state = api.clone();
    let server = HttpServer::new(move || berth_api::app(state.clone()))
        .disable_signals()
        .shutdown_timeout(FAREWELL)
        .bind(config.listen)
        .with_context(|| format!("listen: cannot listen on {}", config.listen))?;
    let address = *server.addrs().first().context("listening on nothing")?;
    let server = server.run();
    let stopping = tokio::spawn(stop_when_told(server.handle(), api.clone()));
    tokio::spawn(prepare(engine.clone()));
    engine.start();
    api.set_ready();
    let url = format!("http://{address}");
    let purging = tokio::spawn(purge(engine.store().clone()));
    announce(&config.data_dir, &url)?;
    tracing::info!(%url, database = %config.database()?, platform = %config.platform, "ready");
    server.await?;
    purging.abort();
    stopping.await??;
    tokio::task::spawn_blocking(move || connector.shut_down()).await?;
    let _ = std::fs::remove_file(config.data_dir.join("listen"));
    tracing::info!("stopped");
    Ok(())
}

/// Opens the configured database.
///
/// # Errors
/// It cannot be reached.
pub async fn open_store(config: &Config) -> anyhow::Result<Store> {
    Ok(Store::open(&config.database()?, StoreOptions::default()).await?)
}

fn has_group(name: &str) -> bool {
    let groups = std::fs::read_to_string("/etc/group").unwrap_or_default();
    groups.lines().any(|line| line.split(':').next() == Some(name))
}

fn connector(config: &Config, identity: &Identity) -> anyhow::Result<Connector> {
    Ok(Connector::new(ConnectorOptions {
        connect_timeout: Duration::from_secs(config.timeouts.connect),
        ..ConnectorOptions::with_identity(&identity.file)
    })?)
}

fn engine(config: &Config, store: Store, connector: Connector) -> anyhow::Result<Engine> {
    let mut options = NixOptions::default();
    if config.platform == REHEARSAL {
        // It is complete in itself: nobody is asked for what it is made of.
        options.settings.insert("substituters".into(), String::new());
        // Its builds use the host's own shell and tools.
        options.settings.insert("sandbox".into(), "false".into());
    }
    if rustix::process::geteuid().is_root() && !has_group("nixbld") {
        // Nix wants other users to build as, and a package of it may not have made any; then root builds.
        options.settings.insert("build-users-group".into(), String::new());
    }
    let builder = NixBuilder::new(Nix::new(options), platform::source(config), &config.data_dir.join("nix"));
    let options = EngineOptions {
        parallel_operations: config.parallel_operations,
        timeouts: config.timeouts.timeouts(),
        ..EngineOptions::default()
    };
    let keys = secrets_key::ensure(&config.data_dir)?;
    Ok(Engine::new(store, keys, Arc::new(builder), Arc::new(SshMachines::new(connector)), options))
}

fn api(config: &Config, engine: Engine, identity: &Identity) -> anyhow::Result<Api> {
    let rehearsal = config.platform == REHEARSAL;
    let provider = Provider {
        name: config.provider.name.clone(),
        version: env!("CARGO_PKG_VERSION").into(),
        ssh_public_key: identity.public_key.clone(),
        platform: Platform {
            kind: if rehearsal { REHEARSAL } else { "flake" }.into(),
            reference: (!rehearsal).then(|| config.platform.clone()),
        },
    };
    let offer = Offer::new(serde_json::from_str(platform::CATALOGUE).context("the catalogue")?)?;
    Ok(Api::new(engine, offer, provider, config.tls(), config.provider.public_url.clone()))
}

/// The platform is prepared while the first requests are served already.
async fn prepare(engine: Engine) {
    match engine.prepare().await {
        Ok(()) => tracing::info!("the platform is prepared"),
        Err(error) => tracing::warn!(%error, "the platform is not prepared; the next deployment tries again"),
    }
}

/// Every hour, what has expired goes.
async fn purge(store: Store) {
    let mut hourly = tokio::time::interval(Duration::from_secs(60 * 60));
    loop {
        hourly.tick().await;
        match store.purge_expired(chrono::Utc::now()).await {
            Ok(purged) => tracing::debug!(?purged, "removed what has expired"),
            Err(error) => tracing::warn!(%error, "cannot remove what has expired"),
        }
    }
}

/// Tells those who started it where it listens: port 0 is any free one.
fn announce(data_dir: &Path, url: &str) -> anyhow::Result<()> {
    Ok(data_dir::write_private(&data_dir.join("listen"), url.as_bytes())?)
}

/// First the streams end and running operations are left to a successor, then open requests may end.
async fn stop_when_told(server: ServerHandle, api: Data<Api>) -> anyhow::Result<()> {
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    tracing::info!("stopping");
    api.stopping.cancel();
    if tokio::time::timeout(HANDOVER, api.engine.stop()).await.is_err() {
        tracing::warn!("operations did not come to rest in time; a successor takes them up");
    }
    server.stop(true).await;
    Ok(())
}
