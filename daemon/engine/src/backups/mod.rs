//! Keeps tenants' backup plans: begins the snapshots and the drills that are due, notes those that could not begin in time, and
//! has those snapshots removed that a plan does not keep.
//!
//! What is due stands in the plans' rows, and whoever begins it moves the row on in the same transaction: daemons share the
//! work, nothing is begun twice, and a restart changes nothing. Of what was due while no daemon was there, one is begun. Every
//! tenant is looked at by itself, so that the failure of one keeps no other from its turn.

mod drills;

use std::time::Duration;

use berth_domain::condition::minute;
use berth_domain::event::NewEvent;
use berth_domain::operation::OperationError;
use berth_domain::{EventKind, Operation, OperationKind, OperationStatus, TenantName, Timestamp};
use berth_store::{BackupRecord, StoreError, TenantRecord};
use chrono::{SubsecRound as _, TimeDelta};

use crate::Engine;
use crate::engine::accepted;
use crate::error::BACKUP_MISSED;

/// How many plans are read at once.
const BATCH: u32 = 100;

/// How long after a look it is looked again which snapshots may go, although no snapshot was made since.
const DAILY: TimeDelta = TimeDelta::hours(24);

/// Who asks for what a plan wants.
const BY: &str = "backup plan";

/// How plans are kept.
#[derive(Debug, Clone)]
pub struct BackupOptions {
    /// How often it is looked what is due.
    pub every: Duration,
}

impl Default for BackupOptions {
    fn default() -> Self {
        Self { every: Duration::from_secs(5) }
    }
}

/// Keeps plans until the engine stops.
pub(crate) async fn keep_all(engine: Engine) {
    let stopping = engine.shared.stopping.clone();
    let pause = engine.shared.options.backups.every;
    loop {
        let looking = async {
            if let Err(error) = engine.begin_what_is_due().await {
                tracing::warn!(%error, "cannot tell which snapshots are due");
            }
            if let Err(error) = engine.begin_due_drills().await {
                tracing::warn!(%error, "cannot tell which drills are due");
            }
            if let Err(error) = engine.tidy_up().await {
                tracing::warn!(%error, "cannot tell which snapshots may go");
            }
            tokio::time::sleep(pause).await;
        };
        if stopping.run_until_cancelled(looking).await.is_none() {
            return;
        }
    }
}

impl Engine {
    async fn begin_what_is_due(&self) -> Result<(), StoreError> {
        let now = self.shared.clock.now().trunc_subsecs(3);
        for plan in self.shared.records.due_backups(now, BATCH).await? {
            if let Err(error) = self.begin_due(&plan, now).await {
                tracing::warn!(tenant = %plan.tenant, %error, "cannot begin the snapshot that is due");
            }
        }
        Ok(())
    }

    async fn begin_due(&self, plan: &BackupRecord, now: Timestamp) -> Result<(), StoreError> {
        let records = &self.shared.records;
        let (tenant, schedule) = (records.tenant(&plan.tenant).await?, &plan.backups.plan.schedule);
        let next = schedule.due_after(&plan.tenant, now);
        if tenant.backups_rest().is_some() {
            return records.skip_backup(plan, next).await.map(drop);
        }
        if plan.late_at.is_some_and(|late| late <= now) {
            return self.note_missed(plan, &tenant, now).await;
        }
        let due = schedule
            .latest(&plan.tenant, now)
            .map_or(plan.backups.due_at, |due| due.max(plan.backups.due_at));
        let operation = Operation { due_at: Some(due), ..wanted(&tenant, OperationKind::Snapshot, now) };
        match records.start_backup(plan, &operation, accepted(&operation), next).await {
            Ok(true) => self.shared.queued.notify_one(),
            // Another daemon was faster, or something else works on the tenant by now: it waits.
            Ok(false) | Err(StoreError::OperationRunning { .. }) => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// Notes that a snapshot could not begin in time. It is begun nevertheless, once it can be.
    async fn note_missed(
        &self,
        plan: &BackupRecord,
        tenant: &TenantRecord,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let records = &self.shared.records;
        let since = minute(plan.backups.due_at);
        let why = match records.unfinished_operation(&plan.tenant).await? {
            Some(id) => format!("the operation {id} works on the tenant"),
            None => "no daemon was there to begin it".into(),
        };
        let message = format!("the snapshot that was due at {since} could not begin in time: {why}");
        tracing::warn!(tenant = %plan.tenant, "{message}");
        let wanted = wanted(tenant, OperationKind::Snapshot, now);
        let wanted = Operation { due_at: Some(plan.backups.due_at), ..wanted };
        let (operation, events) = missed(wanted, BACKUP_MISSED, message, now);
        records.miss_backup(plan, &operation, events).await.map(drop)
    }

    async fn tidy_up(&self) -> Result<(), StoreError> {
        let now = self.shared.clock.now().trunc_subsecs(3);
        for plan in self.shared.records.due_prunings(now, BATCH).await? {
            if let Err(error) = self.tidy_up_after(&plan, now).await {
                tracing::warn!(tenant = %plan.tenant, %error, "cannot tell which snapshots may go");
            }
        }
        Ok(())
    }

    async fn tidy_up_after(&self, plan: &BackupRecord, now: Timestamp) -> Result<(), StoreError> {
        let records = &self.shared.records;
        let tenant = records.tenant(&plan.tenant).await?;
        let needed = tenant.backups_rest().is_none() && self.may_forget(plan).await?;
        let operation = needed.then(|| wanted(&tenant, OperationKind::Prune, now));
        let begun = operation.map(|operation| (operation.clone(), accepted(&operation)));
        match records.start_pruning(plan, now + DAILY, begun).await {
            Ok(true) if needed => self.shared.queued.notify_one(),
            Ok(_) | Err(StoreError::OperationRunning { .. }) => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// Whether there are snapshots that the plan lets go, or whose removal was begun and did not come to its end.
    async fn may_forget(&self, plan: &BackupRecord) -> Result<bool, StoreError> {
        let records = &self.shared.records;
        let Some(vault) = records.vault(&plan.tenant).await? else { return Ok(false) };
        let known = records.snapshots_in(vault.id).await?;
        Ok(known.iter().any(|snapshot| snapshot.forgetting) || !plan.backups.plan.lets_go(&known).is_empty())
    }
}

/// What a plan asks for.
fn wanted(tenant: &TenantRecord, kind: OperationKind, now: Timestamp) -> Operation {
    let (name, machine): (TenantName, _) = (tenant.spec.name.clone(), tenant.spec.machine.clone());
    Operation::queued(name, machine, kind, false, BY.into(), now)
}

/// An operation that failed before it began, and all its events.
fn missed(wanted: Operation, code: &str, message: String, now: Timestamp) -> (Operation, Vec<NewEvent>) {
    let error = OperationError {
        code: code.into(),
        message: message.clone(),
        step: None,
        derivation: None,
        log: Vec::new(),
        retryable: true,
    };
    let operation = Operation {
        status: OperationStatus::Failed,
        error: Some(error.clone()),
        finished_at: Some(now),
        snapshot: None,
        ..wanted
    };
    let mut finished = NewEvent::new(now, EventKind::Finished, message);
    finished.status = Some(OperationStatus::Failed);
    finished.error = Some(error);
    let events = vec![accepted(&operation), finished];
    (operation, events)
}
