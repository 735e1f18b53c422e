//! Buckets whose objects come from elsewhere than a store, into repositories and from there into a real store.

use std::collections::BTreeMap;
use std::io::Read as _;

use berth_garage::{Garage, Owner};
use berth_vault::buckets::{
    Bringing, Brought, BucketError, Coming, Held, ObjectAttributes, PutBack, PuttingBack,
};
use berth_vault::{Author, Title};
use chrono::DateTime;
use tokio_util::sync::CancellationToken;

use crate::buckets::{here, put_back};
use crate::place::Place;
use crate::restic::PASSWORD;
use crate::server::{Server, name, noise};

fn coming(key: &str) -> Coming {
    let attributes = ObjectAttributes {
        content_type: Some("image/webp".into()),
        content_encoding: Some("gzip".into()),
        metadata: BTreeMap::from([("origin".to_owned(), format!("of {}", key.len()))]),
        ..ObjectAttributes::default()
    };
    Coming { key: key.into(), at: DateTime::from_timestamp(1_700_000_000, 0).unwrap(), attributes }
}

async fn brought<K: AsRef<str> + Send + 'static>(
    server: &Server,
    objects: Vec<(K, Vec<u8>)>,
) -> Result<Brought, BucketError> {
    let work = move |author: &mut Author| {
        let mut bringing = Bringing::begin(author, "media", "https://s3.example.net", "garage");
        for (key, content) in &objects {
            bringing.object(author, coming(key.as_ref()), &mut content.as_slice())?;
        }
        let tags = vec!["bucket:media".to_owned(), "bucket-of:mastodon".to_owned()];
        let title = Title {
            at: DateTime::UNIX_EPOCH,
            host: "acme".into(),
            paths: vec!["/buckets/media".into()],
            tags,
        };
        bringing.finish(author, &title)
    };
    server.vault.author(&name("acme"), &PASSWORD.into(), work).await
}

fn all() -> Vec<(&'static str, Vec<u8>)> {
    vec![
        ("a/", Vec::new()),
        ("a/b", b"b".to_vec()),
        ("a/empty", Vec::new()),
        ("large", noise(6, 20_000_000)),
        ("sp ace+%25&=\u{e4}\n\"'<>", b"odd".to_vec()),
    ]
}

async fn server() -> (Place, Server) {
    let place = Place::folder();
    let server = Server::start(&place).await;
    server.vault.init(&name("acme"), &PASSWORD.into()).await.unwrap();
    (place, server)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_that_was_brought_is_held_as_one_that_was_copied() {
    let (_place, server) = server().await;
    let brought = brought(&server, all()).await.unwrap();
    let bytes: usize = all().iter().map(|(_, content)| content.len()).sum();
    assert_eq!((brought.objects, brought.bytes), (5, bytes as u64));
    assert!(brought.bytes_added > bytes as u64);
    let read = move |reader: &berth_vault::Reader| {
        let held = Held::of(reader, &brought.restic)?;
        assert_eq!(
            (held.bucket.endpoint.as_str(), held.bucket.region.as_str()),
            ("https://s3.example.net", "garage")
        );
        for (key, content) in all() {
            let object = &held.objects[key];
            assert_eq!(object.attributes, coming(key).attributes, "{key}");
            let mut found = Vec::new();
            held.content(object)?.read_to_end(&mut found).unwrap();
            assert!(found == content, "{key}");
        }
        Ok::<_, BucketError>(held.objects.len())
    };
    assert_eq!(server.vault.read(&name("acme"), &PASSWORD.into(), read).await.unwrap(), 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_folder_has_no_room_for_is_held_apart() {
    let (_place, server) = server().await;
    // Long names take more of it.
    let key = |number: u32| format!("crowd/{number:0250}");
    let objects: Vec<_> = (0..30_000).map(|number| (key(number), number.to_be_bytes().to_vec())).collect();
    let objects =
        objects.into_iter().chain([("crowd/later/".to_owned(), Vec::new()), ("d".to_owned(), vec![1])]);
    let brought = brought(&server, objects.collect()).await.unwrap();
    let read = move |reader: &berth_vault::Reader| {
        let held = Held::of(reader, &brought.restic)?;
        let apart = held.objects.values().filter(|object| object.path.is_some()).count();
        for number in [0, 1, 15_000, 29_998, 29_999] {
            let mut found = Vec::new();
            held.content(&held.objects[&key(number)])?.read_to_end(&mut found).unwrap();
            assert_eq!(found, number.to_be_bytes(), "{number}");
        }
        assert!(held.objects["d"].path.is_none(), "others have their own room");
        Ok::<_, BucketError>((held.objects.len(), apart))
    };
    let (objects, apart) = server.vault.read(&name("acme"), &PASSWORD.into(), read).await.unwrap();
    assert_eq!(objects, 30_002);
    assert!((1_000..10_000).contains(&apart), "{apart}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_brought_comes_into_a_store_with_all_that_it_has_and_no_second_time() {
    let Some(garage) = Garage::start().await else { return };
    let (_place, server) = server().await;
    let brought = brought(&server, all()).await.unwrap();
    let owner = Owner::of(garage.bucket("another").await);
    owner.put("a/b", &[], b"another").await;
    owner.put("theirs", &[], b"theirs").await;
    assert_eq!(put_back(&server, &owner.0, &brought.restic).await.objects, 5);
    for (key, content) in all() {
        let (headers, found) = owner.get(key).await.unwrap();
        assert!(found == content, "{key}");
        assert_eq!(headers["content-type"], "image/webp", "{key}");
        assert_eq!(headers["x-amz-meta-origin"], format!("of {}", key.len()), "{key}");
    }
    assert_eq!(owner.get("theirs").await.unwrap().1, b"theirs");
    // Once more, and what was sent in parts goes by another name.
    let PutBack { objects, there, .. } = put_back(&server, &owner.0, &brought.restic).await;
    assert_eq!((objects, there), (1, 4));
    let bucket = berth_vault::buckets::Bucket::new(&owner.0, &here()).unwrap();
    let cancel = CancellationToken::new();
    cancel.cancel();
    let what = PuttingBack { bucket, restic: brought.restic, cancel };
    let cancelled =
        server.vault.put_bucket_back(&name("acme"), &PASSWORD.into(), what, Box::new(|_| {})).await;
    assert!(matches!(cancelled, Err(BucketError::Cancelled)));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_comes_out_of_order_or_leads_elsewhere_is_refused() {
    let (_place, server) = server().await;
    for wrong in [
        vec![("b", Vec::new()), ("a", Vec::new())],
        vec![("a", Vec::new()), ("a", Vec::new())],
        vec![("../a", Vec::new())],
        vec![("a//b", Vec::new())],
        vec![("", Vec::new())],
    ] {
        assert!(brought(&server, wrong.clone()).await.is_err(), "{wrong:?}");
    }
}
