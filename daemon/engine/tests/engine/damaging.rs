//! Store paths that are damaged on the machine's disk.

use berth_domain::{EventKind, OperationStatus, StepName};

use crate::fakes::OLD;
use crate::stage::Stage;

const DAMAGED: &str = "/nix/store/n3vvpagg98dz0yissby9d2qf2n01d5m0-unit-gitea.service";

#[tokio::test]
async fn what_a_power_loss_damaged_is_sent_again_before_the_switch() {
    let stage = Stage::set_up().await;
    {
        let mut machine = stage.world.machine.lock().unwrap();
        machine.booted = true;
        machine.damaged.insert(DAMAGED.into());
    }
    let (operation, events) = stage.deploy().await;
    assert_eq!(operation.status, OperationStatus::Succeeded, "{operation:?}");
    assert!(stage.machine().damaged.is_empty());
    let warned =
        events.iter().any(|event| event.kind == EventKind::Warning && event.message.contains(DAMAGED));
    assert!(warned, "{events:?}");
}

#[tokio::test]
async fn a_switch_that_fails_on_a_damaged_store_says_which_path_it_was_and_the_next_one_finds_it_mended() {
    let stage = Stage::set_up().await;
    stage.world.machine.lock().unwrap().damaged.insert(DAMAGED.into());
    *stage.world.exit_code.lock().unwrap() = 2;
    let (operation, _) = stage.deploy().await;
    let error = operation.error.unwrap();
    assert_eq!((error.code.as_str(), error.step), ("store-corrupted", Some(StepName::Activate)));
    assert!(error.retryable && error.message.contains(DAMAGED), "{error:?}");
    let machine = stage.machine();
    assert!(machine.damaged.is_empty());
    assert_eq!((machine.running.as_deref(), machine.committed.as_deref()), (Some(OLD), Some(OLD)));
    *stage.world.exit_code.lock().unwrap() = 0;
    assert_eq!(stage.deploy().await.0.status, OperationStatus::Succeeded);
}

#[tokio::test]
async fn a_switch_that_fails_on_a_whole_store_fails_as_it_did() {
    let stage = Stage::set_up().await;
    *stage.world.exit_code.lock().unwrap() = 2;
    let (operation, _) = stage.deploy().await;
    assert_eq!(operation.error.unwrap().code, "activation-failed");
    assert_eq!(stage.world.count("send-again"), 0);
}

#[tokio::test]
async fn a_path_that_cannot_be_sent_again_is_told_of_before_anything_is_switched() {
    let stage = Stage::set_up().await;
    {
        let mut machine = stage.world.machine.lock().unwrap();
        machine.booted = true;
        machine.damaged.insert(DAMAGED.into());
    }
    stage.world.fail("send-again");
    let (operation, _) = stage.deploy().await;
    let error = operation.error.unwrap();
    assert_eq!(error.code, "store-corrupted");
    assert!(error.message.contains(DAMAGED) && error.message.contains("cannot be sent again"), "{error:?}");
    assert_eq!(stage.world.count("activate"), 0);
}
