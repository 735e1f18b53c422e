//! Tenants' backup plans: what is due, what was missed, what failed.
//!
//! When a tenant's next snapshot is due stands in its plan's row. Whoever takes it writes the next time in the same
//! transaction that writes the operation down, and only if the row still is as it was read: daemons share the work, and of
//! several that see the same one is first. How operations end is noted in the transaction that ends them, so that nobody can
//! see the one without the other.

mod due;

pub use due::BackupTroubles;

use berth_domain::{
    BackupFailure, BackupPlan, Backups, Drill, LastWhole, Operation, OperationKind, OperationStatus,
    Snapshot, TenantName, Timestamp,
};
use chrono::TimeDelta;
use diesel::prelude::*;
use diesel_async::RunQueryDsl;

use crate::columns::{from_json, json, maybe_time, millis, parse, stored, time};
use crate::dialect::Dialect as _;
use crate::drills::Lent as _;
use crate::error::StoreError;
use crate::pool::Store;
use crate::run::{for_both, look_up, read, transact};
use crate::schema::{backup_plans, snapshots, vaults};
use crate::tenants::Tenants as _;

/// The code of an operation that failed as snapshots were being read: that passes, and is nothing to be told of.
pub const VAULT_BUSY: &str = "vault-busy";

/// How long after a failed try snapshots are tried to be forgotten again.
const AGAIN: TimeDelta = TimeDelta::hours(1);

/// A tenant's backup plan.
#[derive(Debug, Clone, PartialEq)]
pub struct BackupRecord {
    /// The tenant.
    pub tenant: TenantName,
    /// The plan, and how the tenant's backups stand.
    pub backups: Backups,
    /// Counts the plan's changes, from 1.
    pub version: i64,
    /// When what is due counts as missed; nothing once that was noted.
    pub late_at: Option<Timestamp>,
    /// When a drill that is due counts as missed; nothing once that was noted, and where the plan has none.
    pub drill_late_at: Option<Timestamp>,
    /// When it is looked again which snapshots may go; nothing where all are kept.
    pub tidy_at: Option<Timestamp>,
    /// When the plan was made.
    pub created_at: Timestamp,
    /// When it was changed last.
    pub updated_at: Timestamp,
}

/// When a plan's next snapshot, and its next drill, are due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NextDue {
    /// The snapshot.
    pub snapshot: Timestamp,
    /// The drill; nothing where the plan has none.
    pub drill: Option<Timestamp>,
}

impl NextDue {
    /// What is due next of a plan after `now`.
    pub fn after(plan: &BackupPlan, tenant: &TenantName, now: Timestamp) -> Self {
        let drill = plan.drill.as_ref().map(|drill| drill.schedule.due_after(tenant, now));
        Self { snapshot: plan.schedule.due_after(tenant, now), drill }
    }
}

fn drill_late_at(plan: &BackupPlan, due_at: Option<Timestamp>) -> Option<Timestamp> {
    plan.drill.as_ref().zip(due_at).map(|(drill, due)| due + drill.grace())
}

#[derive(Queryable, Selectable, Insertable)]
#[diesel(table_name = backup_plans)]
pub(crate) struct Row {
    tenant: String,
    plan: String,
    version: i64,
    due_at: i64,
    late_at: Option<i64>,
    tidy_at: Option<i64>,
    last_whole: Option<String>,
    failure: Option<String>,
    prune_failure: Option<String>,
    created_at: i64,
    updated_at: i64,
    drill_due_at: Option<i64>,
    drill_late_at: Option<i64>,
    last_drill: Option<String>,
    drill_failure: Option<String>,
}

/// When what is due of a plan, and when that counts as missed: the snapshot and the drill.
type Times = (i64, Option<i64>, Option<i64>, Option<i64>);

/// What of a plan is changed by whoever has read it; what operations note meanwhile stays.
#[derive(AsChangeset)]
#[diesel(table_name = backup_plans, treat_none_as_null = true)]
struct Planned<'a> {
    plan: &'a str,
    version: i64,
    due_at: i64,
    late_at: Option<i64>,
    updated_at: i64,
    drill_due_at: Option<i64>,
    drill_late_at: Option<i64>,
}

impl Row {
    fn planned(&self) -> Planned<'_> {
        let Self { plan, version, due_at, late_at, updated_at, drill_due_at, drill_late_at, .. } = self;
        let (version, due_at, late_at, updated_at) = (*version, *due_at, *late_at, *updated_at);
        let (drill_due_at, drill_late_at) = (*drill_due_at, *drill_late_at);
        Planned { plan, version, due_at, late_at, updated_at, drill_due_at, drill_late_at }
    }

    fn of(record: &BackupRecord) -> Result<Self, StoreError> {
        let BackupRecord { tenant, backups, version, late_at, drill_late_at, tidy_at, .. } = record;
        let (created_at, updated_at) = (record.created_at, record.updated_at);
        let failure = |column, failure: &Option<BackupFailure>| {
            failure.as_ref().map(|failure| json(column, failure)).transpose()
        };
        Ok(Self {
            tenant: tenant.to_string(),
            plan: json("backup_plans.plan", &backups.plan)?,
            version: *version,
            due_at: millis(backups.due_at),
            late_at: late_at.map(millis),
            tidy_at: tidy_at.map(millis),
            last_whole: backups.last_whole.map(|last| json("backup_plans.last_whole", &last)).transpose()?,
            failure: failure("backup_plans.failure", &backups.failure)?,
            prune_failure: failure("backup_plans.prune_failure", &backups.prune_failure)?,
            created_at: millis(created_at),
            updated_at: millis(updated_at),
            drill_due_at: backups.drill_due_at.map(millis),
            drill_late_at: drill_late_at.map(millis),
            last_drill: last_drill(backups.last_drill.as_ref())?,
            drill_failure: failure("backup_plans.drill_failure", &backups.drill_failure)?,
        })
    }
}

impl TryFrom<Row> for BackupRecord {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self, StoreError> {
        let failure = |column, text: Option<String>| text.map(|text| from_json(column, &text)).transpose();
        let drill = row.last_drill.map(|text| from_json("backup_plans.last_drill", &text)).transpose()?;
        let last = row.last_whole.map(|text| from_json("backup_plans.last_whole", &text)).transpose()?;
        Ok(Self {
            tenant: parse("backup_plans.tenant", &row.tenant)?,
            backups: Backups {
                plan: from_json("backup_plans.plan", &row.plan)?,
                due_at: time("backup_plans.due_at", row.due_at)?,
                last_whole: last,
                failure: failure("backup_plans.failure", row.failure)?,
                prune_failure: failure("backup_plans.prune_failure", row.prune_failure)?,
                drill_due_at: maybe_time("backup_plans.drill_due_at", row.drill_due_at)?,
                last_drill: drill,
                drill_failure: failure("backup_plans.drill_failure", row.drill_failure)?,
            },
            version: row.version,
            late_at: maybe_time("backup_plans.late_at", row.late_at)?,
            drill_late_at: maybe_time("backup_plans.drill_late_at", row.drill_late_at)?,
            tidy_at: maybe_time("backup_plans.tidy_at", row.tidy_at)?,
            created_at: time("backup_plans.created_at", row.created_at)?,
            updated_at: time("backup_plans.updated_at", row.updated_at)?,
        })
    }
}

fn last_drill(drill: Option<&Drill>) -> Result<Option<String>, StoreError> {
    drill.map(|drill| json("backup_plans.last_drill", drill)).transpose()
}

/// Plans within a transaction.
pub(crate) trait Plans {
    /// A tenant's plan.
    async fn plan_of(&mut self, tenant: &str) -> Result<Option<BackupRecord>, StoreError>;

    /// The newest whole snapshot in a tenant's vault.
    async fn last_whole(&mut self, tenant: &str) -> Result<Option<LastWhole>, StoreError>;

    /// Replaces a plan by `new` if it still is `old`; false if not.
    async fn replace(&mut self, old: &BackupRecord, new: &BackupRecord) -> Result<bool, StoreError>;
}

/// What of operations concerns plans, within the transaction that writes it.
pub(crate) trait Notes {
    /// A whole snapshot was written down.
    async fn note_whole(&mut self, snapshot: &Snapshot) -> Result<(), StoreError>;

    /// A drill has passed.
    async fn note_passed(&mut self, drill: &Drill) -> Result<(), StoreError>;

    /// An operation has ended.
    async fn note_end(&mut self, operation: &Operation) -> Result<(), StoreError>;
}

for_both! {
    impl Plans {
        async fn plan_of(&mut self, tenant: &str) -> Result<Option<BackupRecord>, StoreError> {
            let row = backup_plans::table.find(tenant).select(Row::as_select());
            row.get_result(self).await.optional()?.map(BackupRecord::try_from).transpose()
        }

        async fn last_whole(&mut self, tenant: &str) -> Result<Option<LastWhole>, StoreError> {
            let own = snapshots::table.inner_join(vaults::table).filter(vaults::tenant.eq(tenant));
            let own = own.filter(snapshots::forgetting.is_null()).order(snapshots::id.desc());
            let bodies: Vec<String> = own.select(snapshots::body).load(self).await?;
            for body in bodies {
                let snapshot: Snapshot = from_json("snapshots.body", &body)?;
                if snapshot.whole {
                    return Ok(Some(LastWhole { snapshot: snapshot.id, at: snapshot.created_at }));
                }
            }
            Ok(None)
        }

        async fn replace(&mut self, old: &BackupRecord, new: &BackupRecord) -> Result<bool, StoreError> {
            let (old, new) = (Row::of(old)?, Row::of(new)?);
            let same = backup_plans::table.find(&old.tenant).filter(backup_plans::version.eq(old.version));
            let found = same.select((
                backup_plans::due_at,
                backup_plans::late_at,
                backup_plans::drill_due_at,
                backup_plans::drill_late_at,
            ));
            // The tenant's row is locked, and with it its plan.
            let found: Option<Times> = found.first(self).await.optional()?;
            if found != Some((old.due_at, old.late_at, old.drill_due_at, old.drill_late_at)) {
                return Ok(false);
            }
            let row = diesel::update(backup_plans::table.find(&old.tenant));
            Ok(row.set(new.planned()).execute(self).await? > 0)
        }
    }
}

for_both! {
    impl Notes {
        async fn note_whole(&mut self, snapshot: &Snapshot) -> Result<(), StoreError> {
            let last = LastWhole { snapshot: snapshot.id, at: snapshot.created_at };
            let plan = backup_plans::table.find(snapshot.tenant.as_str());
            let columns = (
                backup_plans::last_whole.eq(json("backup_plans.last_whole", &last)?),
                backup_plans::failure.eq(None::<String>),
            );
            diesel::update(plan).set(columns).execute(self).await?;
            let tidies = plan.filter(backup_plans::tidy_at.is_not_null());
            let now = backup_plans::tidy_at.eq(millis(snapshot.finished_at));
            diesel::update(tidies).set(now).execute(self).await?;
            Ok(())
        }

        async fn note_passed(&mut self, drill: &Drill) -> Result<(), StoreError> {
            let columns = (
                backup_plans::last_drill.eq(last_drill(Some(drill))?),
                backup_plans::drill_failure.eq(None::<String>),
            );
            diesel::update(backup_plans::table.find(drill.tenant.as_str())).set(columns).execute(self).await?;
            Ok(())
        }

        async fn note_end(&mut self, operation: &Operation) -> Result<(), StoreError> {
            let plan = backup_plans::table.find(operation.tenant.as_str());
            let failure = BackupFailure::of(operation);
            let text = failure.as_ref().map(|failure| json("backup_plans.failure", failure)).transpose()?;
            match (operation.kind, failure) {
                (OperationKind::Snapshot, Some(_)) => {
                    diesel::update(plan).set(backup_plans::failure.eq(&text)).execute(self).await?;
                }
                (OperationKind::Prune, Some(failure)) => {
                    if failure.code != VAULT_BUSY {
                        diesel::update(plan).set(backup_plans::prune_failure.eq(&text)).execute(self).await?;
                    }
                    let tidies = plan.filter(backup_plans::tidy_at.is_not_null());
                    let again = backup_plans::tidy_at.eq(millis(failure.at + AGAIN));
                    diesel::update(tidies).set(again).execute(self).await?;
                }
                (OperationKind::Drill, Some(_)) => {
                    diesel::update(plan).set(backup_plans::drill_failure.eq(&text)).execute(self).await?;
                }
                (OperationKind::Prune, None) if operation.status == OperationStatus::Succeeded => {
                    let none = backup_plans::prune_failure.eq(None::<String>);
                    diesel::update(plan).set(none).execute(self).await?;
                }
                _ => {}
            }
            Ok(())
        }
    }
}

impl Store {
    /// Gives a tenant a plan; `next` says when its first snapshot and its first drill are due.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] where there is no such tenant, [`StoreError::Exists`] where it has a plan.
    pub async fn create_backup_plan(
        &self,
        tenant: &TenantName,
        plan: &BackupPlan,
        next: NextDue,
        now: Timestamp,
    ) -> Result<BackupRecord, StoreError> {
        let (tenant, plan, now) = (tenant.clone(), plan.clone(), stored(now));
        let (due_at, drill_due_at) = (stored(next.snapshot), next.drill.map(stored));
        transact!(self, conn => {
            conn.locked(&tenant).await?;
            if conn.plan_of(tenant.as_str()).await?.is_some() {
                return Err(StoreError::exists("backup plan", &tenant));
            }
            let record = BackupRecord {
                tenant: tenant.clone(),
                late_at: Some(due_at + plan.grace()),
                drill_late_at: drill_late_at(&plan, drill_due_at),
                tidy_at: plan.keep.map(|_| now),
                backups: Backups {
                    plan: plan.clone(),
                    due_at,
                    last_whole: conn.last_whole(tenant.as_str()).await?,
                    failure: None,
                    prune_failure: None,
                    drill_due_at,
                    last_drill: conn.last_passed(tenant.as_str()).await?,
                    drill_failure: None,
                },
                version: 1,
                created_at: now,
                updated_at: now,
            };
            diesel::insert_into(backup_plans::table).values(&Row::of(&record)?).execute(conn).await?;
            Ok(record)
        })
    }

    /// Changes a tenant's plan; `next` says when its next snapshot and its next drill are due.
    ///
    /// # Errors
    /// [`StoreError::NotFound`]; [`StoreError::VersionMismatch`] where it is not the version `expected` any more.
    pub async fn update_backup_plan(
        &self,
        tenant: &TenantName,
        plan: &BackupPlan,
        next: NextDue,
        expected: i64,
        now: Timestamp,
    ) -> Result<BackupRecord, StoreError> {
        let (tenant, plan, now) = (tenant.clone(), plan.clone(), stored(now));
        transact!(self, conn => {
            conn.lock_tenant(tenant.as_str()).await?;
            let old = conn.plan_of(tenant.as_str()).await?;
            let old = old.ok_or_else(|| StoreError::not_found("backup plan", &tenant))?;
            if old.version != expected {
                return Err(StoreError::VersionMismatch { current: old.version });
            }
            let (due_at, drill_due_at) = (stored(next.snapshot), next.drill.map(stored));
            let waits = due_at == old.backups.due_at && old.late_at.is_none();
            let drill_waits = drill_due_at == old.backups.drill_due_at && old.drill_late_at.is_none();
            let new = BackupRecord {
                version: old.version + 1,
                // What was noted as missed is not noted again.
                late_at: (!waits).then(|| due_at + plan.grace()),
                drill_late_at: drill_late_at(&plan, drill_due_at).filter(|_| !drill_waits),
                tidy_at: plan.keep.map(|_| now),
                backups: Backups {
                    plan: plan.clone(),
                    due_at,
                    drill_due_at,
                    // Whoever has no drills misses none.
                    drill_failure: old.backups.drill_failure.filter(|_| plan.drill.is_some()),
                    // Whoever keeps all has nothing to be removed.
                    prune_failure: old.backups.prune_failure.filter(|_| plan.keep.is_some()),
                    ..old.backups
                },
                updated_at: now,
                ..old
            };
            let row = Row::of(&new)?;
            let own = backup_plans::table.find(tenant.as_str());
            let columns = (row.planned(), backup_plans::tidy_at.eq(row.tidy_at));
            diesel::update(own).set(columns).execute(conn).await?;
            if plan.keep.is_none() {
                let none = backup_plans::prune_failure.eq(None::<String>);
                diesel::update(own).set(none).execute(conn).await?;
            }
            if plan.drill.is_none() {
                let none = backup_plans::drill_failure.eq(None::<String>);
                diesel::update(own).set(none).execute(conn).await?;
            }
            Ok(new)
        })
    }

    /// Forgets a tenant's plan; its snapshots stay. `expected` is the version that was looked at.
    ///
    /// # Errors
    /// [`StoreError::NotFound`], [`StoreError::VersionMismatch`]
    pub async fn delete_backup_plan(
        &self,
        tenant: &TenantName,
        expected: Option<i64>,
    ) -> Result<(), StoreError> {
        let tenant = tenant.clone();
        transact!(self, conn => {
            conn.lock_tenant(tenant.as_str()).await?;
            let old = conn.plan_of(tenant.as_str()).await?;
            let current = old.ok_or_else(|| StoreError::not_found("backup plan", &tenant))?.version;
            if expected.is_some_and(|expected| expected != current) {
                return Err(StoreError::VersionMismatch { current });
            }
            diesel::delete(backup_plans::table.find(tenant.as_str())).execute(conn).await?;
            Ok(())
        })
    }

    /// A tenant's plan.
    ///
    /// # Errors
    /// [`StoreError::NotFound`]
    pub async fn backup_plan(&self, tenant: &TenantName) -> Result<BackupRecord, StoreError> {
        let found = self.find_backup_plan(tenant).await?;
        found.ok_or_else(|| StoreError::not_found("backup plan", tenant))
    }

    /// Every look at a tenant asks for its plan.
    async fn find_backup_plan(&self, tenant: &TenantName) -> Result<Option<BackupRecord>, StoreError> {
        let name = tenant.to_string();
        let found: Result<Option<Row>, StoreError> =
            look_up!(self, Row, backup_plans::table.find(&name).select(Row::as_select()));
        found?.map(BackupRecord::try_from).transpose()
    }

    /// The plans of those tenants that have one.
    ///
    /// # Errors
    /// [`StoreError::Database`]
    pub async fn backup_plans(&self, tenants: &[TenantName]) -> Result<Vec<BackupRecord>, StoreError> {
        // A list of names is parsed anew each time, one name is not.
        if let [tenant] = tenants {
            return Ok(self.find_backup_plan(tenant).await?.into_iter().collect());
        }
        let names: Vec<String> = tenants.iter().map(ToString::to_string).collect();
        let rows: Vec<Row> = read!(self, conn => {
            let own = backup_plans::table.filter(backup_plans::tenant.eq_any(&names));
            Ok::<_, StoreError>(own.select(Row::as_select()).load(conn).await?)
        })?;
        rows.into_iter().map(BackupRecord::try_from).collect()
    }
}
