//! Operations that are stopped.

use berth_domain::{EventKind, OperationKind, OperationStatus, StepStatus};
use berth_engine::EngineOptions;
use berth_store::StoreError;

use crate::fakes::{OLD, Stage, WORDS};

#[tokio::test]
async fn wherever_it_is_stopped_the_machine_is_on_its_old_system() {
    for (what, step) in WORDS {
        let stage = Stage::set_up().await;
        stage.world.hang(what);
        let id = stage.submit(OperationKind::Deploy, false).await;
        stage.until_waiting().await;
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
