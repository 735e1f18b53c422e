//! Drills: what each found, and the machines that are lent for them.
//!
//! A machine is lent from the moment that a drill is written down until it is known that nothing of it is left there. In
//! between it is nobody else's: neither a tenant nor another drill gets it. What a drill left behind, as its machine could not be
//! reached any more, goes with the next drill there.

use berth_domain::event::NewEvent;
use berth_domain::{
    Backups, Drill, DrillOutcome, Operation, OperationId, OperationKind, OperationStatus, Snapshot,
    TenantName, Timestamp,
};
use diesel::dsl::{exists, not};
use diesel::prelude::*;
use diesel_async::RunQueryDsl;

use crate::backups::{BackupRecord, Notes as _, Plans as _, Row as Plan};
use crate::columns::{from_json, json, maybe_parse, millis, parse, stored};
use crate::dialect::Dialect as _;
use crate::error::StoreError;
use crate::idempotency::{IdempotencyRecord, Keys as _};
use crate::leases::{Guard as _, Hold};
use crate::news::News;
use crate::operations::{Operations as _, UNFINISHED, accepted};
use crate::page::{Page, key, rows_for};
use crate::pool::Store;
use crate::run::{for_both, read, transact};
use crate::schema::{backup_plans, drills, machines, operations, tenants};
use crate::tenants::Tenants as _;

/// A drill, and what is known of its machine.
#[derive(Debug, Clone, PartialEq)]
pub struct DrillRecord {
    /// What it found so far.
    pub drill: Drill,
    /// Whether an earlier drill may have left something on the machine, which is to go first.
    pub cleans: bool,
}

/// Drills within a transaction.
pub(crate) trait Lent {
    /// For whose drill a machine is lent.
    async fn lent_to(&mut self, machine: &str) -> Result<Option<TenantName>, StoreError>;

    /// The same, and whether that drill has not ended.
    async fn lent(&mut self, machine: &str) -> Result<Option<(TenantName, bool)>, StoreError>;

    /// A machine is lent to nobody any more.
    async fn give_back(&mut self, machine: &str) -> Result<(), StoreError>;

    /// The newest drill of a tenant that passed.
    async fn last_passed(&mut self, tenant: &str) -> Result<Option<Drill>, StoreError>;

    /// Forgets the drills of a tenant that leaves, but those that go on.
    async fn forget_drills(&mut self, tenant: &str) -> Result<(), StoreError>;

    /// Notes how a drill ended, if that is what the operation is.
    async fn note_drill(&mut self, operation: &Operation) -> Result<(), StoreError>;

    /// Writes a drill down, and lends it its machine.
    async fn lend(&mut self, operation: &Operation, drill: &Drill) -> Result<(), StoreError>;
}

for_both! {
    impl Lent {
        async fn lent_to(&mut self, machine: &str) -> Result<Option<TenantName>, StoreError> {
            Ok(self.lent(machine).await?.map(|(tenant, _)| tenant))
        }

        async fn lent(&mut self, machine: &str) -> Result<Option<(TenantName, bool)>, StoreError> {
            let lent = drills::table.filter(drills::machine.eq(machine)).filter(drills::lent.eq(true));
            let lent: Option<(String, String)> =
                lent.select((drills::operation, drills::tenant)).first(self).await.optional()?;
            let Some((operation, tenant)) = lent else { return Ok(None) };
            let unfinished = operations::table.find(operation).filter(operations::status.eq_any(UNFINISHED));
            let goes_on = unfinished.count().get_result::<i64>(self).await? > 0;
            Ok(Some((parse("drills.tenant", &tenant)?, goes_on)))
        }

        async fn give_back(&mut self, machine: &str) -> Result<(), StoreError> {
            let lent = drills::table.filter(drills::machine.eq(machine)).filter(drills::lent.eq(true));
            diesel::update(lent).set(drills::lent.eq(false)).execute(self).await?;
            Ok(())
        }

        async fn last_passed(&mut self, tenant: &str) -> Result<Option<Drill>, StoreError> {
            let own = drills::table.filter(drills::tenant.eq(tenant)).order(drills::operation.desc());
            let bodies: Vec<String> = own.select(drills::body).load(self).await?;
            for body in bodies {
                let drill: Drill = from_json("drills.body", &body)?;
                if drill.outcome == DrillOutcome::Passed {
                    return Ok(Some(drill));
                }
            }
            Ok(None)
        }

        async fn forget_drills(&mut self, tenant: &str) -> Result<(), StoreError> {
            let own = drills::table.filter(drills::tenant.eq(tenant)).filter(drills::lent.eq(false));
            diesel::delete(own).execute(self).await?;
            Ok(())
        }

        async fn note_drill(&mut self, operation: &Operation) -> Result<(), StoreError> {
            if operation.kind != OperationKind::Drill {
                return Ok(());
            }
            let id = operation.id.to_string();
            let row = drills::table.find(&id);
            let Some(body) = row.select(drills::body).get_result::<String>(self).await.optional()? else { return Ok(()) };
            let drill = from_json::<Drill>("drills.body", &body)?.ended_with(operation);
            diesel::update(row).set(drills::body.eq(json("drills.body", &drill)?)).execute(self).await?;
            if operation.status == OperationStatus::Succeeded {
                self.note_passed(&drill).await?;
            }
            Ok(())
        }

        async fn lend(&mut self, operation: &Operation, drill: &Drill) -> Result<(), StoreError> {
            let machine = operation.machine.as_str();
            self.lock_machine(machine).await?;
            let held = machines::table.find(machine).select(machines::holds_data_of);
            let Some(holds) = held.get_result::<Option<String>>(self).await.optional()? else {
                return Err(StoreError::NoSuchMachine { machine: operation.machine.clone() });
            };
            if let Some(of) = maybe_parse("machines.holds_data_of", holds.as_deref())? {
                return Err(StoreError::MachineHoldsData { machine: operation.machine.clone(), of });
            }
            let on_it = tenants::table.filter(tenants::machine.eq(machine)).select(tenants::name);
            if let Some(tenant) = on_it.first::<String>(self).await.optional()? {
                let tenant = parse("tenants.name", &tenant)?;
                return Err(StoreError::MachineTaken { machine: operation.machine.clone(), tenant });
            }
            let left = self.lent(machine).await?;
            if let Some((tenant, true)) = left {
                return Err(StoreError::MachineLent { machine: operation.machine.clone(), tenant });
            }
            self.give_back(machine).await?;
            let row = (
                drills::operation.eq(operation.id.to_string()),
                drills::tenant.eq(operation.tenant.as_str()),
                drills::machine.eq(machine),
                drills::lent.eq(true),
                drills::cleans.eq(left.is_some()),
                drills::body.eq(json("drills.body", drill)?),
            );
            diesel::insert_into(drills::table).values(row).execute(self).await?;
            Ok(())
        }
    }
}

impl Store {
    /// Writes a drill of a snapshot down with its first event, and lends it its machine. Other operations on the tenant go on
    /// beside it.
    ///
    /// # Errors
    /// [`StoreError::NotFound`], [`StoreError::NotDeployed`]; [`StoreError::OperationRunning`] while another drill of the tenant
    /// goes on; [`StoreError::NoSuchMachine`], [`StoreError::MachineTaken`], [`StoreError::MachineLent`],
    /// [`StoreError::MachineHoldsData`]; [`StoreError::IdempotencyReplay`]
    pub async fn create_drill(
        &self,
        operation: &Operation,
        snapshot: &Snapshot,
        first: NewEvent,
        once: Option<&IdempotencyRecord>,
    ) -> Result<(), StoreError> {
        let ((operation, first), once) = (accepted(operation, first), once.cloned());
        let drill = Drill::of(&operation, snapshot);
        transact!(self, conn => {
            conn.keep_reply(once.as_ref()).await?;
            conn.begin_drill(&operation, &first, &drill).await
        })
    }

    /// A drill.
    ///
    /// # Errors
    /// [`StoreError::NotFound`]
    pub async fn drill(&self, id: OperationId) -> Result<DrillRecord, StoreError> {
        let text = id.to_string();
        let found: Option<(String, bool)> = read!(self, conn => {
            let row = drills::table.find(&text).select((drills::body, drills::cleans));
            Ok::<_, StoreError>(row.get_result(conn).await.optional()?)
        })?;
        let (body, cleans) = found.ok_or_else(|| StoreError::not_found("drill", id))?;
        Ok(DrillRecord { drill: from_json("drills.body", &body)?, cleans })
    }

    /// The drills of a tenant, newest first.
    ///
    /// # Errors
    /// [`StoreError::NotFound`], [`StoreError::InvalidCursor`]
    pub async fn list_drills(
        &self,
        tenant: &TenantName,
        after: Option<&str>,
        limit: u32,
    ) -> Result<Page<Drill>, StoreError> {
        self.tenant(tenant).await?;
        let (name, before) = (tenant.to_string(), key(after)?);
        let rows: Vec<(String, String)> = read!(self, conn => {
            let own = drills::table.filter(drills::tenant.eq(&name)).into_boxed();
            let own = if before.is_empty() { own } else { own.filter(drills::operation.lt(&before)) };
            let wanted = own.order(drills::operation.desc()).limit(rows_for(limit));
            Ok::<_, StoreError>(wanted.select((drills::operation, drills::body)).load(conn).await?)
        })?;
        Page::of(rows, limit, |row| row.0.clone(), |row| from_json("drills.body", &row.1))
    }

    /// Writes what a drill found so far. `emptied` in it says that its machine is free again.
    ///
    /// # Errors
    /// [`StoreError::LeaseLost`]
    pub async fn keep_drill(&self, hold: Hold, drill: &Drill) -> Result<(), StoreError> {
        let (id, body) = (drill.id.to_string(), json("drills.body", drill)?);
        let (emptied, tenant) = (drill.emptied, drill.tenant.to_string());
        transact!(self, conn => {
            conn.hold(hold).await?;
            let row = diesel::update(drills::table.find(&id));
            row.set((drills::body.eq(&body), drills::lent.eq(!emptied))).execute(conn).await?;
            let stays = tenants::table.find(&tenant).count().get_result::<i64>(conn).await? > 0;
            if emptied && !stays {
                conn.forget_drills(&tenant).await?;
            }
            Ok::<_, StoreError>(())
        })
    }

    /// The newest whole snapshot of a tenant that is not being removed.
    ///
    /// # Errors
    /// [`StoreError::NoSnapshot`]
    pub async fn newest_whole_snapshot(&self, tenant: &TenantName) -> Result<Snapshot, StoreError> {
        let (name, none) = (tenant.to_string(), StoreError::NoSnapshot { tenant: tenant.clone() });
        let last = read!(self, conn => conn.last_whole(&name).await)?.ok_or(none)?;
        Ok(self.snapshot(last.snapshot).await?.0)
    }

    /// The plans whose drill is due and can begin, or has waited too long without that having been noted; those first that wait
    /// longest.
    ///
    /// # Errors
    /// [`StoreError::Database`]
    pub async fn due_drills(&self, now: Timestamp, limit: u32) -> Result<Vec<BackupRecord>, StoreError> {
        let now = millis(now);
        let rows: Vec<Plan> = read!(self, conn => {
            let works = operations::table.filter(operations::tenant.eq(backup_plans::tenant));
            let works = works.filter(operations::status.eq_any(UNFINISHED));
            let works = works.filter(operations::kind.eq(OperationKind::Drill.word()));
            let due = backup_plans::table.filter(backup_plans::drill_due_at.le(now));
            let due = due.filter(not(exists(works)).nullable().or(backup_plans::drill_late_at.le(now)));
            let due = due.order((backup_plans::drill_due_at, backup_plans::tenant)).limit(i64::from(limit));
            Ok::<_, StoreError>(due.select(Plan::as_select()).load(conn).await?)
        })?;
        rows.into_iter().map(BackupRecord::try_from).collect()
    }

    /// Begins the drill that is due: writes it down, and when the next one is due. False if somebody else was faster.
    ///
    /// # Errors
    /// As [`Store::create_drill`].
    pub async fn start_drill(
        &self,
        plan: &BackupRecord,
        operation: &Operation,
        snapshot: &Snapshot,
        first: NewEvent,
        next: Timestamp,
    ) -> Result<bool, StoreError> {
        let (plan, (operation, first)) = (plan.clone(), accepted(operation, first));
        let (later, drill) = (due(&plan, next), Drill::of(&operation, snapshot));
        transact!(self, conn => {
            conn.lock_tenant(plan.tenant.as_str()).await?;
            if !conn.replace(&plan, &later).await? {
                return Ok(false);
            }
            conn.begin_drill(&operation, &first, &drill).await?;
            Ok::<_, StoreError>(true)
        })
    }

    /// Lets a time go by at which none is made. False if somebody else was faster.
    ///
    /// # Errors
    /// [`StoreError::Database`]
    pub async fn skip_drill(&self, plan: &BackupRecord, next: Timestamp) -> Result<bool, StoreError> {
        let (plan, later) = (plan.clone(), due(plan, next));
        transact!(self, conn => {
            conn.lock_tenant(plan.tenant.as_str()).await?;
            conn.replace(&plan, &later).await
        })
    }

    /// The unfinished drill of a tenant.
    ///
    /// # Errors
    /// [`StoreError::Database`]
    pub async fn unfinished_drill(&self, tenant: &TenantName) -> Result<Option<OperationId>, StoreError> {
        let tenant = tenant.to_string();
        read!(self, conn => conn.unfinished_drill_of(&tenant).await)
    }
}

/// Beginning a drill, within a transaction.
trait Begin {
    async fn unfinished_drill_of(&mut self, tenant: &str) -> Result<Option<OperationId>, StoreError>;

    async fn begin_drill(
        &mut self,
        operation: &Operation,
        first: &berth_domain::Event,
        drill: &Drill,
    ) -> Result<(), StoreError>;
}

for_both! {
    impl Begin {
        async fn unfinished_drill_of(&mut self, tenant: &str) -> Result<Option<OperationId>, StoreError> {
            let own = operations::table.filter(operations::tenant.eq(tenant));
            let own = own.filter(operations::kind.eq(OperationKind::Drill.word()));
            let own = own.filter(operations::status.eq_any(UNFINISHED)).select(operations::id);
            maybe_parse("operations.id", own.first::<String>(self).await.optional()?.as_deref())
        }

        async fn begin_drill(
            &mut self,
            operation: &Operation,
            first: &berth_domain::Event,
            drill: &Drill,
        ) -> Result<(), StoreError> {
            let tenant = operation.tenant.as_str();
            self.locked(&operation.tenant).await?;
            let deployed = tenants::table.find(tenant).select(tenants::deployed_revision);
            if deployed.get_result::<Option<String>>(self).await?.is_none() {
                return Err(StoreError::NotDeployed { tenant: operation.tenant.clone() });
            }
            if let Some(operation) = self.unfinished_drill_of(tenant).await? {
                return Err(StoreError::OperationRunning { operation });
            }
            self.lend(operation, drill).await?;
            self.insert_with(operation, std::slice::from_ref(first)).await?;
            Ok(self.tell(&News::Queued).await?)
        }
    }
}

/// A plan whose next drill is due at `next`.
fn due(plan: &BackupRecord, next: Timestamp) -> BackupRecord {
    let (plan, next) = (plan.clone(), stored(next));
    let grace = plan.backups.plan.drill.as_ref().map(berth_domain::DrillPlan::grace);
    let drill_late_at = grace.map(|grace| next + grace);
    BackupRecord { backups: Backups { drill_due_at: Some(next), ..plan.backups }, drill_late_at, ..plan }
}
