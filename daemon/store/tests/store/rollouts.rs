//! Rollouts.

use berth_domain::rollout::{NewRolloutEvent, RolloutEventKind, RolloutSpec, RolloutTenantState, Selector};
use berth_domain::{Operation, OperationStatus, Rollout, RolloutStatus, RolloutTenant};
use berth_store::rollouts::RolloutChange;
use berth_store::{Claim, Store, StoreError};

use crate::support::{claim, claims, deployment, now, on_both, reply, settled};

on_both!(
    a_rollout_is_read_as_it_was_written,
    of_two_who_decide_at_once_one_is_told_to_look_again,
    an_operation_is_made_together_with_its_tenants_state_or_not_at_all,
    no_operation_is_made_for_a_tenant_that_came_after_the_rollout,
    a_rollouts_operation_lets_others_go_first_but_not_for_ever,
    lists_tell_how_far_each_rollout_is,
);

async fn created(store: &Store, tenants: usize) -> Rollout {
    let names = (0..tenants).map(|n| format!("t{n}").parse().unwrap()).collect();
    let rollout = Rollout::new(RolloutSpec::of(Selector::All), names, "ann".into(), now());
    store.create_rollout(&rollout, event(RolloutEventKind::Accepted), None).await.unwrap();
    rollout
}

fn event(kind: RolloutEventKind) -> NewRolloutEvent {
    NewRolloutEvent::new(now(), kind, "x")
}

fn change(kind: RolloutEventKind) -> RolloutChange {
    RolloutChange { events: vec![event(kind)], ..RolloutChange::default() }
}

async fn a_rollout_is_read_as_it_was_written(store: Store) {
    let mut rollout = created(&store, 12).await;
    assert_eq!(store.rollout(rollout.id).await.unwrap(), rollout);
    rollout.wave = 1;
    rollout.platform = Some("github:a/b".into());
    let state = RolloutTenantState::Failed;
    let tenant = RolloutTenant { state, problem: Some("why".into()), ..rollout.tenants[0].clone() };
    let mut wanted = change(RolloutEventKind::WaveStarted);
    wanted.events.push(event(RolloutEventKind::TenantFinished).of_tenant(&tenant));
    wanted.tenants.push(tenant);
    let events = store.record_rollout(&mut rollout, wanted, None).await.unwrap();
    assert_eq!(events.iter().map(|event| event.seq).collect::<Vec<_>>(), [2, 3]);
    assert_eq!((rollout.waves[0].failed, rollout.last_seq), (1, 3));
    assert_eq!(store.rollout(rollout.id).await.unwrap(), rollout);
    let page = store.rollout_events(rollout.id, 1, 10).await.unwrap();
    assert_eq!(store.rollout_seq(rollout.id).await.unwrap(), page.last_seq);
    assert_eq!((page.events, page.last_seq, page.status), (events, 3, RolloutStatus::Running));
    assert_eq!(store.rollout_platform(rollout.id).await.unwrap().as_deref(), Some("github:a/b"));
    assert_eq!(store.unfinished_rollouts().await.unwrap(), [(rollout.id, RolloutStatus::Running)]);
    rollout.status = RolloutStatus::Succeeded;
    store.record_rollout(&mut rollout, change(RolloutEventKind::Finished), None).await.unwrap();
    let late = store.record_rollout(&mut rollout, change(RolloutEventKind::Paused), None).await;
    assert!(matches!(late, Err(StoreError::RolloutFinished { .. })), "{late:?}");
    assert!(store.unfinished_rollouts().await.unwrap().is_empty());
}

/// PostgreSQL takes no text with a zero byte, so one row of many is refused while others are on their way.
#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_postgresql_refuses_takes_all_of_its_write_with_it_and_nothing_else() {
    let Some((store, database)) = crate::support::postgres().await else { return };
    let names = (0..40).map(|n| format!("t{n}").parse().unwrap()).collect();
    let mut rollout = Rollout::new(RolloutSpec::of(Selector::All), names, "ann".into(), now());
    rollout.tenants[20].problem = Some("\0".into());
    // More often than there are connections: none may be left in the middle of a transaction.
    for _ in 0..20 {
        let refused = store.create_rollout(&rollout, event(RolloutEventKind::Accepted), None).await;
        assert!(refused.is_err(), "a zero byte was taken");
        assert!(matches!(store.rollout(rollout.id).await, Err(StoreError::NotFound { .. })));
    }
    rollout.tenants[20].problem = Some("fine".into());
    store.create_rollout(&rollout, event(RolloutEventKind::Accepted), None).await.unwrap();
    assert_eq!(store.rollout(rollout.id).await.unwrap(), rollout);
    database.remove().await;
}

async fn of_two_who_decide_at_once_one_is_told_to_look_again(store: Store) {
    let rollout = created(&store, 3).await;
    let deciding = (0..8).map(|_| {
        let (store, mut own) = (store.clone(), rollout.clone());
        tokio::spawn(
            async move { store.record_rollout(&mut own, change(RolloutEventKind::Paused), None).await },
        )
    });
    let mut won = 0;
    for decided in deciding.collect::<Vec<_>>() {
        match decided.await.unwrap() {
            Ok(_) => won += 1,
            Err(error) => assert!(matches!(error, StoreError::RolloutChanged), "{error:?}"),
        }
    }
    assert_eq!((won, store.rollout(rollout.id).await.unwrap().last_seq), (1, 2));
    // A reply that is kept is the same transaction's.
    let mut own = store.rollout(rollout.id).await.unwrap();
    let once = reply("k");
    store.record_rollout(&mut own, change(RolloutEventKind::Resumed), Some(&once)).await.unwrap();
    let again = store.record_rollout(&mut own, change(RolloutEventKind::Resumed), Some(&once)).await;
    assert!(matches!(again, Err(StoreError::IdempotencyReplay)));
    assert_eq!(store.rollout(rollout.id).await.unwrap().last_seq, 3);
}

async fn an_operation_is_made_together_with_its_tenants_state_or_not_at_all(store: Store) {
    let spec = settled(&store, "t0").await;
    let mut rollout = created(&store, 2).await;
    let begin = |rollout: &Rollout, operation: &Operation| {
        let state = RolloutTenantState::Deploying;
        let tenant = RolloutTenant { state, operation: Some(operation.id), ..rollout.tenants[0].clone() };
        RolloutChange {
            events: vec![event(RolloutEventKind::TenantStarted).of_tenant(&tenant)],
            tenants: vec![tenant],
            operation: Some(operation.clone()),
        }
    };
    let first = Operation { rollout: Some(rollout.id), ..deployment(&spec) };
    let wanted = begin(&rollout, &first);
    store.record_rollout(&mut rollout, wanted, None).await.unwrap();
    assert_eq!(store.operation(first.id).await.unwrap().rollout, Some(rollout.id));
    assert_eq!(store.rollout_operations().await.unwrap(), 1);
    let before = rollout.clone();
    let second = Operation { rollout: Some(rollout.id), ..deployment(&spec) };
    let wanted = begin(&rollout, &second);
    let refused = store.record_rollout(&mut rollout, wanted, None).await;
    assert!(matches!(refused, Err(StoreError::OperationRunning { operation }) if operation == first.id));
    assert_eq!((&rollout, &store.rollout(rollout.id).await.unwrap()), (&before, &before));
}

async fn no_operation_is_made_for_a_tenant_that_came_after_the_rollout(store: Store) {
    let mut rollout = created(&store, 1).await;
    tokio::time::sleep(std::time::Duration::from_millis(2)).await;
    let spec = settled(&store, "t0").await;
    let operation = Operation { rollout: Some(rollout.id), ..deployment(&spec) };
    let wanted = RolloutChange { operation: Some(operation.clone()), ..change(RolloutEventKind::Warning) };
    let refused = store.record_rollout(&mut rollout, wanted, None).await;
    assert!(matches!(refused, Err(StoreError::NotFound { what: "tenant", .. })), "{refused:?}");
    assert!(store.operation(operation.id).await.is_err());
}

async fn a_rollouts_operation_lets_others_go_first_but_not_for_ever(store: Store) {
    let specs = [settled(&store, "t0").await, settled(&store, "t1").await];
    let mut rollout = created(&store, 2).await;
    let mut queued = Vec::new();
    for (spec, minutes) in specs.into_iter().zip([1, 30]) {
        let created_at = now() - chrono::TimeDelta::minutes(minutes);
        let operation = Operation { rollout: Some(rollout.id), created_at, ..deployment(&spec) };
        let change =
            RolloutChange { operation: Some(operation.clone()), ..change(RolloutEventKind::TenantStarted) };
        store.record_rollout(&mut rollout, change, None).await.unwrap();
        queued.push(operation.id);
    }
    let own = deployment(&settled(&store, "own").await);
    let accepted = berth_domain::event::NewEvent::new(now(), berth_domain::EventKind::Accepted, "x");
    store.create_operation(&own, accepted, None).await.unwrap();
    let mut turns = Vec::new();
    let next = Claim { restarted: false, ..claim("one") };
    while let Some(claimed) = claims(&store, &next).await {
        assert_eq!(claimed.status, OperationStatus::Running);
        turns.push(claimed.id);
    }
    assert_eq!(turns, [queued[1], own.id, queued[0]], "it has waited long enough; somebody waits; the rest");
}

async fn lists_tell_how_far_each_rollout_is(store: Store) {
    let first = created(&store, 1).await;
    let mut second = created(&store, 30).await;
    let tenant = RolloutTenant { state: RolloutTenantState::Succeeded, ..second.tenants[2].clone() };
    let change = RolloutChange { tenants: vec![tenant], ..change(RolloutEventKind::TenantFinished) };
    store.record_rollout(&mut second, change, None).await.unwrap();
    let page = store.list_rollouts(None, 1).await.unwrap();
    assert_eq!(page.items, [Rollout { tenants: Vec::new(), ..second.clone() }]);
    let page = store.list_rollouts(page.next.as_ref().map(|next| next.as_str()), 1).await.unwrap();
    assert_eq!(page.items, [Rollout { tenants: Vec::new(), ..first }]);
    assert!(matches!(store.list_rollouts(Some("x"), 1).await, Err(StoreError::InvalidCursor)));
}
