//! Many followers of one operation, and how often they ask the database. Time is virtual here.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use berth_domain::event::NewEvent;
use berth_domain::{Event, EventKind, Operation, OperationId, OperationKind, OperationStatus};
use berth_store::{DatabaseError, EventPage, StoreError};
use chrono::Utc;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use crate::flights::Outcome;
use crate::follow::{Batch, Follower};
use crate::hub::{Hub, locked};
use crate::past::{POLL, Source};

const MANY: usize = 2000;

/// How long the stand-in takes for a read.
const READ: Duration = Duration::from_millis(5);

/// A stand-in for the database, which keeps one operation and counts.
struct Shelf {
    operation: Mutex<Operation>,
    events: Mutex<Vec<Event>>,
    pages: AtomicUsize,
    operations: AtomicUsize,
    at_once: AtomicUsize,
    most_at_once: AtomicUsize,
    fails: AtomicBool,
}

impl Shelf {
    fn new() -> Arc<Self> {
        let (tenant, machine) = ("acme".parse().unwrap(), "vm1".parse().unwrap());
        let operation =
            Operation::queued(tenant, machine, OperationKind::Deploy, false, "test".into(), Utc::now());
        Arc::new(Self {
            operation: Mutex::new(operation),
            events: Mutex::default(),
            pages: AtomicUsize::new(0),
            operations: AtomicUsize::new(0),
            at_once: AtomicUsize::new(0),
            most_at_once: AtomicUsize::new(0),
            fails: AtomicBool::new(false),
        })
    }

    fn id(&self) -> OperationId {
        locked(&self.operation).id
    }

    fn write(&self, count: usize, kind: EventKind) -> Vec<Event> {
        let (mut operation, mut all) = (locked(&self.operation), locked(&self.events));
        let first = operation.last_seq + 1;
        let new = (first..).take(count);
        let new: Vec<Event> =
            new.map(|seq| NewEvent::new(Utc::now(), kind, "x").numbered(operation.id, seq)).collect();
        operation.last_seq += count as i64;
        all.extend(new.clone());
        new
    }

    /// Writes events of a log.
    fn say(&self, count: usize) -> Vec<Event> {
        self.write(count, EventKind::Log)
    }

    /// Writes the operation's end.
    fn finish(&self) -> Vec<Event> {
        let last = self.write(1, EventKind::Finished);
        locked(&self.operation).status = OperationStatus::Succeeded;
        last
    }

    fn last(&self) -> i64 {
        locked(&self.operation).last_seq
    }

    /// An answer, as it was when it was asked for.
    async fn answer<T>(&self, answer: T) -> Result<T, StoreError> {
        let now = self.at_once.fetch_add(1, Ordering::Relaxed) + 1;
        self.most_at_once.fetch_max(now, Ordering::Relaxed);
        sleep(READ).await;
        self.at_once.fetch_sub(1, Ordering::Relaxed);
        if self.fails.load(Ordering::Relaxed) { Err(DatabaseError::Busy.into()) } else { Ok(answer) }
    }
}

#[async_trait]
impl Source for Arc<Shelf> {
    async fn events(&self, _: OperationId, after: i64, limit: u32) -> Result<EventPage, StoreError> {
        self.pages.fetch_add(1, Ordering::Relaxed);
        let page = {
            let all = locked(&self.events);
            let wanted = all.iter().filter(|event| event.seq > after).take(limit as usize);
            EventPage {
                events: wanted.cloned().collect(),
                oldest_seq: all.first().map(|event| event.seq),
                last_seq: self.last(),
            }
        };
        self.answer(page).await
    }

    async fn operation(&self, _: OperationId) -> Result<Operation, StoreError> {
        self.operations.fetch_add(1, Ordering::Relaxed);
        let operation = locked(&self.operation).clone();
        self.answer(operation).await
    }
}

/// What a follower has until the end, every event once and in order.
async fn rest(mut follower: Follower, after: i64) -> Outcome<i64> {
    let mut last = after;
    while let Some(batch) = follower.next().await? {
        let Batch::Events(events) = batch else { continue };
        for event in events {
            assert_eq!(event.seq, last + 1);
            last = event.seq;
        }
    }
    Ok(last)
}

fn many(hub: &Hub, shelf: &Arc<Shelf>, after: impl Fn(usize) -> i64) -> JoinSet<Outcome<i64>> {
    let follow = |number| {
        let after = after(number);
        rest(hub.follow(Arc::clone(shelf), shelf.id(), after), after)
    };
    (0..MANY).map(follow).collect()
}

async fn all_have_seen(followers: JoinSet<Outcome<i64>>, last: i64) {
    let seen = followers.join_all().await;
    assert_eq!(seen.len(), MANY);
    assert!(seen.iter().all(|seen| *seen.as_ref().unwrap() == last));
}

#[tokio::test(start_paused = true)]
async fn two_thousand_followers_that_keep_up_ask_the_database_as_often_as_one() {
    let (hub, shelf) = (Hub::default(), Shelf::new());
    shelf.say(3);
    let (begin, followers) = (Instant::now(), many(&hub, &shelf, |_| 0));
    for _ in 0..100 {
        sleep(Duration::from_millis(50)).await;
        hub.publish(shelf.id(), &shelf.say(25));
    }
    hub.publish(shelf.id(), &shelf.finish());
    all_have_seen(followers, 3 + 2500 + 1).await;
    let looks = begin.elapsed().div_duration_f64(POLL).ceil() as usize;
    assert!(shelf.pages.load(Ordering::Relaxed) <= 1 + looks, "{:?}", shelf.pages);
    assert!(shelf.operations.load(Ordering::Relaxed) <= 1 + looks, "{:?}", shelf.operations);
}

#[tokio::test(start_paused = true)]
async fn two_thousand_followers_of_what_was_said_long_ago_read_each_page_once() {
    let (hub, shelf) = (Hub::default(), Shelf::new());
    shelf.say(3000);
    let followers = many(&hub, &shelf, |number| number as i64);
    sleep(Duration::from_millis(1)).await;
    shelf.finish();
    all_have_seen(followers, 3001).await;
    // Seven pages; the last one once more where it was read before the end.
    assert!(shelf.pages.load(Ordering::Relaxed) <= 8, "{:?}", shelf.pages);
    assert!(shelf.most_at_once.load(Ordering::Relaxed) <= 2, "requests need connections as well");
}

#[tokio::test(start_paused = true)]
async fn followers_of_many_operations_leave_connections_to_the_requests() {
    let hub = Hub::default();
    let shelf = Shelf::new();
    shelf.say(700);
    shelf.finish();
    let follow = |_| rest(hub.follow(Arc::clone(&shelf), uuid::Uuid::now_v7(), 0), 0);
    let all: JoinSet<_> = (0..50).map(follow).collect();
    assert!(all.join_all().await.iter().all(|seen| *seen.as_ref().unwrap() == 701));
    assert_eq!(shelf.most_at_once.load(Ordering::Relaxed), 2);
}

#[tokio::test(start_paused = true)]
async fn two_thousand_followers_ask_once_how_it_ended() {
    let (hub, shelf) = (Hub::default(), Shelf::new());
    let followers: Vec<_> =
        (0..MANY).map(|_| hub.follow(Arc::clone(&shelf), shelf.id(), shelf.last())).collect();
    hub.publish(shelf.id(), &shelf.finish());
    let ask = |mut follower: Follower| async move {
        while follower.next().await.unwrap().is_some() {}
        follower.ending().await.unwrap().status
    };
    let endings = followers.into_iter().map(ask).collect::<JoinSet<_>>().join_all().await;
    assert!(endings.iter().all(|status| *status == OperationStatus::Succeeded));
    assert_eq!(shelf.operations.load(Ordering::Relaxed), 1);
}

#[tokio::test(start_paused = true)]
async fn a_read_that_was_under_way_before_an_event_was_written_does_not_hide_it() {
    let (hub, shelf) = (Hub::default(), Shelf::new());
    shelf.say(5);
    let mut follower = hub.follow(Arc::clone(&shelf), shelf.id(), 5);
    let begin = Instant::now();
    // It has begun to look, and what it is answered is older than what is written now.
    assert!(tokio::time::timeout(READ / 2, follower.next()).await.is_err());
    let missed = shelf.say(2);
    hub.publish(shelf.id(), &missed[1..]);
    let Some(Batch::Events(events)) = follower.next().await.unwrap() else { panic!("no events") };
    assert_eq!(events.iter().map(|event| event.seq).collect::<Vec<_>>(), [6, 7]);
    assert!(begin.elapsed() < POLL);
}

#[tokio::test(start_paused = true)]
async fn what_nobody_tells_of_is_found_at_the_next_look() {
    let (hub, shelf) = (Hub::default(), Shelf::new());
    shelf.say(5);
    let followers = many(&hub, &shelf, |_| 5);
    sleep(POLL / 2).await;
    let (begin, before) = (Instant::now(), shelf.pages.load(Ordering::Relaxed));
    shelf.finish();
    all_have_seen(followers, 6).await;
    assert!(begin.elapsed() <= POLL);
    assert_eq!(shelf.pages.load(Ordering::Relaxed), before + 1);
}

#[tokio::test(start_paused = true)]
async fn news_that_may_be_lost_have_the_database_looked_at_at_once() {
    let (hub, shelf) = (Hub::default(), Shelf::new());
    shelf.say(5);
    let followers = many(&hub, &shelf, |_| 5);
    sleep(READ * 5).await;
    let begin = Instant::now();
    shelf.finish();
    hub.doubt_all();
    all_have_seen(followers, 6).await;
    assert!(begin.elapsed() < POLL / 2);
}

#[tokio::test(start_paused = true)]
async fn a_database_that_fails_for_a_while_ends_no_stream_that_misses_nothing() {
    let (hub, shelf) = (Hub::default(), Shelf::new());
    shelf.say(5);
    let followers = many(&hub, &shelf, |_| 0);
    sleep(READ * 5).await;
    shelf.fails.store(true, Ordering::Relaxed);
    sleep(POLL * 3).await;
    assert!(shelf.pages.load(Ordering::Relaxed) <= 5, "{:?}", shelf.pages);
    hub.publish(shelf.id(), &shelf.say(20));
    shelf.fails.store(false, Ordering::Relaxed);
    hub.publish(shelf.id(), &shelf.finish());
    all_have_seen(followers, 26).await;
}

#[tokio::test(start_paused = true)]
async fn everybody_who_misses_something_is_told_that_the_database_failed() {
    let (hub, shelf) = (Hub::default(), Shelf::new());
    let lost = shelf.say(5);
    let followers = many(&hub, &shelf, |_| 0);
    shelf.fails.store(true, Ordering::Relaxed);
    hub.publish(shelf.id(), &lost[3..]);
    let seen = followers.join_all().await;
    assert!(seen.iter().all(|seen| seen.as_ref().is_err_and(|error| error.is_transient())));
    assert!(shelf.pages.load(Ordering::Relaxed) <= 2, "{:?}", shelf.pages);
}

#[tokio::test(start_paused = true)]
async fn what_was_read_for_followers_goes_with_the_last_of_them() {
    let (hub, shelf) = (Hub::default(), Shelf::new());
    shelf.say(5);
    let (mut one, other) =
        (hub.follow(Arc::clone(&shelf), shelf.id(), 0), hub.follow(Arc::clone(&shelf), shelf.id(), 0));
    one.next().await.unwrap();
    drop(one);
    assert!(hub.followed(shelf.id()).is_some());
    drop(other);
    assert!(hub.followed(shelf.id()).is_none());
    assert_eq!(Arc::strong_count(&shelf), 1, "nothing reads on");
}
