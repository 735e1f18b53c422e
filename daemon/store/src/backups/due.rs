//! What is due: begun by whoever is first, noted where it could not begin in time.

use berth_domain::event::NewEvent;
use berth_domain::{Backups, Operation, OperationId, OperationKind, TenantName, Timestamp};
use diesel::dsl::{exists, not};
use diesel::prelude::*;
use diesel_async::RunQueryDsl;

use super::{BackupRecord, Notes as _, Plans as _, Row};
use crate::columns::{millis, stored};
use crate::dialect::Dialect as _;
use crate::error::StoreError;
use crate::operations::{BESIDE, Operations as _, UNFINISHED, accepted};
use crate::pool::Store;
use crate::run::{read, snapshot, transact};
use crate::schema::{backup_plans, operations};

/// How many tenants' backups are not as they should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BackupTroubles {
    /// Whose snapshot could not begin in time.
    pub overdue: i64,
    /// Whose last snapshot failed or was missed.
    pub failed: i64,
    /// Whose drill could not begin in time.
    pub drills_overdue: i64,
    /// Whose last drill failed or was missed.
    pub drills_failed: i64,
}

impl Store {
    /// The plans whose snapshot is due and can begin, or has waited too long without that having been noted; those first that
    /// wait longest.
    ///
    /// # Errors
    /// [`StoreError::Database`]
    pub async fn due_backups(&self, now: Timestamp, limit: u32) -> Result<Vec<BackupRecord>, StoreError> {
        let now = millis(now);
        let rows: Vec<Row> = read!(self, conn => {
            let works = operations::table.filter(operations::tenant.eq(backup_plans::tenant));
            let works = works.filter(operations::status.eq_any(UNFINISHED));
            let works = works.filter(operations::kind.ne_all(BESIDE));
            let due = backup_plans::table.filter(backup_plans::due_at.le(now));
            let due = due.filter(not(exists(works)).nullable().or(backup_plans::late_at.le(now)));
            let due = due.order((backup_plans::due_at, backup_plans::tenant)).limit(i64::from(limit));
            Ok::<_, StoreError>(due.select(Row::as_select()).load(conn).await?)
        })?;
        rows.into_iter().map(BackupRecord::try_from).collect()
    }

    /// Begins the snapshot that is due: writes its operation down, and when the next one is due. False if somebody else was
    /// faster.
    ///
    /// # Errors
    /// [`StoreError::OperationRunning`] while another operation works on the tenant; [`StoreError::NotFound`].
    pub async fn start_backup(
        &self,
        plan: &BackupRecord,
        operation: &Operation,
        first: NewEvent,
        next: Timestamp,
    ) -> Result<bool, StoreError> {
        let (plan, (operation, first)) = (plan.clone(), accepted(operation, first));
        let later = due(&plan, next);
        transact!(self, conn => {
            conn.lock_tenant(plan.tenant.as_str()).await?;
            if !conn.replace(&plan, &later).await? {
                return Ok(false);
            }
            conn.insert(&operation, &first).await?;
            Ok::<_, StoreError>(true)
        })
    }

    /// Lets a time go by at which nothing is made. False if somebody else was faster.
    ///
    /// # Errors
    /// [`StoreError::Database`]
    pub async fn skip_backup(&self, plan: &BackupRecord, next: Timestamp) -> Result<bool, StoreError> {
        let (plan, later) = (plan.clone(), due(plan, next));
        transact!(self, conn => {
            conn.lock_tenant(plan.tenant.as_str()).await?;
            conn.replace(&plan, &later).await
        })
    }

    /// Notes that a snapshot, or a drill, could not begin in time: as an operation that has failed. It stays due. False if somebody else was
    /// faster.
    ///
    /// # Errors
    /// [`StoreError::Database`]
    pub async fn miss_backup(
        &self,
        plan: &BackupRecord,
        operation: &Operation,
        events: Vec<NewEvent>,
    ) -> Result<bool, StoreError> {
        let (plan, mut operation) = (plan.clone(), operation.clone());
        let number = |(seq, event): (i64, NewEvent)| event.numbered(operation.id, seq);
        let events: Vec<_> = (1..).zip(events).map(number).collect();
        operation.last_seq = i64::try_from(events.len()).unwrap_or(i64::MAX);
        let noted = match operation.kind {
            OperationKind::Drill => BackupRecord { drill_late_at: None, ..plan.clone() },
            _ => BackupRecord { late_at: None, ..plan.clone() },
        };
        transact!(self, conn => {
            conn.lock_tenant(plan.tenant.as_str()).await?;
            if !conn.replace(&plan, &noted).await? {
                return Ok(false);
            }
            conn.insert_with(&operation, &events).await?;
            conn.note_end(&operation).await?;
            Ok::<_, StoreError>(true)
        })
    }

    /// How many tenants' backups are not as they should be.
    ///
    /// # Errors
    /// [`StoreError::Database`]
    pub async fn count_backup_troubles(&self, now: Timestamp) -> Result<BackupTroubles, StoreError> {
        let now = millis(now);
        snapshot!(self, conn => {
            let late = backup_plans::late_at.is_null().or(backup_plans::late_at.le(now));
            let overdue = backup_plans::table.filter(backup_plans::due_at.le(now)).filter(late).count();
            let overdue: i64 = overdue.get_result(conn).await?;
            let failed = backup_plans::table.filter(backup_plans::failure.is_not_null()).count();
            let late = backup_plans::drill_late_at.is_null().or(backup_plans::drill_late_at.le(now));
            let drills = backup_plans::table.filter(backup_plans::drill_due_at.le(now)).filter(late).count();
            let drills_failed = backup_plans::table.filter(backup_plans::drill_failure.is_not_null()).count();
            Ok::<_, StoreError>(BackupTroubles {
                overdue,
                failed: failed.get_result(conn).await?,
                drills_overdue: drills.get_result(conn).await?,
                drills_failed: drills_failed.get_result(conn).await?,
            })
        })
    }

    /// The operation that works on a tenant, or is to.
    ///
    /// # Errors
    /// [`StoreError::Database`]
    pub async fn unfinished_operation(&self, tenant: &TenantName) -> Result<Option<OperationId>, StoreError> {
        let tenant = tenant.to_string();
        read!(self, conn => conn.unfinished_of(&tenant).await)
    }

    /// The plans of tenants that nothing works on and of which it is to be looked which snapshots may go.
    ///
    /// # Errors
    /// [`StoreError::Database`]
    pub async fn due_prunings(&self, now: Timestamp, limit: u32) -> Result<Vec<BackupRecord>, StoreError> {
        let now = millis(now);
        let rows: Vec<Row> = read!(self, conn => {
            let works = operations::table.filter(operations::tenant.eq(backup_plans::tenant));
            let works = works.filter(operations::status.eq_any(UNFINISHED));
            let works = works.filter(operations::kind.ne_all(BESIDE));
            let due = backup_plans::table.filter(backup_plans::tidy_at.le(now)).filter(not(exists(works)));
            let due = due.order((backup_plans::tidy_at, backup_plans::tenant)).limit(i64::from(limit));
            Ok::<_, StoreError>(due.select(Row::as_select()).load(conn).await?)
        })?;
        rows.into_iter().map(BackupRecord::try_from).collect()
    }

    /// Takes it upon oneself to look which snapshots of a tenant may go, and has the operation written down that removes them,
    /// if there are any. False if somebody else was faster.
    ///
    /// # Errors
    /// [`StoreError::OperationRunning`] while another operation works on the tenant; [`StoreError::NotFound`].
    pub async fn start_pruning(
        &self,
        plan: &BackupRecord,
        next: Timestamp,
        operation: Option<(Operation, NewEvent)>,
    ) -> Result<bool, StoreError> {
        let (tenant, looked) = (plan.tenant.to_string(), plan.tidy_at.map(millis));
        let begun = operation.map(|(operation, first)| accepted(&operation, first));
        transact!(self, conn => {
            conn.lock_tenant(&tenant).await?;
            let same = backup_plans::table.find(&tenant).filter(backup_plans::tidy_at.eq(looked));
            if diesel::update(same).set(backup_plans::tidy_at.eq(millis(next))).execute(conn).await? == 0 {
                return Ok(false);
            }
            if let Some((operation, first)) = &begun {
                conn.insert(operation, first).await?;
            }
            Ok::<_, StoreError>(true)
        })
    }
}

/// A plan whose next snapshot is due at `next`.
fn due(plan: &BackupRecord, next: Timestamp) -> BackupRecord {
    let (plan, next) = (plan.clone(), stored(next));
    let late_at = Some(next + plan.backups.plan.grace());
    BackupRecord { backups: Backups { due_at: next, ..plan.backups }, late_at, ..plan }
}
