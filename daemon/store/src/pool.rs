//! Opening the store, and its settings.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use diesel::IntoSql;
use diesel::sql_types::Integer;
use diesel_async::RunQueryDsl;
use diesel_async::pooled_connection::bb8::{Pool, RunError};

use crate::error::{DatabaseError, StoreError};
use crate::postgres::{self, PgConn};
use crate::run::read;
use crate::sqlite::SqlitePools;
use crate::url::{DatabaseUrl, Kind};

/// How the store uses its database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreOptions {
    /// SQLite: how many connections read at once.
    pub readers: u32,
    /// PostgreSQL: how many connections there are at the most.
    pub connections: u32,
    /// How long a call waits for a free connection.
    pub acquire_timeout: Duration,
    /// SQLite: how long a call waits for another process that writes.
    pub busy_timeout: Duration,
}

impl Default for StoreOptions {
    fn default() -> Self {
        Self {
            readers: 4,
            connections: 8,
            acquire_timeout: Duration::from_secs(10),
            busy_timeout: Duration::from_secs(10),
        }
    }
}

/// The database. Clones share its connections.
#[derive(Clone)]
pub struct Store {
    pub(crate) shared: Arc<Shared>,
}

pub(crate) struct Shared {
    pub url: DatabaseUrl,
    pub pools: Pools,
}

/// Connections to one of the two databases.
#[derive(Clone)]
pub(crate) enum Pools {
    Sqlite(SqlitePools),
    Postgres(Pool<PgConn>),
}

impl Store {
    /// Opens a database; an SQLite file is created where there is none. The tables are [`Store::migrate`]'s matter.
    ///
    /// # Errors
    /// [`DatabaseError::Unreachable`] and [`DatabaseError::Unusable`], with the reason.
    pub async fn open(url: &DatabaseUrl, options: StoreOptions) -> Result<Self, StoreError> {
        let pools = match &url.0 {
            Kind::Sqlite(path) => Pools::Sqlite(SqlitePools::open(path, &options).await?),
            Kind::Postgres(config) => Pools::Postgres(postgres::open(url, config, &options).await?),
        };
        Ok(Self { shared: Arc::new(Shared { url: url.clone(), pools }) })
    }

    /// The database's kind: `sqlite` or `postgresql`.
    pub fn backend(&self) -> &'static str {
        match self.shared.pools {
            Pools::Sqlite(_) => "sqlite",
            Pools::Postgres(_) => "postgresql",
        }
    }

    /// Whether the database answers.
    ///
    /// # Errors
    /// [`StoreError::Database`]: it does not.
    pub async fn ping(&self) -> Result<(), StoreError> {
        read!(self, conn => {
            diesel::select(1.into_sql::<Integer>()).get_result::<i32>(conn).await?;
            Ok(())
        })
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store").field("url", &self.shared.url).finish()
    }
}

impl From<RunError> for StoreError {
    fn from(error: RunError) -> Self {
        use diesel_async::pooled_connection::PoolError;
        let failure = match error {
            RunError::TimedOut => DatabaseError::Busy,
            RunError::User(PoolError::QueryError(error)) => DatabaseError::Query(error),
            RunError::User(PoolError::ConnectionError(error)) => {
                DatabaseError::Unreachable { database: String::new(), reason: error.to_string() }
            }
        };
        failure.into()
    }
}
