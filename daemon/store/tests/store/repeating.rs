//! Requests that come twice.

use berth_domain::event::NewEvent;
use berth_domain::{EventKind, OperationStatus, Scope};
use berth_store::{IdempotencyRecord, Store, StoreError, TokenRecord, WatchLink};
use chrono::TimeDelta;
use uuid::Uuid;

use crate::support::{claim, claimed, deployment, machine, now, on_both, reply, settled, tenant};

on_both!(
    a_repeated_request_changes_nothing_and_finds_the_first_reply,
    a_refused_request_keeps_no_reply,
    of_requests_that_come_at_once_with_one_key_one_is_done,
    an_expired_key_may_be_used_again,
    every_call_that_takes_a_key_does_its_work_once,
);

async fn a_repeated_request_changes_nothing_and_finds_the_first_reply(store: Store) {
    let first = reply("k");
    store.create_machine(&machine("vm1"), now(), Some(&first)).await.unwrap();
    // Checked before anything else: that vm1 exists is not what a repetition should hear.
    for name in ["vm1", "vm2"] {
        let again = store.create_machine(&machine(name), now(), Some(&first)).await;
        assert!(matches!(again, Err(StoreError::IdempotencyReplay)));
    }
    assert!(matches!(store.machine(&"vm2".parse().unwrap()).await, Err(StoreError::NotFound { .. })));
    assert!(store.idempotency(first.token, "k").await.unwrap() == Some(first.clone()));
    assert!(store.idempotency(first.token, "other").await.unwrap().is_none());
    // Another caller's key is another key.
    assert!(store.idempotency(Uuid::now_v7(), "k").await.unwrap().is_none());
}

async fn a_refused_request_keeps_no_reply(store: Store) {
    let spec = settled(&store, "acme").await;
    let refused = store.create_tenant(&spec, now(), Some(&reply("k"))).await;
    assert!(matches!(refused, Err(StoreError::Exists { .. })));
    assert!(store.idempotency(Uuid::nil(), "k").await.unwrap().is_none());
}

async fn of_requests_that_come_at_once_with_one_key_one_is_done(store: Store) {
    let asking = (0..10).map(|n| {
        let store = store.clone();
        tokio::spawn(async move {
            store.create_machine(&machine(&format!("vm{n}")), now(), Some(&reply("k"))).await
        })
    });
    let mut done = 0;
    for asked in asking.collect::<Vec<_>>() {
        match asked.await.unwrap() {
            Ok(()) => done += 1,
            Err(StoreError::IdempotencyReplay) => {}
            Err(other) => panic!("{other}"),
        }
    }
    assert_eq!((done, store.list_machines(None, 100).await.unwrap().items.len()), (1, 1));
}

async fn an_expired_key_may_be_used_again(store: Store) {
    let old = IdempotencyRecord { expires_at: now() - TimeDelta::seconds(1), ..reply("k") };
    store.create_machine(&machine("vm1"), now() - TimeDelta::hours(1), Some(&old)).await.unwrap();
    assert!(store.idempotency(old.token, "k").await.unwrap().is_none());
    store.create_machine(&machine("vm2"), now(), Some(&reply("k"))).await.unwrap();
    assert!(store.idempotency(old.token, "k").await.unwrap().is_some());
    assert_eq!(store.purge_expired(now() + TimeDelta::hours(2)).await.unwrap().idempotency, 1);
}

async fn every_call_that_takes_a_key_does_its_work_once(store: Store) {
    let key = |name: &str| reply(name);
    store.create_machine(&machine("vm"), now(), None).await.unwrap();
    let spec = tenant("acme", "vm");
    store.create_tenant(&spec, now(), Some(&key("tenant"))).await.unwrap();
    let token = TokenRecord {
        id: Uuid::now_v7(),
        name: "panel".into(),
        scope: Scope::Operator,
        hash: [7; 32],
        created_at: now(),
        expires_at: None,
    };
    store.create_token(&token, Some(&key("token"))).await.unwrap();
    let operation = deployment(&spec);
    let event = || NewEvent::new(now(), EventKind::Log, "x");
    store.create_operation(&operation, event(), Some(&key("operation"))).await.unwrap();
    let link = WatchLink { hash: [1; 32], operation: operation.id, expires_at: now() + TimeDelta::hours(1) };
    store.create_watch_link(&link, Some(&key("link"))).await.unwrap();
    store.request_cancel(operation.id, event(), Some(&key("cancel"))).await.unwrap();
    let mut running = claimed(&store).await;
    running.status = OperationStatus::Cancelled;
    running.record(&store, Vec::new()).await.unwrap();

    // Each again, with what would be refused or done otherwise: a repetition hears of neither.
    let replayed = |outcome: Result<(), StoreError>| {
        assert!(matches!(outcome, Err(StoreError::IdempotencyReplay)), "{outcome:?}");
    };
    replayed(store.create_tenant(&tenant("bolt", "nowhere"), now(), Some(&key("tenant"))).await.map(drop));
    let other = TokenRecord { id: Uuid::now_v7(), ..token };
    replayed(store.create_token(&other, Some(&key("token"))).await);
    replayed(store.create_operation(&deployment(&spec), event(), Some(&key("operation"))).await);
    let orphan = WatchLink { hash: [2; 32], operation: Uuid::now_v7(), ..link };
    replayed(store.create_watch_link(&orphan, Some(&key("link"))).await);
    replayed(store.request_cancel(operation.id, event(), Some(&key("cancel"))).await.map(drop));

    assert_eq!(store.claim(&claim("other")).await.unwrap(), None);
    assert_eq!(store.count_tokens().await.unwrap(), 1);
    assert_eq!(store.events(operation.id, 0, 9).await.unwrap().last_seq, 2);
    assert_eq!(store.purge_expired(now() + TimeDelta::hours(2)).await.unwrap().idempotency, 5);
}
