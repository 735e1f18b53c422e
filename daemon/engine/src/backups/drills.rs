//! Drills that are due: begun where their machine is free, noted where they could not begin in time.

use berth_domain::condition::minute;
use berth_domain::{DrillPlan, Operation, OperationKind, Timestamp};
use berth_store::{BackupRecord, StoreError, TenantRecord};
use chrono::SubsecRound as _;

use super::{BATCH, missed, wanted};
use crate::Engine;
use crate::engine::accepted;
use crate::error::DRILL_MISSED;

impl Engine {
    pub(super) async fn begin_due_drills(&self) -> Result<(), StoreError> {
        let now = self.shared.clock.now().trunc_subsecs(3);
        for plan in self.shared.records.due_drills(now, BATCH).await? {
            if let Err(error) = self.begin_due_drill(&plan, now).await {
                tracing::warn!(tenant = %plan.tenant, %error, "cannot begin the drill that is due");
            }
        }
        Ok(())
    }

    async fn begin_due_drill(&self, plan: &BackupRecord, now: Timestamp) -> Result<(), StoreError> {
        let records = &self.shared.records;
        let (Some(drill), Some(due)) = (&plan.backups.plan.drill, plan.backups.drill_due_at) else {
            return Ok(());
        };
        let tenant = records.tenant(&plan.tenant).await?;
        let next = drill.schedule.due_after(&plan.tenant, now);
        if tenant.backups_rest().is_some() {
            return records.skip_drill(plan, next).await.map(drop);
        }
        let latest = drill.schedule.latest(&plan.tenant, now).map_or(due, |latest| latest.max(due));
        let why = match self.try_to_begin(plan, drill, &tenant, latest, next, now).await {
            Ok(()) => return Ok(()),
            Err(error) => match reason(&error) {
                Some(why) => why,
                None => return Err(error),
            },
        };
        // It waits, and that is noted once. It is begun nevertheless, when it can be.
        if plan.drill_late_at.is_none_or(|late| late > now) {
            return Ok(());
        }
        let message = format!("the drill that was due at {} could not begin in time: {why}", minute(due));
        tracing::warn!(tenant = %plan.tenant, "{message}");
        let operation = Operation { due_at: Some(due), ..on(drill, &tenant, now) };
        let (operation, events) = missed(operation, DRILL_MISSED, message, now);
        records.miss_backup(plan, &operation, events).await.map(drop)
    }

    async fn try_to_begin(
        &self,
        plan: &BackupRecord,
        drill: &DrillPlan,
        tenant: &TenantRecord,
        due: Timestamp,
        next: Timestamp,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let records = &self.shared.records;
        if let Some(operation) = records.unfinished_drill(&plan.tenant).await? {
            return Err(StoreError::OperationRunning { operation });
        }
        let snapshot = records.newest_whole_snapshot(&plan.tenant).await?;
        let operation =
            Operation { due_at: Some(due), snapshot: Some(snapshot.id), ..on(drill, tenant, now) };
        if records.start_drill(plan, &operation, &snapshot, accepted(&operation), next).await? {
            self.shared.queued.notify_one();
        }
        Ok(())
    }
}

/// A drill on the plan's machine.
fn on(drill: &DrillPlan, tenant: &TenantRecord, now: Timestamp) -> Operation {
    Operation { machine: drill.machine.clone(), ..wanted(tenant, OperationKind::Drill, now) }
}

/// Why a drill has to wait, if it has to.
fn reason(error: &StoreError) -> Option<String> {
    let waits = matches!(
        error,
        StoreError::OperationRunning { .. }
            | StoreError::NoSnapshot { .. }
            | StoreError::MachineLent { .. }
            | StoreError::MachineTaken { .. }
            | StoreError::MachineHoldsData { .. }
            | StoreError::NoSuchMachine { .. }
    );
    waits.then(|| error.to_string())
}
