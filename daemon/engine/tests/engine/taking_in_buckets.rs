//! Tenants that are made of a bundle with buckets.

use berth_bundle::{BucketAbout, FileMode, Meta, ObjectAbout, Target, Writer, layout};
use berth_domain::{Event, Mode, Operation, OperationKind, OperationStatus, StepName};
use berth_vault::object::Kind;

use crate::brought::{self, code, mode};
use crate::buckets::{give_key, restored, service, warnings};
use crate::fakes::facts;
use crate::stage::{BUNDLES, Stage};
use crate::taking_in::{BUNDLE, bundle_with, taken_in, there, written};

fn media(writer: &mut Writer<'_, Vec<u8>>) {
    let was = BucketAbout { endpoint: "https://old".into(), region: "r".into() };
    let folder = Meta { bucket: Some(was), ..Meta::made(FileMode::DIRECTORY, 0) };
    writer.directory(layout::bucket("web", "media").unwrap(), folder).unwrap();
    let place = |key: &str| layout::object("web", "media", key).unwrap();
    let object = ObjectAbout { cache_control: Some("no-store".into()), ..ObjectAbout::default() };
    let meta =
        Meta { media_type: Some("image/webp".into()), object: Some(object), ..Meta::made(FileMode::FILE, 7) };
    writer.directory(place("a/"), Meta::made(FileMode::DIRECTORY, 0)).unwrap();
    writer.bytes(place("a/photo"), meta.clone(), &[7; 100]).unwrap();
    writer.bytes(place("empty"), meta, b"").unwrap();
}

fn keep(bytes: Vec<u8>, stage: &Stage) {
    std::fs::write(stage.folder.path().join(BUNDLES).join(format!("{BUNDLE}.tar")), bytes).unwrap();
}

/// A daemon that has such a bundle, and a tenant of it whose service has a bucket of this name, if any.
async fn stage(bucket: Option<&str>) -> Stage {
    let stage = brought::awaited(there()).await;
    keep(bundle_with("4.3", &media), &stage);
    if let Some(bucket) = bucket {
        let mut services = stage.world.services.lock().unwrap();
        let web = services.get_mut("web").unwrap();
        let with = service("https://new", bucket, 1);
        (web.state.buckets, web.secrets) = (with.state.buckets, with.secrets);
    }
    give_key(&stage, "acme", "web", "secret-of-new").await;
    stage
}

async fn told(stage: &Stage, go_live: bool) -> (Operation, Vec<Event>) {
    let operation = taken_in(stage, go_live).await;
    stage.ended(operation.id).await
}

fn put(stage: &Stage) -> Vec<(String, String, String)> {
    stage.world.buckets.put.lock().unwrap().clone()
}

#[tokio::test]
async fn objects_come_into_the_bucket_that_the_tenant_has_here_before_its_state_does() {
    let stage = stage(Some("other")).await;
    // They need no room on the machine.
    let told = berth_domain::MachineFacts { data_disk_available_bytes: 10, ..facts(&stage.machine()) };
    *stage.world.facts.lock().unwrap() = Some(told);
    stage.world.buckets.failing.lock().unwrap().insert("https://new/other".into());
    let operation = taken_in(&stage, true).await;
    assert_eq!((operation.status, code(&operation)), (OperationStatus::Failed, "bucket-failed"));
    assert!(stage.world.state.done.lock().unwrap().is_empty(), "the machine was touched");
    assert_eq!(mode(&stage).await, Mode::Standby);

    // The store is back: the next import goes on.
    stage.world.buckets.failing.lock().unwrap().clear();
    let operation = taken_in(&stage, true).await;
    assert_eq!(operation.status, OperationStatus::Succeeded, "{operation:?}");
    assert_eq!(mode(&stage).await, Mode::Active);
    let (snapshot, _) = stage.store.snapshot(operation.id).await.unwrap();
    let (_, web) = snapshot.captured().next().unwrap();
    let bucket = &web.buckets["media"];
    assert_eq!((bucket.objects, bucket.bytes, bucket.endpoint.as_str()), (3, 100, "https://old"));
    assert!(bucket.bytes_added > 100 && bucket.restic.len() == 64, "{bucket:?}");
    assert_eq!((web.bytes_total, web.files_total), (10, 2), "objects count in none of these");
    assert_eq!(
        put(&stage),
        [("https://new/other".to_owned(), "secret-of-new".to_owned(), bucket.restic.clone())]
    );
    assert_eq!(stage.world.state.done.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn objects_do_not_come_into_a_bucket_of_somebody_who_is_served_here() {
    let stage = stage(Some("other")).await;
    stage.settle("theirs", "vm2").await;
    give_key(&stage, "theirs", "web", "secret-of-theirs").await;
    let id = stage.submit_of("theirs", "vm2", OperationKind::Deploy, false).await;
    assert_eq!(stage.ended(id).await.0.status, OperationStatus::Succeeded);
    let before = stage.machine();
    let operation = taken_in(&stage, true).await;
    assert_eq!((operation.status, code(&operation)), (OperationStatus::Failed, "bucket-shared"));
    let error = operation.error.unwrap();
    assert!(error.message.contains("names the bucket other of theirs"), "{}", error.message);
    assert_eq!((error.step, before.committed), (Some(StepName::Prepare), stage.machine().committed));
    assert!(put(&stage).is_empty());
    // In standby it writes into none.
    let operation = taken_in(&stage, false).await;
    assert_eq!(operation.status, OperationStatus::Succeeded, "{operation:?}");
    assert!(put(&stage).is_empty());
}

#[tokio::test]
async fn nothing_is_written_into_a_bucket_that_the_old_provider_may_still_write_to() {
    let stage = stage(Some("other")).await;
    let (operation, events) = told(&stage, false).await;
    assert_eq!(operation.status, OperationStatus::Succeeded, "{operation:?}");
    assert!(put(&stage).is_empty());
    assert!(
        warnings(&events).contains("web: the objects of the bucket media stay in the snapshot"),
        "{events:?}"
    );
    assert_eq!(written(&stage, Kind::Snapshots), 2);
    // Somebody puts them there later.
    let (snapshot, _) = stage.store.snapshot(operation.id).await.unwrap();
    let (operation, _) = restored(&stage, &snapshot, "acme", "vm1").await;
    assert_eq!(operation.status, OperationStatus::Succeeded, "{operation:?}");
    assert_eq!(put(&stage).len(), 1);
}

#[tokio::test]
async fn a_tenant_without_a_bucket_for_them_does_not_go_live_and_its_machine_is_not_touched() {
    let stage = stage(None).await;
    let before = stage.machine();
    let operation = taken_in(&stage, true).await;
    assert_eq!((operation.status, code(&operation)), (OperationStatus::Failed, "no-bucket"));
    let error = operation.error.unwrap();
    assert_eq!(error.message, "web: the settings name no bucket for the objects of media");
    assert_eq!(error.step, Some(StepName::Prepare));
    assert_eq!(before.committed, stage.machine().committed);
    assert_eq!(written(&stage, Kind::Data), 0);
    // In standby it may still be given one.
    let (operation, events) = told(&stage, false).await;
    assert_eq!(operation.status, OperationStatus::Succeeded, "{operation:?}");
    assert!(warnings(&events).contains("no bucket for the objects of media: give it one"), "{events:?}");

    // A bucket that nothing opens is none.
    let mut keyless = service("https://new", "other", 1);
    keyless.state.buckets[0].secret_key_file = None;
    stage.world.services.lock().unwrap().get_mut("web").unwrap().state.buckets = keyless.state.buckets;
    let operation = taken_in(&stage, true).await;
    assert_eq!(code(&operation), "no-bucket");
    assert!(operation.error.unwrap().message.contains("give no key to other"));
}

#[tokio::test]
async fn an_object_that_was_altered_or_is_none_is_refused() {
    let stage = stage(Some("other")).await;
    let mut bytes = bundle_with("4.3", &media);
    let at = bytes.windows(100).position(|window| window == [7; 100]).unwrap();
    bytes[at] = 8;
    keep(bytes, &stage);
    let operation = taken_in(&stage, true).await;
    assert_eq!((operation.status, code(&operation)), (OperationStatus::Failed, "bundle-altered"));
    assert_eq!((written(&stage, Kind::Snapshots), put(&stage).len()), (0, 0));

    let with = |change: &dyn Fn(&mut Writer<'_, Vec<u8>>)| {
        keep(
            bundle_with("4.3", &|writer| {
                media(writer);
                change(writer);
            }),
            &stage,
        );
    };
    let place = |key: &str| layout::object("web", "media", key).unwrap();
    with(&|writer| {
        let target = Target::new(*b"a").unwrap();
        writer.symlink(place("link"), target, Meta::made(FileMode::SYMLINK, 0)).unwrap();
    });
    let operation = taken_in(&stage, true).await;
    assert_eq!(code(&operation), "state-mismatch");
    assert!(operation.error.unwrap().message.contains("services/web/buckets/media/link"));
    with(&|writer| {
        let object = ObjectAbout { cache_control: Some("a\nhost: b".into()), ..ObjectAbout::default() };
        let meta = Meta { object: Some(object), ..Meta::made(FileMode::FILE, 0) };
        writer.bytes(place("forged"), meta, b"1").unwrap();
    });
    assert_eq!(code(&taken_in(&stage, true).await), "state-mismatch");
    assert_eq!((written(&stage, Kind::Snapshots), put(&stage).len()), (0, 0));
}
