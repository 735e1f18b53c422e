//! Machines that are started anew.

use std::time::Duration;

use berth_domain::{EventKind, OperationKind, OperationStatus, StepName, StepStatus};
use berth_engine::{EngineOptions, Retries, Timeouts};

use crate::stage::Stage;

/// A deployed tenant whose machine boots what was committed, or nothing.
async fn deployed(reboot: Duration, comes_back: bool) -> Stage {
    let timeouts = Timeouts { reboot, ..Timeouts::default() };
    let retries = Retries::never();
    let stage = Stage::with(EngineOptions { timeouts, retries, ..EngineOptions::default() }).await;
    let (operation, _) = stage.deploy().await;
    assert_eq!(operation.status, OperationStatus::Succeeded, "{operation:?}");
    let mut machine = stage.world.machine.lock().unwrap();
    machine.boots = machine.committed.clone().filter(|_| comes_back);
    drop(machine);
    stage
}

const LONG: Duration = Duration::from_secs(60);

#[tokio::test]
async fn a_machine_is_started_anew_once_and_its_services_are_asked() {
    let stage = deployed(LONG, true).await;
    let asked = stage.world.count("probe");
    let id = stage.submit(OperationKind::Reboot, false).await;
    let (operation, _) = stage.ended(id).await;
    assert_eq!(operation.status, OperationStatus::Succeeded, "{operation:?}");
    let steps: Vec<_> = operation.steps.iter().map(|step| (step.name, step.status)).collect();
    assert_eq!(steps, [(StepName::Reboot, StepStatus::Succeeded), (StepName::Verify, StepStatus::Succeeded)]);
    assert_eq!((stage.machine().boot, stage.world.count("probe")), (1, asked + 1));
    let tenant = stage.store.tenant(&operation.tenant).await.unwrap();
    assert_eq!((operation.revision, operation.system), (tenant.deployed_revision, tenant.deployed_system));
}

#[tokio::test]
async fn a_machine_that_does_not_come_back_fails_the_operation_within_its_time_and_stays_recorded() {
    let stage = deployed(Duration::from_secs(3), false).await;
    let before = stage.store.tenant(&"acme".parse().unwrap()).await.unwrap();
    let id = stage.submit(OperationKind::Reboot, false).await;
    stage.until(|world| world.count("reboot") > 0).await;
    *stage.world.out_of_touch.lock().unwrap() = true;
    let (operation, _) = stage.ended(id).await;
    assert_eq!(operation.status, OperationStatus::Failed);
    let error = operation.error.unwrap();
    assert_eq!((error.code.as_str(), error.step), ("reboot-failed", Some(StepName::Reboot)));
    assert!(error.message.contains("not back after 3 s: no route to host"), "{error:?}");
    assert_eq!(stage.store.tenant(&"acme".parse().unwrap()).await.unwrap(), before);
    assert_eq!(stage.world.count("revert"), 0);
}

#[tokio::test]
async fn a_machine_that_ignores_the_wish_or_comes_back_with_something_else_fails_the_operation() {
    let stage = deployed(Duration::from_secs(1), false).await;
    let id = stage.submit(OperationKind::Reboot, false).await;
    let error = stage.ended(id).await.0.error.unwrap();
    assert!(error.code == "reboot-failed" && error.message.contains("still runs as before"), "{error:?}");

    let stage = deployed(LONG, true).await;
    stage.world.machine.lock().unwrap().boots = Some("/nix/store/other".into());
    let id = stage.submit(OperationKind::Reboot, false).await;
    let error = stage.ended(id).await.0.error.unwrap();
    assert!(error.code == "reboot-failed" && error.message.contains("/nix/store/other"), "{error:?}");
}

#[tokio::test]
async fn a_machine_that_cannot_be_asked_at_first_is_not_waited_for() {
    let stage = deployed(LONG, true).await;
    *stage.world.out_of_touch.lock().unwrap() = true;
    let id = stage.submit(OperationKind::Reboot, false).await;
    let error = stage.ended(id).await.0.error.unwrap();
    assert_eq!(error.code, "machine-unreachable");
    assert_eq!(stage.machine().boot, 0);
}

#[tokio::test]
async fn a_daemon_that_ends_meanwhile_makes_no_second_reboot() {
    let mut stage = deployed(LONG, true).await;
    let id = stage.submit(OperationKind::Reboot, false).await;
    stage.until(|world| world.count("reboot") > 0).await;
    stage.restart().await;
    let (operation, events) = stage.ended(id).await;
    assert_eq!(operation.status, OperationStatus::Succeeded, "{operation:?}");
    assert!(events.iter().any(|event| event.kind == EventKind::Resumed));
    assert_eq!(stage.machine().boot, 1);
}

#[tokio::test]
async fn whoever_cancels_a_reboot_is_told_that_it_takes_place_all_the_same() {
    let stage = deployed(LONG, false).await;
    let id = stage.submit(OperationKind::Reboot, false).await;
    stage.until(|world| world.count("reboot") > 0).await;
    stage.engine.cancel(id, "test", None).await.unwrap();
    let (operation, events) = stage.ended(id).await;
    assert_eq!(operation.status, OperationStatus::Cancelled);
    let warning = events.iter().find(|event| event.kind == EventKind::Warning).unwrap();
    assert!(warning.message.contains("all the same"), "{warning:?}");
}
