//! Previews: what a deployment would change is found out, and nothing is changed.

use berth_domain::preview::PreviewPart;
use berth_domain::{
    Operation, OperationId, OperationKind, OperationStatus, StepName, StepStatus, TenantSpec,
};
use berth_store::StoreError;
use chrono::Utc;

use crate::fakes::OLD;
use crate::stage::Stage;

impl Stage {
    async fn submit_preview(&self, spec: &TenantSpec) -> Result<OperationId, StoreError> {
        let (tenant, machine) = (spec.name.clone(), spec.machine.clone());
        let kind = OperationKind::Preview;
        let operation = Operation::queued(tenant, machine, kind, false, "test".into(), Utc::now());
        self.engine.submit_preview(&operation, spec, None).await.map(|()| operation.id)
    }

    async fn acme(&self) -> TenantSpec {
        self.store.tenant(&"acme".parse().unwrap()).await.unwrap().spec
    }
}

#[tokio::test]
async fn a_preview_finds_everything_out_and_changes_nothing() {
    let stage = Stage::set_up().await;
    stage.deploy().await;
    let tenant = stage.store.tenant(&"acme".parse().unwrap()).await.unwrap();
    let (machine, record) = (stage.machine(), stage.store.machine(&"vm1".parse().unwrap()).await.unwrap());
    let changed = TenantSpec { contact_email: "new@acme.example".parse().unwrap(), ..tenant.spec.clone() };
    let id = stage.submit_preview(&changed).await.unwrap();
    let (operation, _) = stage.ended(id).await;
    assert_eq!(operation.status, OperationStatus::Succeeded, "{operation:?}");
    let steps: Vec<_> = operation.steps.iter().map(|step| (step.name, step.status)).collect();
    assert_eq!(
        steps,
        OperationKind::Preview
            .steps(false)
            .into_iter()
            .map(|n| (n, StepStatus::Succeeded))
            .collect::<Vec<_>>()
    );
    let preview = stage.store.preview(id).await.unwrap();
    assert_eq!(preview.files.len(), 1);
    assert!(
        preview.files[0].diff.contains("+    contact_email = \"new@acme.example\";"),
        "{}",
        preview.files[0].diff
    );
    assert_eq!(preview.deployed_revision, tenant.deployed_revision);
    assert_ne!(Some(&preview.revision), tenant.deployed_revision.as_ref());
    assert_eq!(preview.machine.unwrap().restart, ["gitea.service"]);
    assert!(preview.closure.is_some() && preview.missing.is_empty());
    // Neither the record, nor the machine, nor what is kept for it.
    assert_eq!(stage.store.tenant(&"acme".parse().unwrap()).await.unwrap(), tenant);
    assert!(stage.store.revision(&tenant.spec.name, &preview.revision).await.is_err());
    assert_eq!(stage.store.machine(&"vm1".parse().unwrap()).await.unwrap(), record);
    let after = stage.machine();
    assert_eq!((after.running, after.committed), (machine.running, machine.committed));
    assert_eq!((stage.world.count("activate"), stage.world.count("commit")), (1, 1));
    assert_eq!((stage.world.count("release-preview"), stage.world.count("release-machine")), (1, 0));
    assert!(stage.store.previewed_spec(id).await.is_err(), "what was asked about is forgotten");
}

#[tokio::test]
async fn a_machine_that_is_away_costs_its_part_of_a_preview_and_no_other() {
    let stage = Stage::set_up().await;
    stage.world.fail("open");
    let id = stage.submit_preview(&stage.acme().await).await.unwrap();
    let (operation, _) = stage.ended(id).await;
    assert_eq!(operation.status, OperationStatus::Succeeded);
    for name in [StepName::Copy, StepName::DryActivate] {
        assert_eq!(operation.step(name).map(|step| step.status), Some(StepStatus::Missed), "{name}");
    }
    let preview = stage.store.preview(id).await.unwrap();
    assert_eq!(preview.files.len(), 3, "a first deployment has every file new");
    assert!(preview.closure.is_some() && preview.machine.is_none());
    assert_eq!(preview.missing.len(), 1);
    assert_eq!(
        (preview.missing[0].part, preview.missing[0].code.as_str()),
        (PreviewPart::Machine, "told-to")
    );
}

#[tokio::test]
async fn packages_that_cannot_be_compared_are_said_to_be_missing() {
    let stage = Stage::set_up().await;
    stage.world.fail("compare");
    let id = stage.submit_preview(&stage.acme().await).await.unwrap();
    assert_eq!(stage.ended(id).await.0.status, OperationStatus::Succeeded);
    let preview = stage.store.preview(id).await.unwrap();
    assert!(preview.closure.is_none() && preview.machine.is_some());
    assert_eq!(preview.missing[0].part, PreviewPart::Closure);
}

#[tokio::test]
async fn a_preview_can_be_cancelled_in_every_step_and_leaves_nothing() {
    for what in ["platform", "evaluate", "build", "compare", "open", "copy", "dry-activate"] {
        let stage = Stage::set_up().await;
        stage.world.hang(what);
        let id = stage.submit_preview(&stage.acme().await).await.unwrap();
        stage.until_waiting().await;
        stage.engine.cancel(id, "test", None).await.unwrap();
        let (operation, _) = stage.ended(id).await;
        assert_eq!(operation.status, OperationStatus::Cancelled, "{what}");
        assert!(stage.store.preview(id).await.is_err(), "{what}");
        assert!(stage.store.previewed_spec(id).await.is_err(), "{what}");
        assert_eq!(stage.world.count("release-preview"), 1, "{what}");
        assert_eq!(stage.machine().running.as_deref(), Some(OLD), "{what}");
    }
}

#[tokio::test]
async fn a_preview_that_a_daemon_left_is_made_anew_by_the_next_one() {
    for what in ["build", "compare", "dry-activate"] {
        let mut stage = Stage::set_up().await;
        stage.world.hang(what);
        let spec = TenantSpec { contact_email: "new@acme.example".parse().unwrap(), ..stage.acme().await };
        let id = stage.submit_preview(&spec).await.unwrap();
        stage.until_waiting().await;
        stage.world.behave();
        stage.restart().await;
        let (operation, _) = stage.ended(id).await;
        assert_eq!(operation.status, OperationStatus::Succeeded, "{what}: {operation:?}");
        let preview = stage.store.preview(id).await.unwrap();
        assert!(preview.missing.is_empty() && preview.machine.is_some(), "{what}: {preview:?}");
        assert!(preview.files.iter().any(|file| file.diff.contains("new@acme.example")), "{what}");
    }
}

#[tokio::test]
async fn a_tenant_is_previewed_or_deployed_but_not_both_at_once() {
    let stage = Stage::set_up().await;
    stage.world.hang("evaluate");
    let id = stage.submit(OperationKind::Deploy, false).await;
    stage.until_waiting().await;
    let refused = stage.submit_preview(&stage.acme().await).await.unwrap_err();
    assert!(matches!(refused, StoreError::OperationRunning { operation } if operation == id), "{refused}");
}
