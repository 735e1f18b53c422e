//! Repositories that lie elsewhere, and what tenants are made of them.

use berth_domain::{OperationId, SnapshotId};
use berth_store::{OffsiteRecord, Store};
use chrono::TimeDelta;

use crate::support::{busy, now, on_both};

on_both!(
    a_repository_is_known_again_by_its_newest_operation_and_what_opens_it_is_forgotten,
    a_try_that_never_came_about_is_not_taken_for_the_last_one,
    what_opens_a_repository_is_forgotten_in_time_also_where_nothing_came_of_it,
);

pub fn record(operation: u128, sealed: Option<&str>) -> OffsiteRecord {
    OffsiteRecord {
        operation: OperationId::from_u128(operation),
        repository: "ab".repeat(32),
        tenant: "acme".parse().unwrap(),
        snapshot: SnapshotId::from_u128(9),
        go_live: true,
        sealed: sealed.map(str::to_owned),
    }
}

async fn a_repository_is_known_again_by_its_newest_operation_and_what_opens_it_is_forgotten(store: Store) {
    let (first, second) = (record(1, Some("one")), record(2, Some("two")));
    for kept in [&first, &second] {
        store.keep_offsite(kept, now()).await.unwrap();
    }
    assert!(store.keep_offsite(&first, now()).await.is_err(), "an operation has one");
    assert_eq!(store.offsite(first.operation).await.unwrap(), Some(first.clone()));
    assert_eq!(store.newest_offsite(&first.repository).await.unwrap(), Some(second.clone()));
    assert_eq!(store.newest_offsite("cd").await.unwrap(), None);
    assert_eq!(store.offsite(OperationId::from_u128(3)).await.unwrap(), None);
    store.settle_offsite(first.operation).await.unwrap();
    assert_eq!(
        store.offsite(first.operation).await.unwrap(),
        Some(OffsiteRecord { sealed: None, ..first.clone() })
    );
    assert_eq!(store.offsite(second.operation).await.unwrap(), Some(second));
}

async fn a_try_that_never_came_about_is_not_taken_for_the_last_one(store: Store) {
    let (_, running) = busy(&store, "acme").await;
    let begun = OffsiteRecord { operation: running.hold.operation, ..record(1, None) };
    let never = OffsiteRecord { operation: OperationId::max(), ..begun.clone() };
    for kept in [&begun, &never] {
        store.keep_offsite(kept, now()).await.unwrap();
    }
    assert_eq!(store.newest_offsite(&begun.repository).await.unwrap(), Some(begun));
}

async fn what_opens_a_repository_is_forgotten_in_time_also_where_nothing_came_of_it(store: Store) {
    let kept = record(1, Some("one"));
    store.keep_offsite(&kept, now()).await.unwrap();
    store.purge_expired(now() + TimeDelta::days(7)).await.unwrap();
    assert_eq!(store.offsite(kept.operation).await.unwrap(), Some(kept.clone()));
    store.purge_expired(now() + TimeDelta::days(31)).await.unwrap();
    assert_eq!(store.offsite(kept.operation).await.unwrap(), Some(OffsiteRecord { sealed: None, ..kept }));
}
