//! Operations that are stopped.

use std::time::Duration;

use berth_domain::{EventKind, OperationKind, OperationStatus, StepName, StepStatus};
use berth_engine::EngineOptions;
use berth_store::StoreError;

use crate::fakes::{OLD, WORDS};
use crate::stage::Stage;

#[tokio::test]
async fn wherever_it_is_stopped_the_machine_is_on_its_old_system() {
    for (what, step) in WORDS {
        let stage = Stage::set_up().await;
        stage.world.hang(what);
        let id = stage.submit(OperationKind::Deploy, false).await;
        stage.until_waiting_in(id, step).await;
        stage.world.behave();
        let asked = stage.engine.cancel(id, "ann", None).await.unwrap();
        assert!(asked.cancel_requested);
        let (operation, events) = stage.ended(id).await;
        assert_eq!(operation.status, OperationStatus::Cancelled, "{what}: {operation:?}");
        assert_eq!(operation.step(step).map(|step| step.status), Some(StepStatus::Cancelled), "{what}");
        let wishes = events.iter().filter(|event| event.kind == EventKind::CancelRequested);
        assert_eq!(wishes.map(|event| event.message.as_str()).collect::<Vec<_>>(), ["ann asked to cancel"]);
        let machine = stage.machine();
        assert_eq!(
            (machine.running.as_deref(), machine.committed.as_deref()),
            (Some(OLD), Some(OLD)),
            "{what}"
        );
        let late = stage.engine.cancel(id, "ann", None).await;
        assert!(matches!(late, Err(StoreError::Finished { .. })), "{what}");
    }
}

#[tokio::test]
async fn a_wish_that_only_the_database_tells_of_stops_the_step_that_was_about_to_begin() {
    // No lease is renewed meanwhile, which would tell of it as well.
    let options = EngineOptions { lease: Duration::from_secs(3600), ..EngineOptions::default() };
    let stage = Stage::with(options).await;
    stage.world.pause("copy");
    let id = stage.submit(OperationKind::Deploy, false).await;
    stage.until_waiting().await;
    let event = berth_domain::event::NewEvent::new(chrono::Utc::now(), EventKind::CancelRequested, "stop");
    stage.store.request_cancel(id, event, None).await.unwrap();
    stage.world.behave();
    let (operation, _) = stage.ended(id).await;
    assert_eq!(operation.status, OperationStatus::Cancelled);
    let ended = |name| operation.step(name).map(|step| step.status);
    assert_eq!(
        (ended(StepName::Copy), ended(StepName::Activate)),
        (Some(StepStatus::Succeeded), Some(StepStatus::Cancelled))
    );
    assert_eq!(stage.world.count("prepare-secrets") + stage.world.count("activate"), 0);
}

#[tokio::test]
async fn what_still_waits_for_its_turn_is_stopped_before_it_does_anything() {
    let stage = Stage::with(EngineOptions { parallel_operations: 1, ..EngineOptions::default() }).await;
    stage.world.hang("evaluate");
    let first = stage.submit(OperationKind::Deploy, false).await;
    stage.until_waiting().await;
    stage.settle("bolt", "vm2").await;
    let second = stage.submit_of("bolt", "vm2", OperationKind::Deploy, false).await;
    stage.engine.cancel(second, "ann", None).await.unwrap();
    stage.engine.cancel(first, "ann", None).await.unwrap();
    for id in [first, second] {
        assert_eq!(stage.ended(id).await.0.status, OperationStatus::Cancelled);
    }
    assert_eq!(stage.world.count("evaluate"), 1);
}

#[tokio::test]
async fn a_switch_that_outlives_the_wish_to_stop_it_is_waited_for_and_then_put_back() {
    // Before and after the machine's link to its running system was changed.
    for half in [false, true] {
        let stage = Stage::set_up().await;
        *stage.world.switch_takes.lock().unwrap() = Duration::from_millis(400);
        let id = stage.submit(OperationKind::Deploy, false).await;
        stage.until_switching(half).await;
        stage.engine.cancel(id, "ann", None).await.unwrap();
        let (operation, events) = stage.ended(id).await;
        assert_eq!(operation.status, OperationStatus::Cancelled);
        let machine = stage.machine();
        assert_eq!(machine.switching, None, "nothing goes on behind the operation's back");
        assert_eq!((machine.running.as_deref(), machine.committed.as_deref()), (Some(OLD), Some(OLD)));
        let warnings = events.iter().filter(|event| event.kind == EventKind::Warning);
        let warnings: Vec<_> = warnings.map(|event| event.message.as_str()).collect();
        assert_eq!(warnings, ["the machine was put back on the system that it had before"]);
        assert_eq!((stage.world.count("activate"), stage.world.count("revert")), (1, 1), "there and back");
    }
}

#[tokio::test]
async fn what_is_about_to_be_committed_is_committed_and_known_to_be() {
    for what in ["commit", "commit-answer"] {
        let stage = Stage::set_up().await;
        stage.world.pause(what);
        let id = stage.submit(OperationKind::Deploy, false).await;
        stage.until_waiting().await;
        stage.engine.cancel(id, "ann", None).await.unwrap();
        // Long enough for whoever would give up now to do so.
        tokio::time::sleep(Duration::from_millis(100)).await;
        stage.world.behave();
        let (operation, _) = stage.ended(id).await;
        assert_eq!(operation.status, OperationStatus::Succeeded, "{what}");
        assert!(operation.cancel_requested);
        assert_eq!(stage.machine().committed, operation.system, "{what}");
        let tenant = stage.store.tenant(&operation.tenant).await.unwrap();
        assert_eq!(
            (tenant.deployed_system, tenant.deployed_revision),
            (operation.system, operation.revision)
        );
    }
}

#[tokio::test]
async fn a_destroy_that_is_stopped_or_fails_forgets_nobody() {
    let steps = [("platform", true), ("evaluate", true), ("build", true), ("copy", true), ("wipe", true)];
    for (what, wipe) in steps.into_iter().chain([("activate", false), ("probe", false)]) {
        for fails in [false, true] {
            let stage = Stage::set_up().await;
            let (deployed, _) = stage.deploy().await;
            if fails {
                stage.world.fail_once(what);
            } else {
                stage.world.hang(what);
            }
            let id = stage.submit(OperationKind::Destroy, wipe).await;
            if !fails {
                stage.until_waiting().await;
                stage.world.behave();
                stage.engine.cancel(id, "ann", None).await.unwrap();
            }
            let (operation, _) = stage.ended(id).await;
            let expected = if fails { OperationStatus::Failed } else { OperationStatus::Cancelled };
            assert_eq!(operation.status, expected, "{what}: {operation:?}");
            let tenant = stage.store.tenant(&deployed.tenant).await.unwrap();
            assert_eq!(tenant.deployed_system, deployed.system, "{what}");
            let machine = stage.machine();
            assert_eq!(
                (&machine.running, &machine.committed),
                (&deployed.system, &deployed.system),
                "{what}"
            );
            // And it may be destroyed again.
            let again = stage.submit(OperationKind::Destroy, wipe).await;
            assert_eq!(stage.ended(again).await.0.status, OperationStatus::Succeeded, "after {what}");
            assert!(stage.store.tenant(&deployed.tenant).await.is_err());
        }
    }
}

#[tokio::test]
async fn a_step_that_does_not_hear_of_the_wish_is_left_within_five_seconds() {
    let cancelled = WORDS.map(async |(what, step)| {
        let stage = Stage::set_up().await;
        stage.world.deafen(what);
        let id = stage.submit(OperationKind::Deploy, false).await;
        stage.until_waiting_in(id, step).await;
        stage.world.behave();
        stage.engine.cancel(id, "ann", None).await.unwrap();
        let start = tokio::time::Instant::now();
        let (operation, _) = stage.ended(id).await;
        assert!(start.elapsed() < Duration::from_secs(8), "{what} took {:?}", start.elapsed());
        let step = operation.step(step).unwrap();
        assert_eq!(
            (operation.status, step.status),
            (OperationStatus::Cancelled, StepStatus::Cancelled),
            "{what}"
        );
        let machine = stage.machine();
        assert_eq!(
            (machine.running.as_deref(), machine.committed.as_deref()),
            (Some(OLD), Some(OLD)),
            "{what}"
        );
    });
    futures_util::future::join_all(cancelled).await;
}
