//! Operations that fail.

use std::time::Duration;

use berth_domain::{EventKind, OperationStatus, StepName, StepStatus};

use crate::fakes::{OLD, WORDS};
use crate::stage::Stage;

#[tokio::test]
async fn whatever_fails_the_operation_says_what_and_the_machine_is_on_its_old_system() {
    for (what, step) in WORDS.into_iter().chain([("commit", StepName::Commit)]) {
        let stage = Stage::set_up().await;
        // Once where the way back follows the way there to its end, and is to work.
        match what {
            "activate" => stage.world.fail_once(what),
            _ => stage.world.fail(what),
        }
        let (operation, events) = stage.deploy().await;
        assert_eq!(operation.status, OperationStatus::Failed, "{what}");
        let error = operation.error.clone().unwrap();
        assert_eq!((error.code.as_str(), error.step), ("told-to", Some(step)), "{what}");
        assert_eq!(operation.step(step).map(|step| step.status), Some(StepStatus::Failed));
        let after = operation.steps.iter().skip_while(|s| s.name != step).skip(1);
        assert!(after.into_iter().all(|step| step.status == StepStatus::Pending), "{what}");
        assert_eq!(events.last().unwrap().error, operation.error);
        let machine = stage.machine();
        assert_eq!(
            (machine.running.as_deref(), machine.committed.as_deref()),
            (Some(OLD), Some(OLD)),
            "{what}"
        );
        assert_eq!(stage.store.tenant(&operation.tenant).await.unwrap().deployed_revision, None);
        // And the next one starts afresh.
        stage.world.behave();
        assert_eq!(stage.deploy().await.0.status, OperationStatus::Succeeded, "after {what}");
    }
}

#[tokio::test]
async fn a_commit_whose_answer_was_lost_is_asked_for_again() {
    let stage = Stage::set_up().await;
    stage.world.fail_once("commit-answer");
    let (operation, _) = stage.deploy().await;
    assert_eq!(operation.status, OperationStatus::Succeeded, "{operation:?}");
    assert_eq!(stage.machine().committed, operation.system);
    let tenant = stage.store.tenant(&operation.tenant).await.unwrap();
    assert_eq!((tenant.deployed_system, tenant.deployed_revision), (operation.system, operation.revision));
}

#[tokio::test]
async fn a_commit_that_fails_after_it_took_place_is_recorded_and_not_said_to_have_been_put_back() {
    let stage = Stage::set_up().await;
    stage.world.fail("commit-answer");
    let (operation, events) = stage.deploy().await;
    assert_eq!(operation.status, OperationStatus::Failed);
    let warning = events.iter().find(|event| event.kind == EventKind::Warning).unwrap();
    assert_eq!(warning.message, "the machine boots this system already and was left on it; deploy again");
    let tenant = stage.store.tenant(&operation.tenant).await.unwrap();
    assert_eq!(tenant.deployed_system, stage.machine().committed, "the record says what the machine boots");
    assert_eq!(
        (tenant.deployed_system, tenant.deployed_revision),
        (operation.system.clone(), operation.revision.clone())
    );
    // Which is all that is needed.
    stage.world.behave();
    let (again, _) = stage.deploy().await;
    assert_eq!((again.status, again.system), (OperationStatus::Succeeded, stage.machine().committed));
    assert_eq!(stage.world.count("activate"), 1);
}

#[tokio::test]
async fn a_connection_that_is_lost_during_a_switch_leaves_nothing_going_on() {
    let stage = Stage::set_up().await;
    *stage.world.switch_takes.lock().unwrap() = Duration::from_millis(400);
    stage.world.fail_once("activate");
    let (operation, _) = stage.deploy().await;
    assert_eq!(operation.status, OperationStatus::Failed);
    assert_eq!(operation.error.map(|error| error.code).as_deref(), Some("told-to"));
    let machine = stage.machine();
    assert_eq!(
        (machine.switching, machine.running.as_deref(), machine.committed.as_deref()),
        (None, Some(OLD), Some(OLD))
    );
}
