//! Tenants and their revisions.

use berth_domain::event::NewEvent;
use berth_domain::{EventKind, Revision, RevisionId, TenantDraft, TenantSpec};
use berth_store::{Store, StoreError};

use crate::support::{busy, claimed, deployment, machine, now, on_both, settled, tenant};

on_both!(
    a_tenant_comes_back_as_it_was_specified,
    what_is_taken_is_told_by_its_owner,
    of_many_writers_that_read_the_same_version_one_wins,
    a_deployed_tenant_stays_on_its_machine,
    a_machine_that_holds_somebodys_data_takes_nobody_else,
    only_a_tenant_that_nothing_was_done_for_is_simply_forgotten,
    an_abandoned_tenant_leaves_a_machine_that_is_known_to_hold_its_data,
    a_change_is_refused_for_the_same_reasons_as_a_beginning_and_changes_nothing,
    a_namesake_of_an_earlier_tenant_begins_afresh,
    a_revision_is_kept_once_and_listed_newest_first,
    tenants_are_listed_by_name_whatever_comes_and_goes_meanwhile,
);

fn changed(spec: &TenantSpec, change: impl Fn(&mut TenantDraft)) -> TenantSpec {
    let mut draft = TenantDraft::from(spec.clone());
    change(&mut draft);
    draft.try_into().unwrap()
}

fn revision(digit: char) -> RevisionId {
    String::from_iter([digit; 64]).parse().unwrap()
}

fn accepted() -> NewEvent {
    NewEvent::new(now(), EventKind::Accepted, "accepted")
}

async fn a_tenant_comes_back_as_it_was_specified(store: Store) {
    let spec = settled(&store, "acme").await;
    let found = store.tenant(&spec.name).await.unwrap();
    assert_eq!((&found.spec, found.version, &found.deployed_revision), (&spec, 1, &None));
    let other = changed(&spec, |draft| draft.contact_email = "new@acme.example".into());
    let later = store.update_tenant(&other, Some(1), now()).await.unwrap();
    assert_eq!((&later.spec, later.version, later.created_at), (&other, 2, found.created_at));
    assert_eq!(store.tenant(&spec.name).await.unwrap(), later);
    let stale = store.update_tenant(&spec, Some(1), now()).await;
    assert!(matches!(stale, Err(StoreError::VersionMismatch { current: 2 })));
}

async fn what_is_taken_is_told_by_its_owner(store: Store) {
    let acme = settled(&store, "acme").await;
    let bolt = settled(&store, "bolt").await;
    let again = store.create_tenant(&acme, now(), None).await;
    assert!(matches!(again, Err(StoreError::Exists { what: "tenant", .. })));
    let domain = changed(&tenant("new", "new-vm"), |draft| draft.domain = "acme.example".into());
    store.create_machine(&machine("new-vm"), now(), None).await.unwrap();
    let refused = store.create_tenant(&domain, now(), None).await;
    assert!(matches!(refused, Err(StoreError::DomainTaken { tenant, .. }) if tenant == acme.name));
    let refused = store.create_tenant(&tenant("new", "bolt-vm"), now(), None).await;
    assert!(matches!(refused, Err(StoreError::MachineTaken { tenant, .. }) if tenant == bolt.name));
    let refused = store.create_tenant(&tenant("new", "nowhere"), now(), None).await;
    assert!(matches!(refused, Err(StoreError::NoSuchMachine { .. })));
    let refused =
        store.update_tenant(&changed(&bolt, |d| d.domain = "acme.example".into()), None, now()).await;
    assert!(matches!(refused, Err(StoreError::DomainTaken { .. })));
    assert!(matches!(store.tenant(&"new".parse().unwrap()).await, Err(StoreError::NotFound { .. })));
}

async fn of_many_writers_that_read_the_same_version_one_wins(store: Store) {
    let spec = settled(&store, "acme").await;
    let mut version = 1;
    for _ in 0..5 {
        let writers = (0..16).map(|n| {
            let (store, spec) =
                (store.clone(), changed(&spec, |draft| draft.plan = Some(format!("plan-{n}"))));
            tokio::spawn(async move { store.update_tenant(&spec, Some(version), now()).await })
        });
        let mut won = 0;
        for writer in writers.collect::<Vec<_>>() {
            match writer.await.unwrap() {
                Ok(record) => {
                    won += 1;
                    assert_eq!(record.version, version + 1);
                }
                Err(StoreError::VersionMismatch { current }) => assert_eq!(current, version + 1),
                Err(other) => panic!("{other}"),
            }
        }
        assert_eq!(won, 1);
        version += 1;
    }
    assert_eq!(store.tenant(&spec.name).await.unwrap().version, version);
}

async fn a_deployed_tenant_stays_on_its_machine(store: Store) {
    let spec = settled(&store, "acme").await;
    store.create_machine(&machine("other"), now(), None).await.unwrap();
    let moved = changed(&spec, |draft| draft.machine = "other".into());
    let operation = deployment(&spec);
    store.create_operation(&operation, accepted(), None).await.unwrap();
    let refused = store.update_tenant(&moved, None, now()).await;
    assert!(matches!(refused, Err(StoreError::OperationRunning { operation: id }) if id == operation.id));
    let mut running = claimed(&store).await;
    let hold = running.hold;
    store
        .set_tenant_deployed(hold, &spec.name, &revision('a'), "/nix/store/x", "path:/nix/store/p")
        .await
        .unwrap();
    running.status = berth_domain::OperationStatus::Succeeded;
    running.record(&store, Vec::new()).await.unwrap();
    let refused = store.update_tenant(&moved, None, now()).await;
    assert!(matches!(refused, Err(StoreError::TenantDeployed { machine, .. }) if machine == spec.machine));
    let found = store.tenant(&spec.name).await.unwrap();
    assert_eq!(
        (found.deployed_revision, found.deployed_system.as_deref()),
        (Some(revision('a')), Some("/nix/store/x"))
    );
}

async fn a_machine_that_holds_somebodys_data_takes_nobody_else(store: Store) {
    store.create_machine(&machine("vm1"), now(), None).await.unwrap();
    let acme = tenant("acme", "vm1");
    store.create_tenant(&acme, now(), None).await.unwrap();
    store.abandon_tenant(&acme.name).await.unwrap();
    let refused = store.create_tenant(&tenant("bolt", "vm1"), now(), None).await;
    assert!(matches!(refused, Err(StoreError::MachineHoldsData { of, .. }) if of == acme.name));
    store.create_tenant(&acme, now(), None).await.unwrap();
    store.create_operation(&deployment(&acme), accepted(), None).await.unwrap();
    let mut running = claimed(&store).await;
    store.forget_tenant(running.hold, &acme.name, &acme.machine, true).await.unwrap();
    let refused = store.create_tenant(&tenant("bolt", "vm1"), now(), None).await;
    assert!(matches!(refused, Err(StoreError::MachineHoldsData { of, .. }) if of == acme.name));
    running.status = berth_domain::OperationStatus::Succeeded;
    running.record(&store, Vec::new()).await.unwrap();
    store.create_tenant(&acme, now(), None).await.unwrap();
    store.create_operation(&deployment(&acme), accepted(), None).await.unwrap();
    let running = claimed(&store).await;
    store.forget_tenant(running.hold, &acme.name, &acme.machine, false).await.unwrap();
    store.create_tenant(&tenant("bolt", "vm1"), now(), None).await.unwrap();
}

async fn only_a_tenant_that_nothing_was_done_for_is_simply_forgotten(store: Store) {
    let idle = settled(&store, "idle").await;
    store.delete_undeployed_tenant(&idle.name).await.unwrap();
    assert!(matches!(store.tenant(&idle.name).await, Err(StoreError::NotFound { .. })));
    let busy = settled(&store, "busy").await;
    store.create_operation(&deployment(&busy), accepted(), None).await.unwrap();
    let refused = store.delete_undeployed_tenant(&busy.name).await;
    assert!(matches!(refused, Err(StoreError::OperationRunning { .. })));
    let mut operation = claimed(&store).await;
    operation.status = berth_domain::OperationStatus::Failed;
    operation.record(&store, Vec::new()).await.unwrap();
    // It failed, but who knows how far it came.
    let refused = store.delete_undeployed_tenant(&busy.name).await;
    assert!(matches!(refused, Err(StoreError::TenantDeployed { .. })));
    let nobody = store.delete_undeployed_tenant(&idle.name).await;
    assert!(matches!(nobody, Err(StoreError::NotFound { .. })));
}

async fn an_abandoned_tenant_leaves_a_machine_that_is_known_to_hold_its_data(store: Store) {
    let spec = settled(&store, "acme").await;
    assert_eq!(store.abandon_tenant(&spec.name).await.unwrap(), spec.machine);
    assert_eq!(store.machine(&spec.machine).await.unwrap().holds_data_of, Some(spec.name.clone()));
    assert!(matches!(store.abandon_tenant(&spec.name).await, Err(StoreError::NotFound { .. })));
}

async fn a_change_is_refused_for_the_same_reasons_as_a_beginning_and_changes_nothing(store: Store) {
    let acme = settled(&store, "acme").await;
    settled(&store, "bolt").await;
    store.create_machine(&machine("full"), now(), None).await.unwrap();
    store.create_tenant(&tenant("gone", "full"), now(), None).await.unwrap();
    store.abandon_tenant(&"gone".parse().unwrap()).await.unwrap();
    let before = store.tenant(&acme.name).await.unwrap();
    let moving = async |to: &str| {
        store.update_tenant(&changed(&acme, |draft| draft.machine = to.into()), Some(1), now()).await
    };
    let taken = moving("bolt-vm").await;
    assert!(matches!(taken, Err(StoreError::MachineTaken { tenant, .. }) if tenant.as_str() == "bolt"));
    assert!(matches!(moving("nowhere").await, Err(StoreError::NoSuchMachine { .. })));
    let holds = moving("full").await;
    assert!(matches!(holds, Err(StoreError::MachineHoldsData { of, .. }) if of.as_str() == "gone"));
    assert_eq!(store.tenant(&acme.name).await.unwrap(), before);
    let nobody = store.update_tenant(&tenant("nobody", "full"), None, now()).await;
    assert!(matches!(nobody, Err(StoreError::NotFound { what: "tenant", .. })));
    let nobody = "nobody".parse().unwrap();
    let (other, running) = busy(&store, "other").await;
    let deployed = (revision('a'), "/nix/store/x", "path:/nix/store/p");
    let deployed =
        store.set_tenant_deployed(running.hold, &nobody, &deployed.0, deployed.1, deployed.2).await;
    assert!(matches!(deployed, Err(StoreError::NotFound { .. })));
    let forgotten = store.forget_tenant(running.hold, &nobody, &other.machine, true).await;
    assert!(matches!(forgotten, Err(StoreError::NotFound { .. })));
    assert_eq!(store.machine(&other.machine).await.unwrap().holds_data_of, None);
    // Nothing was deployed yet, so that it may still go elsewhere; the machine it was on is free again.
    store.create_machine(&machine("free"), now(), None).await.unwrap();
    assert_eq!(moving("free").await.unwrap().version, 2);
    store.delete_machine(&acme.machine).await.unwrap();
}

async fn a_namesake_of_an_earlier_tenant_begins_afresh(store: Store) {
    let spec = settled(&store, "acme").await;
    let operation = deployment(&spec);
    store.create_operation(&operation, accepted(), None).await.unwrap();
    let refused = store.abandon_tenant(&spec.name).await;
    assert!(matches!(refused, Err(StoreError::OperationRunning { operation: id }) if id == operation.id));
    let mut running = claimed(&store).await;
    let hold = running.hold;
    store
        .set_tenant_deployed(hold, &spec.name, &revision('a'), "/nix/store/x", "path:/nix/store/p")
        .await
        .unwrap();
    running.status = berth_domain::OperationStatus::Succeeded;
    running.record(&store, Vec::new()).await.unwrap();
    store.abandon_tenant(&spec.name).await.unwrap();
    tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    let again = store.create_tenant(&spec, now(), None).await.unwrap();
    assert_eq!((again.version, &again.deployed_revision, &again.deployed_system), (1, &None, &None));
    assert!(store.list_revisions(&spec.name, None, 9).await.unwrap().items.is_empty());
    // What was done for its namesake stays known, and is not held against it.
    assert_eq!(store.operation(operation.id).await.unwrap().tenant, spec.name);
    store.delete_undeployed_tenant(&spec.name).await.unwrap();
}

async fn a_revision_is_kept_once_and_listed_newest_first(store: Store) {
    let (spec, running) = busy(&store, "acme").await;
    let of = |digit: char, text: &str| Revision {
        id: revision(digit),
        tenant: spec.name.clone(),
        spec: spec.clone(),
        files: [("flake.nix".to_owned(), text.to_owned())].into(),
        created_at: now(),
    };
    let (first, second) = (of('a', "1"), of('b', "2"));
    store.keep_revision(running.hold, &first).await.unwrap();
    tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    store.keep_revision(running.hold, &Revision { created_at: now(), ..second.clone() }).await.unwrap();
    store.keep_revision(running.hold, &of('a', "forged")).await.unwrap();
    assert_eq!(store.revision(&spec.name, &first.id).await.unwrap(), first);
    let newest = store.list_revisions(&spec.name, None, 1).await.unwrap();
    assert_eq!(newest.items[0].id, second.id);
    let rest =
        store.list_revisions(&spec.name, newest.next.as_ref().map(berth_store::Cursor::as_str), 5).await;
    assert_eq!(rest.unwrap().items.iter().map(|r| r.id.clone()).collect::<Vec<_>>(), [first.id]);
    assert!(matches!(store.list_revisions(&spec.name, Some("x"), 5).await, Err(StoreError::InvalidCursor)));
    let unknown = store.revision(&spec.name, &revision('c')).await;
    assert!(matches!(unknown, Err(StoreError::NotFound { what: "revision", .. })));
}

async fn tenants_are_listed_by_name_whatever_comes_and_goes_meanwhile(store: Store) {
    for name in ["b", "d", "f", "h"] {
        settled(&store, name).await;
    }
    let first = store.list_tenants(None, 2).await.unwrap();
    settled(&store, "a").await;
    settled(&store, "e").await;
    store.abandon_tenant(&"d".parse().unwrap()).await.unwrap();
    let rest = store.list_tenants(first.next.as_ref().map(berth_store::Cursor::as_str), 10).await.unwrap();
    let names: Vec<_> = first.items.iter().chain(&rest.items).map(|t| t.spec.name.to_string()).collect();
    assert_eq!(names, ["b", "d", "e", "f", "h"]);
}
