//! Machines that put their previous system back by themselves.

use std::time::Duration;

use berth_domain::{EventKind, OperationKind, OperationStatus, StepName};
use berth_engine::{EngineOptions, Retries, Timeouts};

use crate::fakes::OLD;
use crate::stage::Stage;

/// Machines that wait for two seconds.
fn impatient() -> EngineOptions {
    let (verify, dead_man) = (Duration::from_secs(1), Duration::from_secs(1));
    let timeouts = Timeouts { verify, dead_man, ..Timeouts::default() };
    EngineOptions { timeouts, ..EngineOptions::default() }
}

#[tokio::test]
async fn a_resumed_operation_whose_machine_was_put_back_by_its_timer_fails_and_says_so() {
    for what in ["activate", "probe", "commit"] {
        let mut stage = Stage::set_up().await;
        stage.world.hang(what);
        let id = stage.submit(OperationKind::Deploy, false).await;
        stage.until_waiting().await;
        stage.engine.stop().await;
        stage.world.behave();
        stage.world.timer_elapses();
        stage.restart().await;
        let (operation, _) = stage.ended(id).await;
        assert_eq!(operation.status, OperationStatus::Failed, "{what}");
        let error = operation.error.unwrap();
        assert_eq!((error.code.as_str(), error.retryable), ("reverted-by-timer", true), "{what}");
        assert_eq!(stage.world.count("activate"), 1, "{what}: it is not switched again");
        let machine = stage.machine();
        assert_eq!(
            (machine.running.as_deref(), machine.committed.as_deref()),
            (Some(OLD), Some(OLD)),
            "{what}"
        );
        // The next operation may try again.
        assert_eq!(stage.deploy().await.0.status, OperationStatus::Succeeded, "{what}");
    }
}

#[tokio::test]
async fn a_machine_that_went_out_of_touch_is_waited_for_until_it_says_what_became_of_it() {
    for what in ["probe", "commit"] {
        let stage = Stage::with(impatient()).await;
        stage.world.pause(what);
        let id = stage.submit(OperationKind::Deploy, false).await;
        stage.until_waiting().await;
        *stage.world.out_of_touch.lock().unwrap() = true;
        stage.world.behave();
        tokio::time::sleep(Duration::from_millis(500)).await;
        assert!(!stage.store.operation(id).await.unwrap().status.is_final(), "{what}: nothing is known yet");
        stage.world.timer_elapses();
        *stage.world.out_of_touch.lock().unwrap() = false;
        let (operation, events) = stage.ended(id).await;
        assert_eq!(operation.status, OperationStatus::Failed, "{what}");
        let error = operation.error.unwrap();
        assert_eq!(error.code, "reverted-by-timer", "{what}: {error:?}");
        if what == "probe" {
            assert_eq!(error.step, Some(StepName::Verify));
            let expected = "no route to host; the machine put its previous system back by itself";
            assert_eq!(error.message, expected);
            let waits = events.iter().find(|event| event.kind == EventKind::Warning).unwrap();
            assert!(waits.message.contains("it does so by itself, which is waited for"), "{waits:?}");
        }
    }
}

#[tokio::test]
async fn a_commit_whose_machine_went_out_of_touch_is_known_to_have_taken_place_once_it_is_back() {
    let stage = Stage::with(impatient()).await;
    stage.world.pause("commit-answer");
    let id = stage.submit(OperationKind::Deploy, false).await;
    stage.until_waiting().await;
    *stage.world.out_of_touch.lock().unwrap() = true;
    stage.world.behave();
    tokio::time::sleep(Duration::from_millis(500)).await;
    *stage.world.out_of_touch.lock().unwrap() = false;
    let (operation, _) = stage.ended(id).await;
    assert_eq!(operation.status, OperationStatus::Succeeded, "{operation:?}");
    assert_eq!(stage.machine().committed, operation.system);
}

#[tokio::test]
async fn waiting_for_a_machine_ends_on_request_and_is_taken_up_by_the_next_daemon() {
    for stops in [false, true] {
        let options = EngineOptions { retries: Retries::never(), ..EngineOptions::default() };
        let mut stage = Stage::with(options).await;
        stage.world.pause("probe");
        let id = stage.submit(OperationKind::Deploy, false).await;
        stage.until_waiting().await;
        *stage.world.out_of_touch.lock().unwrap() = true;
        stage.world.behave();
        stage.until(|world| world.count("open") > 1).await;
        if stops {
            stage.engine.stop().await;
            assert!(!stage.store.operation(id).await.unwrap().status.is_final());
            stage.world.timer_elapses();
            *stage.world.out_of_touch.lock().unwrap() = false;
            stage.restart().await;
        } else {
            stage.engine.cancel(id, "ann", None).await.unwrap();
        }
        let (operation, events) = stage.ended(id).await;
        assert_eq!(operation.status, OperationStatus::Failed);
        let code = operation.error.unwrap().code;
        assert_eq!(code, if stops { "reverted-by-timer" } else { "machine-unreachable" });
        if !stops {
            let warning = events.iter().rfind(|event| event.kind == EventKind::Warning);
            assert!(warning.unwrap().message.contains("it does so by itself, and boots"));
        }
    }
}

#[tokio::test]
async fn a_system_that_needs_a_reboot_is_committed_without_being_probed_and_says_so() {
    let mut stage = Stage::set_up().await;
    *stage.world.exit_code.lock().unwrap() = 100;
    stage.world.hang("commit");
    let id = stage.submit(OperationKind::Deploy, false).await;
    stage.until_waiting().await;
    // Whatever runs: a successor knows it as well.
    stage.world.machine.lock().unwrap().running = Some(OLD.into());
    stage.engine.stop().await;
    stage.world.behave();
    stage.restart().await;
    let (operation, events) = stage.ended(id).await;
    assert_eq!(operation.status, OperationStatus::Succeeded, "{operation:?}");
    assert_eq!(stage.machine().committed, operation.system);
    assert_eq!(stage.world.count("probe"), 0);
    assert!(events.iter().any(|event| event.kind == EventKind::NeedsReboot), "{events:#?}");
}
