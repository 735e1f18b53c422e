//! What no simulated world has: NixOps4's states, bundles, backup plans, drills, and migrations. The database answers as one without any.

use std::collections::BTreeMap;
use std::path::PathBuf;

use async_trait::async_trait;
use berth_domain::event::NewEvent;
use berth_domain::{
    Departure, Drill, MigrationId, Mode, Operation, OperationId, ServiceName, Snapshot, SnapshotId,
    TenantName, Timestamp, VaultId,
};
use berth_engine::offsite::{Contents, Place, Told};
use berth_engine::ports::{
    Bounds, BucketConfig, BucketCopy, Buckets, Copied, Extent, Offsites, PutBack, ReadingOut, Summing,
    TakenOver, Tell, Wanted,
};
use berth_engine::records::{BackupRecords, DrillRecords, MoveRecords, Result, StateRecords};
use berth_engine::{Exports, StepError};
use berth_protocol::ServiceFingerprint;
use berth_sign::SigningKey;
use berth_store::nixops4::{ChangeRecord, LeaseRecord, NewState, StateRecord};
use berth_store::{
    ArrivalRecord, BackupRecord, DatabaseError, DepartureRecord, DrillRecord, Hold, IdempotencyRecord,
    OffsiteRecord, Page, StoreError,
};

use secrecy::SecretString;

use crate::database::Database;

/// Nothing of that kind is kept here.
pub(crate) fn not_kept() -> StoreError {
    let (database, reason) = ("simulated".into(), "it keeps operations only".into());
    DatabaseError::Unreachable { database, reason }.into()
}

#[async_trait]
impl StateRecords for Database {
    async fn nixops4_state(&self, _: &TenantName) -> Result<StateRecord> {
        Err(not_kept())
    }

    async fn lease_nixops4_state(&self, _: &TenantName, _: &LeaseRecord, _: Timestamp) -> Result<i64> {
        Err(not_kept())
    }

    async fn release_nixops4_state(&self, _: &TenantName, _: i64) -> Result<()> {
        Err(not_kept())
    }

    async fn keep_nixops4_state(
        &self,
        _: &TenantName,
        _: &NewState,
        _: Option<&IdempotencyRecord>,
    ) -> Result<()> {
        Err(not_kept())
    }

    async fn list_nixops4_changes(
        &self,
        _: &TenantName,
        _: Option<&str>,
        _: u32,
    ) -> Result<Page<ChangeRecord>> {
        Err(not_kept())
    }
}

#[async_trait]
impl BackupRecords for Database {
    async fn backup_plan(&self, tenant: &TenantName) -> Result<BackupRecord> {
        Err(StoreError::NotFound { what: "backup plan", name: tenant.to_string() })
    }

    async fn due_backups(&self, _: Timestamp, _: u32) -> Result<Vec<BackupRecord>> {
        Ok(Vec::new())
    }

    async fn start_backup(&self, _: &BackupRecord, _: &Operation, _: NewEvent, _: Timestamp) -> Result<bool> {
        Err(not_kept())
    }

    async fn skip_backup(&self, _: &BackupRecord, _: Timestamp) -> Result<bool> {
        Err(not_kept())
    }

    async fn miss_backup(&self, _: &BackupRecord, _: &Operation, _: Vec<NewEvent>) -> Result<bool> {
        Err(not_kept())
    }

    async fn due_prunings(&self, _: Timestamp, _: u32) -> Result<Vec<BackupRecord>> {
        Ok(Vec::new())
    }

    async fn start_pruning(
        &self,
        _: &BackupRecord,
        _: Timestamp,
        _: Option<(Operation, NewEvent)>,
    ) -> Result<bool> {
        Err(not_kept())
    }

    async fn unfinished_operation(&self, _: &TenantName) -> Result<Option<OperationId>> {
        Err(not_kept())
    }
}

#[async_trait]
impl DrillRecords for Database {
    async fn create_drill(
        &self,
        _: &Operation,
        _: &Snapshot,
        _: NewEvent,
        _: Option<&IdempotencyRecord>,
    ) -> Result<()> {
        Err(not_kept())
    }

    async fn drill(&self, _: OperationId) -> Result<DrillRecord> {
        Err(not_kept())
    }

    async fn keep_drill(&self, _: Hold, _: &Drill) -> Result<()> {
        Err(not_kept())
    }

    async fn newest_whole_snapshot(&self, _: &TenantName) -> Result<Snapshot> {
        Err(not_kept())
    }

    async fn due_drills(&self, _: Timestamp, _: u32) -> Result<Vec<BackupRecord>> {
        Ok(Vec::new())
    }

    async fn start_drill(
        &self,
        _: &BackupRecord,
        _: &Operation,
        _: &Snapshot,
        _: NewEvent,
        _: Timestamp,
    ) -> Result<bool> {
        Err(not_kept())
    }

    async fn skip_drill(&self, _: &BackupRecord, _: Timestamp) -> Result<bool> {
        Err(not_kept())
    }

    async fn unfinished_drill(&self, _: &TenantName) -> Result<Option<OperationId>> {
        Err(not_kept())
    }
}

#[async_trait]
impl MoveRecords for Database {
    async fn arrival(&self, _: MigrationId) -> Result<ArrivalRecord> {
        Err(not_kept())
    }

    async fn create_arrival(&self, _: &ArrivalRecord, _: Option<&IdempotencyRecord>) -> Result<()> {
        Err(not_kept())
    }

    async fn record_arrival(&self, _: Option<Hold>, _: &ArrivalRecord) -> Result<bool> {
        Err(not_kept())
    }

    async fn create_departure(
        &self,
        _: &Operation,
        _: &DepartureRecord,
        _: NewEvent,
        _: Option<&IdempotencyRecord>,
    ) -> Result<()> {
        Err(not_kept())
    }

    async fn departure(&self, _: OperationId) -> Result<DepartureRecord> {
        Err(not_kept())
    }

    async fn departure_of(&self, _: &TenantName) -> Result<Departure> {
        Err(not_kept())
    }

    async fn record_departure(&self, _: Hold, _: &Departure) -> Result<()> {
        Err(not_kept())
    }

    async fn record_return(&self, _: Hold, _: &TenantName, _: MigrationId, _: Timestamp) -> Result<()> {
        Err(not_kept())
    }

    async fn overdue_departures(&self, _: Timestamp, _: u32) -> Result<Vec<Departure>> {
        Ok(Vec::new())
    }

    async fn create_removal(&self, _: &Departure, _: &Operation, _: NewEvent) -> Result<bool> {
        Err(not_kept())
    }

    async fn postpone_departure(&self, _: OperationId, _: Timestamp) -> Result<()> {
        Err(not_kept())
    }

    async fn settle_departure(&self, _: OperationId) -> Result<()> {
        Err(not_kept())
    }

    async fn served_elsewhere(&self, _: &TenantName) -> Result<Option<MigrationId>> {
        Ok(None)
    }

    async fn offsite(&self, _: OperationId) -> Result<Option<OffsiteRecord>> {
        Ok(None)
    }

    async fn settle_offsite(&self, _: OperationId) -> Result<()> {
        Ok(())
    }

    async fn set_tenant_mode(&self, _: Hold, _: &TenantName, _: &Mode, _: Timestamp) -> Result<()> {
        Err(not_kept())
    }
}

/// Nobody makes a bundle here.
pub(crate) fn no_exports() -> Exports {
    let key = SigningKey::from_seed(&[0; 32]);
    Exports { folder: PathBuf::from("/nonexistent"), provider: "simulated".into(), key }
}

/// No tenant of a simulated world has a bucket.
pub(crate) struct NoBuckets;

#[async_trait]
impl Buckets for NoBuckets {
    async fn copy(
        &self,
        _: VaultId,
        _: &SecretString,
        _: BucketCopy,
        _: &Bounds,
        _: Tell,
    ) -> std::result::Result<Option<Copied>, StepError> {
        Err(StepError::failed("absent", "nothing of that kind is here"))
    }

    async fn put_back(
        &self,
        _: VaultId,
        _: &SecretString,
        _: &BucketConfig,
        _: &str,
        _: &Bounds,
        _: Tell,
    ) -> std::result::Result<PutBack, StepError> {
        Err(StepError::failed("absent", "nothing of that kind is here"))
    }

    async fn read_out(
        &self,
        _: VaultId,
        _: &SecretString,
        _: ReadingOut,
        _: &Bounds,
    ) -> std::result::Result<u64, StepError> {
        Err(StepError::failed("absent", "nothing of that kind is here"))
    }
}

/// Nobody takes a tenant in of what its provider left.
pub(crate) struct NoOffsites;

#[async_trait]
impl Offsites for NoOffsites {
    async fn look(
        &self,
        _: &Place,
        _: Option<SnapshotId>,
        _: &Bounds,
    ) -> std::result::Result<Contents, StepError> {
        Err(StepError::failed("absent", "nothing of that kind is here"))
    }

    async fn read(
        &self,
        _: &Place,
        _: SnapshotId,
        _: &Bounds,
    ) -> std::result::Result<(String, Option<Told>), StepError> {
        Err(StepError::failed("absent", "nothing of that kind is here"))
    }

    async fn extents(
        &self,
        _: &Place,
        _: Vec<[u8; 32]>,
        _: &Bounds,
    ) -> std::result::Result<Vec<Extent>, StepError> {
        Err(StepError::failed("absent", "nothing of that kind is here"))
    }

    async fn take_over(
        &self,
        _: &Place,
        _: Vec<Wanted>,
        _: VaultId,
        _: &SecretString,
        _: &Bounds,
        _: Tell,
    ) -> std::result::Result<Vec<TakenOver>, StepError> {
        Err(StepError::failed("absent", "nothing of that kind is here"))
    }

    async fn sum(
        &self,
        _: VaultId,
        _: &SecretString,
        _: Vec<Summing>,
        _: &Bounds,
        _: Tell,
    ) -> std::result::Result<BTreeMap<ServiceName, ServiceFingerprint>, StepError> {
        Err(StepError::failed("absent", "nothing of that kind is here"))
    }
}
