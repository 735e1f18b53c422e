//! Operations.

use std::collections::HashSet;

use berth_domain::event::NewEvent;
use berth_domain::operation::OperationError;
use berth_domain::progress::Unit;
use berth_domain::{EventKind, OperationKind, OperationStatus, Progress, StepName, StepStatus, TenantName};
use berth_store::{OperationFilter, Store, StoreError};
use chrono::TimeDelta;
use uuid::Uuid;

use crate::support::{claim, claimed, claims, deployment, now, on_both, settled};

on_both!(
    an_operation_comes_back_with_all_that_is_known_of_it,
    a_tenant_has_one_unfinished_operation_however_many_ask_at_once,
    each_queued_operation_is_claimed_once_oldest_first,
    a_wish_to_cancel_is_never_lost_and_events_have_no_hole,
    what_has_ended_does_not_change,
    operations_are_listed_newest_first_and_filtered,
    earlier_durations_are_those_of_what_succeeded,
    a_caller_that_stops_waiting_leaves_no_half_transaction,
    every_kind_and_every_end_comes_back_as_it_was,
    times_are_kept_to_the_millisecond_and_told_as_they_are_kept,
    a_step_that_changes_and_changes_back_is_kept_each_time,
    it_is_told_how_operations_stand_that_are_there,
);

fn event(text: &str) -> NewEvent {
    NewEvent::new(now(), EventKind::Log, text)
}

async fn an_operation_comes_back_with_all_that_is_known_of_it(store: Store) {
    let spec = settled(&store, "acme").await;
    let queued = deployment(&spec);
    store.create_operation(&queued, event("accepted"), None).await.unwrap();
    assert_eq!(store.operation(queued.id).await.unwrap(), queued.after_acceptance());
    let mut operation = claimed(&store).await;
    assert_eq!((operation.status, operation.started_at.is_some()), (OperationStatus::Running, true));
    operation.revision = Some("ab".repeat(32).parse().unwrap());
    operation.system = Some("/nix/store/x".into());
    let step = operation.step_mut(StepName::Build).unwrap();
    step.status = StepStatus::Failed;
    step.started_at = Some(now());
    step.finished_at = Some(now() + TimeDelta::seconds(1));
    step.progress = Some(Progress::of(3, 7, Unit::Builds));
    operation.status = OperationStatus::Failed;
    operation.finished_at = Some(now());
    operation.error = Some(OperationError {
        code: "build-failed".into(),
        message: "it failed".into(),
        step: Some(StepName::Build),
        derivation: Some("/nix/store/y.drv".into()),
        log: vec!["one".into(), "two".into()],
        retryable: false,
    });
    let events = operation.record(&store, vec![event("a"), event("b")]).await.unwrap();
    assert_eq!(events.iter().map(|event| event.seq).collect::<Vec<_>>(), [2, 3]);
    assert_eq!(operation.last_seq, 3);
    assert_eq!(store.operation(operation.id).await.unwrap(), operation.operation);
    let unknown = store.operation(Uuid::now_v7()).await;
    assert!(matches!(unknown, Err(StoreError::NotFound { what: "operation", .. })));
}

async fn a_tenant_has_one_unfinished_operation_however_many_ask_at_once(store: Store) {
    let spec = settled(&store, "acme").await;
    let asking = (0..12).map(|_| {
        let (store, operation) = (store.clone(), deployment(&spec));
        tokio::spawn(
            async move { (operation.id, store.create_operation(&operation, event("x"), None).await) },
        )
    });
    let mut accepted = Vec::new();
    let mut refused = Vec::new();
    for asked in asking.collect::<Vec<_>>() {
        match asked.await.unwrap() {
            (id, Ok(())) => accepted.push(id),
            (_, Err(StoreError::OperationRunning { operation })) => refused.push(operation),
            (_, Err(other)) => panic!("{other}"),
        }
    }
    assert_eq!((accepted.len(), refused.len()), (1, 11));
    assert!(refused.iter().all(|id| *id == accepted[0]));
    let stranger = deployment(&crate::support::tenant("nobody", "nowhere"));
    let gone = store.create_operation(&stranger, event("x"), None).await;
    assert!(matches!(gone, Err(StoreError::NotFound { what: "tenant", .. })));
}

async fn each_queued_operation_is_claimed_once_oldest_first(store: Store) {
    let mut queued = Vec::new();
    for n in 0..20 {
        let operation = deployment(&settled(&store, &format!("t{n}")).await);
        store.create_operation(&operation, event("x"), None).await.unwrap();
        queued.push(operation.id);
    }
    assert_eq!(claimed(&store).await.id, queued[0]);
    let workers = (0..4).map(|n| {
        let store = store.clone();
        tokio::spawn(async move {
            let (mut mine, mut claim) = (Vec::new(), claim(&format!("daemon-{n}")));
            while let Some(taken) = claims(&store, &claim).await {
                claim.except.push(taken.id);
                mine.push(taken.id);
            }
            mine
        })
    });
    let mut done = vec![queued[0]];
    for worker in workers.collect::<Vec<_>>() {
        done.extend(worker.await.unwrap());
    }
    // A worker that finds others' rows locked may see nothing and go; what is left waits for the next look.
    while let Some(taken) = claims(&store, &claim(&Uuid::now_v7().to_string())).await {
        done.push(taken.id);
    }
    assert_eq!(done.len(), 20);
    assert_eq!(done.into_iter().collect::<HashSet<_>>(), queued.into_iter().collect());
}

async fn a_wish_to_cancel_is_never_lost_and_events_have_no_hole(store: Store) {
    let spec = settled(&store, "acme").await;
    store.create_operation(&deployment(&spec), event("x"), None).await.unwrap();
    let mut operation = claimed(&store).await;
    let id = operation.id;
    let cancelling = {
        let store = store.clone();
        tokio::spawn(async move {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            let cancel = || NewEvent::new(now(), EventKind::CancelRequested, "stop");
            let first = store.request_cancel(id, cancel(), None).await.unwrap();
            let second = store.request_cancel(id, cancel(), None).await.unwrap();
            (first.1.is_some(), second.1.is_some())
        })
    };
    for round in 0..40 {
        operation.record(&store, vec![event(&format!("{round}")), event("and")]).await.unwrap();
    }
    assert_eq!(cancelling.await.unwrap(), (true, false));
    operation.record(&store, Vec::new()).await.unwrap();
    assert!(operation.cancel_requested);
    let page = store.events(id, 0, 1000).await.unwrap();
    let numbers: Vec<i64> = page.events.iter().map(|event| event.seq).collect();
    assert_eq!(numbers, (1..=1 + 80 + 1).collect::<Vec<_>>());
    assert_eq!(page.events.iter().filter(|event| event.kind == EventKind::CancelRequested).count(), 1);
}

async fn what_has_ended_does_not_change(store: Store) {
    let spec = settled(&store, "acme").await;
    store.create_operation(&deployment(&spec), event("x"), None).await.unwrap();
    let mut operation = claimed(&store).await;
    operation.status = OperationStatus::Cancelled;
    operation.record(&store, Vec::new()).await.unwrap();
    let before = store.operation(operation.id).await.unwrap();
    operation.status = OperationStatus::Succeeded;
    let late = operation.record(&store, vec![event("late")]).await;
    assert!(matches!(late, Err(StoreError::Finished { status: OperationStatus::Cancelled, .. })));
    let late = store.request_cancel(operation.id, event("late"), None).await;
    assert!(matches!(late, Err(StoreError::Finished { .. })));
    assert_eq!(store.operation(operation.id).await.unwrap(), before);
    // And the tenant may have another one.
    store.create_operation(&deployment(&spec), event("x"), None).await.unwrap();
}

async fn operations_are_listed_newest_first_and_filtered(store: Store) {
    let mut ids = Vec::new();
    for name in ["acme", "bolt", "acme", "acme"] {
        let known = store.tenant(&name.parse().unwrap()).await;
        let spec = if let Ok(known) = known { known.spec } else { settled(&store, name).await };
        let operation = deployment(&spec);
        store.create_operation(&operation, event("x"), None).await.unwrap();
        ids.push(operation.id);
        let mut running = claimed(&store).await;
        running.status = OperationStatus::Succeeded;
        running.record(&store, Vec::new()).await.unwrap();
    }
    let list = async |filter: &OperationFilter, after: Option<&str>, limit| {
        let page = store.list_operations(filter, after, limit).await.unwrap();
        (page.items.iter().map(|operation| operation.id).collect::<Vec<_>>(), page.next)
    };
    let everything = OperationFilter::default();
    let (first, next) = list(&everything, None, 3).await;
    assert_eq!(first, [ids[3], ids[2], ids[1]]);
    assert_eq!(
        list(&everything, next.as_ref().map(berth_store::Cursor::as_str), 3).await,
        (vec![ids[0]], None)
    );
    let tenant: TenantName = "acme".parse().unwrap();
    let acme = OperationFilter { tenant: Some(tenant), status: Some(OperationStatus::Succeeded) };
    assert_eq!(list(&acme, None, 9).await.0, [ids[3], ids[2], ids[0]]);
    let running = OperationFilter { status: Some(OperationStatus::Running), ..OperationFilter::default() };
    assert!(list(&running, None, 9).await.0.is_empty());
    let garbage = store.list_operations(&everything, Some("garbage"), 9).await;
    assert!(matches!(garbage, Err(StoreError::InvalidCursor)));
}

async fn earlier_durations_are_those_of_what_succeeded(store: Store) {
    for (name, status, took) in
        [("good", OperationStatus::Succeeded, 1500), ("bad", OperationStatus::Failed, 99)]
    {
        let spec = settled(&store, name).await;
        store.create_operation(&deployment(&spec), event("x"), None).await.unwrap();
        let mut operation = claimed(&store).await;
        let step = operation.step_mut(StepName::Copy).unwrap();
        step.status = StepStatus::Succeeded;
        step.started_at = Some(now());
        step.finished_at = Some(step.started_at.unwrap() + TimeDelta::milliseconds(took));
        operation.step_mut(StepName::Build).unwrap().status = StepStatus::Skipped;
        operation.status = status;
        operation.record(&store, Vec::new()).await.unwrap();
    }
    let durations = store.step_durations(OperationKind::Deploy, 100).await.unwrap();
    assert_eq!(durations, [(StepName::Copy, 1500)]);
    assert!(store.step_durations(OperationKind::Destroy, 100).await.unwrap().is_empty());
}

async fn a_caller_that_stops_waiting_leaves_no_half_transaction(store: Store) {
    let spec = settled(&store, "acme").await;
    store.create_operation(&deployment(&spec), event("x"), None).await.unwrap();
    let mut operation = claimed(&store).await;
    for micros in (0..3000).step_by(100) {
        let (store, mut writer) = (store.clone(), operation.clone());
        // Each is another write; whether the one before took place is nobody's business here.
        operation.writes += 1;
        let recording = tokio::spawn(async move {
            let _ = writer.record(&store, vec![event("a"), event("b"), event("c")]).await;
        });
        tokio::time::sleep(std::time::Duration::from_micros(micros)).await;
        recording.abort();
    }
    operation.record(&store, vec![event("last")]).await.unwrap();
    let page = store.events(operation.id, 0, 1000).await.unwrap();
    assert_eq!(page.last_seq, operation.last_seq);
    let numbers: Vec<i64> = page.events.iter().map(|event| event.seq).collect();
    assert_eq!(numbers, (1..=operation.last_seq).collect::<Vec<_>>());
    // What came came whole: one, then threes, then one.
    assert_eq!((operation.last_seq - 2) % 3, 0);
}

async fn every_kind_and_every_end_comes_back_as_it_was(store: Store) {
    let cases = [
        (OperationKind::Deploy, false, OperationStatus::Succeeded),
        (OperationKind::Destroy, false, OperationStatus::Failed),
        (OperationKind::Destroy, true, OperationStatus::Cancelled),
        (OperationKind::Preview, false, OperationStatus::Succeeded),
    ];
    let spec = settled(&store, "acme").await;
    for (kind, wipe, status) in cases {
        let mut queued = deployment(&spec);
        queued.kind = kind;
        queued.wipe = wipe;
        queued.requested_by = "Ann's “panel” 🦀".into();
        queued.steps = kind.steps(wipe).into_iter().map(berth_domain::Step::pending).collect();
        store.create_operation(&queued, event("accepted"), None).await.unwrap();
        let mut operation = claimed(&store).await;
        let statuses = StepStatus::ALL.iter().copied().cycle();
        for (step, status) in operation.steps.iter_mut().zip(statuses) {
            step.status = status;
        }
        operation.status = status;
        operation.finished_at = Some(now());
        operation.record(&store, Vec::new()).await.unwrap();
        let found = store.operation(queued.id).await.unwrap();
        assert_eq!(found, operation.operation);
        assert_eq!((found.kind, found.wipe, found.status), (kind, wipe, status));
        assert_eq!(found.requested_by, queued.requested_by);
    }
}

async fn times_are_kept_to_the_millisecond_and_told_as_they_are_kept(store: Store) {
    use chrono::{SubsecRound, Utc};
    let fine = Utc::now().trunc_subsecs(3) + TimeDelta::nanoseconds(999_999);
    let spec = crate::support::tenant("acme", "vm");
    store.create_machine(&crate::support::machine("vm"), fine, None).await.unwrap();
    let created = store.create_tenant(&spec, fine, None).await.unwrap();
    assert_eq!(created.created_at, fine.trunc_subsecs(3));
    assert_eq!(store.tenant(&spec.name).await.unwrap(), created);
    let updated = store.update_tenant(&spec, None, fine).await.unwrap();
    assert_eq!(store.tenant(&spec.name).await.unwrap(), updated);
    assert_eq!(store.machine(&spec.machine).await.unwrap().created_at, fine.trunc_subsecs(3));
    let mut queued = deployment(&spec);
    queued.created_at = fine;
    store.create_operation(&queued, event("accepted"), None).await.unwrap();
    let mut running = claimed(&store).await;
    assert_eq!(running.created_at, fine.trunc_subsecs(3));
    running.finished_at = Some(fine);
    running.steps[0].started_at = Some(fine);
    let mut told = event("x");
    told.at = fine;
    told.eta = Some(fine);
    let told = running.record(&store, vec![told]).await.unwrap();
    assert_eq!(store.operation(queued.id).await.unwrap(), running.operation);
    let kept = store.events(queued.id, 1, 9).await.unwrap().events;
    assert_eq!((&kept, kept[0].at, kept[0].eta), (&told, fine.trunc_subsecs(3), Some(fine.trunc_subsecs(3))));
}

async fn a_step_that_changes_and_changes_back_is_kept_each_time(store: Store) {
    let (_, mut running) = crate::support::busy(&store, "acme").await;
    let before = running.operation.clone();
    let step = running.step_mut(StepName::Copy).unwrap();
    (step.status, step.started_at) = (StepStatus::Running, Some(now()));
    step.progress = Some(Progress::of(3, 7, Unit::Paths));
    running.record(&store, vec![event("on")]).await.unwrap();
    assert_eq!(store.operation(running.id).await.unwrap(), running.operation);
    assert_ne!(running.operation.steps, before.steps);
    running.operation.steps.clone_from(&before.steps);
    running.record(&store, vec![event("back")]).await.unwrap();
    assert_eq!(store.operation(running.id).await.unwrap().steps, before.steps);
}

async fn it_is_told_how_operations_stand_that_are_there(store: Store) {
    let (_, one) = crate::support::busy(&store, "one").await;
    let (_, mut other) = crate::support::busy(&store, "other").await;
    other.operation.status = OperationStatus::Failed;
    other.operation.error = Some(OperationError {
        code: "disk-full".into(),
        message: "no room".into(),
        step: None,
        derivation: None,
        log: Vec::new(),
        retryable: true,
    });
    other.record(&store, vec![event("failed")]).await.unwrap();
    let mut told = store.standings(&[other.id, Uuid::now_v7(), one.id]).await.unwrap();
    told.sort_by_key(|standing| standing.operation);
    let told: Vec<_> = told.iter().map(|it| (it.operation, it.status, it.error.clone())).collect();
    let error = other.operation.error.clone();
    assert!(error.is_some());
    assert_eq!(told, [(one.id, OperationStatus::Running, None), (other.id, OperationStatus::Failed, error)]);
    assert_eq!(store.standings(&[]).await.unwrap(), []);
}
