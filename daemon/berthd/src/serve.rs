//! Wiring, and the order of starting and stopping.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use actix_web::HttpServer;
use actix_web::dev::ServerHandle;
use actix_web::web::Data;
use anyhow::Context;
use berth_api::{Api, Offer};
use berth_contract::resources::REHEARSAL;
use berth_contract::{Platform, Provider};
use berth_engine::bundles::Spool;
use berth_engine::ports::HostClock;
use berth_engine::real::{LocalBuckets, LocalOffsites, LocalVaults, NixBuilder, SshMachines};
use berth_engine::{Engine, EngineOptions, Exports, Parts};
use berth_machine::{Connector, ConnectorOptions};
use berth_nix::{Nix, NixOptions};
use berth_seal::Keys;
use berth_sign::{SigningKey, TrustedKeys};
use berth_store::Store;
use tokio::signal::unix::{SignalKind, signal};

use crate::config::Config;
use crate::identity::Identity;
use crate::opening::{self, Opened};
use crate::{data_dir, identity, platform, presence, replica, vault};

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
    let _database = lock_database(&config)?;
    let Opened { store, presence, keys } = opening::wait(&config).await?;
    let present = presence::keep(store.clone(), presence, keys.recipient());
    let identity = identity::ensure(&config.data_dir)?;
    let connector = connector(&config, &identity)?;
    let vault = vault::prepare(&config, store.clone()).await?;
    let exports = exports(&config)?;
    let copying = Copying {
        vaults: vault.vaults,
        buckets: LocalBuckets::new(vault.vault.clone(), config.vault.reach()?),
        offsites: LocalOffsites::new(vault.vault.clone(), config.vault.reaching()?),
    };
    let engine = engine(&config, store.clone(), keys, connector.clone(), copying, exports)?;
    let vault_serves = tokio::spawn(vault.server);
    let api = Data::new(api(&config, engine.clone(), store.clone(), &identity)?.with_vault(vault.vault));
    let state = api.clone();
    let server = HttpServer::new(move || berth_api::app(state.clone()))
        .disable_signals()
        .shutdown_timeout(FAREWELL)
        .bind(config.listen)
        .with_context(|| format!("listen: cannot listen on {}", config.listen))?;
    let address = *server.addrs().first().context("listening on nothing")?;
    let server = server.run();
    let stopping = tokio::spawn(stop_when_told(server.handle(), api.clone(), present));
    tokio::spawn(prepare(engine.clone()));
    engine.start();
    api.set_ready();
    let url = format!("http://{address}");
    let purging = tokio::spawn(purge(store, engine.clone()));
    announce(&config.data_dir, &url)?;
    tracing::info!(%url, database = %config.database()?, platform = %config.platform, "ready");
    server.await?;
    purging.abort();
    stopping.await??;
    // Last, as operations that came to rest were still using it.
    vault.handle.stop(false).await;
    vault_serves.await??;
    tokio::task::spawn_blocking(move || connector.shut_down()).await?;
    let _ = std::fs::remove_file(config.data_dir.join("listen"));
    tracing::info!("stopped");
    Ok(())
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

/// Keeps other daemons from an SQLite database; those that share a PostgreSQL one work together.
pub(crate) fn lock_database(config: &Config) -> anyhow::Result<Option<data_dir::Lock>> {
    let lock = config.database()?.sqlite_path().map(data_dir::lock_database);
    Ok(lock.transpose()?)
}

/// What copies tenants' state.
struct Copying {
    vaults: LocalVaults,
    buckets: LocalBuckets,
    offsites: LocalOffsites,
}

fn engine(
    config: &Config,
    store: Store,
    keys: Keys,
    connector: Connector,
    copying: Copying,
    exports: Exports,
) -> anyhow::Result<Engine> {
    let mut options = NixOptions::default();
    if config.platform == REHEARSAL {
        // It is complete in itself: nobody is asked for what it is made of.
        options.settings.insert("substituters".into(), String::new());
        // Its builds use the host's own shell and tools.
        options.settings.insert("sandbox".into(), "false".into());
    }
    options.settings.extend(config.builders.settings());
    if rustix::process::geteuid().is_root() && !has_group("nixbld") {
        // Nix wants other users to build as, and a package of it may not have made any; then root builds.
        options.settings.insert("build-users-group".into(), String::new());
    }
    let builder = NixBuilder::new(Nix::new(options), platform::source(config), &config.data_dir.join("nix"));
    let options = EngineOptions {
        parallel_operations: config.parallel_operations,
        keep_generations: config.keep_generations,
        timeouts: config.timeouts.timeouts(),
        checks: config.checks.checks(),
        migration: config.migration.migration(),
        moved: config.moved.moved(),
        replica: replica::ensure(&config.data_dir)?,
        ..EngineOptions::default()
    };
    let parts = Parts {
        records: Arc::new(store),
        keys,
        builder: Arc::new(builder),
        machines: Arc::new(SshMachines::new(connector)),
        vaults: Arc::new(copying.vaults),
        buckets: Arc::new(copying.buckets),
        offsites: Arc::new(copying.offsites),
        exports,
        spool: spool(config)?,
        clock: Arc::new(HostClock),
    };
    Ok(Engine::new(parts, options))
}

/// Where bundles lie that are brought here, and whose signatures count.
fn spool(config: &Config) -> anyhow::Result<Spool> {
    let folder = config.bundles.folder.clone().unwrap_or_else(|| config.data_dir.join("bundles"));
    data_dir::create(&folder)?;
    let mut trusted = TrustedKeys::none();
    for file in &config.bundles.trusted_signers {
        trusted.add_file(file).context("bundles.trusted_signers")?;
    }
    Ok(Spool::new(folder, trusted, Nix::new(NixOptions::default())))
}

/// Where bundles are made, and the key that signs them.
fn exports(config: &Config) -> anyhow::Result<Exports> {
    let folder = config.data_dir.join("exports");
    data_dir::create(&folder)?;
    let key = SigningKey::load_or_create(&config.data_dir.join("signing.key"))?;
    Ok(Exports { folder, provider: config.provider.name.clone(), key })
}

fn api(config: &Config, engine: Engine, store: Store, identity: &Identity) -> anyhow::Result<Api> {
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
    Ok(Api::new(engine, store, offer, provider, config.tls(), config.provider.public_url.clone()))
}

/// The platform is prepared while the first requests are served already.
async fn prepare(engine: Engine) {
    match engine.prepare().await {
        Ok(()) => tracing::info!("the platform is prepared"),
        Err(error) => tracing::warn!(%error, "the platform is not prepared; the next deployment tries again"),
    }
}

/// Every hour, what has expired goes.
async fn purge(store: Store, engine: Engine) {
    let mut hourly = tokio::time::interval(Duration::from_secs(60 * 60));
    loop {
        hourly.tick().await;
        match store.purge_expired(chrono::Utc::now()).await {
            Ok(purged) => tracing::debug!(?purged, "removed what has expired"),
            Err(error) => tracing::warn!(%error, "cannot remove what has expired"),
        }
        let exporting = engine.clone();
        let purged = tokio::task::spawn_blocking(move || {
            let now = SystemTime::now();
            exporting.exports().purge(now).map_err(anyhow::Error::from)?;
            exporting.spool().purge(now).map_err(anyhow::Error::from)
        });
        if let Ok(Err(error)) = purged.await {
            tracing::warn!(%error, "cannot remove old bundles");
        }
    }
}

/// Tells those who started it where it listens: port 0 is any free one.
fn announce(data_dir: &Path, url: &str) -> anyhow::Result<()> {
    Ok(data_dir::write_private(&data_dir.join("listen"), url.as_bytes())?)
}

/// First the streams end and running operations are left to a successor, then open requests may end.
async fn stop_when_told(
    server: ServerHandle,
    api: Data<Api>,
    present: impl Future<Output = anyhow::Result<()>>,
) -> anyhow::Result<()> {
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let reason = tokio::select! {
        _ = terminate.recv() => Ok(()),
        _ = interrupt.recv() => Ok(()),
        outdated = present => outdated,
    };
    tracing::info!("stopping");
    api.stopping.cancel();
    if tokio::time::timeout(HANDOVER, api.engine.stop()).await.is_err() {
        tracing::warn!("operations did not come to rest in time; a successor takes them up");
    }
    server.stop(true).await;
    reason
}
