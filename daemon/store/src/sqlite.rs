//! Connections to SQLite: one that writes, several that only read.

use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use diesel::{ConnectionError, SqliteConnection};
use diesel_async::pooled_connection::bb8::Pool;
use diesel_async::pooled_connection::{AsyncDieselConnectionManager, ManagerConfig, RecyclingMethod};
use diesel_async::sync_connection_wrapper::SyncConnectionWrapper;
use diesel_async::{AsyncConnection, SimpleAsyncConnection};

use crate::error::{DatabaseError, StoreError};
use crate::pool::StoreOptions;

/// A connection to SQLite; its work is done on tokio's threads for blocking work.
pub(crate) type SqliteConn = SyncConnectionWrapper<SqliteConnection>;

/// The two pools of an SQLite database.
#[derive(Clone)]
pub(crate) struct SqlitePools {
    /// A single connection: writers wait for each other here, in turn, rather than for SQLite's lock.
    pub writer: Pool<SqliteConn>,
    pub readers: Pool<SqliteConn>,
}

impl SqlitePools {
    /// Opens the file, creating it when it is not there.
    pub(crate) async fn open(path: &Path, options: &StoreOptions) -> Result<Self, StoreError> {
        let unreachable = |reason: String| {
            let database = format!("sqlite:{}", path.display());
            StoreError::from(DatabaseError::Unreachable { database, reason })
        };
        create(path).map_err(|error| unreachable(error.to_string()))?;
        let name = path.to_str().ok_or_else(|| unreachable("its path is not UTF-8".into()))?;
        let writer = pool(name, 1, writer_settings(options), options).await.map_err(&unreachable)?;
        let readers =
            pool(name, options.readers, reader_settings(options), options).await.map_err(&unreachable)?;
        Ok(Self { writer, readers })
    }
}

/// Creates the file so that nobody but its owner can read it; SQLite gives its journals the same mode.
fn create(path: &Path) -> std::io::Result<()> {
    OpenOptions::new().read(true).append(true).create(true).mode(0o600).open(path).map(drop)
}

/// `synchronous = FULL`: what was answered is on the disk, also after a power failure.
fn writer_settings(options: &StoreOptions) -> String {
    format!(
        "PRAGMA busy_timeout = {}; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON;",
        options.busy_timeout.as_millis()
    )
}

fn reader_settings(options: &StoreOptions) -> String {
    format!("PRAGMA busy_timeout = {}; PRAGMA query_only = ON;", options.busy_timeout.as_millis())
}

async fn pool(
    path: &str,
    size: u32,
    settings: String,
    options: &StoreOptions,
) -> Result<Pool<SqliteConn>, String> {
    let mut config = ManagerConfig::default();
    config.recycling_method = RecyclingMethod::Fast;
    config.custom_setup = Box::new(move |path| {
        let settings = settings.clone();
        Box::pin(async move {
            let mut connection = SqliteConn::establish(path).await?;
            let done = connection.batch_execute(&settings).await;
            done.map_err(ConnectionError::CouldntSetupConfiguration)?;
            Ok(connection)
        })
    });
    let manager = AsyncDieselConnectionManager::new_with_config(path, config);
    Pool::builder()
        .max_size(size)
        .min_idle(Some(1))
        .max_lifetime(None)
        .idle_timeout(None)
        .test_on_check_out(false)
        .connection_timeout(options.acquire_timeout)
        .build(manager)
        .await
        .map_err(|error| error.to_string())
}
