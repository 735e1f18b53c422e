//! What checks of tenants found, and which tenants are due for one.

use berth_domain::{Condition, RevisionId, TenantName, Timestamp};
use diesel::dsl::{exists, not};
use diesel::prelude::*;
use diesel_async::RunQueryDsl;

use crate::columns::{json, millis, parse};
use crate::dialect::Dialect;
use crate::error::StoreError;
use crate::idempotency::{IdempotencyRecord, Keys};
use crate::operations::{BESIDE, UNFINISHED};
use crate::pool::Store;
use crate::run::{read, transact};
use crate::schema::{operations, tenants};

/// Which checks are due: those whose time has come, and those that are set for later than anybody would set them now, by a
/// clock that was ahead.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Due {
    /// Now.
    pub now: Timestamp,
    /// The latest that anybody would set a check for.
    pub latest: Timestamp,
}

impl Store {
    /// The deployed tenants whose check is due and that no operation works on, those first that wait longest; and of each,
    /// whether it has had a turn before.
    ///
    /// # Errors
    /// [`StoreError::Database`]
    pub async fn due_checks(&self, due: Due, limit: u32) -> Result<Vec<(TenantName, bool)>, StoreError> {
        let (now, latest) = (millis(due.now), millis(due.latest));
        let names: Vec<(String, Option<i64>)> = read!(self, conn => {
            let works = operations::table.filter(operations::tenant.eq(tenants::name));
            let works = works.filter(operations::status.eq_any(UNFINISHED));
            let works = works.filter(operations::kind.ne_all(BESIDE));
            let due = tenants::check_at.is_null().or(tenants::check_at.le(now)).or(tenants::check_at.gt(latest));
            let due = tenants::table.filter(due);
            let due = due.filter(tenants::deployed_revision.is_not_null()).filter(not(exists(works)));
            let waiting = due.order((tenants::check_at.is_not_null(), tenants::check_at, tenants::name));
            Ok::<_, StoreError>(waiting.limit(i64::from(limit)).select((tenants::name, tenants::check_at)).load(conn).await?)
        })?;
        names.iter().map(|(name, at)| Ok((parse("tenants.name", name)?, at.is_some()))).collect()
    }

    /// Takes a due check for oneself by setting when the next one is due; false if somebody else was faster.
    ///
    /// # Errors
    /// [`StoreError::Database`]
    pub async fn claim_check(
        &self,
        name: &TenantName,
        due: Due,
        next: Timestamp,
    ) -> Result<bool, StoreError> {
        let (name, next) = (name.clone(), millis(next));
        let (now, latest) = (millis(due.now), millis(due.latest));
        transact!(self, conn => {
            let due = tenants::check_at.is_null().or(tenants::check_at.le(now)).or(tenants::check_at.gt(latest));
            let row = tenants::table.filter(tenants::name.eq(name.as_str())).filter(due);
            let claimed = diesel::update(row).set(tenants::check_at.eq(next)).execute(conn).await?;
            Ok::<_, StoreError>(claimed > 0)
        })
    }

    /// Keeps what a check found of a tenant that was deployed as `revision`, unless that is over: what was seen while an
    /// operation worked on it says nothing.
    ///
    /// # Errors
    /// [`StoreError::NotFound`]; [`StoreError::OperationRunning`]; [`StoreError::NotDeployed`] when another revision was
    /// deployed meanwhile; [`StoreError::IdempotencyReplay`].
    pub async fn set_condition(
        &self,
        name: &TenantName,
        revision: &RevisionId,
        condition: &Condition,
        once: Option<&IdempotencyRecord>,
    ) -> Result<(), StoreError> {
        let (name, revision, once) = (name.clone(), revision.to_string(), once.cloned());
        let text = json("tenants.condition", condition)?;
        transact!(self, conn => {
            conn.keep_reply(once.as_ref()).await?;
            conn.lock_tenant(name.as_str()).await?;
            let deployed = tenants::table.find(name.as_str()).select(tenants::deployed_revision);
            let deployed: Option<Option<String>> = deployed.get_result(conn).await.optional()?;
            let deployed = deployed.ok_or_else(|| StoreError::not_found("tenant", &name))?;
            let works = operations::table.filter(operations::tenant.eq(name.as_str()));
            let works = works.filter(operations::status.eq_any(UNFINISHED));
            let works = works.filter(operations::kind.ne_all(BESIDE)).select(operations::id);
            if let Some(id) = works.first::<String>(conn).await.optional()? {
                return Err(StoreError::OperationRunning { operation: parse("operations.id", &id)? });
            }
            if deployed.as_deref() != Some(revision.as_str()) {
                return Err(StoreError::NotDeployed { tenant: name.clone() });
            }
            let row = diesel::update(tenants::table.find(name.as_str()));
            row.set(tenants::condition.eq(&text)).execute(conn).await?;
            Ok(())
        })
    }
}
