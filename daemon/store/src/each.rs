//! Many small writes of one kind at once: a step's row, an event's row.
//!
//! One by one, each would be a way to another thread and back where the database is SQLite, and a way to the server and back where
//! it is PostgreSQL, which takes longer than the write. Both prepare the statement once.

use diesel::pg::Pg;
use diesel::query_builder::{QueryFragment, QueryId};
use diesel::query_dsl::methods::ExecuteDsl;
use diesel::{QueryResult, SqliteConnection};
use futures_util::future::try_join_all;

use crate::postgres::PgConn;
use crate::sqlite::SqliteConn;

/// How many writes are on their way to a server at once.
const ON_THE_WAY: usize = 500;

/// Writes of one kind within a transaction.
pub(crate) trait ExecuteEach<Q> {
    /// Executes them all; the first that fails is the error.
    async fn execute_each(&mut self, queries: Vec<Q>) -> QueryResult<()>;
}

impl<Q: ExecuteDsl<SqliteConnection> + Send + 'static> ExecuteEach<Q> for SqliteConn {
    async fn execute_each(&mut self, queries: Vec<Q>) -> QueryResult<()> {
        if queries.is_empty() {
            return Ok(());
        }
        let each = move |conn: &mut SqliteConnection| {
            queries.into_iter().try_for_each(|query| ExecuteDsl::execute(query, conn).map(drop))
        };
        self.spawn_blocking(each).await
    }
}

impl<Q: QueryFragment<Pg> + QueryId + Send> ExecuteEach<Q> for PgConn {
    async fn execute_each(&mut self, queries: Vec<Q>) -> QueryResult<()> {
        let mut queries = queries.into_iter().peekable();
        while queries.peek().is_some() {
            let some: Vec<Q> = queries.by_ref().take(ON_THE_WAY).collect();
            let sent = some.into_iter().map(|query| {
                let mut conn = &*self;
                async move { diesel_async::RunQueryDsl::execute(query, &mut conn).await }
            });
            try_join_all(sent).await?;
        }
        Ok(())
    }
}
