//! Buckets in bundles: what their objects have comes along, for every reader.

use berth_bundle::{BucketAbout, Kind, Meta, ObjectAbout, inspect_source, layout};
use berth_sign::TrustedKeys;
use serde_json::{Value, json};

use crate::reading::asked;
use crate::support::{key, meta, verified, writer};

fn packed() -> Meta {
    let object = ObjectAbout {
        cache_control: Some("max-age=60".into()),
        content_encoding: Some("gzip".into()),
        content_disposition: Some("inline; filename=\"\u{e4}\"".into()),
        metadata: [("origin".to_owned(), "far \u{2603} away".to_owned())].into(),
        ..ObjectAbout::default()
    };
    Meta { media_type: Some("image/webp".into()), object: Some(object), ..meta(0o644) }
}

/// A bundle with a bucket of each sort of object, and one that is empty.
fn sample() -> Vec<u8> {
    let key = key();
    let mut writer = writer(&key);
    let was = BucketAbout { endpoint: "https://s3.example.net".into(), region: "garage".into() };
    for bucket in ["empty", "media"] {
        let meta = Meta { bucket: Some(was.clone()), ..meta(0o755) };
        writer.directory(layout::bucket("gitea", bucket).unwrap(), meta).unwrap();
    }
    let place = |key: &str| layout::object("gitea", "media", key).unwrap();
    writer
        .directory(place("a/"), Meta { media_type: Some("application/x-directory".into()), ..meta(0o755) })
        .unwrap();
    writer.bytes(place("a/b"), packed(), b"pixels").unwrap();
    writer.bytes(place("a/c"), meta(0o644), b"").unwrap();
    writer.bytes(place("sp ace+%25&=\u{e4}\n\"'<>"), meta(0o644), b"odd").unwrap();
    writer.finish().unwrap().out
}

#[test]
fn what_an_object_has_is_in_its_entry_and_a_bucket_says_where_it_was() {
    let bundle = sample();
    assert!(verified(&bundle).is_trusted());
    let mut found = Vec::new();
    inspect_source(&bundle, &TrustedKeys::none(), &mut |_, entry| found.push(entry.clone())).unwrap();
    let of = |path: &str| found.iter().find(|entry| entry.path.encoded() == path).unwrap();
    let photo = of("services/gitea/buckets/media/a/b");
    assert_eq!(photo.meta, packed());
    assert_eq!(of("services/gitea/buckets/empty").meta.bucket.as_ref().unwrap().region, "garage");
    assert_eq!(of("services/gitea/buckets/media/a").kind, Kind::Directory);
    assert_eq!(of("services/gitea/buckets/media/a/c").meta.object, None);
}

#[test]
fn the_reader_in_python_tells_the_same_objects_by_their_keys() {
    let bundle = sample();
    let Some(lines) = asked("objects", &bundle) else { return };
    let keys: Vec<_> = lines.iter().map(|line| line["key"].as_str().unwrap()).collect();
    assert_eq!(keys, ["a/", "a/b", "a/c", "sp ace+%25&=\u{e4}\n\"'<>"]);
    let photo = json!({
        "service": "gitea", "bucket": "media", "key": "a/b", "size": 6, "media_type": "image/webp",
        "cache_control": "max-age=60", "content_encoding": "gzip",
        "content_disposition": "inline; filename=\"\u{e4}\"", "metadata": {"origin": "far \u{2603} away"},
    });
    assert_eq!(lines[1], photo);
    assert_eq!(
        (&lines[0]["media_type"], &lines[2]["size"]),
        (&json!("application/x-directory"), &Value::from(0))
    );
}

#[test]
fn an_object_that_was_altered_is_named() {
    let mut bundle = sample();
    let at = bundle.windows(6).position(|window| window == b"pixels").unwrap();
    bundle[at] = b'P';
    let report = verified(&bundle);
    assert!(!report.is_intact());
    let named: Vec<_> = report.problems.iter().map(|problem| problem.path.clone()).collect();
    assert_eq!(named, [Some("services/gitea/buckets/media/a/b".to_owned())]);
}
