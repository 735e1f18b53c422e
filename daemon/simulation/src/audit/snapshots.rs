//! What must be so of snapshots and what is brought back from them.

use berth_domain::{Operation, OperationStatus, StepName};

use crate::machine::State;
use crate::state::SERVICES;
use crate::tables::Tables;
use crate::world::{World, locked};

/// A snapshot's operation ended.
pub fn captured(world: &World, tables: &Tables, operation: &Operation, machine: &State) {
    let (laws, id) = (&world.laws, operation.id);
    let succeeded = operation.status == OperationStatus::Succeeded;
    let Ok((snapshot, vault)) = tables.snapshot(id) else {
        return laws.hold(!succeeded, || format!("{id} succeeded and left no snapshot"));
    };
    let vaults = locked(&world.vaults);
    let of_this = |service: &str, copy: &str| {
        let copy = vaults.get(&vault.id).and_then(|vault| vault.get(copy));
        copy.is_some_and(|copy| copy.quiet && copy.operation == id && copy.service == service)
    };
    let sound = snapshot.captured().all(|(service, captured)| of_this(service.as_str(), &captured.restic));
    laws.hold(sound, || format!("{id} wrote down what is not in the vault: {snapshot:?}"));
    let count = snapshot.captured().count();
    let all = count == SERVICES.len() && snapshot.services.len() == count;
    // All services are not all of it where the tenant's own part could not be kept.
    let judged = if all { snapshot.whole || snapshot.tenant_part.is_none() } else { !snapshot.whole };
    laws.hold(judged, || format!("{id} misjudged {snapshot:?}"));
    laws.hold(count > 0, || format!("{id} wrote down a snapshot of nothing"));
    laws.hold(snapshot.whole || !succeeded, || format!("{id} succeeded with {snapshot:?}"));
    laws.hold(machine.services.stopped.is_empty() || !succeeded, || {
        format!("{id} ended and {:?} do not serve", machine.services.stopped)
    });
}

/// A restore ended.
pub fn restored(world: &World, tables: &Tables, operation: &Operation, machine: &State) {
    let (laws, id, services) = (&world.laws, operation.id, &machine.services);
    let times = services.restored.get(&id).copied().unwrap_or(0);
    laws.hold(times <= 1, || {
        format!("{id} brought back {times} times, and lost what was written in between")
    });
    if operation.status != OperationStatus::Succeeded {
        let at = operation.error.as_ref().and_then(|error| error.step);
        // One that did not reach the end of its first step says that the machine keeps what it has.
        let kept = times == 0 || at != Some(StepName::Restore);
        return laws.hold(kept, || format!("{id} failed, and everything was brought back: {operation:?}"));
    }
    laws.hold(times == 1, || format!("{id} succeeded and brought nothing back"));
    laws.hold(services.stopped.is_empty(), || format!("{id} ended and {:?} do not serve", services.stopped));
    let Some(Ok((snapshot, _))) = operation.snapshot.map(|id| tables.snapshot(id)) else {
        return laws.hold(false, || format!("{id} brought back what there is not"));
    };
    let is_there = snapshot
        .captured()
        .all(|(service, captured)| services.origin.get(service.as_str()) == Some(&captured.restic));
    laws.hold(is_there, || format!("{id} brought back {:?} in place of {snapshot:?}", services.origin));
}

/// Nobody disturbs any more: what was stopped serves, and nothing that failed was brought back afterwards.
pub fn over(world: &World, tables: &Tables) {
    for machine in locked(&world.machines).values() {
        let state = machine.state();
        let stopped = &state.services.stopped;
        world.laws.hold(stopped.is_empty(), || format!("{stopped:?} were stopped for ever"));
        for (id, times) in &state.services.restored {
            let Ok(operation) = tables.operation(*id) else { continue };
            let at = operation.error.as_ref().and_then(|error| error.step);
            let said = *times == 1 && at != Some(StepName::Restore);
            world.laws.hold(said, || format!("{id} brought back {times} times: {operation:?}"));
        }
    }
}
