//! Who holds an operation, and who does not any more.

use std::time::Duration;

use berth_domain::{EventKind, OperationKind, OperationStatus};
use berth_engine::EngineOptions;

use crate::fakes::OLD;
use crate::stage::Stage;

fn brief() -> EngineOptions {
    EngineOptions { lease: Duration::from_millis(500), ..EngineOptions::default() }
}

#[tokio::test]
async fn a_daemon_that_learns_that_another_goes_on_stops_at_once_and_writes_nothing() {
    let stage = Stage::with(brief()).await;
    stage.world.hang("build");
    let id = stage.submit(OperationKind::Deploy, false).await;
    stage.until_waiting().await;
    stage.world.behave();
    // One that believes that the first is dead: its data folder was copied.
    let other = stage.another(stage.options.clone());
    other.start();
    let (operation, events) = stage.ended(id).await;
    assert_eq!(operation.status, OperationStatus::Succeeded, "{operation:?}");
    assert_eq!(events.iter().filter(|event| event.kind == EventKind::Resumed).count(), 1);
    assert_eq!(events.iter().filter(|event| event.kind == EventKind::Finished).count(), 1);
    let numbers: Vec<i64> = events.iter().map(|event| event.seq).collect();
    assert_eq!(numbers, (1..=operation.last_seq).collect::<Vec<_>>());
    stage.until(|_| stage.engine.running() == 0).await;
    assert_eq!((stage.world.count("build"), stage.world.count("activate")), (2, 1));
    assert_eq!(stage.store.operation(id).await.unwrap(), operation);
}

#[tokio::test]
async fn an_operation_is_nobody_elses_as_long_as_its_daemon_renews_the_lease() {
    let stage = Stage::with(brief()).await;
    stage.world.hang("build");
    let id = stage.submit(OperationKind::Deploy, false).await;
    stage.until_waiting().await;
    let other = stage.another(EngineOptions { replica: "other".into(), ..brief() });
    other.start();
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!((stage.engine.running(), other.running()), (1, 0));
    stage.world.behave();
    // Asked where it does not run; the daemon that runs it learns so from the database.
    other.cancel(id, "ann", None).await.unwrap();
    let (operation, _) = stage.ended(id).await;
    assert_eq!(operation.status, OperationStatus::Cancelled);
    assert_eq!(stage.machine().running.as_deref(), Some(OLD));
}

#[tokio::test]
async fn what_a_daemon_gives_back_when_it_stops_is_taken_up_by_another_at_once() {
    let stage =
        Stage::with(EngineOptions { lease: Duration::from_secs(3600), ..EngineOptions::default() }).await;
    stage.world.hang("activate");
    let id = stage.submit(OperationKind::Deploy, false).await;
    stage.until_waiting().await;
    stage.engine.stop().await;
    stage.world.behave();
    let other = stage.another(EngineOptions { replica: "other".into(), ..stage.options.clone() });
    other.start();
    let (operation, _) = stage.ended(id).await;
    assert_eq!(operation.status, OperationStatus::Succeeded, "{operation:?}");
    assert_eq!(stage.world.count("activate"), 1, "the switch was followed, not begun again");
}
