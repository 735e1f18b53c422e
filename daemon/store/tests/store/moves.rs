//! Tickets, and tenants that come and leave.

use berth_domain::event::NewEvent;
use berth_domain::{
    Arrival, Departure, EventKind, Mode, MovePhase, Operation, OperationKind, OperationStatus, TenantSpec,
};
use berth_store::{ArrivalRecord, DepartureRecord, Hold, Store, StoreError};
use uuid::Uuid;

use crate::support::{Holder, begun, claimed, now, on_both, settled};

on_both!(
    of_two_who_change_a_ticket_at_once_one_has_to_look_again,
    a_ticket_is_changed_by_nobody_whose_operation_was_taken_over,
    a_tenant_that_was_handed_over_is_served_elsewhere_until_it_is_taken_back,
    a_tenant_that_was_to_come_and_did_not_is_served_elsewhere,
    a_tenant_of_which_a_copy_was_tried_out_is_served_elsewhere,
    a_tenants_mode_changes_and_nothing_else_of_it,
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
    let departure = Departure {
        id: Uuid::now_v7(),
        operation: operation.id,
        tenant: operation.tenant.clone(),
        target: "https://b.example/".into(),
        target_key: "key".into(),
        trusted: true,
        code: "K7QF-2M9X".into(),
        phase: MovePhase::Offered,
        rehearsal: None,
        obstacles: Vec::new(),
        address: None,
        stopped_at: None,
        handed_over_at: None,
        taken_back_at: None,
        served_at: None,
        manifest: None,
        countersignature: None,
    };
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
