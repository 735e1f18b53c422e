//! The way to vaults' and snapshots' rows.

use std::collections::BTreeSet;

use async_trait::async_trait;
use berth_domain::{OperationId, ServiceName, Snapshot, SnapshotId, TenantName, Timestamp, VaultId};
use berth_engine::records::{Result, SnapshotRecords};
use berth_store::bucket_copies::BucketCopyRecord;
use berth_store::{Hold, VaultRecord};

use super::Database;
use crate::absent::not_kept;

#[async_trait]
impl SnapshotRecords for Database {
    async fn vault(&self, tenant: &TenantName) -> Result<Option<VaultRecord>> {
        self.call(|tables, _| Ok(tables.vault(tenant))).await
    }

    async fn keep_vault(
        &self,
        hold: Hold,
        tenant: &TenantName,
        vault: &VaultRecord,
        _: Timestamp,
    ) -> Result<VaultRecord> {
        self.call(|tables, _| tables.keep_vault(hold, tenant, vault)).await
    }

    async fn forget_vault(&self, hold: Hold, id: VaultId) -> Result<()> {
        self.call(|tables, _| tables.forget_vault(hold, id)).await
    }

    async fn keep_snapshot(&self, hold: Hold, vault: VaultId, snapshot: &Snapshot) -> Result<()> {
        self.call(|tables, _| tables.keep_snapshot(hold, vault, snapshot)).await
    }

    async fn snapshot(&self, id: SnapshotId) -> Result<(Snapshot, VaultRecord)> {
        self.call(|tables, _| tables.snapshot(id)).await
    }

    async fn snapshots_in(&self, _: VaultId) -> Result<Vec<Snapshot>> {
        Err(not_kept())
    }

    /// No tenant of these worlds has a bucket.
    async fn bucket_copy(&self, _: VaultId, _: &ServiceName, _: &str) -> Result<Option<BucketCopyRecord>> {
        Ok(None)
    }

    async fn keep_bucket_copy(&self, _: Hold, _: VaultId, _: &ServiceName, _: &str, _: &str) -> Result<()> {
        Err(not_kept())
    }

    async fn begin_to_forget(&self, _: Hold, _: VaultId, _: &BTreeSet<SnapshotId>) -> Result<()> {
        Err(not_kept())
    }

    async fn forget_snapshots(&self, _: Hold, _: VaultId) -> Result<usize> {
        Err(not_kept())
    }

    /// Nothing is pruned in these worlds.
    async fn pruner(&self, _: VaultId) -> Result<Option<OperationId>> {
        Ok(None)
    }
}
