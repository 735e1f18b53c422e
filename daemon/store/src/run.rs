//! The macros that run a body of queries on either database.
//!
//! Each body is expanded twice, once for each connection's type, so that diesel checks it against both. It runs in a
//! task of its own: a caller that stops waiting (a client that hangs up, a cancelled step) neither leaves a
//! transaction open nor gives a busy connection back to its pool.
//!
//! A row by its key is asked for by `get_result`, not by `first`, which gives the query a LIMIT: SQLite (3.47 and newer) prepares a
//! statement anew whenever the number in a LIMIT is bound, which takes longer than the look.

use crate::error::{DatabaseError, StoreError};

/// How often a transaction that ran into another one is run again.
pub(crate) const ATTEMPTS: u32 = 5;

/// Runs a future to its end, whether or not the caller waits for it.
pub(crate) async fn to_the_end<T: Send + 'static>(
    work: impl Future<Output = Result<T, StoreError>> + Send + 'static,
) -> Result<T, StoreError> {
    tokio::spawn(work).await.map_err(DatabaseError::from)?
}

/// `read!(store, conn => body)`: runs a body of one query that only reads.
macro_rules! read {
    ($store:expr, $conn:ident => $body:expr) => {
        match $store.shared.pools.clone() {
            $crate::pool::Pools::Sqlite(pools) => {
                $crate::run::to_the_end(async move {
                    let mut held = pools.readers.get_owned().await?;
                    let $conn: &mut $crate::sqlite::SqliteConn = &mut held;
                    $body
                })
                .await
            }
            $crate::pool::Pools::Postgres(pool) => {
                $crate::run::to_the_end(async move {
                    let mut held = pool.get_owned().await?;
                    let $conn: &mut $crate::postgres::PgConn = &mut held;
                    $body
                })
                .await
            }
        }
    };
}
pub(crate) use read;

/// `snapshot!(store, conn => body)`: runs a body of several queries that only read, all of them on the database as it
/// was at the first: what is written meanwhile is seen whole by the next call, not half by this one.
macro_rules! snapshot {
    ($store:expr, $conn:ident => $body:expr) => {
        match $store.shared.pools.clone() {
            $crate::pool::Pools::Sqlite(pools) => {
                $crate::run::to_the_end(async move {
                    let mut held = pools.readers.get_owned().await?;
                    diesel_async::AsyncConnection::transaction(
                        &mut *held,
                        async |$conn: &mut $crate::sqlite::SqliteConn| $body,
                    )
                    .await
                })
                .await
            }
            $crate::pool::Pools::Postgres(pool) => {
                $crate::run::to_the_end(async move {
                    let mut held = pool.get_owned().await?;
                    let mut transaction = held.build_transaction().read_only().repeatable_read();
                    transaction.run(async |$conn: &mut $crate::postgres::PgConn| $body).await
                })
                .await
            }
        }
    };
}
pub(crate) use snapshot;

/// `look_up!(store, Row, query)`: the row of a query by a key, if there is one.
macro_rules! look_up {
    ($store:expr, $row:ty, $query:expr) => {{
        let quick = match &$store.shared.pools {
            $crate::pool::Pools::Sqlite(pools) => pools.lookups.look(|connection| {
                diesel::OptionalExtension::optional(diesel::RunQueryDsl::get_result::<$row>($query, connection))
            }),
            $crate::pool::Pools::Postgres(_) => None,
        };
        match quick {
            Some(found) => Ok(found),
            None => $crate::run::read!($store, conn => {
                Ok(diesel_async::RunQueryDsl::get_result::<$row>($query, conn).await.optional()?)
            }),
        }
    }};
}
pub(crate) use look_up;

/// `transact!(store, conn => body)`: runs a body as one transaction. Where another transaction got in between (a key
/// was taken, a row went away), the whole body runs again, sees that, and reports it as what it is.
macro_rules! transact {
    ($store:expr, $conn:ident => $body:expr) => {
        match $store.shared.pools.clone() {
            $crate::pool::Pools::Sqlite(pools) => {
                $crate::run::to_the_end(async move {
                    let mut held = pools.writer.get_owned().await?;
                    held.immediate_transaction(async |$conn: &mut $crate::sqlite::SqliteConn| $body).await
                })
                .await
            }
            $crate::pool::Pools::Postgres(pool) => {
                $crate::run::to_the_end(async move {
                    let mut attempt = 1;
                    loop {
                        let mut held = pool.get_owned().await?;
                        let outcome: Result<_, $crate::error::StoreError> =
                            diesel_async::AsyncConnection::transaction(
                                &mut *held,
                                async |$conn: &mut $crate::postgres::PgConn| $body,
                            )
                            .await;
                        match outcome {
                            Err(error) if error.is_race() && attempt < $crate::run::ATTEMPTS => attempt += 1,
                            outcome => return outcome,
                        }
                    }
                })
                .await
            }
        }
    };
}
pub(crate) use transact;

/// Implements a trait of queries for both connections.
macro_rules! for_both {
    (impl $trait:ident { $($body:tt)* }) => {
        impl $trait for $crate::sqlite::SqliteConn { $($body)* }
        impl $trait for $crate::postgres::PgConn { $($body)* }
    };
}
pub(crate) use for_both;
