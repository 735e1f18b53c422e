//! Steps that are tried again.

use std::time::Duration;

use berth_domain::{EventKind, OperationKind, OperationStatus, StepName, StepStatus};
use berth_engine::{EngineOptions, Retries};

use crate::fakes::{OLD, WORDS};
use crate::stage::Stage;

pub fn eager() -> EngineOptions {
    let retries = Retries { attempts: 3, first: Duration::from_millis(1), ..Retries::default() };
    EngineOptions { retries, ..EngineOptions::default() }
}

#[tokio::test]
async fn what_may_pass_by_itself_is_tried_again_and_told() {
    for (what, step) in WORDS {
        let stage = Stage::with(eager()).await;
        stage.world.stumble(what, 2);
        let (operation, events) = stage.deploy().await;
        assert_eq!(operation.status, OperationStatus::Succeeded, "{what}: {operation:?}");
        let retries: Vec<_> = events.iter().filter(|event| event.kind == EventKind::Retrying).collect();
        // A switch that took place is found the next time.
        let expected = if what == "activate" { 1 } else { 2 };
        assert_eq!(retries.len(), expected, "{what}");
        assert!(retries.iter().all(|event| event.step == Some(step)), "{what}");
        assert!(retries[0].message.contains("stumbled; attempt 2 of 3 in"), "{}", retries[0].message);
        assert_eq!(stage.machine().committed, operation.system, "{what}");
    }
}

#[tokio::test]
async fn a_commit_is_asked_for_again_for_longer_than_any_step_is_tried() {
    let stage = Stage::with(EngineOptions { retries: Retries::never(), ..eager() }).await;
    stage.world.stumble("commit", 2);
    let (operation, events) = stage.deploy().await;
    assert_eq!(operation.status, OperationStatus::Succeeded, "{operation:?}");
    assert!(events.iter().all(|event| event.kind != EventKind::Retrying));
    assert_eq!((stage.world.count("commit"), stage.machine().committed), (3, operation.system));
}

#[tokio::test]
async fn what_is_left_of_a_commit_that_took_place_is_tried_again_where_the_machine_has_no_room() {
    let stage = Stage::with(eager()).await;
    stage.world.cramp("commit-answer", 2);
    let (operation, events) = stage.deploy().await;
    assert_eq!(operation.status, OperationStatus::Succeeded, "{operation:?}");
    assert_eq!(events.iter().filter(|event| event.kind == EventKind::Retrying).count(), 2);
    assert_eq!((stage.world.count("commit"), stage.machine().committed), (3, operation.system));
}

#[tokio::test]
async fn a_commit_for_which_the_machine_has_no_room_is_given_up() {
    let stage = Stage::with(eager()).await;
    stage.world.cramp("commit", 1);
    let (operation, events) = stage.deploy().await;
    assert_eq!(operation.error.unwrap().message, "no space left on device");
    assert!(events.iter().all(|event| event.kind != EventKind::Retrying));
    let machine = stage.machine();
    assert_eq!((machine.running.as_deref(), machine.committed.as_deref()), (Some(OLD), Some(OLD)));
}

#[tokio::test]
async fn what_does_not_pass_is_not_tried_for_ever() {
    // A switch that took place is found the next time.
    for (what, step) in WORDS.into_iter().filter(|(what, _)| *what != "activate") {
        let stage = Stage::with(eager()).await;
        // As often as the step is attempted; the way back finds a world in which things work.
        stage.world.stumble(what, 3);
        let (operation, events) = stage.deploy().await;
        assert_eq!(operation.status, OperationStatus::Failed, "{what}: {operation:?}");
        let error = operation.error.unwrap();
        assert_eq!((error.code.as_str(), error.step, error.retryable), ("stumbled", Some(step), true));
        assert_eq!(events.iter().filter(|event| event.kind == EventKind::Retrying).count(), 2, "{what}");
        let machine = stage.machine();
        assert_eq!((machine.running.as_deref(), machine.committed.as_deref()), (Some(OLD), Some(OLD)));
    }
}

#[tokio::test]
async fn what_failed_for_good_is_not_tried_again() {
    for (what, _) in WORDS {
        let stage = Stage::with(eager()).await;
        stage.world.fail_once(what);
        let (operation, events) = stage.deploy().await;
        assert_eq!(operation.status, OperationStatus::Failed, "{what}");
        assert!(events.iter().all(|event| event.kind != EventKind::Retrying), "{what}");
    }
}

#[tokio::test]
async fn a_wish_to_cancel_does_not_wait_for_the_next_attempt() {
    let retries = Retries { first: Duration::from_secs(600), longest: Duration::from_secs(600), attempts: 3 };
    let stage = Stage::with(EngineOptions { retries, ..EngineOptions::default() }).await;
    stage.world.stumble("build", 9);
    let id = stage.submit(OperationKind::Deploy, false).await;
    stage.until(|world| world.count("build") == 1).await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    stage.engine.cancel(id, "ann", None).await.unwrap();
    let (operation, _) = stage.ended(id).await;
    assert_eq!(operation.status, OperationStatus::Cancelled);
    assert_eq!(operation.step(StepName::Build).unwrap().status, StepStatus::Cancelled);
    assert_eq!(stage.world.count("build"), 1);
}
