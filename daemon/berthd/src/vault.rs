//! The vault's server: where machines bring their tenants' snapshots, through ports of their own that lead here. It listens on
//! this host alone.

use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::sync::Arc;

use actix_web::dev::{Server, ServerHandle};
use actix_web::{App, HttpServer};
use anyhow::Context as _;
use berth_engine::real::LocalVaults;
use berth_store::Store;
use berth_vault::{Far, FolderStorage, Limits, S3Storage, Storage, Tokens, Vault, far};

use crate::config::Config;
use crate::doors::Doors;

/// The server, not started yet, and what the engine knows of it.
pub(crate) struct Prepared {
    pub(crate) server: Server,
    pub(crate) handle: ServerHandle,
    pub(crate) vaults: LocalVaults,
    pub(crate) vault: Vault,
}

/// Listens where it did before, if that is free: what machines began under a daemon that was killed then learns at once that its
/// token is worth nothing any more, and is asked for anew, instead of trying for long to reach nobody.
fn listen(memory: &Path) -> std::io::Result<TcpListener> {
    let known = std::fs::read_to_string(memory).ok().and_then(|text| text.trim().parse().ok());
    let on = |port: u16| TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], port)));
    let listener = known.and_then(|port| on(port).ok()).map_or_else(|| on(0), Ok)?;
    let port = listener.local_addr()?.port();
    if known != Some(port) {
        std::fs::write(memory, format!("{port}\n"))?;
    }
    Ok(listener)
}

/// Opens the storage and listens.
pub(crate) async fn prepare(config: &Config, store: Store) -> anyhow::Result<Prepared> {
    let storage: Arc<dyn Storage> = match config.vault.s3()? {
        Some(s3) => Arc::new(S3Storage::new(&s3).context("vault.s3")?),
        None => Arc::new(FolderStorage::open(&config.vault_folder()).await.context("vault.folder")?),
    };
    let tokens = Arc::new(Tokens::new());
    let doors = Doors { tokens: tokens.clone(), store };
    let vault = Vault::new(storage, Arc::new(doors), Limits::default());
    let far = Far::new();
    let listener =
        listen(&config.data_dir.join("vault.port")).context("the vault cannot listen on this host")?;
    let address = listener.local_addr()?;
    let (served, passed_on) = (vault.clone(), far.clone());
    let app = move || {
        App::new().configure(berth_vault::routes(served.clone())).configure(far::routes(passed_on.clone()))
    };
    let server =
        HttpServer::new(app).workers(2).disable_signals().shutdown_timeout(5).listen(listener)?.run();
    let vaults = LocalVaults::new(vault.clone(), tokens, far, address);
    Ok(Prepared { handle: server.handle(), server, vaults, vault })
}
