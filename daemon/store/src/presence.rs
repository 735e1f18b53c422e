//! Whether daemons use the database, for who needs it alone.
//!
//! On PostgreSQL each daemon holds a shared advisory lock on a connection of its own for as long as it runs, so that the
//! lock goes when the daemon does, however it ends. SQLite's file is one daemon's, which keeps others away by itself.

use diesel::dsl::sql;
use diesel::sql_types::Bool;
use diesel_async::RunQueryDsl;

use crate::error::StoreError;
use crate::pool::Store;
use crate::postgres::{self, PgConn};
use crate::sqlite::SqliteConn;
use crate::url::Kind;

/// A daemon's presence, until it is dropped.
pub struct Presence {
    connection: Option<PgConn>,
}

/// The lock's number is arbitrary, the same in all versions.
const JOIN: &str = "SELECT pg_try_advisory_lock_shared(4831057103)";
const ALONE: &str = "SELECT pg_try_advisory_xact_lock(4831057103)";

impl Store {
    /// Says that a daemon uses the database.
    ///
    /// # Errors
    /// [`StoreError::InUse`] where somebody has it for itself.
    pub async fn join(&self) -> Result<Presence, StoreError> {
        let Kind::Postgres(config) = &self.shared.url.0 else { return Ok(Presence { connection: None }) };
        let connection = postgres::connect(config).await;
        let mut connection = connection.map_err(|error| postgres::no_connection(&self.shared.url, &error))?;
        match sql::<Bool>(JOIN).get_result(&mut connection).await? {
            true => Ok(Presence { connection: Some(connection) }),
            false => Err(StoreError::InUse("the database's secrets are being sealed to another key")),
        }
    }
}

impl Presence {
    /// Whether it still holds: a connection may be lost.
    pub async fn holds(&mut self) -> bool {
        match &mut self.connection {
            Some(connection) => sql::<Bool>("SELECT true").get_result::<bool>(connection).await.is_ok(),
            None => true,
        }
    }
}

/// Being alone, within a transaction and until it ends.
pub(crate) trait Alone {
    /// Refuses where daemons use the database.
    async fn alone(&mut self) -> Result<(), StoreError>;
}

impl Alone for SqliteConn {
    async fn alone(&mut self) -> Result<(), StoreError> {
        Ok(())
    }
}

impl Alone for PgConn {
    async fn alone(&mut self) -> Result<(), StoreError> {
        match sql::<Bool>(ALONE).get_result(self).await? {
            true => Ok(()),
            false => Err(StoreError::InUse("daemons use the database; stop all of them first")),
        }
    }
}
