//! Daemons that end in the middle.

use berth_domain::{EventKind, OperationKind, OperationStatus, StepStatus};

use crate::fakes::{Stage, WORDS};

#[tokio::test]
async fn wherever_the_daemon_ends_its_successor_brings_the_operation_to_its_end() {
    for (what, step) in WORDS {
        let mut stage = Stage::set_up().await;
        stage.world.hang(what);
        let id = stage.submit(OperationKind::Deploy, false).await;
        stage.until_waiting().await;
        stage.engine.stop().await;
        let left = stage.store.operation(id).await.unwrap();
        assert_eq!(left.status, OperationStatus::Running, "{what}");
        assert_eq!(left.step(step).map(|step| step.status), Some(StepStatus::Running), "{what}");
        let activations = stage.world.count("activate");
        stage.world.behave();
        stage.restart().await;
        let (operation, events) = stage.ended(id).await;
        assert_eq!(operation.status, OperationStatus::Succeeded, "{what}: {operation:?}");
        assert_eq!(events.iter().filter(|event| event.kind == EventKind::Resumed).count(), 1);
        let numbers: Vec<i64> = events.iter().map(|event| event.seq).collect();
        assert_eq!(numbers, (1..=operation.last_seq).collect::<Vec<_>>(), "{what}");
        assert_eq!(stage.machine().committed, operation.system, "{what}");
        // What the machine runs already is not switched to again.
        let expected = if activations == 0 { 1 } else { activations };
        assert_eq!(stage.world.count("activate"), expected, "{what}");
        assert_eq!(
            stage.world.count("evaluate"),
            if what == "evaluate" || what == "build" { 2 } else { 1 },
            "{what}"
        );
    }
}

#[tokio::test]
async fn a_wish_to_cancel_outlives_the_daemon_that_heard_it() {
    let mut stage = Stage::set_up().await;
    stage.world.hang("build");
    let id = stage.submit(OperationKind::Deploy, false).await;
    stage.until_waiting().await;
    stage.engine.stop().await;
    // The daemon ended before its worker could obey.
    let event = berth_domain::event::NewEvent::new(chrono::Utc::now(), EventKind::CancelRequested, "stop");
    stage.store.request_cancel(id, event, None).await.unwrap();
    stage.world.behave();
    stage.restart().await;
    let (operation, _) = stage.ended(id).await;
    assert_eq!(operation.status, OperationStatus::Cancelled);
    assert_eq!(stage.world.count("activate"), 0);
}

#[tokio::test]
async fn what_was_queued_when_the_daemon_ended_is_done_by_the_next() {
    let mut stage = Stage::set_up().await;
    stage.engine.stop().await;
    let id = stage.submit(OperationKind::Deploy, false).await;
    stage.restart().await;
    let (operation, events) = stage.ended(id).await;
    assert_eq!(operation.status, OperationStatus::Succeeded);
    assert!(events.iter().all(|event| event.kind != EventKind::Resumed));
}
