//! Objects of buckets in bundles.

use std::time::Duration;

use berth_bundle::{Entry, Kind};
use berth_domain::{Operation, OperationStatus};
use berth_engine::ports::ObjectRecord;
use berth_sign::TrustedKeys;
use chrono::{DateTime, Utc};
use serde_json::json;

use crate::buckets::{deployed, snapshot, warnings};
use crate::snapshots::export;
use crate::stage::Stage;

fn object(key: &str, size: u64) -> ObjectRecord {
    let at: DateTime<Utc> = "2026-01-02T03:04:05.678Z".parse().unwrap();
    serde_json::from_value(json!({
        "key": key, "size": size, "last_modified": at, "md5": "", "content_type": "image/webp",
        "cache_control": "no-store", "metadata": {"origin": "far away"},
    }))
    .unwrap()
}

fn hold(stage: &Stage, bucket: &str, objects: &[(&str, &[u8])]) {
    let held =
        objects.iter().map(|(key, content)| (object(key, content.len() as u64), Some(content.to_vec())));
    stage.world.buckets.held.lock().unwrap().insert(bucket.into(), held.collect());
}

/// The entries of a bundle's buckets.
fn of_buckets(stage: &Stage, operation: &Operation) -> Vec<Entry> {
    let path = stage.engine.exports().bundle(operation.id);
    let report = berth_bundle::verify(&path, &TrustedKeys::none()).unwrap();
    assert!(report.is_intact(), "{report:?}");
    let mut found = Vec::new();
    berth_bundle::inspect(&path, &TrustedKeys::none(), &mut |_, entry| {
        if entry.path.encoded().contains("/buckets/") {
            found.push(entry.clone());
        }
    })
    .unwrap();
    found
}

fn failure(operation: &Operation) -> (&str, &str) {
    let error = operation.error.as_ref().unwrap();
    (&error.code, &error.message)
}

#[tokio::test]
async fn objects_are_in_the_bundle_in_the_order_of_their_paths_with_all_that_they_have() {
    let stage = deployed().await;
    let media: [(&str, &[u8]); 5] =
        [("b", b"last"), ("a-c", b"1"), ("a/b", b"pixels"), ("a/", b""), ("a/\u{e4}\n", b"")];
    hold(&stage, "media", &media);
    let operation = export(&stage, None, None).await;
    assert_eq!(operation.status, OperationStatus::Succeeded, "{operation:?}");
    let found = of_buckets(&stage, &operation);
    let paths: Vec<_> = found.iter().map(|entry| entry.path.encoded()).collect();
    let expected = ["gitea/buckets/code", "mastodon/buckets/media", "mastodon/buckets/media/a"];
    let expected = expected.into_iter().chain([
        "mastodon/buckets/media/a/b",
        "mastodon/buckets/media/a/%C3%A4%0A",
        "mastodon/buckets/media/a-c",
        "mastodon/buckets/media/b",
    ]);
    assert_eq!(paths, expected.map(|path| format!("services/{path}")).collect::<Vec<_>>());
    assert_eq!(found[0].meta.bucket.as_ref().unwrap().endpoint, "https://s3");
    assert_eq!((&found[2].kind, found[2].meta.media_type.as_deref()), (&Kind::Directory, Some("image/webp")));
    let photo = &found[3];
    assert!(matches!(photo.kind, Kind::File { size: 6, .. }), "{photo:?}");
    let about = photo.meta.object.as_ref().unwrap();
    assert_eq!(
        (about.cache_control.as_deref(), about.metadata["origin"].as_str()),
        (Some("no-store"), "far away")
    );
    assert_eq!(photo.meta.mtime, "2026-01-02T03:04:05Z".parse::<DateTime<Utc>>().unwrap().timestamp());
}

#[tokio::test]
async fn objects_that_no_bundle_can_carry_are_named_before_anything_is_read_out() {
    let stage = deployed().await;
    let long = "x".repeat(256);
    hold(&stage, "media", &[("fine", b"1"), ("a//b", b"1"), ("../c", b"1"), (&long, b"1"), ("d/", b"full")]);
    {
        let mut held = stage.world.buckets.held.lock().unwrap();
        let above = ObjectRecord { path: Some("/berth/objects/00".into()), ..object("e", 1) };
        held.get_mut("media").unwrap().push((above, Some(b"1".to_vec())));
        held.get_mut("media").unwrap().push((object("e/f", 1), Some(b"1".to_vec())));
    }
    let operation = export(&stage, None, None).await;
    let (code, message) = failure(&operation);
    assert_eq!(code, "export-failed");
    for named in [
        "mastodon, bucket media: ../c: ",
        "a//b: ",
        "d/: it is a folder's",
        "e: other objects are below it",
        &long,
    ] {
        assert!(message.contains(named), "{named}: {message}");
    }
    assert!(!message.contains("fine") && !message.contains("e/f"), "{message}");
    let (_, events) = stage.ended(operation.id).await;
    assert!(!events.iter().any(|event| event.message.contains("is read out of the vault")), "{events:?}");
    let exports = stage.engine.exports();
    assert!(!exports.bundle(operation.id).exists());
    // With many of them, some are named.
    let many: Vec<_> = (0..25).map(|number| format!("{number}//x")).collect();
    let many: Vec<(&str, &[u8])> = many.iter().map(|key| (key.as_str(), &b"1"[..])).collect();
    hold(&stage, "media", &many);
    let operation = export(&stage, None, None).await;
    assert!(failure(&operation).1.ends_with("; and 15 more"), "{operation:?}");
}

#[tokio::test]
async fn a_bundle_does_not_lack_a_bucket_in_silence() {
    let stage = deployed().await;
    stage.world.buckets.failing.lock().unwrap().insert("https://s3/code".into());
    let operation = export(&stage, None, None).await;
    assert_eq!(failure(&operation).0, "snapshot-incomplete");
    assert!(!stage.engine.exports().bundle(operation.id).exists());
    // Of an earlier snapshot that is not whole, it is said what is missing.
    let (made, _) = snapshot(&stage).await;
    let operation = export(&stage, Some(&made), None).await;
    assert_eq!(operation.status, OperationStatus::Succeeded, "{operation:?}");
    let (_, events) = stage.ended(operation.id).await;
    assert!(
        warnings(&events).contains("gitea: not in the bundle: bucket code: the store refuses"),
        "{events:?}"
    );
}

#[tokio::test]
async fn a_vault_that_fails_for_a_while_is_asked_again_and_nothing_half_is_left() {
    let stage = deployed().await;
    stage.world.buckets.held.lock().unwrap().insert("media".into(), vec![(object("a", 1), None)]);
    let heal = async {
        tokio::time::sleep(Duration::from_millis(1000)).await;
        hold(&stage, "media", &[("a", b"1")]);
    };
    let (operation, ()) = tokio::join!(export(&stage, None, None), heal);
    assert_eq!(operation.status, OperationStatus::Succeeded, "{operation:?}");
    assert_eq!(of_buckets(&stage, &operation).len(), 3);
}
