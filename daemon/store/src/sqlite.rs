//! Connections to SQLite: one that writes, several that only read.

use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use diesel::connection::SimpleConnection;
use diesel::{Connection, ConnectionError, ConnectionResult, QueryResult, SqliteConnection};
use diesel_async::pooled_connection::bb8::Pool;
use diesel_async::pooled_connection::{AsyncDieselConnectionManager, ManagerConfig, RecyclingMethod};
use diesel_async::sync_connection_wrapper::SyncConnectionWrapper;
use diesel_async::{AsyncConnection, SimpleAsyncConnection};

use crate::error::{DatabaseError, StoreError};
use crate::pool::StoreOptions;

/// A connection to SQLite; its work is done on tokio's threads for blocking work.
pub(crate) type SqliteConn = SyncConnectionWrapper<SqliteConnection>;

/// The connections to an SQLite database.
#[derive(Clone)]
pub(crate) struct SqlitePools {
    /// A single connection: writers wait for each other here, in turn, rather than for SQLite's lock.
    pub writer: Pool<SqliteConn>,
    pub readers: Pool<SqliteConn>,
    /// For single rows by their key.
    pub lookups: Arc<Lookups>,
}

/// Connections on which a row is looked up by its key where the caller stands.
///
/// Such a look takes microseconds, and readers never wait for the writer in WAL mode; handing it to another thread and
/// its answer back takes several times as long. Should the file be locked after all, the look is left to a reader.
pub(crate) struct Lookups {
    connections: Vec<Mutex<SqliteConnection>>,
    next: AtomicUsize,
}

impl Lookups {
    fn open(path: &str, options: &StoreOptions) -> Result<Self, String> {
        let connect = |_| {
            let mut connection = SqliteConnection::establish(path).map_err(|error| error.to_string())?;
            let settings = "PRAGMA busy_timeout = 0; PRAGMA query_only = ON;";
            connection.batch_execute(settings).map_err(|error| error.to_string())?;
            Ok(Mutex::new(connection))
        };
        let connections = (0..options.readers.max(1)).map(connect).collect::<Result<_, String>>()?;
        Ok(Self { connections, next: AtomicUsize::new(0) })
    }

    /// Looks on one of the connections; nothing where it should be left to a reader.
    pub(crate) fn look<T>(&self, look: impl FnOnce(&mut SqliteConnection) -> QueryResult<T>) -> Option<T> {
        let turn = self.next.fetch_add(1, Ordering::Relaxed) % self.connections.len();
        let mut connection = self.connections[turn].lock().unwrap_or_else(PoisonError::into_inner);
        look(&mut connection).ok()
    }
}

/// How SQLite says that somebody else writes (`SQLITE_BUSY`); the pool passes on words only.
const LOCKED: &str = "database is locked";

impl SqlitePools {
    /// Opens the file, creating it when it is not there.
    pub(crate) async fn open(path: &Path, options: &StoreOptions) -> Result<Self, StoreError> {
        let unopened = |reason: String| {
            let database = format!("sqlite:{}", path.display());
            StoreError::from(match reason.contains(LOCKED) {
                true => DatabaseError::Unreachable { database, reason },
                false => DatabaseError::Unusable { database, reason },
            })
        };
        create(path).map_err(|error| unopened(error.to_string()))?;
        let name = path.to_str().ok_or_else(|| unopened("its path is not UTF-8".into()))?;
        // Asked once directly: the pool would ask for as long as a call waits for a connection. Kept until that has its own, as
        // the last connection that is closed puts SQLite's log away.
        let first = connect(name, &writer_settings(options)).await;
        let _first = first.map_err(|error| unopened(error.to_string()))?;
        let writer = pool(name, 1, writer_settings(options), options).await.map_err(&unopened)?;
        let readers =
            pool(name, options.readers, reader_settings(options), options).await.map_err(&unopened)?;
        let lookups = Arc::new(Lookups::open(name, options).map_err(&unopened)?);
        Ok(Self { writer, readers, lookups })
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

async fn connect(path: &str, settings: &str) -> ConnectionResult<SqliteConn> {
    let mut connection = SqliteConn::establish(path).await?;
    let done = connection.batch_execute(settings).await;
    done.map_err(ConnectionError::CouldntSetupConfiguration)?;
    Ok(connection)
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
        Box::pin(async move { connect(path, &settings).await })
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
