//! Vaults and snapshots.

use std::collections::BTreeMap;

use berth_domain::{
    CapturedBucket, CapturedService, OperationStatus, Snapshot, SnapshotId, SnapshotPart, TenantName, VaultId,
};
use berth_store::{Store, StoreError, VaultRecord};

use crate::support::{begun, busy, machine, now, on_both, tenant};

on_both!(
    a_tenant_has_one_vault_and_whoever_comes_second_gets_that,
    snapshots_are_listed_newest_first_in_pages_and_written_over_by_the_same_operation,
    a_vault_outlives_its_tenant_and_is_not_the_next_ones,
    a_vault_that_was_destroyed_takes_its_snapshots_with_it,
    the_newest_copy_of_each_bucket_is_known_until_its_vault_goes,
);

pub fn vault(number: u128) -> VaultRecord {
    VaultRecord { id: VaultId::from_u128(number), sealed_key: format!("key {number}") }
}

fn bucket() -> CapturedBucket {
    let (restic, endpoint) = ("cd".repeat(32), "https://s3.example.net".into());
    CapturedBucket { restic, endpoint, objects: 5, bytes: 6, bytes_added: 7 }
}

pub fn snapshot(tenant: &TenantName, id: SnapshotId, whole: bool) -> Snapshot {
    let captured = CapturedService {
        restic: "ab".repeat(32),
        bytes_added: 1,
        bytes_total: 2,
        files_total: 3,
        databases: vec!["gitea".into()],
        data_version: Some("1.22".into()),
        quiet_ms: 4,
        left_out: Vec::new(),
        buckets: BTreeMap::from([("media".to_owned(), bucket())]),
    };
    Snapshot {
        id,
        tenant: tenant.clone(),
        created_at: now(),
        finished_at: now(),
        revision: None,
        system: "/nix/store/x".into(),
        whole,
        due_at: None,
        forgetting: false,
        services: BTreeMap::from([("gitea".parse().unwrap(), SnapshotPart::Captured(captured))]),
        tenant_part: None,
    }
}

async fn a_tenant_has_one_vault_and_whoever_comes_second_gets_that(store: Store) {
    let (spec, running) = busy(&store, "acme").await;
    assert_eq!(store.vault(&spec.name).await.unwrap(), None);
    assert_eq!(store.keep_vault(running.hold, &spec.name, &vault(1), now()).await.unwrap(), vault(1));
    assert_eq!(store.keep_vault(running.hold, &spec.name, &vault(2), now()).await.unwrap(), vault(1));
    assert_eq!(store.vault(&spec.name).await.unwrap(), Some(vault(1)));
    let late = berth_store::Hold { fence: running.hold.fence - 1, ..running.hold };
    let refused = store.keep_vault(late, &spec.name, &vault(3), now()).await.unwrap_err();
    assert!(matches!(refused, StoreError::LeaseLost { .. }), "{refused}");
}

async fn snapshots_are_listed_newest_first_in_pages_and_written_over_by_the_same_operation(store: Store) {
    let (spec, running) = busy(&store, "acme").await;
    store.keep_vault(running.hold, &spec.name, &vault(1), now()).await.unwrap();
    let ids: Vec<_> = (1..=3).map(SnapshotId::from_u128).collect();
    for id in &ids {
        let partial = snapshot(&spec.name, *id, false);
        store.keep_snapshot(running.hold, vault(1).id, &partial).await.unwrap();
    }
    let whole = snapshot(&spec.name, ids[0], true);
    store.keep_snapshot(running.hold, vault(1).id, &whole).await.unwrap();
    assert_eq!(store.snapshot(ids[0]).await.unwrap(), (whole, vault(1)));
    let first = store.list_snapshots(&spec.name, None, 2).await.unwrap();
    let listed: Vec<_> = first.items.iter().map(|snapshot| snapshot.id).collect();
    assert_eq!(listed, [ids[2], ids[1]]);
    let next = first.next.unwrap();
    let second = store.list_snapshots(&spec.name, Some(next.as_str()), 2).await.unwrap();
    assert_eq!(second.items.iter().map(|snapshot| snapshot.id).collect::<Vec<_>>(), [ids[0]]);
    assert_eq!(second.next, None);
    let missing = store.snapshot(SnapshotId::from_u128(9)).await.unwrap_err();
    assert!(matches!(missing, StoreError::NotFound { .. }), "{missing}");
}

async fn the_newest_copy_of_each_bucket_is_known_until_its_vault_goes(store: Store) {
    let (spec, running) = busy(&store, "acme").await;
    let (id, gitea, mastodon) = (vault(1).id, "gitea".parse().unwrap(), "mastodon".parse().unwrap());
    store.keep_vault(running.hold, &spec.name, &vault(1), now()).await.unwrap();
    assert_eq!(store.bucket_copy(id, &gitea, "media").await.unwrap(), None);
    for (service, bucket, restic) in
        [(&gitea, "media", "1"), (&gitea, "media", "2"), (&gitea, "code", "3"), (&mastodon, "media", "4")]
    {
        store.keep_bucket_copy(running.hold, id, service, bucket, restic).await.unwrap();
    }
    let of = async |service, bucket| {
        store.bucket_copy(id, service, bucket).await.unwrap().map(|copy| (copy.restic, copy.operation))
    };
    let made = |restic: &str| Some((restic.to_owned(), running.hold.operation));
    assert_eq!(of(&gitea, "media").await, made("2"));
    assert_eq!((of(&gitea, "code").await, of(&mastodon, "media").await), (made("3"), made("4")));
    let late = berth_store::Hold { fence: running.hold.fence - 1, ..running.hold };
    let refused = store.keep_bucket_copy(late, id, &gitea, "media", "5").await.unwrap_err();
    assert!(matches!(refused, StoreError::LeaseLost { .. }), "{refused}");
    assert_eq!(of(&gitea, "media").await, made("2"));
    store.forget_vault(running.hold, id).await.unwrap();
    assert_eq!(of(&gitea, "media").await, None);
}

async fn a_vault_outlives_its_tenant_and_is_not_the_next_ones(store: Store) {
    let (spec, mut running) = busy(&store, "acme").await;
    store.keep_vault(running.hold, &spec.name, &vault(1), now()).await.unwrap();
    let kept = snapshot(&spec.name, SnapshotId::from_u128(1), true);
    store.keep_snapshot(running.hold, vault(1).id, &kept).await.unwrap();
    running.status = OperationStatus::Failed;
    running.record(&store, Vec::new()).await.unwrap();
    store.abandon_tenant(&spec.name).await.unwrap();
    assert_eq!(store.snapshot(kept.id).await.unwrap(), (kept.clone(), vault(1)));
    assert_eq!(store.vault(&spec.name).await.unwrap(), None);
    let next = tenant("acme", "next");
    store.create_machine(&machine("next"), now(), None).await.unwrap();
    store.create_tenant(&next, now(), None).await.unwrap();
    let running = begun(&store, &next).await;
    assert!(store.list_snapshots(&next.name, None, 10).await.unwrap().items.is_empty());
    assert_eq!(store.keep_vault(running.hold, &next.name, &vault(2), now()).await.unwrap(), vault(2));
}

async fn a_vault_that_was_destroyed_takes_its_snapshots_with_it(store: Store) {
    let (spec, running) = busy(&store, "acme").await;
    store.keep_vault(running.hold, &spec.name, &vault(1), now()).await.unwrap();
    let kept = snapshot(&spec.name, SnapshotId::from_u128(1), true);
    store.keep_snapshot(running.hold, vault(1).id, &kept).await.unwrap();
    for _ in 0..2 {
        store.forget_vault(running.hold, vault(1).id).await.unwrap();
    }
    assert_eq!(store.vault(&spec.name).await.unwrap(), None);
    assert!(store.snapshot(kept.id).await.is_err());
}
