//! Objects of a real store, straight from one bucket into another.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use berth_garage::{Garage, Owner};
use berth_vault::buckets::moving::{
    Entry, Ledger, LedgerError, Moved, Moving, Origin, Pass, can_move, move_objects,
};
use berth_vault::buckets::{Bucket, BucketConfig, BucketError, News, Reach};
use tokio_util::sync::CancellationToken;

use crate::buckets::here;
use crate::server::noise;

const ATTRIBUTES: [(&str, &str); 6] = [
    ("content-type", "image/webp"),
    ("cache-control", "public, max-age=315576000"),
    ("content-disposition", "inline; filename=\"\u{fc}.webp\""),
    ("content-encoding", "gzip"),
    ("content-language", "de"),
    ("x-amz-meta-origin", "far away"),
];

const ODD: [&str; 5] = ["x//y", "empty folder/", "sp ace+plus%25&=\u{e4}\n\"'<>", "/led", "z/"];

/// What is in memory, as long as the test lasts.
#[derive(Default)]
struct Notes {
    entries: Mutex<BTreeMap<String, String>>,
    /// How many notes were taken.
    taken: Mutex<usize>,
    /// After how many notes none is taken any more.
    fails_after: Mutex<Option<usize>>,
    /// After how many notes nothing is written any more.
    ends_after: Mutex<Option<usize>>,
}

#[async_trait]
impl Ledger for Notes {
    async fn after(&self, after: Option<&str>, limit: usize) -> Result<Vec<Entry>, LedgerError> {
        let entries = self.entries.lock().unwrap();
        let later = entries.iter().filter(|(key, _)| after.is_none_or(|after| key.as_str() > after));
        let entry = |(key, noted): (&String, &String)| Entry { key: key.clone(), noted: noted.clone() };
        Ok(later.take(limit).map(entry).collect())
    }

    async fn note(&self, entries: Vec<Entry>) -> Result<(), LedgerError> {
        let taken = *self.taken.lock().unwrap();
        if *self.ends_after.lock().unwrap() == Some(taken) {
            std::future::pending::<()>().await;
        }
        if *self.fails_after.lock().unwrap() == Some(taken) {
            return Err(LedgerError("it is full".into()));
        }
        *self.taken.lock().unwrap() += 1;
        let mut all = self.entries.lock().unwrap();
        all.extend(entries.into_iter().map(|Entry { key, noted }| (key, noted)));
        Ok(())
    }
}

/// An old bucket and a new one.
struct Both {
    old: Owner,
    new: Owner,
    notes: Arc<Notes>,
}

impl Both {
    async fn at(garage: &Garage) -> Self {
        let (old, new) = (Owner::of(garage.bucket("old").await), Owner::of(garage.bucket("new").await));
        Self { old, new, notes: Arc::default() }
    }

    fn moving(&self, pass: Pass) -> Moving {
        Moving {
            from: Origin::new(&self.old.0, &here()).unwrap(),
            into: Bucket::new(&self.new.0, &here()).unwrap(),
            ledger: self.notes.clone(),
            pass,
            cancel: CancellationToken::new(),
        }
    }

    async fn pass(&self, pass: Pass) -> Moved {
        move_objects(&self.moving(pass), Box::new(|_| {})).await.unwrap()
    }

    async fn keys(&self, owner: &Owner) -> Vec<String> {
        let listed = Bucket::new(&owner.0, &here()).unwrap().list().await.unwrap();
        listed.into_iter().map(|listed| listed.key).collect()
    }
}

#[tokio::test]
async fn everything_comes_with_all_that_it_has_and_nothing_comes_twice() {
    let Some(garage) = Garage::start().await else { return };
    let both = Both::at(&garage).await;
    // More than a page of any of what is compared.
    for number in 0..1_100 {
        both.old.put(&format!("many/{number:03}"), &[], number.to_string().as_bytes()).await;
    }
    for key in ODD {
        both.old.put(key, &ATTRIBUTES, key.trim_end_matches('/').as_bytes()).await;
    }
    let large = noise(3, 40_000_000);
    both.old.put("large", &ATTRIBUTES, &large).await;
    both.new.put("foreign", &[], b"theirs").await;
    both.new.put("many/000", &ATTRIBUTES, b"0").await;
    both.new.put("many/001", &[], b"another").await;
    let heard = Arc::new(Mutex::new((0, 0)));
    let hears = Arc::clone(&heard);
    let tell = Box::new(move |news| {
        if let News::Progress { done, expected } = news {
            assert!(done <= expected && done >= hears.lock().unwrap().0);
            *hears.lock().unwrap() = (done, expected);
        }
    });
    let before = both.keys(&both.old).await;
    let moved = move_objects(&both.moving(Pass::First), tell).await.unwrap();
    assert_eq!((moved.objects, moved.there, moved.removed), (1_105, 1, 0), "{moved:?}");
    assert_eq!(moved.left.objects, 0, "{moved:?}");
    assert_eq!(*heard.lock().unwrap(), (moved.bytes, moved.bytes));
    for key in ODD.iter().copied().chain(["large", "many/001", "many/1099"]) {
        assert_eq!(both.new.get(key).await, both.old.get(key).await, "{key}");
    }
    assert!(both.new.get("large").await.unwrap().1 == large);
    assert!(both.new.get("many/000").await.unwrap().0.contains_key("x-amz-meta-origin"), "it was equal");

    let nothing = both.pass(Pass::Further).await;
    assert_eq!((nothing.objects, nothing.there), (0, 1_106), "{nothing:?}");
    let last = both.pass(Pass::Last).await;
    assert_eq!((last.objects, last.there, last.removed), (0, 1_106, 0), "{last:?}");
    assert_eq!(both.new.get("foreign").await.unwrap().1, b"theirs");
    assert_eq!(both.keys(&both.old).await, before, "nothing is written to the old one");
}

#[tokio::test]
async fn what_changes_meanwhile_comes_and_only_what_was_put_there_goes_again() {
    let Some(garage) = Garage::start().await else { return };
    let both = Both::at(&garage).await;
    for key in ["stays", "changes", "goes", "goes/large", "goes and is theirs", "attributes"] {
        let content = if key == "goes/large" { noise(5, 17_000_000) } else { key.into() };
        both.old.put(key, &[("content-type", "text/plain")], &content).await;
    }
    both.new.put("foreign", &[], b"theirs").await;
    assert_eq!(both.pass(Pass::Further).await.objects, 6);
    both.old.put("changes", &[], b"changed!").await;
    both.old.put("attributes", &[("content-type", "text/html")], b"attributes").await;
    both.old.put("new", &[], b"new").await;
    for key in ["goes", "goes/large", "goes and is theirs"] {
        both.old.delete(key).await;
    }
    both.new.put("goes and is theirs", &[], b"of somebody else").await;
    assert_eq!(both.pass(Pass::Further).await.removed, 0, "only at the end");
    let last = both.pass(Pass::Last).await;
    assert_eq!((last.objects, last.removed), (0, 2), "{last:?}");
    assert!(last.left.objects == 1 && last.left.named[0].starts_with("goes and is theirs: "), "{last:?}");
    let mut there = both.keys(&both.new).await;
    there.sort();
    assert_eq!(there, ["attributes", "changes", "foreign", "goes and is theirs", "new", "stays"]);
    assert_eq!(both.new.get("changes").await.unwrap().1, b"changed!");
    assert_eq!(both.new.get("attributes").await.unwrap().0["content-type"], "text/html");
}

#[tokio::test]
async fn a_move_that_was_killed_goes_on_and_knows_what_it_has_put_there() {
    let Some(garage) = Garage::start().await else { return };
    let both = Both::at(&garage).await;
    for number in 0..400 {
        both.old.put(&format!("{number:03}"), &[], &noise(number, 20_000)).await;
    }
    // It was written down that they are going to come, and not that they came.
    *both.notes.ends_after.lock().unwrap() = Some(1);
    let moving = both.moving(Pass::First);
    let pass = move_objects(&moving, Box::new(|_| {}));
    assert!(tokio::time::timeout(Duration::from_secs(3), pass).await.is_err(), "it goes on");
    *both.notes.ends_after.lock().unwrap() = None;
    let came = both.keys(&both.new).await;
    assert!(!came.is_empty());
    both.old.delete(&came[0]).await;
    let last = both.pass(Pass::Last).await;
    assert_eq!((last.objects as usize, last.removed), (400 - came.len(), 1), "{last:?}");
    assert_eq!(both.keys(&both.new).await, both.keys(&both.old).await);
}

#[tokio::test]
async fn a_wish_to_stop_is_heard_and_leaves_no_parts() {
    let Some(garage) = Garage::start().await else { return };
    let both = Both::at(&garage).await;
    both.old.put("large", &[], &noise(1, 60_000_000)).await;
    let moving = both.moving(Pass::First);
    let cancel = moving.cancel.clone();
    let tell = Box::new(move |news| {
        if matches!(news, News::Progress { done: 1.., .. }) {
            cancel.cancel();
        }
    });
    let ended = tokio::time::timeout(Duration::from_secs(20), move_objects(&moving, tell)).await.unwrap();
    // It may have been faster.
    if let Err(error) = ended {
        assert!(matches!(error, BucketError::Cancelled), "{error}");
        assert!(both.keys(&both.new).await.is_empty());
    }
    assert_eq!(both.new.unfinished().await, 0);
    both.new.begin("theirs").await;
    assert_eq!(both.new.unfinished().await, 1, "the store tells of them");
}

#[tokio::test]
async fn a_ledger_that_fails_ends_the_pass_and_leaves_no_parts() {
    let Some(garage) = Garage::start().await else { return };
    let both = Both::at(&garage).await;
    both.old.put("a", &[], b"a").await;
    both.old.put("large", &[], &noise(1, 100_000_000)).await;
    // What is under way is written down, and nothing that came.
    *both.notes.fails_after.lock().unwrap() = Some(1);
    let moving = both.moving(Pass::First);
    let ended = tokio::time::timeout(Duration::from_secs(30), move_objects(&moving, Box::new(|_| {}))).await;
    assert!(matches!(ended, Ok(Err(BucketError::Ledger(_)))), "{ended:?}");
    assert_eq!(both.new.unfinished().await, 0);
}

#[tokio::test]
async fn buckets_are_asked_beforehand_and_one_by_two_names_is_known() {
    let Some(garage) = Garage::start().await else { return };
    let both = Both::at(&garage).await;
    both.old.put("a", &[], b"a").await;
    let Moving { from, into, .. } = both.moving(Pass::First);
    assert!(!can_move(&from, &into).await.unwrap());
    assert!(both.keys(&both.new).await.is_empty(), "nothing is left of the question");
    let same = Bucket::new(&both.old.0, &here()).unwrap();
    assert!(can_move(&from, &same).await.unwrap());
    assert_eq!(both.keys(&both.old).await, ["a"]);

    let wrong = |config: &BucketConfig| BucketConfig { secret: "wrong".into(), ..config.clone() };
    let missing = |config: &BucketConfig| BucketConfig { name: "missing".into(), ..config.clone() };
    for (config, word) in [(wrong(&both.old.0), "refuses the key"), (missing(&both.old.0), "no such bucket")]
    {
        let other = Origin::new(&config, &here()).unwrap();
        let error = can_move(&other, &into).await.unwrap_err().to_string();
        assert!(error.starts_with("the old bucket: ") && error.contains(word), "{error}");
    }
    for (config, word) in [(wrong(&both.new.0), "refuses the key"), (missing(&both.new.0), "no such bucket")]
    {
        let other = Bucket::new(&config, &here()).unwrap();
        let error = can_move(&from, &other).await.unwrap_err().to_string();
        assert!(error.starts_with("the new bucket: ") && error.contains(word), "{error}");
    }
    let error = Origin::new(&both.old.0, &Reach::default()).unwrap_err().to_string();
    assert!(error.contains("the old bucket: ") && error.contains("does not speak to"), "{error}");
}
