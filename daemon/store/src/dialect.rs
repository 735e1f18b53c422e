//! What the two databases say differently: how rows that a transaction decides on are kept from others, whose clock
//! counts, and how other daemons hear of news. SQLite has one writer, so whoever may write is alone already; and one
//! daemon, so that nobody else is to be told.

use chrono::Utc;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Text};
use diesel_async::RunQueryDsl;

use crate::columns::millis;
use crate::news::{CHANNEL, News};
use crate::operations::UNFINISHED;
use crate::postgres::PgConn;
use crate::schema::{machines, operations, rollouts, tenants, vaults};
use crate::sqlite::SqliteConn;

/// How long an operation that nobody waits for lets others go first, in milliseconds.
const PATIENCE: i64 = 10 * 60 * 1000;

/// Who wants an operation.
pub(crate) struct Claimant<'a> {
    /// The daemon that it knows to be dead: its own predecessor.
    pub dead: Option<&'a str>,
    /// What runs there already.
    pub except: &'a [String],
}

/// What may be claimed, in the order of its turns: what is queued; and of what is running, what no lease covers and what a
/// dead daemon held. What a rollout or a backup plan queued lets those go first that somebody waits for, but not for ever.
macro_rules! claimable {
    ($now:expr, $claimant:expr) => {{
        let queued = operations::status.eq("queued");
        let left = operations::lease_until
            .is_null()
            .or(operations::lease_until.le($now))
            // Compared with NULL, nothing is equal.
            .or(operations::lease_owner.eq($claimant.dead));
        let lets_others_go_first = operations::rollout
            .is_not_null()
            .or(operations::due_at.is_not_null())
            .and(operations::status.eq("queued"))
            .and(operations::created_at.gt($now - PATIENCE));
        operations::table
            // Said apart, so that the index of statuses finds the few among all that ever were.
            .filter(operations::status.eq_any(UNFINISHED))
            .filter(queued.nullable().or(operations::status.eq("running").nullable().and(left)))
            .filter(operations::id.ne_all($claimant.except))
            .order((lets_others_go_first, operations::id))
            .select(operations::id)
            .limit(1)
    }};
}

/// Rows for oneself.
pub(crate) trait Dialect {
    /// The clock that decides on leases, in milliseconds since 1970: the one that all who share the database share.
    async fn clock(&mut self) -> QueryResult<i64>;

    /// The operation whose turn it is among those that `claimant` may take at the time `now`, and that nobody else is about
    /// to take.
    async fn take(&mut self, now: i64, claimant: &Claimant<'_>) -> QueryResult<Option<String>>;

    /// Tells the daemons that listen, once this transaction is done.
    async fn tell(&mut self, news: &News) -> QueryResult<()>;

    /// Keeps others from changing a rollout until this transaction ends.
    async fn lock_rollout(&mut self, id: &str) -> QueryResult<()>;

    /// Keeps others from changing an operation until this transaction ends.
    async fn lock_operation(&mut self, id: &str) -> QueryResult<()>;

    /// Keeps others from changing a tenant until this transaction ends.
    async fn lock_tenant(&mut self, name: &str) -> QueryResult<()>;

    /// Keeps others from deciding who gets a machine until this transaction ends.
    async fn lock_machine(&mut self, name: &str) -> QueryResult<()>;

    /// Keeps others from changing a vault until this transaction ends.
    async fn lock_vault(&mut self, id: &str) -> QueryResult<()>;

    /// Keeps others from writing down what tenants are to be made of until this transaction ends.
    async fn lock_offsites(&mut self) -> QueryResult<()>;
}

impl Dialect for SqliteConn {
    async fn clock(&mut self) -> QueryResult<i64> {
        Ok(millis(Utc::now()))
    }

    async fn take(&mut self, now: i64, claimant: &Claimant<'_>) -> QueryResult<Option<String>> {
        claimable!(now, claimant).first(self).await.optional()
    }

    async fn tell(&mut self, _: &News) -> QueryResult<()> {
        Ok(())
    }

    async fn lock_rollout(&mut self, _: &str) -> QueryResult<()> {
        Ok(())
    }

    async fn lock_operation(&mut self, _: &str) -> QueryResult<()> {
        Ok(())
    }

    async fn lock_tenant(&mut self, _: &str) -> QueryResult<()> {
        Ok(())
    }

    async fn lock_machine(&mut self, _: &str) -> QueryResult<()> {
        Ok(())
    }

    async fn lock_vault(&mut self, _: &str) -> QueryResult<()> {
        Ok(())
    }

    async fn lock_offsites(&mut self) -> QueryResult<()> {
        Ok(())
    }
}

impl Dialect for PgConn {
    async fn clock(&mut self) -> QueryResult<i64> {
        // Not `now()`, which is when the transaction began: it may have waited for others since.
        let clock =
            diesel::dsl::sql::<BigInt>("SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint");
        clock.get_result(self).await
    }

    async fn take(&mut self, now: i64, claimant: &Claimant<'_>) -> QueryResult<Option<String>> {
        claimable!(now, claimant).for_update().skip_locked().first(self).await.optional()
    }

    async fn tell(&mut self, news: &News) -> QueryResult<()> {
        let notify = diesel::sql_query("SELECT pg_notify($1, $2)");
        notify.bind::<Text, _>(CHANNEL).bind::<Text, _>(news.to_string()).execute(self).await.map(drop)
    }

    async fn lock_rollout(&mut self, id: &str) -> QueryResult<()> {
        let row = rollouts::table.find(id).select(rollouts::id).for_update();
        row.get_result::<String>(self).await.optional().map(drop)
    }

    async fn lock_operation(&mut self, id: &str) -> QueryResult<()> {
        let row = operations::table.find(id).select(operations::id).for_update();
        row.get_result::<String>(self).await.optional().map(drop)
    }

    async fn lock_tenant(&mut self, name: &str) -> QueryResult<()> {
        let row = tenants::table.find(name).select(tenants::name).for_update();
        row.get_result::<String>(self).await.optional().map(drop)
    }

    async fn lock_machine(&mut self, name: &str) -> QueryResult<()> {
        let row = machines::table.find(name).select(machines::name).for_update();
        row.get_result::<String>(self).await.optional().map(drop)
    }

    async fn lock_vault(&mut self, id: &str) -> QueryResult<()> {
        let row = vaults::table.find(id).select(vaults::id).for_update();
        row.get_result::<String>(self).await.optional().map(drop)
    }

    async fn lock_offsites(&mut self) -> QueryResult<()> {
        // There may be no row yet that could be locked.
        let lock = diesel::sql_query("LOCK TABLE offsite_imports IN SHARE ROW EXCLUSIVE MODE");
        lock.execute(self).await.map(drop)
    }
}
