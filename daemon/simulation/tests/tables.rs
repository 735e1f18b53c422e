//! The simulated database and the real one, side by side: the same calls, at random, have the same answers.

#![allow(clippy::unwrap_used)]

use std::time::Duration;

use berth_domain::event::NewEvent;
use berth_domain::rollout::{NewRolloutEvent, RolloutEventKind, RolloutSpec, RolloutTenantState, Selector};
use berth_domain::{
    EventKind, Operation, OperationKind, OperationStatus, Revision, Rollout, RolloutStatus, StepStatus,
    TenantName, Timestamp,
};
use berth_engine::records::{FleetRecords as Fleets, OperationRecords as Records};
use berth_simulation::dice::Dice;
use berth_simulation::script::{machine, tenant};
use berth_simulation::tables::Tables;
use berth_store::rollouts::RolloutChange;
use berth_store::{Claim, Hold, Page, Store, StoreError, StoreOptions, TenantRecord};
use chrono::{SubsecRound, TimeDelta, Utc};

/// An answer as far as it does not depend on the moment.
fn told<T: std::fmt::Debug>(answer: Result<T, StoreError>) -> String {
    match answer {
        Ok(answer) => format!("{answer:?}"),
        Err(StoreError::LeaseLost { .. }) => "lost".into(),
        Err(error) => format!("{error}"),
    }
}

fn now() -> Timestamp {
    Utc::now().trunc_subsecs(3)
}

/// What somebody holds, by both databases' numbers.
#[derive(Clone)]
struct Holder {
    real: Hold,
    simulated: Hold,
    writes: i64,
    operation: Operation,
}

/// Something that may be written of a rollout, by somebody who takes it to be so.
fn change_of(rollout: &mut Rollout, dice: &Dice) -> RolloutChange {
    let mut tenant = rollout.tenants[dice.below(rollout.tenants.len())].clone();
    let mut change = RolloutChange::default();
    match dice.number(0..=7) {
        0 => rollout.status = RolloutStatus::Paused,
        1 => rollout.status = RolloutStatus::Running,
        2 if dice.chance(0.2) => {
            (rollout.status, rollout.finished_at) = (RolloutStatus::Aborted, Some(now()))
        }
        3 => rollout.platform = Some("github:example/next".into()),
        4 => rollout.wave += 1,
        5 => tenant.state = RolloutTenantState::Succeeded,
        _ => {
            // Some have let others go first for long enough.
            let asked = now() - TimeDelta::minutes(if dice.chance(0.5) { 11 } else { 0 });
            let machine = format!("m{}", &tenant.tenant.to_string()[1..]).parse().unwrap();
            let (name, kind) = (tenant.tenant.clone(), OperationKind::Deploy);
            let operation = Operation::queued(name, machine, kind, false, "x".into(), asked);
            tenant.state = RolloutTenantState::Deploying;
            tenant.operation = Some(operation.id);
            change.operation = Some(Operation { rollout: Some(rollout.id), ..operation });
        }
    }
    change.events.push(NewRolloutEvent::new(now(), RolloutEventKind::Warning, "y").of_tenant(&tenant));
    change.tenants.push(tenant);
    change
}

#[tokio::test]
async fn the_simulated_database_answers_as_the_real_one() {
    let folder = tempfile::tempdir().unwrap();
    let url = folder.path().join("berth.db").display().to_string();
    let store = Store::open(&url.parse().unwrap(), StoreOptions::default()).await.unwrap();
    store.migrate().await.unwrap();
    let (mut tables, dice) = (Tables::default(), Dice::new(1));
    let mut holders: Vec<Holder> = Vec::new();
    let mut operations = Vec::new();
    for n in 0..4 {
        let (machine, tenant) = (machine(&format!("m{n}")), tenant(&format!("t{n}"), &format!("m{n}"), 0));
        store.create_machine(&machine, now(), None).await.unwrap();
        store.create_tenant(&tenant, now(), None).await.unwrap();
        tables.create_machine(&machine, now());
        tables.create_tenant(&tenant, now());
    }
    let mut rollouts = Vec::new();
    for round in 0..800 {
        let name: TenantName = format!("t{}", dice.below(4)).parse().unwrap();
        let event = NewEvent::new(now(), EventKind::Log, format!("round {round}"));
        match dice.number(0..=12) {
            0 | 1 => {
                let machine = format!("m{}", &name.to_string()[1..]).parse().unwrap();
                let operation =
                    Operation::queued(name, machine, OperationKind::Deploy, false, "x".into(), now());
                let real = Records::create_operation(&store, &operation, event.clone(), None).await;
                let simulated = tables.create_operation(&operation, event);
                assert_eq!(told(real), told(simulated), "create in round {round}");
                operations.push(operation.id);
            }
            2 | 3 => {
                let (restarted, lasting) = (dice.chance(0.3), dice.chance(0.7));
                let lasting = if lasting { Duration::from_secs(600) } else { Duration::ZERO };
                let owner = format!("d{}", dice.below(3));
                let claim = Claim { owner, lasting, except: Vec::new(), restarted };
                let real = Records::claim(&store, &claim).await.unwrap();
                let simulated = tables.claim(&claim, now());
                assert_eq!(real.is_some(), simulated.is_some(), "claim in round {round}");
                if let (Some(real), Some(simulated)) = (real, simulated) {
                    assert_eq!(real.taken_over, simulated.taken_over);
                    assert_eq!(
                        (real.operation.id, real.operation.status),
                        (simulated.operation.id, simulated.operation.status)
                    );
                    let operation = real.operation;
                    holders.push(Holder { real: real.hold, simulated: simulated.hold, writes: 0, operation });
                }
            }
            4..=6 if !holders.is_empty() => {
                let at = dice.below(holders.len());
                let holder = &mut holders[at];
                let again = dice.chance(0.2) && holder.writes > 0;
                let write = holder.writes + i64::from(!again);
                let mut wanted = holder.operation.clone();
                if dice.chance(0.2) {
                    wanted.status = OperationStatus::Failed;
                }
                let step = dice.below(wanted.steps.len());
                wanted.steps[step].status = StepStatus::Running;
                let events = vec![event; dice.below(3)];
                let real = Records::record(&store, holder.real, write, &wanted, events.clone()).await;
                let simulated = tables.record(holder.simulated, write, &wanted, events);
                if let (Ok(real), Ok(simulated)) = (&real, &simulated) {
                    assert_eq!(
                        (&real.events, real.operation.last_seq),
                        (&simulated.events, simulated.operation.last_seq)
                    );
                    assert_eq!(real.operation.steps, simulated.operation.steps);
                    assert_eq!(real.operation.cancel_requested, simulated.operation.cancel_requested);
                    (holder.operation, holder.writes) = (real.operation.clone(), write);
                }
                assert_eq!(told(real.map(drop)), told(simulated.map(drop)), "record in round {round}");
            }
            7 if !operations.is_empty() => {
                let id = operations[dice.below(operations.len())];
                let real = Records::request_cancel(&store, id, event.clone(), None).await;
                let simulated = tables.request_cancel(id, event);
                assert_eq!(told(real.map(|found| found.1)), told(simulated.map(|found| found.1)), "{round}");
                let (real, simulated) = (Records::events(&store, id, 2, 5).await, tables.events(id, 2, 5));
                assert_eq!(told(real), told(simulated), "events in round {round}");
            }
            8 if !holders.is_empty() => {
                let holder = &holders[dice.below(holders.len())];
                let (real, simulated) = if dice.chance(0.5) {
                    let lasting = Duration::from_secs(600);
                    let real = Records::renew(&store, holder.real, lasting).await;
                    (told(real), told(tables.renew(holder.simulated, lasting, now())))
                } else {
                    let real = Records::release(&store, holder.real).await;
                    (told(real), told(tables.release(holder.simulated)))
                };
                assert_eq!(real, simulated, "lease in round {round}");
            }
            9 if !holders.is_empty() => {
                let holder = &holders[dice.below(holders.len())];
                let (owner, place) = (holder.operation.tenant.clone(), holder.operation.machine.clone());
                let id: berth_domain::RevisionId = "ab".repeat(32).parse().unwrap();
                let spec = tenant(owner.as_str(), place.as_str(), 0);
                let files = [("flake.nix".to_owned(), "{ }".to_owned())].into();
                let revision =
                    Revision { id: id.clone(), tenant: owner.clone(), spec, files, created_at: now() };
                let real = Records::keep_revision(&store, holder.real, &revision).await;
                assert_eq!(told(real), told(tables.keep_revision(holder.simulated, &revision)), "{round}");
                let (system, platform) = ("/nix/store/x", "path:/nix/store/p");
                let real =
                    Records::set_tenant_deployed(&store, holder.real, &owner, &id, system, platform).await;
                let simulated = tables.set_tenant_deployed(holder.simulated, &owner, &id, system, platform);
                assert_eq!(told(real), told(simulated), "deployed in round {round}");
                if dice.chance(0.2) {
                    let real = Records::forget_tenant(&store, holder.real, &owner, &place, true).await;
                    let simulated = tables.forget_tenant(holder.simulated, &owner, &place, true);
                    assert_eq!(told(real), told(simulated), "forget in round {round}");
                }
                let machine =
                    Records::machine(&store, &place).await.map(|found| (found.tenant, found.holds_data_of));
                let simulated = tables.machine(&place).map(|found| (found.tenant, found.holds_data_of));
                assert_eq!(told(machine), told(simulated), "machine in round {round}");
            }
            10 => {
                let names = (0..4).map(|n| format!("t{n}").parse().unwrap()).collect();
                let rollout = Rollout::new(RolloutSpec::of(Selector::All), names, "ann".into(), now());
                let first = NewRolloutEvent::new(now(), RolloutEventKind::Accepted, "x");
                Fleets::create_rollout(&store, &rollout, first.clone(), None).await.unwrap();
                tables.create_rollout(&rollout, first);
                rollouts.push(rollout);
            }
            11 if !rollouts.is_empty() => {
                // Kept as it was read now and then, so that it is not the newest any more.
                let at = dice.below(rollouts.len());
                let (mut real, mut simulated) = (rollouts[at].clone(), rollouts[at].clone());
                let change = change_of(&mut real, &dice);
                simulated.clone_from(&real);
                let stored = Fleets::record_rollout(&store, &mut real, change.clone(), None).await;
                let kept = tables.record_rollout(&mut simulated, change.clone());
                if stored.is_ok() {
                    operations.extend(change.operation.map(|operation| operation.id));
                    assert_eq!(real, simulated, "rollout in round {round}");
                    if dice.chance(0.8) {
                        rollouts[at] = real;
                    }
                }
                assert_eq!(told(stored), told(kept), "rollout in round {round}");
            }
            12 => {
                for rollout in &rollouts {
                    let real = Fleets::rollout(&store, rollout.id).await;
                    assert_eq!(told(real), told(tables.rollout(rollout.id)), "rollout in round {round}");
                    let real = Fleets::rollout_events(&store, rollout.id, 1, 3).await;
                    assert_eq!(told(real), told(tables.rollout_events(rollout.id, 1, 3)), "{round}");
                    let real = Records::rollout_platform(&store, rollout.id).await;
                    assert_eq!(told(real), told(tables.rollout_platform(rollout.id)), "{round}");
                }
                let real = Fleets::unfinished_rollouts(&store).await;
                assert_eq!(told(real), told(Ok(tables.unfinished_rollouts())), "{round}");
                let real = Fleets::rollout_operations(&store).await.unwrap();
                assert_eq!(real, tables.unfinished_of_rollouts(), "operations in round {round}");
                let mut real = Fleets::platforms(&store).await.unwrap();
                real.sort();
                assert_eq!(real, tables.platforms(), "platforms in round {round}");
                let names = |page: Page<TenantRecord>| -> Vec<_> {
                    page.items.into_iter().map(|tenant| (tenant.spec.name, tenant.platform)).collect()
                };
                let real = names(Fleets::list_tenants(&store, None, 100).await.unwrap());
                assert_eq!(real, names(tables.list_tenants()), "tenants in round {round}");
            }
            _ => {}
        }
    }
    for id in operations {
        let real =
            Records::operation(&store, id).await.map(|found| (found.status, found.steps, found.last_seq));
        let simulated = tables.operation(id).map(|found| (found.status, found.steps, found.last_seq));
        assert_eq!(told(real), told(simulated));
    }
    assert!(holders.len() > 20, "{} claims", holders.len());
}
