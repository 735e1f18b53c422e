//! States of NixOps4: one holder at a time, and no change by anybody else.

use berth_domain::{TenantName, Timestamp};
use berth_store::nixops4::{ChangeRecord, LeaseRecord, NewState};
use berth_store::{Store, StoreError};
use chrono::TimeDelta;

use crate::support::{machine, now, on_both, tenant};

async fn acme(store: &Store) -> TenantName {
    store.create_machine(&machine("vm1"), now(), None).await.unwrap();
    store.create_tenant(&tenant("acme", "vm1"), now(), None).await.unwrap();
    "acme".parse().unwrap()
}

fn lease(holder: &str, until: Timestamp) -> LeaseRecord {
    LeaseRecord { holder: holder.into(), held_by: format!("token of {holder}"), until }
}

fn state(fence: i64, serial: i64, document: &str) -> NewState {
    let change = ChangeRecord {
        serial,
        at: now(),
        event: "create".into(),
        nixops_version: "0.1.0".into(),
        made_by: "test".into(),
        patch: format!("sealed patch {serial}"),
    };
    NewState { change, fence, document: document.into(), sensitive: vec!["dsn".into()] }
}

async fn only_the_holder_of_the_lease_changes_a_state(store: Store) {
    let acme = acme(&store).await;
    assert_eq!(store.nixops4_state(&acme).await.unwrap().serial, 0);
    let refused = store.keep_nixops4_state(&acme, &state(0, 1, "a"), None).await.unwrap_err();
    assert!(matches!(refused, StoreError::StateLeaseLost { fence: 0 }), "{refused}");
    let minute = now() + TimeDelta::seconds(60);
    let fence = store.lease_nixops4_state(&acme, &lease("one", minute), now()).await.unwrap();
    let refused = store.lease_nixops4_state(&acme, &lease("two", minute), now()).await.unwrap_err();
    assert!(matches!(&refused, StoreError::StateLeased { by, .. } if by == "token of one"), "{refused}");
    // The same holder asks again: it goes on.
    let later = minute + TimeDelta::seconds(5);
    assert_eq!(store.lease_nixops4_state(&acme, &lease("one", later), now()).await.unwrap(), fence);
    store.keep_nixops4_state(&acme, &state(fence, 1, "a"), None).await.unwrap();
    let refused = store.keep_nixops4_state(&acme, &state(fence, 1, "b"), None).await.unwrap_err();
    assert!(matches!(refused, StoreError::VersionMismatch { current: 1 }), "{refused}");
    let stored = store.nixops4_state(&acme).await.unwrap();
    assert_eq!(
        (stored.document.as_deref(), stored.serial, stored.lease),
        (Some("a"), 1, Some(lease("one", later)))
    );
    assert_eq!(stored.sensitive, ["dsn"]);
}

async fn who_comes_back_after_its_lease_was_taken_changes_nothing(store: Store) {
    let acme = acme(&store).await;
    let old =
        store.lease_nixops4_state(&acme, &lease("one", now() - TimeDelta::seconds(1)), now()).await.unwrap();
    // It ran out, but nobody else came.
    store.keep_nixops4_state(&acme, &state(old, 1, "a"), None).await.unwrap();
    let minute = now() + TimeDelta::seconds(60);
    let new = store.lease_nixops4_state(&acme, &lease("two", minute), now()).await.unwrap();
    assert!(new > old);
    let refused = store.keep_nixops4_state(&acme, &state(old, 2, "b"), None).await.unwrap_err();
    assert!(matches!(refused, StoreError::StateLeaseLost { fence } if fence == old), "{refused}");
    // Nor does it take the lease away from who has it now.
    store.release_nixops4_state(&acme, old).await.unwrap();
    store.keep_nixops4_state(&acme, &state(new, 2, "c"), None).await.unwrap();
    store.release_nixops4_state(&acme, new).await.unwrap();
    let refused = store.keep_nixops4_state(&acme, &state(new, 3, "d"), None).await.unwrap_err();
    assert!(matches!(refused, StoreError::StateLeaseLost { .. }), "{refused}");
    let third = store.lease_nixops4_state(&acme, &lease("one", minute), now()).await.unwrap();
    assert!(third > new);
}

async fn two_that_want_a_lease_at_once_do_not_both_get_it(store: Store) {
    let acme = acme(&store).await;
    let minute = now() + TimeDelta::seconds(60);
    let tries = (0..8).map(|number| {
        let (store, acme) = (store.clone(), acme.clone());
        tokio::spawn(async move {
            store.lease_nixops4_state(&acme, &lease(&format!("holder {number}"), minute), now()).await
        })
    });
    let mut got = 0;
    for attempt in tries.collect::<Vec<_>>() {
        match attempt.await.unwrap() {
            Ok(fence) => {
                assert_eq!(fence, 1);
                got += 1;
            }
            Err(error) => assert!(matches!(error, StoreError::StateLeased { .. }), "{error}"),
        }
    }
    assert_eq!(got, 1);
}

async fn changes_are_listed_newest_first_and_go_with_their_tenant(store: Store) {
    let acme = acme(&store).await;
    let minute = now() + TimeDelta::seconds(60);
    let fence = store.lease_nixops4_state(&acme, &lease("one", minute), now()).await.unwrap();
    for serial in 1..=5 {
        store.keep_nixops4_state(&acme, &state(fence, serial, "a"), None).await.unwrap();
    }
    let first = store.list_nixops4_changes(&acme, None, 3).await.unwrap();
    let serials = |items: &[ChangeRecord]| items.iter().map(|change| change.serial).collect::<Vec<_>>();
    assert_eq!(serials(&first.items), [5, 4, 3]);
    let next = first.next.unwrap();
    let second = store.list_nixops4_changes(&acme, Some(next.as_str()), 3).await.unwrap();
    assert_eq!((serials(&second.items), second.next), (vec![2, 1], None));
    let bad = store.list_nixops4_changes(&acme, Some("x"), 3).await.unwrap_err();
    assert!(matches!(bad, StoreError::InvalidCursor));
    store.delete_undeployed_tenant(&acme).await.unwrap();
    assert!(matches!(store.nixops4_state(&acme).await.unwrap_err(), StoreError::NotFound { .. }));
    store.create_tenant(&tenant("acme", "vm1"), now(), None).await.unwrap();
    assert_eq!(store.nixops4_state(&acme).await.unwrap(), Default::default());
    assert!(store.list_nixops4_changes(&acme, None, 3).await.unwrap().items.is_empty());
}

on_both!(
    only_the_holder_of_the_lease_changes_a_state,
    who_comes_back_after_its_lease_was_taken_changes_nothing,
    two_that_want_a_lease_at_once_do_not_both_get_it,
    changes_are_listed_newest_first_and_go_with_their_tenant,
);
