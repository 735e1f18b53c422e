//! Streams of an operation's events, over HTTP.

#![allow(clippy::unwrap_used)]

mod absent;
mod served;
mod stream;

use std::time::Duration;

use berth_store::StoreOptions;
use tokio::task::JoinSet;
use tokio::time::timeout;

use served::Served;
use stream::{Stream, Told};

/// Longer than anything here takes.
const LIMIT: Duration = Duration::from_secs(300);

/// Fewer than a process may have files open, as each has two ends here.
const STREAMS: usize = 300;

async fn all_until_the_end(served: &Served, after: Option<i64>) -> Vec<Told> {
    let follow = |_| Stream::of(served, after).until_its_end();
    let all: JoinSet<_> = (0..STREAMS).map(follow).collect();
    served.begin();
    timeout(LIMIT, all.join_all()).await.expect("a stream waits for ever")
}

#[actix_web::test]
async fn hundreds_of_streams_over_one_reading_connection_carry_every_event_once_and_how_it_ended() {
    let options = StoreOptions { readers: 1, ..StoreOptions::default() };
    let served = Served::with((50, 20), options).await;
    let all = all_until_the_end(&served, None).await;
    let last = served.store.operation(served.operation).await.unwrap().last_seq;
    assert!(last > 1000);
    for told in all {
        assert_eq!((told.status, told.seqs), (200, (1..=last).collect()));
        assert_eq!(told.ending.unwrap()["status"], "failed", "nobody is there to be deployed to");
    }
    // Those who come back after the end are told not to.
    let again = Stream::of(&served, Some(last)).until_its_end().await;
    assert_eq!(again.status, 204);
    served.stop().await;
}

#[actix_web::test]
async fn streams_go_on_after_the_event_that_a_client_has_seen_last() {
    let served = Served::with((5, 2), StoreOptions::default()).await;
    let all = all_until_the_end(&served, Some(1)).await;
    let last = served.store.operation(served.operation).await.unwrap().last_seq;
    for told in all {
        assert_eq!(told.seqs, (2..=last).collect::<Vec<_>>());
    }
    served.stop().await;
}

#[actix_web::test]
async fn a_token_that_is_revoked_opens_no_stream_from_that_moment_on() {
    let served = Served::with((1, 1), StoreOptions::default()).await;
    served.begin();
    assert_eq!(Stream::of(&served, None).until_its_end().await.status, 200);
    served.store.delete_token(served.token_id).await.unwrap();
    assert_eq!(Stream::of(&served, None).until_its_end().await.status, 401);
    served.stop().await;
}
