//! Going back to an earlier revision.

use berth_domain::{Operation, OperationKind, OperationStatus};
use berth_store::StoreError;
use chrono::Utc;

use crate::stage::Stage;

#[tokio::test]
async fn a_rollback_deploys_the_revision_that_it_names_and_the_tenant_is_what_it_was() {
    let stage = Stage::set_up().await;
    let (first, _) = stage.deploy().await;
    let before = stage.store.tenant(&first.tenant).await.unwrap();
    let mut changed = before.spec.clone();
    changed.contact_email = "other@b.example".parse().unwrap();
    stage.store.update_tenant(&changed, Some(before.version), Utc::now()).await.unwrap();
    let (second, _) = stage.deploy().await;
    assert_ne!(second.revision, first.revision);
    let now = stage.store.tenant(&first.tenant).await.unwrap();

    let deployed = now.deployed_revision.clone().unwrap();
    let earlier = stage.store.revision_before(&first.tenant, &deployed).await.unwrap();
    assert_eq!(earlier, first.revision);
    let spec = stage.store.revision(&first.tenant, &earlier.clone().unwrap()).await.unwrap().spec;
    let rollback = || Operation {
        revision: earlier.clone(),
        ..Operation::queued(
            first.tenant.clone(),
            first.machine.clone(),
            OperationKind::Rollback,
            false,
            "test".into(),
            Utc::now(),
        )
    };
    let stale = rollback();
    let refused = stage.engine.submit_rollback(&stale, &spec, before.version, None).await;
    assert!(matches!(refused, Err(StoreError::VersionMismatch { .. })), "{refused:?}");
    assert!(stage.store.operation(stale.id).await.is_err(), "nothing was written");

    let operation = rollback();
    stage.engine.submit_rollback(&operation, &spec, now.version, None).await.unwrap();
    let (ended, _) = stage.ended(operation.id).await;
    assert_eq!(ended.status, OperationStatus::Succeeded, "{ended:?}");
    assert_eq!((&ended.revision, &ended.system), (&first.revision, &first.system));
    let after = stage.store.tenant(&first.tenant).await.unwrap();
    assert_eq!((after.version, after.deployed_revision), (now.version + 1, first.revision));
    assert_eq!(after.spec, before.spec);
    assert_eq!(stage.machine().committed, first.system);
}
