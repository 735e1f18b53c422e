//! What must be so of rollouts and the operations that they make.

use berth_domain::rollout::{RolloutEventKind, RolloutTenantState as State};
use berth_domain::{Operation, OperationStatus, Rollout, RolloutEvent, RolloutStatus, RolloutTenant};
use berth_store::rollouts::RolloutChange;

use crate::tables::Tables;
use crate::world::World;

/// How long an operation may go on that an abort was to cancel, in seconds: where nothing fails for long, and else, when
/// somebody may have to come back first.
const CANCELLED_WITHIN: [i64; 2] = [10, 60];

/// A rollout was recorded.
pub fn recorded(world: &World, tables: &Tables, before: &Rollout, change: &RolloutChange, now: &Rollout) {
    let (laws, id) = (&world.laws, now.id);
    laws.hold(!before.status.is_final(), || format!("{id} changed after its end"));
    for (was, tenant) in before.tenants.iter().zip(&now.tenants).filter(|(was, tenant)| was != tenant) {
        let way = may_follow(was, tenant);
        laws.hold(way, || format!("{id}: {was:?} became {tenant:?}"));
        laws.hold(is_as_its_operation(tables, tenant), || {
            format!("{id}: {tenant:?} is not as its operation")
        });
    }
    if now.status == RolloutStatus::Aborting && before.status != now.status {
        world.aborted();
    }
    let Some(operation) = &change.operation else { return };
    let own = now.tenants.iter().any(|tenant| tenant.operation == Some(operation.id));
    laws.hold(own && operation.rollout == Some(id), || format!("{id} made {operation:?} for nobody"));
    let known = tables.tenant(&operation.tenant).is_ok_and(|tenant| tenant.created_at <= now.created_at);
    laws.hold(known, || format!("{id} deploys {}, which came after it", operation.tenant));
    // One that is being written by each of the other daemons may come on top.
    let most = world.places.saturating_sub(1).max(1) + world.daemons - 1;
    let used = tables.unfinished_of_rollouts();
    laws.hold(used <= most, || format!("rollouts take {used} places of {}", world.places));
}

fn may_follow(was: &RolloutTenant, now: &RolloutTenant) -> bool {
    match (was.state, now.state) {
        (State::Waiting, State::Deploying) => was.operation.is_none() && now.operation.is_some(),
        (State::Waiting, State::Gone | State::Untouched) => now.operation.is_none(),
        (State::Deploying, State::Succeeded | State::Failed | State::Cancelled) => {
            was.operation == now.operation
        }
        _ => false,
    }
}

fn is_as_its_operation(tables: &Tables, tenant: &RolloutTenant) -> bool {
    let Some(operation) = tenant.operation else { return true };
    let Ok(operation) = tables.operation(operation) else { return false };
    let due = match operation.status {
        OperationStatus::Queued | OperationStatus::Running => State::Deploying,
        OperationStatus::Succeeded => State::Succeeded,
        OperationStatus::Failed => State::Failed,
        OperationStatus::Cancelled => State::Cancelled,
    };
    operation.tenant == tenant.tenant && tenant.state == due
}

/// Everything is over: every rollout ended, and is what its operations are.
pub fn over(world: &World, tables: &Tables) {
    for (rollout, events) in tables.every_rollout() {
        let (laws, id) = (&world.laws, rollout.id);
        laws.count(|counts| {
            counts.rollouts += 1;
            counts.rolled_out += u64::from(rollout.status == RolloutStatus::Succeeded);
            let cancelled = rollout.tenants.iter().any(|tenant| tenant.state == State::Cancelled);
            counts.broken_off += u64::from(rollout.cancel_operations && cancelled);
        });
        laws.hold(rollout.status.is_final(), || format!("{id} does not end: {rollout:?}"));
        let made = tables.everything().filter(|(operation, _)| operation.rollout == Some(id));
        for (operation, _) in made {
            let mut own = rollout.tenants.iter().filter(|tenant| tenant.operation == Some(operation.id));
            let own = own.next().is_some_and(|tenant| tenant.tenant == operation.tenant);
            laws.hold(own, || format!("{id} does not know of its {operation:?}"));
            let within = CANCELLED_WITHIN[usize::from(!world.is_fair())];
            laws.hold(was_cancelled_in_time(rollout, events, operation, within), || {
                format!("{id} was to cancel {operation:?}")
            });
        }
        for tenant in &rollout.tenants {
            let kept = tenant.state.is_final() && is_as_its_operation(tables, tenant);
            laws.hold(kept, || format!("{id}: {tenant:?} is not as its operation"));
        }
        let mut counted = rollout.clone();
        counted.count();
        laws.hold(counted.waves == rollout.waves, || format!("{id} counts wrong: {:?}", rollout.waves));
    }
}

/// An abort that was to cancel what runs reached every operation that went on for long after it.
fn was_cancelled_in_time(
    rollout: &Rollout,
    events: &[RolloutEvent],
    operation: &Operation,
    within: i64,
) -> bool {
    let mut wishes = events.iter().filter(|event| event.kind == RolloutEventKind::AbortRequested);
    let (Some(wish), true) = (wishes.next_back(), rollout.cancel_operations) else { return true };
    let ended = operation.finished_at.unwrap_or_default();
    operation.cancel_requested || (ended - wish.at).num_seconds() < within
}
