//! Operations that fail.

use berth_domain::{OperationKind, OperationStatus, StepName, StepStatus};

use crate::fakes::{OLD, Stage, WORDS};

#[tokio::test]
async fn whatever_fails_the_operation_says_what_and_the_machine_is_on_its_old_system() {
    for (what, step) in WORDS.into_iter().chain([("commit", StepName::Commit)]) {
        let stage = Stage::set_up().await;
        stage.world.fail(what);
        let id = stage.submit(OperationKind::Deploy, false).await;
        // The way back is an activation as well, which is to work.
        if what == "activate" {
            let world = stage.world.clone();
            tokio::spawn(async move {
                while world.count("activate") == 0 {
                    tokio::task::yield_now().await;
                }
                world.behave();
            });
        }
        let (operation, events) = stage.ended(id).await;
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
