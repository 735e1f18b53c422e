//! Tickets, and tenants that come and leave.

use berth_domain::event::NewEvent;
use berth_domain::{
    Arrival, Departure, EventKind, Mode, MovePhase, Operation, OperationKind, OperationStatus, TenantSpec,
};
use berth_store::{ArrivalRecord, DepartureRecord, Hold, MovedInto, MovedObject, Store, StoreError};
use uuid::Uuid;

use crate::support::{Holder, begun, claimed, now, on_both, settled};

on_both!(
    of_two_who_change_a_ticket_at_once_one_has_to_look_again,
    a_ticket_is_changed_by_nobody_whose_operation_was_taken_over,
    a_tenant_that_was_handed_over_is_served_elsewhere_until_it_is_taken_back,
    a_tenant_that_came_back_is_not_served_elsewhere_and_not_removed,
    a_tenant_that_left_is_due_once_it_is_not_to_be_kept_any_longer_until_that_is_settled,
    what_is_left_of_a_tenant_is_removed_by_one_operation_unless_it_left_anew,
    a_tenant_that_was_to_come_and_did_not_is_served_elsewhere,
    a_tenant_of_which_a_copy_was_tried_out_is_served_elsewhere,
    a_tenants_mode_changes_and_nothing_else_of_it,
    what_was_put_into_a_bucket_is_known_by_its_keys_until_it_is_forgotten_or_the_tenant_is,
);

fn ticket() -> ArrivalRecord {
    let (machine, issued_at) = ("new".parse().unwrap(), now() - chrono::TimeDelta::hours(1));
    let arrival = Arrival::offered(Uuid::now_v7(), machine, "ann".into(), issued_at, now());
    let arrival = Arrival { max_bytes: Some(7), ..arrival };
    ArrivalRecord {
        arrival,
        token_hash: "ab".repeat(32),
        serial: 1,
        claim: None,
        source_key: None,
        handover: None,
    }
}

fn departure(operation: &Operation) -> DepartureRecord {
    let (target, key, code) = ("https://b.example/".into(), "key".into(), "K7QF-2M9X".into());
    let departure =
        Departure::begun(Uuid::now_v7(), operation.id, operation.tenant.clone(), target, key, code);
    DepartureRecord { departure, sealed_ticket: "sealed".into() }
}

fn operation(spec: &TenantSpec, kind: OperationKind) -> Operation {
    let (name, machine) = (spec.name.clone(), spec.machine.clone());
    Operation::queued(name, machine, kind, false, "ann".into(), now())
}

async fn of_two_who_change_a_ticket_at_once_one_has_to_look_again(store: Store) {
    store.create_arrival(&ticket(), None).await.unwrap();
    let kept = ticket();
    store.create_arrival(&kept, None).await.unwrap();
    let id = kept.arrival.id;
    let (mut one, mut other) = (store.arrival(id).await.unwrap(), store.arrival(id).await.unwrap());
    assert_eq!(one, kept);
    one.arrival.phase = MovePhase::GoingLive;
    other.arrival.phase = MovePhase::Failed;
    assert!(store.record_arrival(None, &one).await.unwrap());
    assert!(!store.record_arrival(None, &other).await.unwrap());
    let now = store.arrival(id).await.unwrap();
    assert_eq!((now.arrival.phase, now.serial), (MovePhase::GoingLive, 2));
    let listed = store.list_arrivals(None, 1).await.unwrap();
    assert_eq!((listed.items.len(), listed.items[0].id, listed.next.is_some()), (1, id, true));
}

async fn a_ticket_is_changed_by_nobody_whose_operation_was_taken_over(store: Store) {
    let spec = settled(&store, "acme").await;
    let running = begun(&store, &spec).await;
    let kept = ticket();
    store.create_arrival(&kept, None).await.unwrap();
    let late = Hold { fence: running.hold.fence - 1, ..running.hold };
    let refused = store.record_arrival(Some(late), &kept).await.unwrap_err();
    assert!(matches!(refused, StoreError::LeaseLost { .. }), "{refused}");
    assert!(store.record_arrival(Some(running.hold), &kept).await.unwrap());
}

async fn leaves(store: &Store, spec: &TenantSpec) -> (Holder, DepartureRecord) {
    let operation = operation(spec, OperationKind::Migrate);
    let record = departure(&operation);
    let first = NewEvent::new(now(), EventKind::Accepted, "accepted");
    store.create_departure(&operation, &record, first, None).await.unwrap();
    (claimed(store).await, record)
}

async fn a_tenant_that_was_handed_over_is_served_elsewhere_until_it_is_taken_back(store: Store) {
    let spec = settled(&store, "acme").await;
    let (mut running, mut record) = leaves(&store, &spec).await;
    assert_eq!(store.departure(running.hold.operation).await.unwrap(), record);
    assert_eq!(store.served_elsewhere(&spec.name).await.unwrap(), None);
    assert!(!store.take_back(&spec.name, now()).await.unwrap(), "there is nothing to be taken back");
    record.departure.handed_over_at = Some(now() + chrono::TimeDelta::hours(1));
    store.record_departure(running.hold, &record.departure).await.unwrap();
    assert_eq!(store.served_elsewhere(&spec.name).await.unwrap(), Some(record.departure.id));
    let refused = store.take_back(&spec.name, now()).await.unwrap_err();
    assert!(matches!(refused, StoreError::OperationRunning { .. }), "{refused}");
    running.status = OperationStatus::Failed;
    running.record(&store, Vec::new()).await.unwrap();
    assert!(store.take_back(&spec.name, now()).await.unwrap());
    assert_eq!(store.served_elsewhere(&spec.name).await.unwrap(), None);
    let shown = store.departure_of(&spec.name).await.unwrap();
    assert!(
        shown.handed_over_at.is_some() && shown.taken_back_at.is_some(),
        "what happened stays: {shown:?}"
    );
}

/// A tenant that left, was handed over, and is kept until an hour later; its operation has ended.
async fn left(store: &Store, spec: &TenantSpec) -> (Departure, Hold) {
    let (mut running, mut record) = leaves(store, spec).await;
    let at = now() + chrono::TimeDelta::hours(1);
    record.departure.handed_over_at = Some(at);
    record.departure.kept_until = Some(at + chrono::TimeDelta::hours(1));
    store.record_departure(running.hold, &record.departure).await.unwrap();
    let hold = running.hold;
    running.status = OperationStatus::Succeeded;
    running.record(store, Vec::new()).await.unwrap();
    (record.departure, hold)
}

fn removal(spec: &TenantSpec) -> (Operation, NewEvent) {
    let wipe = Operation { wipe: true, ..operation(spec, OperationKind::Destroy) };
    (wipe, NewEvent::new(now(), EventKind::Accepted, "accepted"))
}

async fn a_tenant_that_came_back_is_not_served_elsewhere_and_not_removed(store: Store) {
    let spec = settled(&store, "acme").await;
    let (departure, _) = left(&store, &spec).await;
    let back = begun(&store, &spec).await;
    // One that is about another migration says nothing of this one.
    store.record_return(back.hold, &spec.name, Uuid::now_v7(), now()).await.unwrap();
    assert_eq!(store.served_elsewhere(&spec.name).await.unwrap(), Some(departure.id));
    let at = now();
    for again in 0..2 {
        let later = at + chrono::TimeDelta::seconds(again);
        store.record_return(back.hold, &spec.name, departure.id, later).await.unwrap();
    }
    assert_eq!(store.served_elsewhere(&spec.name).await.unwrap(), None);
    assert_eq!(store.departure_of(&spec.name).await.unwrap().returned_at, Some(at));
    store.postpone_departure(departure.operation, now()).await.unwrap();
    let late = now() + chrono::TimeDelta::days(1000);
    assert!(store.overdue_departures(late, 10).await.unwrap().is_empty());
    let mut back = back;
    back.status = OperationStatus::Succeeded;
    back.record(&store, Vec::new()).await.unwrap();
    let (wipe, first) = removal(&spec);
    assert!(!store.create_removal(&departure, &wipe, first).await.unwrap(), "it is back");
    assert!(store.operation(wipe.id).await.is_err());
}

async fn a_tenant_that_left_is_due_once_it_is_not_to_be_kept_any_longer_until_that_is_settled(store: Store) {
    let spec = settled(&store, "acme").await;
    let (departure, _) = left(&store, &spec).await;
    let until = departure.kept_until.unwrap();
    let early = until - chrono::TimeDelta::milliseconds(1);
    assert!(store.overdue_departures(early, 10).await.unwrap().is_empty());
    assert_eq!(store.overdue_departures(until, 10).await.unwrap(), std::slice::from_ref(&departure));
    assert!(store.overdue_departures(until, 0).await.unwrap().is_empty());
    store.postpone_departure(departure.operation, until + chrono::TimeDelta::hours(1)).await.unwrap();
    assert!(store.overdue_departures(until, 10).await.unwrap().is_empty());
    assert_eq!(store.overdue_departures(until + chrono::TimeDelta::hours(1), 10).await.unwrap().len(), 1);
    store.settle_departure(departure.operation).await.unwrap();
    assert!(store.overdue_departures(until, 10).await.unwrap().is_empty());
    assert_eq!(store.departure_of(&spec.name).await.unwrap(), departure, "what happened stays");
}

async fn what_is_left_of_a_tenant_is_removed_by_one_operation_unless_it_left_anew(store: Store) {
    let spec = settled(&store, "acme").await;
    let (departure, _) = left(&store, &spec).await;
    let ((wipe, first), (other, second)) = (removal(&spec), removal(&spec));
    assert!(store.create_removal(&departure, &wipe, first).await.unwrap());
    let refused = store.create_removal(&departure, &other, second).await.unwrap_err();
    assert!(matches!(refused, StoreError::OperationRunning { .. }), "{refused}");
    let mut running = claimed(&store).await;
    running.status = OperationStatus::Failed;
    running.record(&store, Vec::new()).await.unwrap();
    left(&store, &spec).await;
    let (wipe, first) = removal(&spec);
    assert!(!store.create_removal(&departure, &wipe, first).await.unwrap(), "that was another time");
}

async fn a_tenant_that_was_to_come_and_did_not_is_served_elsewhere(store: Store) {
    is_served_elsewhere(store, OperationKind::Import).await;
}

async fn a_tenant_of_which_a_copy_was_tried_out_is_served_elsewhere(store: Store) {
    is_served_elsewhere(store, OperationKind::TryOut).await;
}

async fn is_served_elsewhere(store: Store, kind: OperationKind) {
    let spec = settled(&store, "acme").await;
    let mut record = ticket();
    let id = record.arrival.id;
    let comes = Operation { migration: Some(id), ..operation(&spec, kind) };
    record.arrival.operation = Some(comes.id);
    store.create_arrival(&record, None).await.unwrap();
    store
        .create_operation(&comes, NewEvent::new(now(), EventKind::Accepted, "accepted"), None)
        .await
        .unwrap();
    let mut running = claimed(&store).await;
    assert_eq!(store.served_elsewhere(&spec.name).await.unwrap(), Some(id));
    record.arrival.phase = MovePhase::Live;
    assert!(store.record_arrival(None, &record).await.unwrap());
    assert_eq!(store.served_elsewhere(&spec.name).await.unwrap(), None);
    record = store.arrival(id).await.unwrap();
    record.arrival.phase = MovePhase::Failed;
    assert!(store.record_arrival(None, &record).await.unwrap());
    running.status = OperationStatus::Failed;
    running.record(&store, Vec::new()).await.unwrap();
    assert!(store.take_back(&spec.name, now()).await.unwrap());
    assert_eq!(store.served_elsewhere(&spec.name).await.unwrap(), None);
}

async fn a_tenants_mode_changes_and_nothing_else_of_it(store: Store) {
    let spec = settled(&store, "acme").await;
    let running = begun(&store, &spec).await;
    let to = Mode::Moved { to: "192.0.2.7".parse().unwrap() };
    store.set_tenant_mode(running.hold, &spec.name, &to, now()).await.unwrap();
    let changed = store.tenant(&spec.name).await.unwrap();
    assert_eq!((changed.spec.clone(), changed.version), (TenantSpec { mode: to, ..spec }, 2));
}

async fn what_was_put_into_a_bucket_is_known_by_its_keys_until_it_is_forgotten_or_the_tenant_is(
    store: Store,
) {
    let spec = settled(&store, "acme").await;
    let mut running = begun(&store, &spec).await;
    let (migration, other) = (Uuid::now_v7(), Uuid::now_v7());
    let into = |migration, service: &str, place: &str| MovedInto {
        migration,
        tenant: spec.name.clone(),
        service: service.parse().unwrap(),
        place: place.into(),
    };
    let media = into(migration, "mastodon", "s3/media");
    let others = [
        into(other, "mastodon", "s3/media"),
        into(migration, "gitea", "s3/media"),
        into(migration, "mastodon", "s3/x"),
    ];
    let object = |key: &str, noted: &str| MovedObject { key: key.into(), noted: noted.into() };
    let known = async |into: &MovedInto| store.moved_objects(into, None, 100).await.unwrap();
    // As their bytes are, and not as people would sort them.
    let keys = ["B", "a", "a b", "a/", "a\0", "\u{e4}", "\u{10000}"];
    let mut sorted = keys;
    sorted.sort_unstable();
    let first = keys.iter().map(|key| object(key, "intended")).collect();
    store.note_moved_objects(running.hold, &media, first).await.unwrap();
    for into in &others {
        assert_eq!(known(into).await, []);
        store.note_moved_objects(running.hold, into, vec![object("a", "other")]).await.unwrap();
    }
    store.note_moved_objects(running.hold, &media, vec![object("a/", "put")]).await.unwrap();
    let all = sorted.map(|key| object(key, if key == "a/" { "put" } else { "intended" }));
    assert_eq!(known(&media).await, all);
    for (at, key) in sorted.iter().enumerate() {
        let page = store.moved_objects(&media, Some(key), 2).await.unwrap();
        assert_eq!(page, all[at + 1..].iter().take(2).cloned().collect::<Vec<_>>(), "{key:?}");
    }
    let late = Hold { fence: running.hold.fence - 1, ..running.hold };
    for refused in [
        store.note_moved_objects(late, &media, vec![object("a", "late")]).await,
        store.forget_moved_objects(late, migration).await,
    ] {
        assert!(matches!(refused, Err(StoreError::LeaseLost { .. })), "{refused:?}");
    }
    store.forget_moved_objects(running.hold, migration).await.unwrap();
    assert_eq!(known(&media).await, []);
    assert_eq!(known(&others[0]).await, [object("a", "other")]);
    running.status = OperationStatus::Failed;
    running.record(&store, Vec::new()).await.unwrap();
    store.abandon_tenant(&spec.name).await.unwrap();
    assert_eq!(known(&others[0]).await, []);
}
