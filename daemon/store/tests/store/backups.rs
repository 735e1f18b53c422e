//! Backup plans, and snapshots that are being removed.

use std::collections::BTreeSet;

use berth_domain::event::NewEvent;
use berth_domain::operation::OperationError;
use berth_domain::{
    BackupDraft, BackupPlan, EventKind, LastWhole, Operation, OperationKind, OperationStatus, SnapshotId,
    TenantSpec, Timestamp,
};
use berth_store::backups::NextDue;
use berth_store::{Store, StoreError};
use chrono::TimeDelta;
use serde_json::json;

use crate::snapshots::{snapshot, vault};
use crate::support::{Holder, begun, busy, claimed, deployment, now, on_both, settled};

on_both!(
    a_plan_is_changed_by_whoever_read_it_last_and_goes_with_its_tenant,
    what_is_due_is_begun_by_one_of_many_and_moves_on_with_it,
    what_is_due_waits_for_the_tenants_other_operation_and_is_missed_once,
    a_failure_is_noted_with_the_operations_end_and_holds_until_a_whole_snapshot,
    what_may_go_is_looked_at_after_a_whole_snapshot_by_one_of_many,
    nothing_is_removed_from_a_vault_while_another_tenant_reads_it,
    what_is_being_removed_is_said_so_until_it_is_gone,
    an_operation_of_a_plan_lets_those_go_first_that_somebody_waits_for,
);

fn plan(keep: bool) -> BackupPlan {
    let keep = if keep { json!({"last": 1}) } else { json!(null) };
    let draft = json!({"schedule": "30 3 * * *", "keep": keep});
    serde_json::from_value::<BackupDraft>(draft).unwrap().try_into().unwrap()
}

fn of_plan(spec: &TenantSpec, kind: OperationKind, due_at: Timestamp) -> Operation {
    let (tenant, machine) = (spec.name.clone(), spec.machine.clone());
    let operation = Operation::queued(tenant, machine, kind, false, "plan".into(), now());
    Operation { due_at: Some(due_at), ..operation }
}

/// A plan's next snapshot, without drills.
fn first_due(snapshot: Timestamp) -> NextDue {
    NextDue { snapshot, drill: None }
}

fn accepted() -> NewEvent {
    NewEvent::new(now(), EventKind::Accepted, "accepted")
}

async fn fail(store: &Store, running: &mut Holder, code: &str) {
    running.status = OperationStatus::Failed;
    running.finished_at = Some(now());
    running.error = Some(OperationError {
        code: code.into(),
        message: "no route to host".into(),
        step: None,
        derivation: None,
        log: Vec::new(),
        retryable: true,
    });
    running.record(store, Vec::new()).await.unwrap();
}

async fn a_plan_is_changed_by_whoever_read_it_last_and_goes_with_its_tenant(store: Store) {
    let spec = settled(&store, "acme").await;
    let missing = store.backup_plan(&spec.name).await.unwrap_err();
    assert!(matches!(missing, StoreError::NotFound { .. }), "{missing}");
    let due = now() + TimeDelta::hours(1);
    let made = store.create_backup_plan(&spec.name, &plan(false), first_due(due), now()).await.unwrap();
    assert_eq!(store.backup_plan(&spec.name).await.unwrap(), made);
    assert_eq!((made.version, made.tidy_at, made.late_at), (1, None, Some(due + TimeDelta::hours(1))));
    let again = store.create_backup_plan(&spec.name, &plan(true), first_due(due), now()).await.unwrap_err();
    assert!(matches!(again, StoreError::Exists { .. }), "{again}");
    let changed = store.update_backup_plan(&spec.name, &plan(true), first_due(due), 1, now()).await.unwrap();
    assert_eq!(changed.version, 2);
    assert!(changed.tidy_at.is_some());
    let stale =
        store.update_backup_plan(&spec.name, &plan(false), first_due(due), 1, now()).await.unwrap_err();
    assert!(matches!(stale, StoreError::VersionMismatch { current: 2 }), "{stale}");
    let stale = store.delete_backup_plan(&spec.name, Some(1)).await.unwrap_err();
    assert!(matches!(stale, StoreError::VersionMismatch { current: 2 }), "{stale}");
    assert_eq!(store.backup_plans(std::slice::from_ref(&spec.name)).await.unwrap(), [changed]);
    store.delete_undeployed_tenant(&spec.name).await.unwrap();
    assert!(store.backup_plans(std::slice::from_ref(&spec.name)).await.unwrap().is_empty());
    let nobody = store.create_backup_plan(&spec.name, &plan(true), first_due(due), now()).await.unwrap_err();
    assert!(matches!(nobody, StoreError::NotFound { what: "tenant", .. }), "{nobody}");
}

async fn what_is_due_is_begun_by_one_of_many_and_moves_on_with_it(store: Store) {
    let spec = settled(&store, "acme").await;
    let due = now();
    let next = due + TimeDelta::days(1);
    store.create_backup_plan(&spec.name, &plan(false), first_due(due), now()).await.unwrap();
    assert!(store.due_backups(due - TimeDelta::seconds(1), 10).await.unwrap().is_empty());
    let seen = store.due_backups(due, 10).await.unwrap().remove(0);
    let tries = (0..6).map(|_| {
        let (store, seen, operation) =
            (store.clone(), seen.clone(), of_plan(&spec, OperationKind::Snapshot, due));
        tokio::spawn(async move { store.start_backup(&seen, &operation, accepted(), next).await })
    });
    let mut won = 0;
    for tried in tries.collect::<Vec<_>>() {
        won += usize::from(tried.await.unwrap().unwrap());
    }
    assert_eq!(won, 1);
    assert!(store.due_backups(due, 10).await.unwrap().is_empty());
    let running = claimed(&store).await;
    assert_eq!((running.due_at, running.kind), (Some(due), OperationKind::Snapshot));
    let plan = store.backup_plan(&spec.name).await.unwrap();
    assert_eq!((plan.backups.due_at, plan.late_at), (next, Some(next + TimeDelta::hours(1))));
    assert!(!store.skip_backup(&seen, next).await.unwrap(), "it is not as it was read any more");
}

async fn what_is_due_waits_for_the_tenants_other_operation_and_is_missed_once(store: Store) {
    let (spec, mut running) = busy(&store, "acme").await;
    let due = now();
    let late = due + TimeDelta::hours(2);
    store.create_backup_plan(&spec.name, &plan(false), first_due(due), now()).await.unwrap();
    assert!(store.due_backups(due, 10).await.unwrap().is_empty(), "it could not begin");
    let seen = store.due_backups(late, 10).await.unwrap().remove(0);
    let refused =
        store.start_backup(&seen, &of_plan(&spec, OperationKind::Snapshot, due), accepted(), late).await;
    assert!(matches!(refused, Err(StoreError::OperationRunning { .. })), "{refused:?}");
    assert_eq!(store.backup_plan(&spec.name).await.unwrap(), seen, "nothing was changed");
    let mut missed = of_plan(&spec, OperationKind::Snapshot, due);
    missed.status = OperationStatus::Failed;
    missed.finished_at = Some(late);
    let mut noted = 0;
    for _ in 0..3 {
        let missed = Operation { id: uuid::Uuid::now_v7(), ..missed.clone() };
        noted += usize::from(store.miss_backup(&seen, &missed, vec![accepted(), accepted()]).await.unwrap());
    }
    assert_eq!(noted, 1);
    let plan = store.backup_plan(&spec.name).await.unwrap();
    let failure = plan.backups.failure.clone().unwrap();
    assert_eq!((failure.due_at, plan.late_at, plan.backups.due_at), (Some(due), None, due));
    assert_eq!(store.events(failure.operation, 0, 10).await.unwrap().last_seq, 2);
    let troubles = store.count_backup_troubles(late).await.unwrap();
    assert_eq!((troubles.overdue, troubles.failed), (1, 1));
    assert!(store.due_backups(late, 10).await.unwrap().is_empty(), "it is not noted again");
    // Once it may, it begins.
    running.status = OperationStatus::Succeeded;
    running.record(&store, Vec::new()).await.unwrap();
    let seen = store.due_backups(late, 10).await.unwrap().remove(0);
    let begun = of_plan(&spec, OperationKind::Snapshot, due);
    assert!(store.start_backup(&seen, &begun, accepted(), late + TimeDelta::days(1)).await.unwrap());
    let troubles = store.count_backup_troubles(late).await.unwrap();
    assert_eq!((troubles.overdue, troubles.failed), (0, 1));
}

async fn a_failure_is_noted_with_the_operations_end_and_holds_until_a_whole_snapshot(store: Store) {
    let (spec, mut running) = busy(&store, "acme").await;
    store.keep_vault(running.hold, &spec.name, &vault(1), now()).await.unwrap();
    let before = snapshot(&spec.name, SnapshotId::from_u128(1), true);
    store.keep_snapshot(running.hold, vault(1).id, &before).await.unwrap();
    running.status = OperationStatus::Succeeded;
    running.record(&store, Vec::new()).await.unwrap();
    let due = now();
    let plan = store.create_backup_plan(&spec.name, &plan(false), first_due(due), now()).await.unwrap();
    let last = LastWhole { snapshot: before.id, at: before.created_at };
    assert_eq!(plan.backups.last_whole, Some(last), "also one from before the plan");
    let operation = of_plan(&spec, OperationKind::Snapshot, due);
    assert!(store.start_backup(&plan, &operation, accepted(), due + TimeDelta::days(1)).await.unwrap());
    let mut running = claimed(&store).await;
    let partial = snapshot(&spec.name, running.id, false);
    store.keep_snapshot(running.hold, vault(1).id, &partial).await.unwrap();
    fail(&store, &mut running, "machine-unreachable").await;
    let backups = store.backup_plan(&spec.name).await.unwrap().backups;
    let failure = backups.failure.unwrap();
    assert_eq!((failure.operation, &*failure.code), (running.id, "machine-unreachable"));
    assert_eq!(backups.last_whole, Some(last), "what is not whole is none");
    // A deployment that fails is no backup that fails, and puts nothing right.
    let mut other = begun(&store, &spec).await;
    fail(&store, &mut other, "build-failed").await;
    assert_eq!(store.backup_plan(&spec.name).await.unwrap().backups.failure.unwrap().operation, running.id);
    let running = begun(&store, &spec).await;
    let whole = snapshot(&spec.name, SnapshotId::from_u128(3), true);
    store.keep_snapshot(running.hold, vault(1).id, &whole).await.unwrap();
    let backups = store.backup_plan(&spec.name).await.unwrap().backups;
    assert_eq!((backups.failure, backups.last_whole.unwrap().snapshot), (None, whole.id));
}

async fn what_may_go_is_looked_at_after_a_whole_snapshot_by_one_of_many(store: Store) {
    let (spec, mut running) = busy(&store, "acme").await;
    store.keep_vault(running.hold, &spec.name, &vault(1), now()).await.unwrap();
    let plan = store
        .create_backup_plan(&spec.name, &plan(true), first_due(now() + TimeDelta::days(1)), now())
        .await
        .unwrap();
    let later = now() + TimeDelta::days(1);
    assert!(store.due_prunings(now(), 10).await.unwrap().is_empty(), "something works on the tenant");
    running.status = OperationStatus::Succeeded;
    running.record(&store, Vec::new()).await.unwrap();
    assert_eq!(store.due_prunings(now(), 10).await.unwrap().first(), Some(&plan));
    assert!(store.start_pruning(&plan, later, None).await.unwrap());
    assert!(!store.start_pruning(&plan, later, None).await.unwrap());
    assert!(store.due_prunings(now(), 10).await.unwrap().is_empty());
    let mut running = begun(&store, &spec).await;
    let whole = snapshot(&spec.name, SnapshotId::from_u128(1), true);
    store.keep_snapshot(running.hold, vault(1).id, &whole).await.unwrap();
    running.status = OperationStatus::Succeeded;
    running.record(&store, Vec::new()).await.unwrap();
    let seen = store.due_prunings(now(), 10).await.unwrap().remove(0);
    let operation = Operation { due_at: None, ..of_plan(&spec, OperationKind::Prune, now()) };
    assert!(store.start_pruning(&seen, later, Some((operation, accepted()))).await.unwrap());
    let mut running = claimed(&store).await;
    assert_eq!(running.kind, OperationKind::Prune);
    fail(&store, &mut running, "prune-failed").await;
    let plan = store.backup_plan(&spec.name).await.unwrap();
    assert_eq!(plan.backups.prune_failure.unwrap().operation, running.id);
    assert_eq!(plan.tidy_at, running.finished_at.map(|at| at + TimeDelta::hours(1)));
}

/// A tenant with two snapshots, and an operation that is being made for it.
async fn kept(store: &Store, name: &str) -> (TenantSpec, Holder, BTreeSet<SnapshotId>) {
    let (spec, running) = busy(store, name).await;
    store.keep_vault(running.hold, &spec.name, &vault(1), now()).await.unwrap();
    for number in 1..=2 {
        let whole = snapshot(&spec.name, SnapshotId::from_u128(number), true);
        store.keep_snapshot(running.hold, vault(1).id, &whole).await.unwrap();
    }
    (spec, running, BTreeSet::from([SnapshotId::from_u128(1)]))
}

async fn nothing_is_removed_from_a_vault_while_another_tenant_reads_it(store: Store) {
    let (_, running, going) = kept(&store, "acme").await;
    let other = settled(&store, "bolt").await;
    let copy = Operation {
        kind: OperationKind::Restore,
        snapshot: Some(SnapshotId::from_u128(2)),
        ..deployment(&other)
    };
    store.create_operation(&copy, accepted(), None).await.unwrap();
    let refused = store.begin_to_forget(running.hold, vault(1).id, &going).await;
    assert!(
        matches!(refused, Err(StoreError::VaultInUse { operation }) if operation == copy.id),
        "{refused:?}"
    );
    assert!(!store.snapshot(SnapshotId::from_u128(1)).await.unwrap().0.forgetting);
    assert_eq!(store.pruner(vault(1).id).await.unwrap(), None);
    let mut copying = claimed(&store).await;
    copying.status = OperationStatus::Succeeded;
    copying.record(&store, Vec::new()).await.unwrap();
    store.begin_to_forget(running.hold, vault(1).id, &going).await.unwrap();
    // Whoever comes now sees it and waits; and is not waited for.
    let copy = Operation { id: uuid::Uuid::now_v7(), ..copy };
    store.create_operation(&copy, accepted(), None).await.unwrap();
    assert_eq!(store.pruner(vault(1).id).await.unwrap(), Some(running.id));
    store.begin_to_forget(running.hold, vault(1).id, &going).await.unwrap();
}

async fn what_is_being_removed_is_said_so_until_it_is_gone(store: Store) {
    let (spec, mut running, going) = kept(&store, "acme").await;
    store.begin_to_forget(running.hold, vault(1).id, &going).await.unwrap();
    let said =
        |all: Vec<berth_domain::Snapshot>| -> Vec<_> { all.iter().map(|one| one.forgetting).collect() };
    assert_eq!(said(store.snapshots_in(vault(1).id).await.unwrap()), [true, false]);
    assert_eq!(said(store.list_snapshots(&spec.name, None, 10).await.unwrap().items), [false, true]);
    // The operation ends in the middle; the next one finishes what it began, and the vault is free meanwhile.
    fail(&store, &mut running, "prune-failed").await;
    assert_eq!(store.pruner(vault(1).id).await.unwrap(), None);
    let running = begun(&store, &spec).await;
    store.begin_to_forget(running.hold, vault(1).id, &BTreeSet::new()).await.unwrap();
    assert_eq!(store.forget_snapshots(running.hold, vault(1).id).await.unwrap(), 1);
    assert_eq!(said(store.snapshots_in(vault(1).id).await.unwrap()), [false]);
    let late = berth_store::Hold { fence: running.hold.fence - 1, ..running.hold };
    let refused = store.forget_snapshots(late, vault(1).id).await.unwrap_err();
    assert!(matches!(refused, StoreError::LeaseLost { .. }), "{refused}");
}

async fn an_operation_of_a_plan_lets_those_go_first_that_somebody_waits_for(store: Store) {
    let (nightly, waited_for) = (settled(&store, "acme").await, settled(&store, "bolt").await);
    let plan = store.create_backup_plan(&nightly.name, &plan(false), first_due(now()), now()).await.unwrap();
    let operation = of_plan(&nightly, OperationKind::Snapshot, now());
    assert!(store.start_backup(&plan, &operation, accepted(), now() + TimeDelta::days(1)).await.unwrap());
    store.create_operation(&deployment(&waited_for), accepted(), None).await.unwrap();
    assert_eq!(claimed(&store).await.tenant, waited_for.name);
    assert_eq!(claimed(&store).await.tenant, nightly.name);
}
