//! What daemons on one PostgreSQL tell each other.

use std::time::Duration;

use berth_domain::EventKind;
use berth_domain::event::NewEvent;
use berth_store::{Listener, News};

use crate::support::{claimed, deployment, execute, now, postgres, settled, sqlite};

async fn next(listener: &mut Listener) -> News {
    tokio::time::timeout(Duration::from_secs(10), listener.next()).await.expect("no news")
}

fn event(text: &str) -> NewEvent {
    NewEvent::new(now(), EventKind::Log, text)
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_listens_hears_of_what_is_queued_wished_and_told_and_of_nothing_that_failed() {
    let Some((store, database)) = postgres().await else { return };
    let mut listener = store.listen().unwrap();
    assert_eq!(next(&mut listener).await, News::Missed);
    let spec = settled(&store, "acme").await;
    let operation = deployment(&spec);
    store.create_operation(&operation, event("x"), None).await.unwrap();
    assert_eq!(next(&mut listener).await, News::Events(operation.id, 1));
    assert_eq!(next(&mut listener).await, News::Queued);
    store.create_operation(&deployment(&spec), event("x"), None).await.unwrap_err();
    let mut running = claimed(&store).await;
    running.record(&store, vec![event("a"), event("b")]).await.unwrap();
    assert_eq!(next(&mut listener).await, News::Events(operation.id, 3));
    store.request_cancel(operation.id, event("stop"), None).await.unwrap();
    assert_eq!(next(&mut listener).await, News::Events(operation.id, 4));
    assert_eq!(next(&mut listener).await, News::Cancel(operation.id));
    store.release(running.hold).await.unwrap();
    assert_eq!(next(&mut listener).await, News::Queued);
    drop((store, listener));
    database.remove().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listener_whose_connection_was_cut_listens_again_and_says_that_it_may_have_missed_something() {
    let Some((store, database)) = postgres().await else { return };
    let mut listener = store.listen().unwrap();
    assert_eq!(next(&mut listener).await, News::Missed);
    let cut = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() \
               AND query LIKE 'LISTEN%'";
    execute(&database.url(), cut).await;
    assert_eq!(next(&mut listener).await, News::Missed);
    let spec = settled(&store, "acme").await;
    let operation = deployment(&spec);
    store.create_operation(&operation, event("x"), None).await.unwrap();
    assert_eq!(next(&mut listener).await, News::Events(operation.id, 1));
    drop((store, listener));
    database.remove().await;
}

#[tokio::test]
async fn on_sqlite_there_is_nobody_to_listen_to() {
    let (store, _folder) = sqlite().await;
    assert!(store.listen().is_none());
}
