//! Rollouts.

use std::time::Duration;

use berth_domain::rollout::{
    PlatformChoice, RolloutEventKind, RolloutSpec, RolloutTenantState, Selector, Share,
};
use berth_domain::{OperationKind, OperationStatus, Rollout, RolloutEvent, RolloutId, RolloutStatus};
use berth_engine::EngineOptions;
use berth_engine::rollouts::{RolloutBatch, Wish};
use berth_store::StoreError;
use chrono::Utc;

use crate::stage::Stage;

/// A stage with the tenants `t0`, `t1`, … on machines of the same names, each deployed once.
async fn fleet(tenants: usize) -> Stage {
    let stage = Stage::with(EngineOptions { parallel_operations: 4, ..EngineOptions::default() }).await;
    let mut ids = Vec::new();
    for n in 0..tenants {
        let name = format!("t{n}");
        stage.settle(&name, &name).await;
        ids.push(stage.submit_of(&name, &name, OperationKind::Deploy, false).await);
    }
    for id in ids {
        assert_eq!(stage.ended(id).await.0.status, OperationStatus::Succeeded);
    }
    stage.world.done.lock().unwrap().clear();
    stage
}

fn all() -> RolloutSpec {
    RolloutSpec::of(Selector::All)
}

/// To another platform, so that there is something to be done.
fn upgrade() -> RolloutSpec {
    RolloutSpec { platform: Some(PlatformChoice::Flake("github:example/next".into())), ..all() }
}

impl Stage {
    async fn roll_out(&self, spec: RolloutSpec) -> RolloutId {
        let rollout = self.engine.plan_rollout(spec, "ann", Utc::now()).await.unwrap();
        self.engine.submit_rollout(&rollout, None).await.unwrap();
        rollout.id
    }

    /// The rollout once it has ended, with all its events.
    async fn rolled_out(&self, id: RolloutId) -> (Rollout, Vec<RolloutEvent>) {
        let follow = async {
            let mut follower = self.engine.follow_rollout(id, 0);
            let mut events = Vec::new();
            while let Some(RolloutBatch::Events(batch)) = follower.next().await.unwrap() {
                events.extend(batch);
            }
            events
        };
        let events = tokio::time::timeout(Duration::from_secs(60), follow).await.expect("it does not end");
        let numbers: Vec<i64> = events.iter().map(|event| event.seq).collect();
        let rollout = self.store.rollout(id).await.unwrap();
        assert_eq!(numbers, (1..=rollout.last_seq).collect::<Vec<_>>());
        (rollout, events)
    }

    async fn until_rollout(&self, id: RolloutId, so: impl Fn(&Rollout) -> bool) -> Rollout {
        let waiting = async {
            loop {
                let rollout = self.store.rollout(id).await.unwrap();
                if so(&rollout) {
                    return rollout;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(30), waiting).await.expect("it never is")
    }
}

fn states(rollout: &Rollout) -> Vec<RolloutTenantState> {
    rollout.tenants.iter().map(|tenant| tenant.state).collect()
}

#[tokio::test]
async fn an_upgrade_reaches_every_tenant_wave_by_wave_and_is_evaluated_together() {
    let stage = fleet(12).await;
    let id = stage.roll_out(upgrade()).await;
    let (rollout, events) = stage.rolled_out(id).await;
    assert_eq!(rollout.status, RolloutStatus::Succeeded, "{rollout:?}");
    assert!(states(&rollout).iter().all(|state| *state == RolloutTenantState::Succeeded));
    assert_eq!(rollout.waves.iter().map(|wave| wave.tenants).collect::<Vec<_>>(), [1, 2, 9]);
    // No tenant of a wave begins before every tenant of the one before has ended.
    let mut open = 0;
    for event in &events {
        match event.kind {
            RolloutEventKind::WaveStarted => assert_eq!(open, 0, "{events:?}"),
            RolloutEventKind::TenantStarted => open += 1,
            RolloutEventKind::TenantFinished => open -= 1,
            _ => {}
        }
    }
    // The canary by itself, the others with those of their wave.
    assert_eq!((stage.world.count("evaluate"), stage.world.count("batch")), (1, 2));
    for n in 0..12 {
        let tenant = stage.store.tenant(&format!("t{n}").parse().unwrap()).await.unwrap();
        assert_eq!(tenant.platform.as_deref(), Some("github:example/next?locked"));
    }
    let operation = stage.store.operation(rollout.tenants[0].operation.unwrap()).await.unwrap();
    assert_eq!(operation.rollout, Some(id));
}

#[tokio::test]
async fn a_canary_that_fails_ends_the_rollout_before_anybody_else_is_touched() {
    let stage = fleet(5).await;
    stage.world.fail("build");
    let id = stage.roll_out(upgrade()).await;
    let (rollout, events) = stage.rolled_out(id).await;
    assert_eq!(rollout.status, RolloutStatus::Failed);
    assert_eq!(rollout.error.as_ref().unwrap().code, "too-many-failures");
    assert_eq!(states(&rollout)[0], RolloutTenantState::Failed);
    assert!(states(&rollout)[1..].iter().all(|state| *state == RolloutTenantState::Untouched));
    assert!(rollout.tenants[0].problem.as_ref().unwrap().contains("told-to"), "{rollout:?}");
    assert_eq!(stage.world.count("build"), 1);
    assert_eq!(events.last().unwrap().status, Some(RolloutStatus::Failed));
    let canary = stage.store.tenant(&"t0".parse().unwrap()).await.unwrap();
    assert_eq!(canary.platform.as_deref(), Some("path:/platform"), "what was not committed is not recorded");
}

#[tokio::test]
async fn some_may_fail_where_that_was_allowed_and_one_bad_configuration_spoils_no_batch() {
    let stage = fleet(9).await;
    stage.world.broken.lock().unwrap().insert("t3".into());
    let spec = RolloutSpec { waves: vec![Share::Count(1)], max_failures: Share::Percent(20), ..upgrade() };
    let id = stage.roll_out(spec).await;
    let (rollout, _) = stage.rolled_out(id).await;
    assert_eq!(rollout.status, RolloutStatus::Succeeded, "{rollout:?}");
    let failed: Vec<_> = rollout.tenants.iter().filter(|tenant| tenant.state.is_failure()).collect();
    assert_eq!(failed.iter().map(|tenant| tenant.tenant.as_str()).collect::<Vec<_>>(), ["t3"]);
    // The canary, and the one that is broken; all others were found in some half of the batch, but for the one that was
    // left alone with it.
    assert!(stage.world.count("evaluate") <= 3, "{:?}", stage.world.done.lock().unwrap());
}

#[tokio::test]
async fn a_paused_rollout_begins_nothing_until_it_is_resumed() {
    let stage = fleet(3).await;
    stage.world.pause("build");
    let id = stage.roll_out(upgrade()).await;
    stage.until_waiting().await;
    let paused = stage.engine.wish(id, Wish::Pause, "ann", None).await.unwrap();
    assert_eq!(paused.status, RolloutStatus::Paused);
    stage.world.behave();
    // What was begun ends by itself and is noted.
    stage.until_rollout(id, |rollout| rollout.waves[0].succeeded == 1).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(stage.world.count("build"), 1);
    // To pause what is paused changes nothing.
    let again = stage.engine.wish(id, Wish::Pause, "ann", None).await.unwrap();
    assert_eq!(again.status, RolloutStatus::Paused);
    stage.engine.wish(id, Wish::Resume, "ben", None).await.unwrap();
    let (rollout, _) = stage.rolled_out(id).await;
    assert_eq!((rollout.status, stage.world.count("build")), (RolloutStatus::Succeeded, 3));
    let late = stage.engine.wish(id, Wish::Pause, "ann", None).await;
    assert!(matches!(late, Err(StoreError::RolloutFinished { .. })), "{late:?}");
}

#[tokio::test]
async fn an_aborted_rollout_ends_with_what_runs_or_cancels_it() {
    for cancel_operations in [false, true] {
        let stage = fleet(3).await;
        stage.world.pause("build");
        let id = stage.roll_out(upgrade()).await;
        stage.until_waiting().await;
        stage.engine.wish(id, Wish::Abort { cancel_operations }, "ann", None).await.unwrap();
        if !cancel_operations {
            stage.world.behave();
        }
        let (rollout, _) = stage.rolled_out(id).await;
        assert_eq!(rollout.status, RolloutStatus::Aborted);
        let canary =
            if cancel_operations { RolloutTenantState::Cancelled } else { RolloutTenantState::Succeeded };
        let untouched = RolloutTenantState::Untouched;
        assert_eq!(states(&rollout), [canary, untouched, untouched]);
    }
}

#[tokio::test]
async fn a_daemon_that_ends_in_the_middle_is_succeeded_by_one_that_goes_on_and_deploys_nobody_twice() {
    let mut stage = fleet(6).await;
    // One after the other, as the fake world has one machine for all.
    let waves = vec![Share::Count(1), Share::Count(2)];
    let spec = RolloutSpec { waves, parallel: Some(1), ..upgrade() };
    let id = stage.roll_out(spec).await;
    stage.until_rollout(id, |rollout| rollout.wave == 2).await;
    stage.world.hang("activate");
    for _ in 0..3 {
        tokio::time::sleep(Duration::from_millis(60)).await;
        stage.restart().await;
    }
    stage.world.behave();
    stage.restart().await;
    let (rollout, events) = stage.rolled_out(id).await;
    assert_eq!(rollout.status, RolloutStatus::Succeeded, "{rollout:?}");
    let started: Vec<_> =
        events.iter().filter(|event| event.kind == RolloutEventKind::TenantStarted).collect();
    assert_eq!(started.len(), 6);
    let mut operations: Vec<_> = rollout.tenants.iter().filter_map(|tenant| tenant.operation).collect();
    operations.sort_unstable();
    operations.dedup();
    assert_eq!(operations.len(), 6);
}

#[tokio::test]
async fn a_tenant_that_is_busy_comes_later_and_one_that_went_away_is_passed_over() {
    let stage = fleet(3).await;
    stage.world.pause("probe");
    let own = stage.submit_of("t0", "t0", OperationKind::Deploy, false).await;
    stage.until_waiting().await;
    let leaving = stage.submit_of("t1", "t1", OperationKind::Destroy, false).await;
    let spec = RolloutSpec { waves: vec![Share::Percent(100)], ..all() };
    let id = stage.roll_out(spec).await;
    // The third has nobody to wait for.
    stage.until_rollout(id, |rollout| states(rollout)[2] == RolloutTenantState::Deploying).await;
    assert_eq!(states(&stage.store.rollout(id).await.unwrap())[0], RolloutTenantState::Waiting);
    stage.world.behave();
    assert_eq!(stage.ended(own).await.0.status, OperationStatus::Succeeded);
    assert_eq!(stage.ended(leaving).await.0.status, OperationStatus::Succeeded);
    let (rollout, _) = stage.rolled_out(id).await;
    let (succeeded, gone) = (RolloutTenantState::Succeeded, RolloutTenantState::Gone);
    assert_eq!(
        (rollout.status, states(&rollout)),
        (RolloutStatus::Succeeded, vec![succeeded, gone, succeeded])
    );
    assert_ne!(rollout.tenants[0].operation, Some(own));
}

#[tokio::test]
async fn a_tenant_that_took_the_name_of_a_deleted_one_is_not_deployed_in_its_place() {
    let stage = fleet(2).await;
    stage.world.pause("build");
    let spec = RolloutSpec { waves: vec![Share::Count(1)], ..upgrade() };
    let id = stage.roll_out(spec).await;
    stage.until_waiting().await;
    let name = "t1".parse().unwrap();
    let spec = stage.store.tenant(&name).await.unwrap().spec;
    stage.store.abandon_tenant(&name).await.unwrap();
    stage.store.create_tenant(&spec, Utc::now(), None).await.unwrap();
    stage.world.behave();
    let (rollout, _) = stage.rolled_out(id).await;
    assert_eq!(rollout.status, RolloutStatus::Succeeded);
    assert_eq!(states(&rollout), [RolloutTenantState::Succeeded, RolloutTenantState::Gone]);
    assert_eq!(stage.store.tenant(&name).await.unwrap().deployed_revision, None);
}

#[tokio::test]
async fn a_rollout_leaves_room_for_those_who_wait_for_a_deployment_of_their_own() {
    let stage = fleet(8).await;
    stage.world.pause("probe");
    let id = stage.roll_out(RolloutSpec { waves: vec![Share::Percent(100)], ..all() }).await;
    stage.until_rollout(id, |rollout| rollout.waves[0].deploying == 3).await;
    stage.settle("single", "single").await;
    let own = stage.submit_of("single", "single", OperationKind::Deploy, false).await;
    stage.until(|world| world.count("probe") == 4).await;
    let rollout = stage.store.rollout(id).await.unwrap();
    assert_eq!((rollout.waves[0].deploying, stage.engine.running()), (3, 4));
    stage.world.behave();
    assert_eq!(stage.ended(own).await.0.status, OperationStatus::Succeeded);
    assert_eq!(stage.rolled_out(id).await.0.status, RolloutStatus::Succeeded);
}

#[tokio::test]
async fn a_selection_names_tenants_that_there_are_and_only_deployed_ones_by_themselves() {
    let stage = fleet(2).await;
    let plan = |spec| stage.engine.plan_rollout(spec, "ann", Utc::now());
    let rollout = plan(all()).await.unwrap();
    let names: Vec<_> = rollout.tenants.iter().map(|tenant| tenant.tenant.as_str()).collect();
    assert_eq!(names, ["t0", "t1"], "acme was never deployed");
    let named = |names: &[&str]| {
        Selector::Tenants(names.iter().map(|name| name.parse().unwrap()).collect::<Vec<_>>())
    };
    let rollout = plan(RolloutSpec::of(named(&["t1", "acme"]))).await.unwrap();
    assert_eq!(rollout.tenants[0].tenant.as_str(), "t1");
    let refused = plan(RolloutSpec::of(named(&["t1", "nobody"]))).await.unwrap_err();
    assert!(refused.to_string().contains("nobody"), "{refused}");
    let nobody = plan(RolloutSpec::of(Selector::Label("beta".parse().unwrap()))).await.unwrap_err();
    assert!(nobody.to_string().contains("selects no tenant"), "{nobody}");
}

#[tokio::test]
async fn an_ordinary_deployment_keeps_the_platform_that_the_tenant_was_deployed_with() {
    let mut stage = fleet(1).await;
    *stage.world.platform.lock().unwrap() = Some("path:/other".into());
    stage.restart().await;
    let id = stage.submit_of("t0", "t0", OperationKind::Deploy, false).await;
    assert_eq!(stage.ended(id).await.0.status, OperationStatus::Succeeded);
    let t0 = "t0".parse().unwrap();
    assert_eq!(stage.store.tenant(&t0).await.unwrap().platform.as_deref(), Some("path:/platform"));
    assert_eq!(stage.world.count("evaluate"), 0, "nothing changed");
    // A first deployment takes what the daemon is configured with, and so does a rollout that says so.
    stage.deploy().await;
    let acme = stage.store.tenant(&"acme".parse().unwrap()).await.unwrap();
    assert_eq!(acme.platform.as_deref(), Some("path:/other"));
    let id = stage.roll_out(RolloutSpec { platform: Some(PlatformChoice::Current), ..all() }).await;
    assert_eq!(stage.rolled_out(id).await.0.status, RolloutStatus::Succeeded);
    assert_eq!(stage.store.tenant(&t0).await.unwrap().platform.as_deref(), Some("path:/other"));
}

#[tokio::test]
async fn a_platform_that_cannot_be_had_for_a_moment_is_asked_for_again() {
    let stage = fleet(2).await;
    stage.world.stumble("pin", 1);
    let id = stage.roll_out(upgrade()).await;
    let (rollout, _) = stage.rolled_out(id).await;
    assert_eq!(rollout.status, RolloutStatus::Succeeded, "{rollout:?}");
    assert_eq!(stage.world.count("pin"), 2);
}

#[tokio::test]
async fn what_a_tenant_was_deployed_with_is_kept_although_a_rollout_has_just_let_go_of_it() {
    let stage = fleet(1).await;
    let id = stage.roll_out(upgrade()).await;
    assert_eq!(stage.rolled_out(id).await.0.status, RolloutStatus::Succeeded);
    let done = stage.world.done.lock().unwrap().clone();
    let place = |what: &str| done.iter().rposition(|entry| entry.starts_with(what));
    assert!(place("keep github:example/next?locked") > place("commit"), "{done:?}");
}
