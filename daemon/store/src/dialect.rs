//! What the two databases say differently: how rows that a transaction decides on are kept from others. SQLite has
//! one writer, so whoever may write is alone already.

use diesel::prelude::*;
use diesel_async::RunQueryDsl;

use crate::postgres::PgConn;
use crate::schema::{operations, tenants};
use crate::sqlite::SqliteConn;

/// Rows for oneself.
pub(crate) trait Dialect {
    /// The oldest queued operations that nobody else is about to take.
    async fn take_queued(&mut self, limit: i64) -> QueryResult<Vec<String>>;

    /// Keeps others from changing an operation until this transaction ends.
    async fn lock_operation(&mut self, id: &str) -> QueryResult<()>;

    /// Keeps others from changing a tenant until this transaction ends.
    async fn lock_tenant(&mut self, name: &str) -> QueryResult<()>;
}

impl Dialect for SqliteConn {
    async fn take_queued(&mut self, limit: i64) -> QueryResult<Vec<String>> {
        let queued = operations::table.filter(operations::status.eq("queued"));
        queued.order(operations::id).limit(limit).select(operations::id).load(self).await
    }

    async fn lock_operation(&mut self, _: &str) -> QueryResult<()> {
        Ok(())
    }

    async fn lock_tenant(&mut self, _: &str) -> QueryResult<()> {
        Ok(())
    }
}

impl Dialect for PgConn {
    async fn take_queued(&mut self, limit: i64) -> QueryResult<Vec<String>> {
        let queued = operations::table.filter(operations::status.eq("queued"));
        let oldest = queued.order(operations::id).limit(limit).select(operations::id);
        oldest.for_update().skip_locked().load(self).await
    }

    async fn lock_operation(&mut self, id: &str) -> QueryResult<()> {
        let row = operations::table.find(id).select(operations::id).for_update();
        row.first::<String>(self).await.optional().map(drop)
    }

    async fn lock_tenant(&mut self, name: &str) -> QueryResult<()> {
        let row = tenants::table.find(name).select(tenants::name).for_update();
        row.first::<String>(self).await.optional().map(drop)
    }
}
