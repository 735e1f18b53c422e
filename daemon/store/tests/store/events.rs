//! Events and links.

use berth_domain::EventKind;
use berth_domain::event::NewEvent;
use berth_store::{Store, StoreError, WatchLink};
use chrono::TimeDelta;
use uuid::Uuid;

use crate::support::{claimed, deployment, now, on_both, settled};

on_both!(events_come_in_pages_and_trimmed_ones_are_known_to_be_gone, a_link_works_until_it_expires,);

fn event(n: i64) -> NewEvent {
    NewEvent::new(now(), EventKind::Log, format!("{n} “quoted” \u{0} \n 🦀"))
}

async fn events_come_in_pages_and_trimmed_ones_are_known_to_be_gone(store: Store) {
    let spec = settled(&store, "acme").await;
    let operation = deployment(&spec);
    store.create_operation(&operation, event(1), None).await.unwrap();
    let mut running = claimed(&store).await;
    let written = running.record(&store, (2..=10).map(event).collect()).await.unwrap();
    let page = store.events(operation.id, 1, 100).await.unwrap();
    assert_eq!((page.events, page.oldest_seq, page.last_seq), (written, Some(1), 10));
    let page = store.events(operation.id, 3, 2).await.unwrap();
    assert_eq!(page.events.iter().map(|event| event.seq).collect::<Vec<_>>(), [4, 5]);
    assert!(store.events(operation.id, 99, 5).await.unwrap().events.is_empty());
    assert_eq!(store.trim_events(operation.id, 4).await.unwrap(), 6);
    assert_eq!(store.trim_events(operation.id, 4).await.unwrap(), 0);
    let page = store.events(operation.id, 0, 100).await.unwrap();
    assert_eq!((page.events[0].seq, page.oldest_seq, page.last_seq), (7, Some(7), 10));
    let unknown = store.events(Uuid::now_v7(), 0, 5).await;
    assert!(matches!(unknown, Err(StoreError::NotFound { what: "operation", .. })));
}

async fn a_link_works_until_it_expires(store: Store) {
    let spec = settled(&store, "acme").await;
    let operation = deployment(&spec);
    store.create_operation(&operation, event(1), None).await.unwrap();
    let link =
        WatchLink { hash: [3; 32], operation: operation.id, expires_at: now() + TimeDelta::minutes(5) };
    store.create_watch_link(&link, None).await.unwrap();
    assert_eq!(store.watch_link(&[3; 32], now()).await.unwrap(), Some(link.clone()));
    assert_eq!(store.watch_link(&[4; 32], now()).await.unwrap(), None);
    assert_eq!(store.watch_link(&[3; 32], link.expires_at).await.unwrap(), None);
    assert_eq!(store.purge_expired(link.expires_at).await.unwrap().watch_links, 1);
    let orphan = WatchLink { operation: Uuid::now_v7(), ..link };
    let refused = store.create_watch_link(&orphan, None).await;
    assert!(matches!(refused, Err(StoreError::NotFound { what: "operation", .. })));
}
