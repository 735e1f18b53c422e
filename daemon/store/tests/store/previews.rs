//! Previews.

use berth_domain::event::NewEvent;
use berth_domain::preview::{MissingPart, PreviewPart};
use berth_domain::{EventKind, Operation, OperationKind, OperationStatus, Preview, TenantSpec};
use berth_store::{Store, StoreError};

use crate::support::{busy, claim, claimed, machine, now, on_both, settled};

on_both!(
    a_preview_keeps_what_it_was_asked_about_until_it_has_ended_and_what_it_found,
    what_a_change_would_be_refused_for_a_preview_is_refused_for,
    only_the_newest_previews_of_a_tenant_are_kept_and_go_with_it,
);

fn queued(spec: &TenantSpec) -> Operation {
    let (tenant, machine) = (spec.name.clone(), spec.machine.clone());
    Operation::queued(tenant, machine, OperationKind::Preview, false, "panel".into(), now())
}

fn accepted() -> NewEvent {
    NewEvent::new(now(), EventKind::Accepted, "accepted")
}

fn found() -> Preview {
    Preview {
        revision: "ab".repeat(32).parse().unwrap(),
        deployed_revision: None,
        system: "/nix/store/new".into(),
        deployed_system: None,
        files: Vec::new(),
        closure: None,
        machine: None,
        missing: vec![MissingPart {
            part: PreviewPart::Machine,
            code: "timeout".into(),
            message: "é".into(),
        }],
    }
}

async fn ended(store: &Store, spec: &TenantSpec) -> Operation {
    let queued = queued(spec);
    store.create_preview(&queued, spec, accepted(), None).await.unwrap();
    let mut running = claimed(store).await;
    store.keep_preview(running.hold, &found()).await.unwrap();
    running.status = OperationStatus::Succeeded;
    running.record(store, Vec::new()).await.unwrap();
    running.operation
}

async fn a_preview_keeps_what_it_was_asked_about_until_it_has_ended_and_what_it_found(store: Store) {
    let stored = settled(&store, "acme").await;
    let spec = TenantSpec { contact_email: "new@acme.example".parse().unwrap(), ..stored.clone() };
    let queued = queued(&spec);
    store.create_preview(&queued, &spec, accepted(), None).await.unwrap();
    assert_eq!(store.operation(queued.id).await.unwrap(), queued.after_acceptance());
    assert_eq!(store.previewed_spec(queued.id).await.unwrap(), spec);
    assert_eq!(store.tenant(&spec.name).await.unwrap().spec, stored, "it is not the tenant's");
    assert!(matches!(store.preview(queued.id).await, Err(StoreError::NotFound { .. })));
    let mut running = claimed(&store).await;
    store.keep_preview(running.hold, &found()).await.unwrap();
    running.record(&store, Vec::new()).await.unwrap();
    assert_eq!(store.previewed_spec(queued.id).await.unwrap(), spec);
    running.status = OperationStatus::Failed;
    running.record(&store, Vec::new()).await.unwrap();
    assert_eq!(store.preview(queued.id).await.unwrap(), found());
    assert!(matches!(store.previewed_spec(queued.id).await, Err(StoreError::NotFound { .. })));
}

async fn what_a_change_would_be_refused_for_a_preview_is_refused_for(store: Store) {
    let (spec, mut running) = busy(&store, "acme").await;
    let other = settled(&store, "bolt").await;
    let (revision, platform) = ("ab".repeat(32).parse().unwrap(), "path:/nix/store/p");
    store.set_tenant_deployed(running.hold, &spec.name, &revision, "/nix/store/x", platform).await.unwrap();
    running.status = OperationStatus::Succeeded;
    running.record(&store, Vec::new()).await.unwrap();
    store.create_machine(&machine("free"), now(), None).await.unwrap();
    let refused = async |changed: TenantSpec| {
        let refused = store.create_preview(&queued(&changed), &changed, accepted(), None).await.unwrap_err();
        assert_eq!(store.claim(&claim("other")).await.unwrap(), None);
        refused
    };
    let elsewhere = TenantSpec { machine: "free".parse().unwrap(), ..spec.clone() };
    assert!(matches!(refused(elsewhere).await, StoreError::TenantDeployed { .. }));
    let taken = TenantSpec { domain: other.domain.clone(), ..spec.clone() };
    assert!(matches!(refused(taken).await, StoreError::DomainTaken { .. }));
    let nobody = TenantSpec { name: "nobody".parse().unwrap(), ..spec.clone() };
    assert!(matches!(refused(nobody).await, StoreError::NotFound { .. }));
}

async fn only_the_newest_previews_of_a_tenant_are_kept_and_go_with_it(store: Store) {
    let (spec, other) = (settled(&store, "acme").await, settled(&store, "bolt").await);
    let others = ended(&store, &other).await;
    let mut operations = Vec::new();
    for _ in 0..22 {
        operations.push(ended(&store, &spec).await.id);
    }
    for (at, id) in operations.iter().enumerate() {
        assert_eq!(store.preview(*id).await.is_ok(), at >= 2, "{at}");
    }
    // Nothing was ever done on the machine, so the tenant can go at once.
    store.delete_undeployed_tenant(&spec.name).await.unwrap();
    assert!(store.preview(operations[21]).await.is_err());
    assert!(store.preview(others.id).await.is_ok());
}
