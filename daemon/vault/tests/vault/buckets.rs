//! Buckets of a real store, into repositories and back.

use std::collections::BTreeMap;
use std::fs;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use berth_garage::{Garage, Owner};
use berth_vault::buckets::{
    Bucket, BucketConfig, BucketError, Copied, Copying, Earlier, News, PutBack, PuttingBack, Reach,
};
use berth_vault::{Mode, StorageError, Title};
use chrono::Utc;
use tokio_util::sync::CancellationToken;

use crate::place::Place;
use crate::restic::{self, PASSWORD};
use crate::server::{Server, name, noise};

const ATTRIBUTES: [(&str, &str); 6] = [
    ("content-type", "image/webp"),
    ("cache-control", "public, max-age=315576000"),
    ("content-disposition", "inline; filename=\"\u{fc}.webp\""),
    ("content-encoding", "gzip"),
    ("content-language", "de"),
    ("x-amz-meta-origin", "far away"),
];

const ODD: [&str; 7] = ["a", "x//y", "empty folder/", "a/b/", "sp ace+plus%25&=\u{e4}\n\"'<>", "/led", "z/"];

/// Stores of this host, as in no daemon unless somebody says so.
pub fn here() -> Reach {
    Reach::new(["127.0.0.0/8"]).unwrap()
}

/// From these snapshots, all of which stays where it is said.
fn copying(config: &BucketConfig, earlier: &[(&Copied, bool)]) -> Copying {
    let earlier =
        earlier.iter().map(|(copied, stays)| Earlier { restic: copied.restic.clone(), stays: *stays });
    let tags = vec!["bucket:media".to_owned(), "bucket-of:mastodon".to_owned()];
    Copying {
        bucket: Bucket::new(config, &here()).unwrap(),
        endpoint: config.endpoint.clone(),
        title: Title { at: Utc::now(), host: "acme".into(), paths: vec!["/buckets/media".into()], tags },
        earlier: earlier.collect(),
        limit: Duration::MAX,
        cancel: CancellationToken::new(),
    }
}

/// A snapshot, and how many bytes had to be fetched for it.
async fn copied(server: &Server, copying: Copying) -> Result<(Copied, u64), BucketError> {
    let fetched = Arc::new(Mutex::new(0));
    let heard = Arc::clone(&fetched);
    let tell = Box::new(move |news| {
        if let News::Progress { done, expected } = news {
            assert!(done <= expected);
            *heard.lock().unwrap() = done;
        }
    });
    let copied = server.vault.copy_bucket(&name("acme"), &PASSWORD.into(), copying, tell).await?;
    let fetched = *fetched.lock().unwrap();
    Ok((copied, fetched))
}

pub async fn put_back(server: &Server, config: &BucketConfig, restic: &str) -> PutBack {
    let bucket = Bucket::new(config, &here()).unwrap();
    let what = PuttingBack { bucket, restic: restic.into(), cancel: CancellationToken::new() };
    let (repository, password) = (name("acme"), PASSWORD.into());
    server.vault.put_bucket_back(&repository, &password, what, Box::new(|_| {})).await.unwrap()
}

/// A bucket of everything: many objects, a large one, attributes, odd keys.
async fn filled(garage: &Garage) -> (Owner, BTreeMap<String, Vec<u8>>) {
    let owner = Owner::of(garage.bucket("media").await);
    let mut all = BTreeMap::new();
    for number in 0..1_200 {
        all.insert(format!("many/{number:04}"), number.to_string().into_bytes());
    }
    all.insert("large".into(), noise(3, 20_000_000));
    all.insert("a/photo".into(), noise(4, 300_000));
    for key in ODD {
        all.insert(key.into(), if key.ends_with('/') { Vec::new() } else { key.as_bytes().to_vec() });
    }
    // With content, which a folder has not.
    all.insert("z/".into(), b"not empty".to_vec());
    for (key, content) in &all {
        let attributes = if key == "a/photo" { &ATTRIBUTES[..] } else { &[] };
        owner.put(key, attributes, content).await;
    }
    (owner, all)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_is_a_snapshot_for_every_restic_and_what_is_known_is_not_fetched_again() {
    let Some(garage) = Garage::start().await else { return };
    let (owner, all) = filled(&garage).await;
    let place = Place::folder();
    let server = Server::start(&place).await;
    server.vault.init(&name("acme"), &PASSWORD.into()).await.unwrap();
    let (first, fetched) = copied(&server, copying(&owner.0, &[])).await.unwrap();
    let bytes: usize = all.values().map(Vec::len).sum();
    assert_eq!((first.objects, first.bytes), (all.len() as u64, bytes as u64), "{:?}", first.skipped);
    assert_eq!(fetched, bytes as u64);
    assert!(first.bytes_added > bytes as u64 && first.skipped.is_empty(), "{:?}", first.skipped);

    // The second pass has nothing to fetch; what was removed in between stays, as it is of the same operation.
    owner.delete("many/0000").await;
    owner.put("a/photo", &[], b"another").await;
    let (second, fetched) = copied(&server, copying(&owner.0, &[(&first, true)])).await.unwrap();
    assert_eq!((second.objects, fetched), (all.len() as u64, 7));
    assert!(second.bytes_added < 1_000_000, "{}", second.bytes_added);
    // The next snapshot does not hold it any more.
    let (third, fetched) = copied(&server, copying(&owner.0, &[(&second, false)])).await.unwrap();
    assert_eq!((third.objects, fetched), (all.len() as u64 - 1, 0));
    // What nobody says was made here is not gone on from, whatever its tags are.
    let (_, fetched) = copied(&server, copying(&owner.0, &[])).await.unwrap();
    assert_eq!(fetched, third.bytes);

    let token = server.token("acme", Mode::Full, None);
    for restic in restic::every().await {
        let host = restic.host(&server.address, "acme", &token);
        host.ok(&["check", "--read-data"]).await;
        let target = host.path("restored");
        host.ok(&["restore", &first.restic, "--target", target.to_str().unwrap()]).await;
        let media = target.join("buckets/media");
        assert!(fs::read(media.join("large")).unwrap() == all["large"]);
        assert!(fs::read(media.join("a/photo")).unwrap() == all["a/photo"]);
        assert_eq!(fs::read(media.join(ODD[4])).unwrap(), ODD[4].as_bytes());
        assert!(media.join("empty folder").is_dir());
        let lines = fs::read_to_string(target.join("berth/bucket.jsonl")).unwrap();
        assert_eq!(lines.lines().count(), all.len() + 1);
        let line = lines.lines().find(|line| line.contains("\"x//y\"")).unwrap();
        let told: serde_json::Value = serde_json::from_str(line).unwrap();
        let path = told["path"].as_str().unwrap().trim_start_matches('/');
        assert_eq!(fs::read(target.join(path)).unwrap(), b"x//y");
    }
    // What is forgotten takes along nothing that another needs.
    if let Some(restic) = restic::every().await.into_iter().next() {
        let host = restic.host(&server.address, "acme", &token);
        host.ok(&["forget", "--prune", &first.restic, &second.restic]).await;
        host.ok(&["check", "--read-data"]).await;
        // The first of them is there no more.
        let earlier = [(&second, true), (&third, false)];
        let (_, fetched) = copied(&server, copying(&owner.0, &earlier)).await.unwrap();
        assert_eq!(fetched, 0);
        host.ok(&["check", "--read-data"]).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_there_is_no_time_for_is_gone_on_with() {
    let Some(garage) = Garage::start().await else { return };
    let owner = Owner::of(garage.bucket("media").await);
    let place = Place::folder();
    let server = Server::start(&place).await;
    server.vault.init(&name("acme"), &PASSWORD.into()).await.unwrap();
    let content = noise(5, 2_000_000);
    let keys = ["a", "a/b", "large", "z"];
    for key in keys {
        owner.put(key, &[], if key == "large" { &content } else { key.as_bytes() }).await;
    }
    let mut last: Option<Copied> = None;
    for came in 1..=keys.len() as u64 {
        let earlier: Vec<_> = last.iter().map(|last| (last, true)).collect();
        let hurried = Copying { limit: Duration::ZERO, ..copying(&owner.0, &earlier) };
        let (made, fetched) = copied(&server, hurried).await.unwrap();
        assert_eq!((made.objects, made.complete), (came, came == keys.len() as u64), "{made:?}");
        let before = last.map_or(0, |last| last.bytes);
        assert_eq!(made.bytes, before + fetched, "each is fetched once");
        last = Some(made);
    }
    let last = last.unwrap();
    for key in keys {
        owner.delete(key).await;
    }
    assert_eq!(put_back(&server, &owner.0, &last.restic).await.objects, 4);
    assert!(owner.get("large").await.unwrap().1 == content && owner.get("a/b").await.unwrap().1 == b"a/b");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_missing_or_another_comes_back_with_its_attributes_and_nothing_else_is_touched() {
    let Some(garage) = Garage::start().await else { return };
    let (owner, all) = filled(&garage).await;
    let place = Place::folder();
    let server = Server::start(&place).await;
    server.vault.init(&name("acme"), &PASSWORD.into()).await.unwrap();
    let (made, _) = copied(&server, copying(&owner.0, &[])).await.unwrap();
    let mut before = BTreeMap::new();
    for key in all.keys() {
        before.insert(key.clone(), owner.get(key).await.unwrap());
    }
    assert_eq!(before["a/photo"].0["content-type"], "image/webp");

    let whole = PutBack { objects: 0, bytes: 0, there: all.len() as u64 };
    assert_eq!(put_back(&server, &owner.0, &made.restic).await, whole);
    for key in ["a/photo", "x//y", "empty folder/", ODD[4], "many/0007"] {
        owner.delete(key).await;
    }
    owner.put("large", &[], b"small").await;
    owner.put("many/0008", &[], b"9").await;
    owner.put("newer", &[], b"newer").await;
    let put = put_back(&server, &owner.0, &made.restic).await;
    assert_eq!((put.objects, put.there), (7, all.len() as u64 - 7));
    for (key, expected) in &before {
        let found = owner.get(key).await.unwrap();
        assert_eq!(&found.0, &expected.0, "{key}");
        assert!(found.1 == expected.1, "{key}");
    }
    assert_eq!(owner.get("newer").await.unwrap().1, b"newer");
    // What was sent at once is known again; what was sent in parts goes by another name.
    assert_eq!(put_back(&server, &owner.0, &made.restic).await.objects, 1);

    // Into another bucket, which has nothing of it.
    let other = Owner::of(garage.bucket("copy").await);
    assert_eq!(put_back(&server, &other.0, &made.restic).await.objects, all.len() as u64);
    for (key, expected) in &before {
        assert!(other.get(key).await.unwrap() == *expected, "{key}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_keeps_a_bucket_from_being_read_is_said_without_its_secret() {
    let Some(garage) = Garage::start().await else { return };
    let config = garage.bucket("media").await;
    let place = Place::folder();
    let server = Server::start(&place).await;
    server.vault.init(&name("acme"), &PASSWORD.into()).await.unwrap();
    let refused = async |config: BucketConfig| {
        let error = copied(&server, copying(&config, &[])).await.unwrap_err();
        let said = format!("{error} {error:?}");
        assert!(!said.contains("hunter2") && !said.contains(&config.access_key), "{said}");
        error
    };
    let wrong = refused(BucketConfig { secret: "hunter2".into(), ..config.clone() }).await;
    assert!(matches!(wrong, BucketError::Refused { status: 403, .. }), "{wrong}");
    let missing = refused(BucketConfig { name: "nowhere".into(), ..config.clone() }).await;
    assert!(matches!(missing, BucketError::NoBucket | BucketError::Refused { .. }), "{missing}");
    let down = refused(BucketConfig { endpoint: "http://127.0.0.1:1".into(), ..config.clone() }).await;
    assert!(matches!(down, BucketError::Unreachable(_)), "{down}");
    let plain = config.endpoint.replace("http://", "https://");
    let no_tls = refused(BucketConfig { endpoint: plain, ..config.clone() }).await;
    assert!(matches!(no_tls, BucketError::Unreachable(_)), "{no_tls}");

    assert!(matches!(Bucket::new(&config, &Reach::default()), Err(BucketError::Endpoint(_))));

    // A repository that somebody else made is not written to.
    let (repository, copying) = (name("acme"), copying(&config, &[]));
    let made = server.vault.copy_bucket(&repository, &"another".into(), copying, Box::new(|_| {})).await;
    let error = made.unwrap_err();
    assert!(matches!(error, BucketError::Storage(StorageError::NotFound) | BucketError::Read(_)), "{error}");
}
