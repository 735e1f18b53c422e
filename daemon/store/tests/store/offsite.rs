//! Repositories that lie elsewhere, and what tenants are made of them.

use berth_domain::{OperationId, SnapshotId};
use berth_store::{OffsiteRecord, Store, StoreError};
use chrono::TimeDelta;

use crate::support::{busy, now, on_both};

on_both!(
    a_repository_is_known_again_by_its_newest_operation_and_what_opens_it_is_forgotten,
    a_try_that_never_came_about_is_not_taken_for_the_last_one,
    one_repository_becomes_no_two_tenants_at_the_same_time,
    what_opens_a_repository_is_forgotten_at_once_where_no_operation_was_submitted,
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
    store.keep_offsite(&first, now() - TimeDelta::hours(1)).await.unwrap();
    store.keep_offsite(&second, now()).await.unwrap();
    let another = OffsiteRecord { repository: "cd".repeat(32), ..first.clone() };
    assert!(store.keep_offsite(&another, now()).await.is_err(), "an operation has one");
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
    for kept in [&never, &begun] {
        store.keep_offsite(kept, now()).await.unwrap();
    }
    assert_eq!(store.newest_offsite(&begun.repository).await.unwrap(), Some(begun));
}

async fn one_repository_becomes_no_two_tenants_at_the_same_time(store: Store) {
    let in_use = async |record: &OffsiteRecord| match store.keep_offsite(record, now()).await {
        Err(StoreError::RepositoryInUse { operation }) => Some(operation),
        kept => kept.map(|()| None).unwrap(),
    };
    // Both have looked, and found nothing of the repository here.
    let (one, two) = (record(1, Some("one")), record(2, Some("two")));
    let (first, second) = tokio::join!(in_use(&one), in_use(&two));
    assert_eq!([first, second].iter().flatten().count(), 1, "{first:?} {second:?}");
    let elsewhere = OffsiteRecord { repository: "cd".repeat(32), ..record(3, Some("three")) };
    assert_eq!(in_use(&elsewhere).await, None);
    // Nothing came of the one that was faster: it is in nobody's way.
    let faster = first.or(second).unwrap();
    store.settle_unsubmitted_offsite(faster).await.unwrap();
    let (_, running) = busy(&store, "acme").await;
    let third = OffsiteRecord { operation: running.hold.operation, ..record(4, Some("four")) };
    assert_eq!(in_use(&third).await, None);
    assert_eq!(in_use(&record(5, Some("five"))).await, Some(third.operation));
}

async fn what_opens_a_repository_is_forgotten_at_once_where_no_operation_was_submitted(store: Store) {
    let (_, running) = busy(&store, "acme").await;
    let works = OffsiteRecord { operation: running.hold.operation, ..record(1, Some("one")) };
    let never = OffsiteRecord { repository: "cd".repeat(32), ..record(2, Some("two")) };
    for kept in [&works, &never] {
        store.keep_offsite(kept, now()).await.unwrap();
        store.settle_unsubmitted_offsite(kept.operation).await.unwrap();
    }
    assert_eq!(store.offsite(works.operation).await.unwrap(), Some(works));
    assert_eq!(store.offsite(never.operation).await.unwrap().unwrap().sealed, None);
}

async fn what_opens_a_repository_is_forgotten_in_time_also_where_nothing_came_of_it(store: Store) {
    let (_, running) = busy(&store, "acme").await;
    let works = OffsiteRecord { operation: running.hold.operation, ..record(1, Some("one")) };
    let never = OffsiteRecord { repository: "cd".repeat(32), ..record(2, Some("two")) };
    for kept in [&works, &never] {
        store.keep_offsite(kept, now()).await.unwrap();
    }
    let sealed = async |record: &OffsiteRecord| {
        store.offsite(record.operation).await.unwrap().unwrap().sealed.is_some()
    };
    store.purge_expired(now() + TimeDelta::minutes(5)).await.unwrap();
    assert!(sealed(&works).await && sealed(&never).await);
    store.purge_expired(now() + TimeDelta::minutes(11)).await.unwrap();
    assert!(sealed(&works).await && !sealed(&never).await);
    store.purge_expired(now() + TimeDelta::days(31)).await.unwrap();
    assert!(!sealed(&works).await);
}
