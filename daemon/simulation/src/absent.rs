//! What no simulated world has: NixOps4's states, bundles, backup plans, drills, and migrations. The database answers as one without any.

use std::path::PathBuf;

use async_trait::async_trait;
use berth_domain::event::NewEvent;
use berth_domain::{
    Departure, Drill, MigrationId, Mode, Operation, OperationId, Snapshot, TenantName, Timestamp,
};
use berth_engine::Exports;
use berth_engine::records::{BackupRecords, DrillRecords, MoveRecords, Result, StateRecords};
use berth_sign::SigningKey;
use berth_store::nixops4::{ChangeRecord, LeaseRecord, NewState, StateRecord};
use berth_store::{
    ArrivalRecord, BackupRecord, DatabaseError, DepartureRecord, DrillRecord, Hold, IdempotencyRecord,
    MovedInto, MovedObject, OffsiteRecord, Page, StoreError,
};

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

    async fn moved_objects(&self, _: &MovedInto, _: Option<&str>, _: u32) -> Result<Vec<MovedObject>> {
        Err(not_kept())
    }

    async fn note_moved_objects(&self, _: Hold, _: &MovedInto, _: Vec<MovedObject>) -> Result<()> {
        Err(not_kept())
    }

    async fn forget_moved_objects(&self, _: Hold, _: MigrationId) -> Result<()> {
        Err(not_kept())
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
