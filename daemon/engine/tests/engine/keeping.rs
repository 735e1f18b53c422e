//! What a snapshot holds of the tenant beside its services' state, and who gets that back.

use berth_domain::setting::SealedSecret;
use berth_domain::{
    Event, EventKind, Operation, OperationKind, OperationStatus, ServiceSelection, Setting, Snapshot,
    TenantName,
};
use berth_protocol::SecretsPart;
use berth_seal::About;
use chrono::Utc;
use secrecy::SecretString;
use std::collections::BTreeMap;
use std::sync::atomic::Ordering;

use crate::stage::Stage;

fn acme() -> TenantName {
    "acme".parse().unwrap()
}

async fn snapshot(stage: &Stage) -> (Operation, Vec<Event>) {
    let id = stage.submit(OperationKind::Snapshot, false).await;
    stage.ended(id).await
}

async fn made(stage: &Stage) -> Snapshot {
    let (operation, _) = snapshot(stage).await;
    assert_eq!(operation.status, OperationStatus::Succeeded, "{operation:?}");
    stage.store.snapshot(operation.id).await.unwrap().0
}

/// What the machine was asked for beside the state, and what people were told.
async fn restored(stage: &Stage, from: &Snapshot, into: (&str, &str)) -> (Option<SecretsPart>, String) {
    let (tenant, machine) = (into.0.parse().unwrap(), into.1.parse().unwrap());
    let operation =
        Operation::queued(tenant, machine, OperationKind::Restore, false, "test".into(), Utc::now());
    let operation = Operation { snapshot: Some(from.id), ..operation };
    stage.engine.submit(&operation, None).await.unwrap();
    let (operation, events) = stage.ended(operation.id).await;
    assert_eq!(operation.status, OperationStatus::Succeeded, "{operation:?}");
    let asked = stage.world.state.secrets.lock().unwrap().last().cloned().flatten();
    (asked, warnings(&events))
}

fn warnings(events: &[Event]) -> String {
    let warned = events.iter().filter(|event| event.kind == EventKind::Warning);
    warned.map(|event| event.message.clone()).collect::<Vec<_>>().join("; ")
}

/// Gives the tenant a setting in confidence.
async fn give_in_confidence(stage: &Stage, value: &str) {
    let record = stage.store.tenant(&acme()).await.unwrap();
    let about = About {
        tenant: "acme".into(),
        service: "gitea".into(),
        setting: "/smtp/password".into(),
        version: 3,
    };
    let sealed = stage.engine.keys().seal(&about, &SecretString::from(value)).unwrap();
    let password = Setting::Secret(SealedSecret { version: 3, sealed });
    let smtp = Setting::Attrs([("password".into(), password)].into());
    let gitea = ServiceSelection { enable: true, settings: [("smtp".into(), smtp)].into() };
    let services = BTreeMap::from([("gitea".parse().unwrap(), gitea)]);
    let spec = berth_domain::TenantSpec { services, ..record.spec };
    stage.store.update_tenant(&spec, Some(record.version), Utc::now()).await.unwrap();
}

#[tokio::test]
async fn a_snapshot_holds_what_sets_the_tenant_up_again_and_the_database_none_of_it_in_clear() {
    let stage = Stage::set_up().await;
    give_in_confidence(&stage, "given-in-confidence").await;
    assert_eq!(stage.deploy().await.0.status, OperationStatus::Succeeded);
    let (operation, events) = snapshot(&stage).await;
    let kept = stage.store.snapshot(operation.id).await.unwrap().0;
    let part = kept.tenant_part.clone().unwrap();
    assert_eq!(part.restic, format!("own-part-of-{}", operation.id));
    assert_eq!(part.secrets_of(&"gitea".parse().unwrap()), ["internal-token"]);

    let files = stage.world.state.files.lock().unwrap().clone();
    let [file] = files.as_slice() else { panic!("{files:?}") };
    assert_eq!((file.snapshot, &file.revision), (operation.id, &kept.revision));
    assert_eq!(file.platform.as_deref(), Some("path:/platform"));
    let secret = &file.secrets[0];
    assert_eq!((secret.service.as_str(), secret.value.expose()), ("gitea", "hunter2"));
    let given = &file.given[0];
    assert_eq!(
        (given.setting.as_str(), given.version, given.value.expose()),
        ("/smtp/password", 3, "given-in-confidence")
    );
    let settings = serde_json::to_string(&file.specification).unwrap();
    assert!(settings.contains(r#""smtp":{"password":3}"#) && settings.contains("acme.example"), "{settings}");
    let written = format!("{}{events:?}{operation:?}", serde_json::to_string(&kept).unwrap());
    for secret in ["hunter2", "given-in-confidence"] {
        assert!(!written.contains(secret), "{written}");
    }
}

#[tokio::test]
async fn a_tenant_that_returns_gets_its_secrets_and_a_copy_of_it_keeps_its_own() {
    let stage = Stage::set_up().await;
    assert_eq!(stage.deploy().await.0.status, OperationStatus::Succeeded);
    let from = made(&stage).await;
    let wanted = SecretsPart { snapshot: from.tenant_part.clone().unwrap().restic, services: None };
    let (asked, said) = restored(&stage, &from, ("acme", "vm1")).await;
    assert_eq!((asked, said.as_str()), (Some(wanted.clone()), ""));

    stage.settle("copy", "vm2").await;
    let id = stage.submit_of("copy", "vm2", OperationKind::Deploy, false).await;
    assert_eq!(stage.ended(id).await.0.status, OperationStatus::Succeeded);
    let (asked, said) = restored(&stage, &from, ("copy", "vm2")).await;
    assert_eq!(asked, None);
    assert!(said.contains("the copy keeps secrets of its own: what acme encrypted"), "{said}");

    // Its machine is lost, and it is set up anew on another one: it has another vault, and is the same.
    stage.store.abandon_tenant(&acme()).await.unwrap();
    stage.settle("acme", "vm3").await;
    let id = stage.submit_of("acme", "vm3", OperationKind::Deploy, false).await;
    assert_eq!(stage.ended(id).await.0.status, OperationStatus::Succeeded);
    let (asked, _) = restored(&stage, &from, ("acme", "vm3")).await;
    assert_eq!(asked, Some(wanted));
}

#[tokio::test]
async fn a_snapshot_without_secrets_comes_back_as_before_and_says_that_it_has_none() {
    let stage = Stage::set_up().await;
    assert_eq!(stage.deploy().await.0.status, OperationStatus::Succeeded);
    stage.world.state.foreign.store(true, Ordering::Relaxed);
    let (operation, events) = snapshot(&stage).await;
    assert_eq!(operation.status, OperationStatus::Succeeded, "{operation:?}");
    assert!(warnings(&events).contains("neither secrets nor settings"), "{events:?}");
    let from = stage.store.snapshot(operation.id).await.unwrap().0;
    assert!(from.whole && from.tenant_part.is_none(), "{from:?}");
    // As one that was written down before there were any.
    let mut old = serde_json::to_value(&from).unwrap();
    assert!(old.as_object_mut().unwrap().remove("tenant_part").unwrap().is_null());
    assert_eq!(serde_json::from_value::<Snapshot>(old).unwrap(), from);
    let (asked, said) = restored(&stage, &from, ("acme", "vm1")).await;
    assert_eq!(asked, None);
    assert!(said.contains("no secrets are in this snapshot"), "{said}");
}

#[tokio::test]
async fn a_snapshot_whose_secrets_cannot_be_had_is_not_whole() {
    let stage = Stage::set_up().await;
    assert_eq!(stage.deploy().await.0.status, OperationStatus::Succeeded);
    *stage.world.state.made.lock().unwrap() = Some(Err("the secret gitea/key does not exist"));
    let (operation, _) = snapshot(&stage).await;
    let error = operation.error.unwrap();
    assert_eq!(error.code, "snapshot-incomplete");
    assert_eq!(error.message, "settings and secrets: the secret gitea/key does not exist");
    let kept = stage.store.snapshot(operation.id).await.unwrap().0;
    assert!(!kept.whole && kept.tenant_part.is_none() && kept.captured().count() == 2, "{kept:?}");
    *stage.world.state.made.lock().unwrap() = None;
    *stage.world.state.full.lock().unwrap() = true;
    let (operation, _) = snapshot(&stage).await;
    assert_eq!(operation.error.unwrap().message, "settings and secrets: the disk is full");
}
