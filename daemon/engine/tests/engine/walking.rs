//! Operations that go well.

use std::time::Duration;

use berth_domain::{EventKind, OperationKind, OperationStatus, StepName, StepStatus, TenantSpec};
use berth_engine::EngineOptions;
use chrono::Utc;

use crate::fakes::OLD;
use crate::stage::Stage;

#[tokio::test]
async fn a_deployment_walks_its_steps_and_tells_each_without_a_hole() {
    let stage = Stage::set_up().await;
    let (operation, events) = stage.deploy().await;
    assert_eq!(operation.status, OperationStatus::Succeeded);
    assert!(operation.steps.iter().all(|step| step.status == StepStatus::Succeeded), "{operation:?}");
    let numbers: Vec<i64> = events.iter().map(|event| event.seq).collect();
    assert_eq!(numbers, (1..=operation.last_seq).collect::<Vec<_>>());
    let told = |kind| events.iter().filter(move |event| event.kind == kind);
    let started: Vec<_> = told(EventKind::StepStarted).filter_map(|event| event.step).collect();
    assert_eq!(started, OperationKind::Deploy.steps(false));
    assert_eq!(told(EventKind::Finished).count(), 1);
    assert_eq!(events.last().unwrap().status, Some(OperationStatus::Succeeded));
    // The agent is copied to a machine that does not have it, before anything else.
    assert_eq!(stage.world.count("copy-agent"), 1);
    let machine = stage.machine();
    assert_eq!((&machine.running, &machine.committed), (&operation.system, &operation.system));
    let tenant = stage.store.tenant(&operation.tenant).await.unwrap();
    assert_eq!((tenant.deployed_revision, tenant.deployed_system), (operation.revision, operation.system));
    assert!(stage.store.machine(&operation.machine).await.unwrap().facts.is_some());
}

#[tokio::test]
async fn what_is_deployed_already_is_only_looked_at() {
    let stage = Stage::set_up().await;
    stage.deploy().await;
    let before: Vec<_> = ["evaluate", "build", "copy", "activate"].map(|what| stage.world.count(what)).into();
    let (operation, _) = stage.deploy().await;
    assert_eq!(operation.status, OperationStatus::Succeeded);
    let after: Vec<_> = ["evaluate", "build", "copy", "activate"].map(|what| stage.world.count(what)).into();
    assert_eq!(before, after);
    assert_eq!(stage.world.count("probe"), 2);
}

#[tokio::test]
async fn a_machine_is_asked_what_it_is_during_the_evaluation_and_once_more_where_that_took_long() {
    let takes_long = Duration::from_millis(10_500);
    let of_one = async |pause: Duration| {
        let stage = Stage::set_up().await;
        // From now on the machine has the agent.
        stage.deploy().await;
        let record = stage.store.tenant(&"acme".parse().unwrap()).await.unwrap();
        let spec = TenantSpec { contact_email: "other@b.example".parse().unwrap(), ..record.spec };
        stage.store.update_tenant(&spec, Some(record.version), Utc::now()).await.unwrap();
        let asked = stage.world.count("facts");
        stage.world.paused.lock().unwrap().insert("evaluate");
        let id = stage.submit(OperationKind::Deploy, false).await;
        stage.until(|world| world.count("facts") > asked).await;
        tokio::time::sleep(pause).await;
        stage.world.paused.lock().unwrap().remove("evaluate");
        let (operation, _) = stage.ended(id).await;
        assert_eq!(operation.status, OperationStatus::Succeeded, "{operation:?}");
        stage.world.count("facts") - asked
    };
    // The commit asks as well.
    assert_eq!(tokio::join!(of_one(Duration::ZERO), of_one(takes_long)), (2, 3));
}

#[tokio::test]
async fn a_machine_that_lost_its_system_gets_it_again() {
    let stage = Stage::set_up().await;
    let (first, _) = stage.deploy().await;
    {
        let mut machine = stage.world.machine.lock().unwrap();
        machine.running = Some(OLD.into());
        machine.committed = Some(OLD.into());
    }
    let (second, _) = stage.deploy().await;
    assert_eq!((second.status, second.system), (OperationStatus::Succeeded, first.system));
    assert_eq!((stage.world.count("copy"), stage.world.count("activate")), (2, 2));
}

#[tokio::test]
async fn leaving_keeps_the_data_unless_told_otherwise() {
    for wipe in [false, true] {
        let stage = Stage::set_up().await;
        let (deployed, _) = stage.deploy().await;
        let id = stage.submit(OperationKind::Destroy, wipe).await;
        let (operation, _) = stage.ended(id).await;
        assert_eq!(operation.status, OperationStatus::Succeeded, "{operation:?}");
        assert_eq!(stage.world.count("wipe"), usize::from(wipe));
        assert!(stage.store.tenant(&deployed.tenant).await.is_err(), "the tenant is forgotten");
        let machine = stage.store.machine(&deployed.machine).await.unwrap();
        assert_eq!(machine.holds_data_of, (!wipe).then_some(deployed.tenant));
        assert_ne!(stage.machine().committed, deployed.system);
    }
}

#[tokio::test]
async fn no_more_operations_run_at_once_than_are_allowed() {
    let stage = Stage::with(EngineOptions { parallel_operations: 2, ..EngineOptions::default() }).await;
    stage.world.hang("evaluate");
    let mut ids = Vec::new();
    for n in 0..5 {
        let (tenant, machine) = (format!("t{n}"), format!("m{n}"));
        stage.settle(&tenant, &machine).await;
        ids.push(stage.submit_of(&tenant, &machine, OperationKind::Deploy, false).await);
    }
    tokio::time::sleep(std::time::Duration::from_millis(300)).await;
    assert_eq!((stage.engine.running(), stage.world.count("evaluate")), (2, 2));
    stage.world.behave();
    for id in &ids[..2] {
        stage.engine.cancel(*id, "test", None).await.unwrap();
    }
    for id in &ids[2..] {
        assert_eq!(stage.ended(*id).await.0.status, OperationStatus::Succeeded);
    }
    let first = stage.ended(ids[0]).await.0;
    assert_eq!(first.step(StepName::Evaluate).map(|step| step.status), Some(StepStatus::Cancelled));
}
