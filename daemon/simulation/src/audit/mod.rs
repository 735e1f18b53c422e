//! What must be so when something is written, and when everything is over.

pub mod rollouts;
pub mod snapshots;

use berth_domain::{Event, EventKind, Operation, OperationKind, OperationStatus};
use berth_engine::error::REVERTED_BY_TIMER;
use berth_protocol::{Outcome, RevertedBy};
use berth_store::Recorded;

use crate::machine::State;
use crate::tables::Tables;
use crate::world::{World, locked};

/// The words with which an operation says that it left a machine to its own way back.
const UNATTENDED: &str = "could not be put back";

/// Something was recorded.
pub fn recorded(world: &World, tables: &Tables, before: &Operation, recorded: &Recorded) {
    let now = &recorded.operation;
    if now.last_seq > before.last_seq {
        recorded.events.iter().for_each(|event| world.laws.told(event));
    }
    let (id, was) = (now.id, before.status);
    world
        .laws
        .hold(!was.is_final() || now.last_seq == before.last_seq, || format!("{id} changed after its end"));
    if now.status.is_final() && !was.is_final() {
        ended(world, tables, now);
    }
}

/// An operation ended: the record is what the machine is.
fn ended(world: &World, tables: &Tables, operation: &Operation) {
    let (laws, id) = (&world.laws, operation.id);
    let succeeded = operation.status == OperationStatus::Succeeded;
    laws.count(|counts| {
        counts.operations += 1;
        counts.succeeded += u64::from(succeeded);
        counts.snapshots += u64::from(succeeded && operation.kind == OperationKind::Snapshot);
        counts.restores += u64::from(succeeded && operation.kind == OperationKind::Restore);
    });
    let Some(machine) = world.machine(&operation.machine) else { return };
    let machine = machine.state();
    let found = || {
        let events = tables.events(id, 0, u32::MAX).map(|page| page.events).unwrap_or_default();
        let told: Vec<_> =
            events.iter().map(|event| (event.at, event.step, event.message.as_str())).collect();
        format!("{operation:?}\non {machine:?}\nafter {told:#?}")
    };
    match operation.kind {
        OperationKind::Snapshot => return snapshots::captured(world, tables, operation, &machine),
        OperationKind::Restore => return snapshots::restored(world, tables, operation, &machine),
        _ => {}
    }
    if !succeeded {
        return failed(world, tables, operation, &machine);
    }
    if operation.kind == OperationKind::Preview {
        // It changes nothing, and what it was asked about is forgotten.
        let forgotten = tables.previewed_spec(id).is_err();
        return laws.hold(forgotten, || format!("{id} ended, and what it was asked about is still known"));
    }
    laws.hold(machine.committed == operation.system, || format!("{id} succeeded uncommitted: {}", found()));
    laws.hold(machine.boot_entry == operation.system, || {
        format!("{id} succeeded and is not booted: {}", found())
    });
    laws.hold(machine.running == operation.system, || format!("{id} succeeded without effect: {}", found()));
    let tenant = tables.tenant(&operation.tenant);
    match operation.kind {
        OperationKind::Destroy => {
            let gone = tenant.map_or(true, |tenant| tenant.created_at > operation.created_at);
            laws.hold(gone, || format!("{id} succeeded and forgot nobody"));
        }
        _ => {
            let platform = operation.rollout.and_then(|id| tables.rollout_platform(id).ok().flatten());
            let brought = tenant.as_ref().ok().and_then(|tenant| tenant.platform.clone());
            laws.hold(platform.is_none() || brought == platform, || {
                format!("{id} brought {brought:?} instead of {platform:?}")
            });
            let record = tenant.ok().and_then(|tenant| tenant.deployed_system);
            laws.hold(record == operation.system, || format!("{id}: the record is {record:?}: {}", found()));
        }
    }
}

fn failed(world: &World, tables: &Tables, operation: &Operation, machine: &State) {
    let told = tables.events(operation.id, 0, u32::MAX).map(|page| page.events).unwrap_or_default();
    let left = told.iter().any(|event| event.message.contains(UNATTENDED));
    world.laws.count(|counts| counts.unattended += u64::from(left));
    // A timer that another operation left behind may still be waiting, where this one switched nothing.
    let excused = machine.is_guarded() && (left || !machine.awaits(operation.id));
    let back = machine.is_settled() || excused;
    let law = || format!("{} ended and left the machine between two systems: {machine:?}", operation.id);
    world.laws.hold(back, law);
    if operation.error.as_ref().is_some_and(|error| error.code == REVERTED_BY_TIMER) {
        let outcome = machine.outcome(operation.id);
        let timer = matches!(&outcome, Outcome::Reverted(reverted) if reverted.by == RevertedBy::Timer);
        world.laws.hold(timer, || format!("{} blames the timer for {outcome:?}", operation.id));
    }
}

/// Nobody disturbs any more, and every timer has had its time: no machine is left between two systems.
pub fn attended(world: &World) {
    for machine in locked(&world.machines).values() {
        let machine = machine.state();
        let back = machine.is_settled() && !machine.is_guarded();
        world.laws.hold(back, || format!("a machine was left between two systems: {machine:?}"));
    }
}

/// Everything is over: every operation ended once, and its events are whole.
pub fn over(world: &World) {
    let tables = locked(&world.tables);
    rollouts::over(world, &tables);
    snapshots::over(world, &tables);
    for (operation, events) in tables.everything() {
        let id = operation.id;
        world.laws.hold(operation.status.is_final(), || format!("{id} does not end: {operation:?}"));
        let whole = events.iter().map(|event| event.seq).eq(1..=operation.last_seq);
        world.laws.hold(whole, || format!("{id} has holes in its events"));
        once(world, events, EventKind::Accepted, 0);
        once(world, events, EventKind::Finished, events.len().saturating_sub(1));
        let claims = events.iter().filter(|event| event.kind == EventKind::Started).count();
        world.laws.hold(claims <= 1, || format!("{id} started {claims} times"));
    }
}

/// An event of that kind is there once, at that place.
fn once(world: &World, events: &[Event], kind: EventKind, place: usize) {
    let places = events.iter().enumerate().filter(|(_, event)| event.kind == kind);
    let right = places.map(|(place, _)| place).eq([place]);
    world.laws.hold(right, || format!("{kind} is not once at {place}: {events:#?}"));
}
