//! Drills, and the machines that are lent for them.

use berth_domain::event::NewEvent;
use berth_domain::{
    BackupDraft, BackupPlan, DrillOutcome, EventKind, Operation, OperationKind, OperationStatus, SnapshotId,
    TenantSpec,
};
use berth_store::backups::NextDue;
use berth_store::{Store, StoreError};
use chrono::TimeDelta;
use serde_json::json;

use crate::snapshots::{snapshot, vault};
use crate::support::{begun, busy, claimed, machine, now, on_both, tenant};

on_both!(
    a_machine_that_is_lent_is_nobody_elses_until_it_is_empty,
    of_many_who_want_a_machine_one_gets_it,
    what_a_drill_left_is_told_to_the_next_one_there,
    a_drill_does_not_keep_a_tenants_operations_waiting_and_its_report_ends_with_it,
    a_drill_that_is_due_is_begun_by_one_of_many_and_moves_on_with_it,
);

/// A deployed tenant with a whole snapshot, and the machine `spare`.
async fn deployed(store: &Store, name: &str) -> TenantSpec {
    let (spec, mut running) = busy(store, name).await;
    let revision = berth_domain::RevisionId::try_from("0".repeat(64)).unwrap();
    store.set_tenant_deployed(running.hold, &spec.name, &revision, "/nix/store/x", "path:/p").await.unwrap();
    let own = vault(u128::from(name.len() as u64 + u64::from(name.as_bytes()[0])));
    store.keep_vault(running.hold, &spec.name, &own, now()).await.unwrap();
    let id = SnapshotId::now_v7();
    store.keep_snapshot(running.hold, own.id, &snapshot(&spec.name, id, true)).await.unwrap();
    running.status = OperationStatus::Succeeded;
    running.record(store, Vec::new()).await.unwrap();
    spec
}

async fn spare(store: &Store) {
    store.create_machine(&machine("spare"), now(), None).await.unwrap();
}

fn drill_on(spec: &TenantSpec, machine: &str) -> Operation {
    let machine = machine.parse().unwrap();
    Operation::queued(spec.name.clone(), machine, OperationKind::Drill, false, "test".into(), now())
}

fn accepted() -> NewEvent {
    NewEvent::new(now(), EventKind::Accepted, "accepted")
}

async fn lend(store: &Store, spec: &TenantSpec, machine: &str) -> Result<Operation, StoreError> {
    let snapshot = store.newest_whole_snapshot(&spec.name).await?;
    let operation = Operation { snapshot: Some(snapshot.id), ..drill_on(spec, machine) };
    store.create_drill(&operation, &snapshot, accepted(), None).await?;
    Ok(operation)
}

async fn a_machine_that_is_lent_is_nobody_elses_until_it_is_empty(store: Store) {
    let acme = deployed(&store, "acme").await;
    let missing = lend(&store, &acme, "spare").await.unwrap_err();
    assert!(matches!(missing, StoreError::NoSuchMachine { .. }), "{missing}");
    spare(&store).await;
    let own = lend(&store, &acme, "acme-vm").await.unwrap_err();
    assert!(matches!(own, StoreError::MachineTaken { .. }), "{own}");
    lend(&store, &acme, "spare").await.unwrap();
    let lent_to = async || store.machine(&"spare".parse().unwrap()).await.unwrap().lent_to;
    assert_eq!(lent_to().await, Some(acme.name.clone()));
    let listed = store.list_machines(None, 10).await.unwrap().items;
    assert_eq!(listed.iter().filter(|machine| machine.lent_to.is_some()).count(), 1);
    let refused = store.create_tenant(&tenant("bolt", "spare"), now(), None).await;
    assert!(matches!(refused, Err(StoreError::MachineLent { tenant, .. }) if tenant == acme.name));
    let forgotten = store.delete_machine(&"spare".parse().unwrap()).await.unwrap_err();
    assert!(matches!(forgotten, StoreError::MachineLent { .. }), "{forgotten}");

    let mut running = claimed(&store).await;
    let mut drill = store.drill(running.id).await.unwrap().drill;
    drill.emptied = true;
    store.keep_drill(running.hold, &drill).await.unwrap();
    assert_eq!(lent_to().await, None);
    running.status = OperationStatus::Succeeded;
    running.record(&store, Vec::new()).await.unwrap();
    store.create_tenant(&tenant("bolt", "spare"), now(), None).await.unwrap();
}

async fn of_many_who_want_a_machine_one_gets_it(store: Store) {
    let acme = deployed(&store, "acme").await;
    let other = deployed(&store, "other").await;
    spare(&store).await;
    let tries = (0..6).map(|number| {
        let (store, acme, other) = (store.clone(), acme.clone(), other.clone());
        tokio::spawn(async move {
            match number % 3 {
                0 => lend(&store, &acme, "spare").await.map(drop),
                1 => lend(&store, &other, "spare").await.map(drop),
                _ => store
                    .create_tenant(&tenant(&format!("new{number}"), "spare"), now(), None)
                    .await
                    .map(drop),
            }
        })
    });
    let mut won = 0;
    for tried in tries.collect::<Vec<_>>() {
        match tried.await.unwrap() {
            Ok(()) => won += 1,
            Err(
                StoreError::MachineLent { .. }
                | StoreError::MachineTaken { .. }
                | StoreError::OperationRunning { .. },
            ) => {}
            Err(other) => panic!("{other}"),
        }
    }
    assert_eq!(won, 1);
}

async fn what_a_drill_left_is_told_to_the_next_one_there(store: Store) {
    let acme = deployed(&store, "acme").await;
    let other = deployed(&store, "other").await;
    spare(&store).await;
    let first = lend(&store, &acme, "spare").await.unwrap();
    assert!(!store.drill(first.id).await.unwrap().cleans);
    let mut running = claimed(&store).await;
    running.status = OperationStatus::Failed;
    running.record(&store, Vec::new()).await.unwrap();
    // It ended, and something may be left there.
    let refused = store.create_tenant(&tenant("bolt", "spare"), now(), None).await;
    assert!(matches!(refused, Err(StoreError::MachineLent { .. })));
    let second = lend(&store, &other, "spare").await.unwrap();
    assert!(store.drill(second.id).await.unwrap().cleans);
    assert_eq!(store.machine(&"spare".parse().unwrap()).await.unwrap().lent_to, Some(other.name));
}

async fn a_drill_does_not_keep_a_tenants_operations_waiting_and_its_report_ends_with_it(store: Store) {
    let acme = deployed(&store, "acme").await;
    spare(&store).await;
    let made = lend(&store, &acme, "spare").await.unwrap();
    let again = lend(&store, &acme, "spare").await.unwrap_err();
    assert!(matches!(again, StoreError::OperationRunning { operation } if operation == made.id), "{again}");
    let mut running = claimed(&store).await;
    assert_eq!(running.kind, OperationKind::Drill);
    let mut beside = begun(&store, &acme).await;
    beside.status = OperationStatus::Succeeded;
    beside.record(&store, Vec::new()).await.unwrap();
    assert_eq!(store.unfinished_operation(&acme.name).await.unwrap(), None);
    assert_eq!(store.unfinished_drill(&acme.name).await.unwrap(), Some(made.id));
    running.status = OperationStatus::Cancelled;
    running.finished_at = Some(now());
    running.record(&store, Vec::new()).await.unwrap();
    let drill = store.drill(made.id).await.unwrap().drill;
    assert_eq!((drill.outcome, drill.finished_at), (DrillOutcome::Cancelled, running.finished_at));
    assert_eq!(store.list_drills(&acme.name, None, 10).await.unwrap().items, [drill]);
    // Reports go with their tenant, but for one whose machine may still hold something.
    store.abandon_tenant(&acme.name).await.unwrap();
    assert!(store.drill(made.id).await.is_ok());
    store.delete_machine(&"spare".parse().unwrap()).await.unwrap();
}

fn plan() -> BackupPlan {
    let draft = json!({"schedule": "30 3 * * *", "drill": {"schedule": "0 5 * * 0", "machine": "spare"}});
    serde_json::from_value::<BackupDraft>(draft).unwrap().try_into().unwrap()
}

async fn a_drill_that_is_due_is_begun_by_one_of_many_and_moves_on_with_it(store: Store) {
    let acme = deployed(&store, "acme").await;
    spare(&store).await;
    let (due, day) = (now(), TimeDelta::days(1));
    let next = NextDue { snapshot: due + day, drill: Some(due) };
    let made = store.create_backup_plan(&acme.name, &plan(), next, now()).await.unwrap();
    assert_eq!((made.backups.drill_due_at, made.drill_late_at), (Some(due), Some(due + day)));
    assert!(store.due_drills(due - TimeDelta::seconds(1), 10).await.unwrap().is_empty());
    let seen = store.due_drills(due, 10).await.unwrap().remove(0);
    let snapshot = store.newest_whole_snapshot(&acme.name).await.unwrap();
    let tries = (0..6).map(|_| {
        let (store, seen, snapshot) = (store.clone(), seen.clone(), snapshot.clone());
        let operation =
            Operation { due_at: Some(due), snapshot: Some(snapshot.id), ..drill_on(&acme, "spare") };
        tokio::spawn(
            async move { store.start_drill(&seen, &operation, &snapshot, accepted(), due + day).await },
        )
    });
    let mut won = 0;
    for tried in tries.collect::<Vec<_>>() {
        won += usize::from(tried.await.unwrap().unwrap());
    }
    assert_eq!(won, 1);
    let mut running = claimed(&store).await;
    let moved = store.backup_plan(&acme.name).await.unwrap();
    assert_eq!((moved.backups.drill_due_at, moved.drill_late_at), (Some(due + day), Some(due + day * 2)));
    assert_eq!(moved.backups.due_at, due + day, "the snapshots' own time is what it was");
    let troubles = store.count_backup_troubles(due + day * 3).await.unwrap();
    assert_eq!((troubles.drills_overdue, troubles.drills_failed), (1, 0));

    // A plan's drill that somebody stopped was none.
    running.status = OperationStatus::Cancelled;
    running.record(&store, Vec::new()).await.unwrap();
    assert_eq!(store.count_backup_troubles(due).await.unwrap().drills_failed, 1);
    let by_hand = lend(&store, &acme, "spare").await.unwrap();
    let mut running = claimed(&store).await;
    running.status = OperationStatus::Succeeded;
    running.record(&store, Vec::new()).await.unwrap();
    let backups = store.backup_plan(&acme.name).await.unwrap().backups;
    assert_eq!((backups.drill_failure, backups.last_drill.map(|drill| drill.id)), (None, Some(by_hand.id)));
    // Without drills there is nothing to be missed.
    let without = BackupPlan { drill: None, ..plan() };
    let next = NextDue { drill: None, ..next };
    let changed = store.update_backup_plan(&acme.name, &without, next, 1, now()).await.unwrap();
    assert_eq!((changed.backups.drill_due_at, changed.drill_late_at), (None, None));
    assert!(store.due_drills(due + day * 9, 10).await.unwrap().is_empty());
}
