//! The tables' versions: migrations embedded in the program, one folder for each database.

use std::collections::BTreeSet;

use diesel::SqliteConnection;
use diesel::backend::Backend;
use diesel::connection::SimpleConnection;
use diesel::migration::{Migration, MigrationSource};
use diesel_async::async_connection_wrapper::AsyncConnectionWrapper;
use diesel_migrations::{EmbeddedMigrations, MigrationHarness, embed_migrations};

use crate::error::{DatabaseError, StoreError};
use crate::pool::{Pools, Store};
use crate::postgres::{self, PgConn};
use crate::url::Kind;

const SQLITE: EmbeddedMigrations = embed_migrations!("migrations/sqlite");
const POSTGRES: EmbeddedMigrations = embed_migrations!("migrations/postgres");

/// Held while PostgreSQL is migrated, so that daemons that start together do it one after the other. An arbitrary
/// number, the same in all versions.
const POSTGRES_LOCK: &str = "SELECT pg_advisory_lock(4831057102)";

/// What is to be done.
#[derive(Clone, Copy)]
enum Task {
    List,
    Run,
}

impl Store {
    /// Brings the tables up to this program's version; returns the names of the migrations that were run.
    ///
    /// # Errors
    /// [`StoreError::Newer`], when a newer program migrated them further; [`DatabaseError::Migration`].
    pub async fn migrate(&self) -> Result<Vec<String>, StoreError> {
        self.migrations(Task::Run).await
    }

    /// The names of the migrations that [`Store::migrate`] would run.
    ///
    /// # Errors
    /// As [`Store::migrate`].
    pub async fn pending_migrations(&self) -> Result<Vec<String>, StoreError> {
        self.migrations(Task::List).await
    }

    async fn migrations(&self, task: Task) -> Result<Vec<String>, StoreError> {
        match (&self.shared.pools, &self.shared.url.0) {
            (Pools::Sqlite(pools), _) => {
                let pool = pools.writer.clone();
                crate::run::to_the_end(async move {
                    let mut held = pool.get_owned().await?;
                    // Alone from the first look on: daemons that start together do it one after the other.
                    let work = move |conn: &mut SqliteConnection| {
                        Ok(conn.immediate_transaction(|conn| perform(conn, SQLITE, task)))
                    };
                    held.spawn_blocking(work).await?
                })
                .await
            }
            (Pools::Postgres(_), Kind::Postgres(config)) => {
                let connection = postgres::connect(config)
                    .await
                    .map_err(|error| postgres::no_connection(&self.shared.url, &error))?;
                let work = move || {
                    let mut connection = AsyncConnectionWrapper::<PgConn>::from(connection);
                    // Released when the connection ends, with this function.
                    connection.batch_execute(POSTGRES_LOCK)?;
                    perform(&mut connection, POSTGRES, task)
                };
                tokio::task::spawn_blocking(work).await.map_err(DatabaseError::from)?
            }
            (Pools::Postgres(_), Kind::Sqlite(path)) => Err(DatabaseError::Unreachable {
                database: path.display().to_string(),
                reason: "it was opened as another kind".into(),
            }
            .into()),
        }
    }
}

fn perform<C, DB>(
    connection: &mut C,
    source: EmbeddedMigrations,
    task: Task,
) -> Result<Vec<String>, StoreError>
where
    C: MigrationHarness<DB>,
    DB: Backend,
{
    // Looking at what was migrated may fail as any query may; only a migration's own failure stays.
    let failed = |error: Box<dyn std::error::Error + Send + Sync>| match error.downcast() {
        Ok(query) => DatabaseError::Query(*query),
        Err(other) => DatabaseError::Migration(other.to_string()),
    };
    let known = MigrationSource::<DB>::migrations(&source).map_err(failed)?;
    let known: BTreeSet<_> = known.iter().map(|migration| migration.name().version().to_string()).collect();
    let applied = connection.applied_migrations().map_err(failed)?;
    if let Some(newer) = applied.iter().map(ToString::to_string).find(|version| !known.contains(version)) {
        return Err(StoreError::Newer { version: newer });
    }
    let pending = connection.pending_migrations(source).map_err(failed)?;
    let names = pending.iter().map(|migration| migration.name().to_string()).collect();
    if let Task::Run = task {
        connection.run_migrations(&pending).map_err(failed)?;
    }
    Ok(names)
}
