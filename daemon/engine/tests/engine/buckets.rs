//! Buckets of object stores in snapshots, and out of them.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use berth_domain::manifest::ServiceManifest;
use berth_domain::setting::SealedSecret;
use berth_domain::{
    Event, EventKind, Operation, OperationKind, OperationStatus, ServiceSelection, Setting, Snapshot,
    TenantSpec,
};
use berth_engine::ports::Earlier;
use berth_seal::About;
use chrono::Utc;
use secrecy::SecretString;
use serde_json::json;

use crate::stage::Stage;

/// A service with a bucket in a store, whose key is a setting's.
pub fn service(endpoint: &str, name: &str, version: u64) -> ServiceManifest {
    let file = format!("/var/lib/berth/given/object-key-{version}");
    serde_json::from_value(json!({
        "title": "Service", "url": "https://acme.example", "units": [], "probes": [],
        "state": {"databases": [], "buckets": [{
            "name": name, "endpoint": endpoint, "region": "r", "access_key": format!("of {endpoint}"),
            "secret_key_file": file,
        }]},
        "secrets": [{
            "name": "object-key", "purpose": "Opens the object store.", "path": file, "owner": "root",
            "group": "root", "mode": "0400", "readers": [], "loss": "nothing",
            "generate": {"kind": "supplied", "setting": "/object_storage/secret_key", "version": version},
        }],
    }))
    .unwrap()
}

/// Gives a tenant's service the key of its bucket.
pub async fn give_key(stage: &Stage, tenant: &str, service: &str, value: &str) {
    let name = tenant.parse().unwrap();
    let record = stage.store.tenant(&name).await.unwrap();
    let setting = "/object_storage/secret_key".to_owned();
    let about = About { tenant: tenant.into(), service: service.into(), setting, version: 1 };
    let sealed = stage.engine.keys().seal(&about, &SecretString::from(value)).unwrap();
    let key = Setting::Secret(SealedSecret { version: 1, sealed });
    let store = Setting::Attrs([("secret_key".into(), key)].into());
    let selection = ServiceSelection { enable: true, settings: [("object_storage".into(), store)].into() };
    let mut services = record.spec.services.clone();
    services.insert(service.parse().unwrap(), selection);
    let spec = TenantSpec { services, ..record.spec };
    stage.store.update_tenant(&spec, Some(record.version), Utc::now()).await.unwrap();
}

/// A tenant whose two services have a bucket each.
pub async fn deployed() -> Stage {
    let stage = Stage::set_up().await;
    let promised =
        [("gitea", service("https://s3", "code", 1)), ("mastodon", service("https://s3", "media", 1))];
    let promised = promised.map(|(name, service)| (name.parse().unwrap(), service));
    stage.world.services.lock().unwrap().extend(promised);
    let names = [("gitea", vec!["code".to_owned()]), ("mastodon", vec!["media".to_owned()])];
    stage.world.state.buckets.lock().unwrap().extend(names);
    give_key(&stage, "acme", "gitea", "secret-of-code").await;
    give_key(&stage, "acme", "mastodon", "secret-of-media").await;
    assert_eq!(stage.deploy().await.0.status, OperationStatus::Succeeded);
    stage
}

pub async fn snapshot(stage: &Stage) -> (Operation, Vec<Event>) {
    let id = stage.submit(OperationKind::Snapshot, false).await;
    stage.ended(id).await
}

pub async fn made(stage: &Stage) -> Snapshot {
    let (operation, _) = snapshot(stage).await;
    assert_eq!(operation.status, OperationStatus::Succeeded, "{operation:?}");
    stage.store.snapshot(operation.id).await.unwrap().0
}

pub async fn restored(
    stage: &Stage,
    from: &Snapshot,
    tenant: &str,
    machine: &str,
) -> (Operation, Vec<Event>) {
    let (tenant, machine) = (tenant.parse().unwrap(), machine.parse().unwrap());
    let operation =
        Operation::queued(tenant, machine, OperationKind::Restore, false, "test".into(), Utc::now());
    let operation = Operation { snapshot: Some(from.id), ..operation };
    stage.engine.submit(&operation, None).await.unwrap();
    stage.ended(operation.id).await
}

pub fn warnings(events: &[Event]) -> String {
    let warned = events.iter().filter(|event| event.kind == EventKind::Warning);
    warned.map(|event| event.message.clone()).collect::<Vec<_>>().join("; ")
}

#[tokio::test]
async fn buckets_are_copied_before_and_after_the_services_and_their_keys_are_written_nowhere() {
    let stage = deployed().await;
    let (operation, events) = snapshot(&stage).await;
    assert_eq!(operation.status, OperationStatus::Succeeded, "{operation:?}");
    let (kept, _) = stage.store.snapshot(operation.id).await.unwrap();
    assert!(kept.whole);
    let copied = stage.world.buckets.copied.lock().unwrap().clone();
    let keys: Vec<_> = copied.iter().map(|(place, secret, _)| (place.as_str(), secret.as_str())).collect();
    let both = [("https://s3/code", "secret-of-code"), ("https://s3/media", "secret-of-media")];
    assert_eq!(keys, [both, both].concat());
    let id = operation.id.to_string();
    assert_eq!(copied[1].2, [&id, "bucket:media", "bucket-of:mastodon", "pass:live"]);
    assert_eq!(copied[3].2, [&id, "bucket:media", "bucket-of:mastodon", "pass:quiesced"]);
    let found: BTreeMap<_, _> = kept.captured().map(|(name, part)| (name.as_str(), &part.buckets)).collect();
    let media = &found["mastodon"]["media"];
    assert_eq!((media.objects, media.bytes, media.endpoint.as_str()), (3, 100, "https://s3"));
    assert!(kept.restic_ids().any(|id| id == media.restic));
    assert!(kept.captured().all(|(_, part)| part.left_out.is_empty()), "{kept:?}");
    let written = format!("{events:?}{operation:?}{kept:?}");
    assert!(!written.contains("secret-of"), "{written}");
    let counted = events.iter().filter(|event| event.kind == EventKind::StepProgress);
    assert!(counted.count() > 0, "{events:?}");
}

#[tokio::test]
async fn a_copy_comes_to_its_end_in_parts_and_goes_on_from_what_was_made_here() {
    let stage = deployed().await;
    let from = |number: usize, stays| Earlier { restic: format!("{number:064}"), stays };
    let earlier = || std::mem::take(&mut *stage.world.buckets.earlier.lock().unwrap());
    *stage.world.buckets.hurried.lock().unwrap() = 2;
    let first = made(&stage).await;
    let in_parts = [vec![], vec![from(1, true)], vec![from(2, true)]];
    let others = [vec![], vec![from(3, true)], vec![from(4, true)]];
    assert_eq!(earlier(), [in_parts, others].concat());
    let held: Vec<_> = first.captured().flat_map(|(_, part)| part.buckets.values()).collect();
    assert_eq!(
        held.iter().map(|bucket| &bucket.restic).collect::<Vec<_>>(),
        [&from(5, false).restic, &from(6, false).restic]
    );
    // The next one drops what is gone, and falls back to the last one that is kept.
    made(&stage).await;
    let live = [vec![from(5, false)], vec![from(6, false)]];
    let quiesced = [vec![from(7, true), from(5, false)], vec![from(8, true), from(6, false)]];
    assert_eq!(earlier(), [live, quiesced].concat());
}

#[tokio::test]
async fn a_bucket_that_cannot_be_reached_keeps_nothing_else_from_being_captured() {
    let stage = deployed().await;
    stage.world.buckets.failing.lock().unwrap().insert("https://s3/code".into());
    let (operation, events) = snapshot(&stage).await;
    let error = operation.error.clone().unwrap();
    assert_eq!(error.code, "snapshot-incomplete");
    let why = "bucket code: the store refuses the key (403 AccessDenied)";
    assert_eq!(error.message, format!("gitea: {why}"));
    let (kept, _) = stage.store.snapshot(operation.id).await.unwrap();
    assert!(!kept.whole && kept.captured().count() == 2 && kept.tenant_part.is_some());
    let parts: BTreeMap<_, _> = kept.captured().map(|(name, part)| (name.as_str(), part)).collect();
    assert_eq!(
        (parts["gitea"].buckets.len(), parts["gitea"].left_out.as_slice()),
        (0, [why.into()].as_slice())
    );
    assert_eq!(parts["mastodon"].buckets.len(), 1);
    assert!(warnings(&events).contains("not copied while the services run: gitea"), "{events:?}");
    assert!(!format!("{events:?}{operation:?}").contains("secret-of"));
}

#[tokio::test]
async fn what_cannot_be_captured_as_things_are_is_said_and_the_snapshot_is_whole() {
    let stage = deployed().await;
    *stage.world.buckets.foreign.lock().unwrap() = true;
    let kept = made(&stage).await;
    assert!(kept.whole && kept.captured().all(|(_, part)| part.buckets.is_empty()));
    let (_, gitea) = kept.captured().next().unwrap();
    assert!(gitea.left_out[0].starts_with("bucket code: restic itself made this vault"), "{gitea:?}");
    *stage.world.buckets.foreign.lock().unwrap() = false;

    // Without a key, and with objects that no client can ask for.
    let mut keyless = service("https://s3", "code", 1);
    keyless.state.buckets[0].secret_key_file = None;
    stage.world.services.lock().unwrap().insert("gitea".parse().unwrap(), keyless);
    let skipped: Vec<String> = (0..12).map(|number| format!("{number}: no")).collect();
    stage.world.buckets.skipped.lock().unwrap().insert("media".into(), skipped);
    let kept = made(&stage).await;
    assert!(kept.whole);
    let left: Vec<_> = kept.captured().map(|(_, part)| part.left_out.clone()).collect();
    assert_eq!(left[0], ["bucket code: no key was given for it"]);
    assert_eq!((left[1].len(), left[1][10].as_str()), (11, "bucket media: 2 more objects"));
}

#[tokio::test]
async fn a_snapshot_that_waits_for_a_bucket_ends_when_somebody_wishes_so() {
    let stage = deployed().await;
    *stage.world.buckets.hangs.lock().unwrap() = true;
    let id = stage.submit(OperationKind::Snapshot, false).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    let begun = Instant::now();
    stage.engine.cancel(id, "test", None).await.unwrap();
    let (operation, _) = stage.ended(id).await;
    assert_eq!(operation.status, OperationStatus::Cancelled);
    assert!(begun.elapsed() < Duration::from_secs(5));
}

#[tokio::test]
async fn objects_come_back_before_the_state_does_and_nothing_is_touched_where_they_cannot() {
    let stage = deployed().await;
    let from = made(&stage).await;
    stage.world.state.done.lock().unwrap().clear();
    stage.world.buckets.failing.lock().unwrap().insert("https://s3/media".into());
    let (operation, _) = restored(&stage, &from, "acme", "vm1").await;
    let error = operation.error.unwrap();
    assert_eq!(error.code, "bucket-failed");
    assert_eq!(error.message, "mastodon, bucket media: the store refuses the key (403 AccessDenied)");
    assert!(stage.world.state.done.lock().unwrap().is_empty());
    stage.world.buckets.failing.lock().unwrap().clear();
    stage.world.buckets.put.lock().unwrap().clear();

    let (operation, events) = restored(&stage, &from, "acme", "vm1").await;
    assert_eq!(operation.status, OperationStatus::Succeeded, "{operation:?}");
    let put = stage.world.buckets.put.lock().unwrap().clone();
    let restics: Vec<_> = from.captured().map(|(_, part)| part.buckets.values().next().unwrap()).collect();
    let expected = [("code", "secret-of-code"), ("media", "secret-of-media")];
    for ((put, held), (name, secret)) in put.iter().zip(restics).zip(expected) {
        assert_eq!(*put, (format!("https://s3/{name}"), secret.to_owned(), held.restic.clone()));
    }
    assert!(events.iter().any(|event| event.message.contains("2 objects put back")), "{events:?}");

    // The tenant has moved its media elsewhere since, and does without a store for its code.
    stage
        .world
        .services
        .lock()
        .unwrap()
        .insert("mastodon".parse().unwrap(), service("https://new", "other", 1));
    let mut without = service("https://s3", "code", 1);
    without.state.buckets.clear();
    stage.world.services.lock().unwrap().insert("gitea".parse().unwrap(), without);
    stage.world.buckets.put.lock().unwrap().clear();
    let (operation, events) = restored(&stage, &from, "acme", "vm1").await;
    assert_eq!(operation.status, OperationStatus::Succeeded, "{operation:?}");
    let put = stage.world.buckets.put.lock().unwrap().clone();
    assert_eq!(put.iter().map(|put| put.0.as_str()).collect::<Vec<_>>(), ["https://new/other"]);
    assert!(warnings(&events).contains("objects of the bucket code stay in the snapshot"), "{events:?}");
}

#[tokio::test]
async fn a_copy_that_would_share_the_originals_bucket_is_refused_and_one_with_its_own_gets_the_objects() {
    let stage = deployed().await;
    let from = made(&stage).await;
    let into = "copy".parse().unwrap();
    stage.settle("copy", "vm2").await;
    give_key(&stage, "copy", "gitea", "secret-of-the-copy").await;
    give_key(&stage, "copy", "mastodon", "secret-of-the-copy").await;
    let id = stage.submit_of("copy", "vm2", OperationKind::Deploy, false).await;
    assert_eq!(stage.ended(id).await.0.status, OperationStatus::Succeeded);
    stage.world.state.done.lock().unwrap().clear();

    let shared = stage.engine.shared_buckets(&from, &into).await.unwrap();
    let told: Vec<_> = shared.iter().map(|one| (one.service.as_str(), one.setting.as_str())).collect();
    assert_eq!(told, [("gitea", "/object_storage"), ("mastodon", "/object_storage")]);
    let (operation, _) = restored(&stage, &from, "copy", "vm2").await;
    let error = operation.error.unwrap();
    assert_eq!(error.code, "bucket-shared");
    assert!(
        error.message.contains("mastodon/object_storage names the bucket media of acme"),
        "{}",
        error.message
    );
    assert!(stage.world.state.done.lock().unwrap().is_empty());
    assert!(stage.world.buckets.put.lock().unwrap().is_empty());

    let system = stage.store.tenant(&into).await.unwrap().deployed_system.unwrap();
    let original = stage.store.tenant(&from.tenant).await.unwrap().deployed_system.unwrap();
    assert_ne!(system, original);
    let mut bare = service("https://s3", "code", 1);
    bare.state.buckets.clear();
    let own = [("gitea", bare), ("mastodon", service("https://s3", "media-of-copy", 1))];
    let own: BTreeMap<_, _> = own.map(|(name, service)| (name.parse().unwrap(), service)).into();
    stage.world.promises.lock().unwrap().insert(system, own);
    // The key's identifier is the original's, but the bucket is another.
    assert!(stage.engine.shared_buckets(&from, &into).await.unwrap().is_empty());
    let (operation, _) = restored(&stage, &from, "copy", "vm2").await;
    assert_eq!(operation.status, OperationStatus::Succeeded, "{operation:?}");
    let put = stage.world.buckets.put.lock().unwrap().clone();
    let put: Vec<_> = put.iter().map(|(place, secret, _)| (place.as_str(), secret.as_str())).collect();
    assert_eq!(put, [("https://s3/media-of-copy", "secret-of-the-copy")]);
}

#[tokio::test]
async fn what_is_removed_with_a_snapshot_are_its_buckets_too_unless_another_needs_them() {
    let stage = deployed().await;
    let first = made(&stage).await;
    let second = made(&stage).await;
    let (tenant, machine) = ("acme".parse().unwrap(), "vm1".parse().unwrap());
    let operation =
        Operation::queued(tenant, machine, OperationKind::Prune, false, "test".into(), Utc::now());
    let operation = Operation { snapshot: Some(first.id), ..operation };
    stage.engine.submit(&operation, None).await.unwrap();
    assert_eq!(stage.ended(operation.id).await.0.status, OperationStatus::Succeeded);
    let (gone, needed) = (
        stage.world.state.pruned.lock().unwrap()[0].clone(),
        stage.world.state.needed.lock().unwrap()[0].clone(),
    );
    let of = |snapshot: &Snapshot| -> Vec<String> {
        let parts = snapshot.captured().flat_map(|(_, part)| part.buckets.values());
        parts.map(|bucket| bucket.restic.clone()).collect()
    };
    assert!(of(&first).iter().all(|restic| gone.contains(restic)), "{gone:?}");
    assert!(of(&second).iter().all(|restic| needed.contains(restic) && !gone.contains(restic)), "{needed:?}");
}

#[tokio::test]
async fn the_machine_of_a_drill_is_given_nothing_that_opens_a_bucket() {
    let stage = deployed().await;
    let given = std::mem::take(&mut *stage.world.given.lock().unwrap());
    assert_eq!(given, ["gitea/object-key=secret-of-code", "mastodon/object-key=secret-of-media"]);
    made(&stage).await;
    stage.register("spare").await;
    let (operation, drill) = stage.drilled().await;
    assert_eq!(operation.status, OperationStatus::Succeeded, "{operation:?}");
    assert!(drill.services.values().all(|service| service.ok && service.left_out.is_empty()), "{drill:?}");
    let given = stage.world.given.lock().unwrap().clone();
    // The system that empties the machine is the same here.
    assert_eq!(given.len(), 4, "{given:?}");
    for (given, name) in given.iter().zip(["gitea", "mastodon"].into_iter().cycle()) {
        let key = given.strip_prefix(&format!("{name}/object-key=")).unwrap();
        assert!(key.len() == 64 && key.bytes().all(|byte| byte.is_ascii_hexdigit()), "{given}");
    }
    assert!(stage.world.buckets.put.lock().unwrap().is_empty());
}
