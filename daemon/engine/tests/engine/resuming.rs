//! Daemons that end in the middle.

use std::sync::atomic::Ordering;
use std::time::Duration;

use berth_domain::{EventKind, OperationKind, OperationStatus, StepName, StepStatus};
use berth_engine::EngineOptions;

use crate::fakes::{OLD, WORDS};
use crate::stage::Stage;

#[tokio::test]
async fn wherever_the_daemon_ends_its_successor_brings_the_operation_to_its_end() {
    for (what, step) in WORDS {
        let mut stage = Stage::set_up().await;
        stage.world.hang(what);
        let id = stage.submit(OperationKind::Deploy, false).await;
        stage.until_waiting_in(id, step).await;
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

#[tokio::test]
async fn a_switch_that_outlives_the_daemon_is_followed_and_not_begun_again() {
    for half in [false, true] {
        let mut stage = Stage::set_up().await;
        *stage.world.switch_takes.lock().unwrap() = Duration::from_millis(400);
        let id = stage.submit(OperationKind::Deploy, false).await;
        stage.until_switching(half).await;
        stage.restart().await;
        let (operation, _) = stage.ended(id).await;
        assert_eq!(operation.status, OperationStatus::Succeeded, "{operation:?}");
        assert_eq!((stage.world.count("activate"), stage.world.count("follow")), (1, 1));
        assert_eq!(stage.machine().committed, operation.system);
    }
}

#[tokio::test]
async fn what_the_predecessor_was_about_is_unknown_until_the_machine_was_looked_at() {
    let mut stage = Stage::set_up().await;
    stage.world.hang("activate");
    let id = stage.submit(OperationKind::Deploy, false).await;
    stage.until_waiting().await;
    stage.engine.stop().await;
    stage.world.behave();
    // The system is gone from the daemon's store, so that the successor begins with making it again.
    stage.world.lost.store(true, Ordering::Relaxed);
    stage.world.hang("evaluate");
    stage.restart().await;
    stage.until_waiting().await;
    let seen = stage.store.operation(id).await.unwrap();
    let status = |name| seen.step(name).map(|step| step.status);
    assert_eq!(status(StepName::Evaluate), Some(StepStatus::Running));
    assert_eq!(status(StepName::Activate), Some(StepStatus::Unknown));
    assert_eq!(status(StepName::Verify), Some(StepStatus::Pending));
    // Stopped now, it still knows that it had begun a switch, and undoes it.
    stage.world.behave();
    stage.engine.cancel(id, "ann", None).await.unwrap();
    assert_eq!(stage.ended(id).await.0.status, OperationStatus::Cancelled);
    let machine = stage.machine();
    assert_eq!((machine.running.as_deref(), machine.committed.as_deref()), (Some(OLD), Some(OLD)));
}

#[tokio::test]
async fn a_daemon_that_ends_while_it_commits_or_destroys_is_succeeded_by_one_that_finishes() {
    let cases = [("commit", false), ("commit", true), ("wipe", true), ("probe", true)];
    for (what, wipe) in cases {
        let mut stage = Stage::set_up().await;
        let (deployed, _) = stage.deploy().await;
        stage.world.hang(what);
        let id = stage.submit(OperationKind::Destroy, wipe).await;
        stage.until_waiting().await;
        stage.engine.stop().await;
        stage.world.behave();
        stage.restart().await;
        let (operation, _) = stage.ended(id).await;
        assert_eq!(operation.status, OperationStatus::Succeeded, "{what}: {operation:?}");
        assert!(stage.store.tenant(&deployed.tenant).await.is_err(), "{what}: the tenant is forgotten");
        assert_eq!(stage.machine().committed, operation.system, "{what}");
        let holds = stage.store.machine(&deployed.machine).await.unwrap().holds_data_of;
        assert_eq!(holds, (!wipe).then_some(deployed.tenant), "{what}");
    }
}

#[tokio::test]
async fn a_commit_that_took_place_outlives_a_daemon_and_a_machine_without_room() {
    let mut stage = Stage::with(crate::retrying::eager()).await;
    stage.world.pause("commit-answer");
    let id = stage.submit(OperationKind::Deploy, false).await;
    stage.until_waiting().await;
    stage.engine.stop().await;
    stage.world.behave();
    // Not even who asks can be written down there.
    stage.world.cramp("commit", 2);
    stage.restart().await;
    let (operation, _) = stage.ended(id).await;
    assert_eq!(operation.status, OperationStatus::Succeeded, "{operation:?}");
    assert_eq!((stage.world.count("commit"), stage.machine().committed), (4, operation.system));
}

#[tokio::test]
async fn a_wish_to_cancel_that_came_during_a_commit_does_not_undo_it_after_a_restart() {
    for (what, lost) in [("commit", false), ("commit-answer", false), ("commit-answer", true)] {
        let mut stage = Stage::set_up().await;
        stage.world.pause(what);
        let id = stage.submit(OperationKind::Deploy, false).await;
        stage.until_waiting().await;
        stage.engine.cancel(id, "ann", None).await.unwrap();
        stage.engine.stop().await;
        stage.world.behave();
        stage.world.lost.store(lost, Ordering::Relaxed);
        stage.restart().await;
        let (operation, _) = stage.ended(id).await;
        assert_eq!(operation.status, OperationStatus::Succeeded, "{what}, {lost}: {operation:?}");
        assert_eq!(stage.machine().committed, operation.system);
        let tenant = stage.store.tenant(&operation.tenant).await.unwrap();
        assert_eq!(
            (tenant.deployed_system, tenant.deployed_revision),
            (operation.system, operation.revision)
        );
    }
}

#[tokio::test]
async fn a_machine_that_was_put_back_or_started_anew_meanwhile_is_not_committed_to_what_it_does_not_run() {
    for started_anew in [false, true] {
        let mut stage = Stage::set_up().await;
        stage.world.hang("commit");
        let id = stage.submit(OperationKind::Deploy, false).await;
        stage.until_waiting().await;
        stage.engine.stop().await;
        stage.world.behave();
        {
            let mut machine = stage.world.machine.lock().unwrap();
            machine.running = Some(OLD.into());
            if started_anew {
                // Its records of switches do not outlive it.
                machine.asked.clear();
            }
        }
        stage.restart().await;
        let (operation, _) = stage.ended(id).await;
        let machine = stage.machine();
        assert_eq!(machine.running, machine.committed, "{started_anew}: {operation:?}");
        if started_anew {
            assert_eq!((operation.status, machine.committed), (OperationStatus::Succeeded, operation.system));
            assert_eq!((stage.world.count("activate"), stage.world.count("probe")), (2, 2));
        } else {
            let error = operation.error.map(|error| (error.code, error.step, error.retryable));
            assert_eq!(error, Some(("activation-failed".into(), Some(StepName::Commit), true)));
            assert_eq!(machine.committed.as_deref(), Some(OLD));
        }
    }
}

#[tokio::test]
async fn operations_that_are_taken_up_again_respect_the_bound_as_well() {
    let mut stage = Stage::with(EngineOptions { parallel_operations: 3, ..EngineOptions::default() }).await;
    stage.world.hang("evaluate");
    let mut ids = Vec::new();
    for n in 0..3 {
        let (tenant, machine) = (format!("t{n}"), format!("m{n}"));
        stage.settle(&tenant, &machine).await;
        ids.push(stage.submit_of(&tenant, &machine, OperationKind::Deploy, false).await);
    }
    stage.until(|world| world.count("evaluate") == 3).await;
    stage.options.parallel_operations = 1;
    stage.restart().await;
    stage.until(|world| world.count("evaluate") == 4).await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!((stage.engine.running(), stage.world.count("evaluate")), (1, 4));
    // Those that wait for a place are stopped as readily as the one that has it.
    for id in &ids {
        stage.engine.cancel(*id, "ann", None).await.unwrap();
    }
    for id in ids {
        assert_eq!(stage.ended(id).await.0.status, OperationStatus::Cancelled);
    }
    assert_eq!(stage.world.count("build"), 0);
}
