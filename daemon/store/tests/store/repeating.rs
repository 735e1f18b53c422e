//! Requests that come twice.

use berth_store::{IdempotencyRecord, Store, StoreError};
use chrono::TimeDelta;
use uuid::Uuid;

use crate::support::{machine, now, on_both, reply, settled};

on_both!(
    a_repeated_request_changes_nothing_and_finds_the_first_reply,
    a_refused_request_keeps_no_reply,
    of_requests_that_come_at_once_with_one_key_one_is_done,
    an_expired_key_may_be_used_again,
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
