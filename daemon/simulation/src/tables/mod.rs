//! The database's content: what [`berth_store::Store`] does, in memory and at once. `tests/tables.rs` sets the two against
//! each other.
//!
//! | module | subject |
//! | --- | --- |
//! | [`operations`] | operations, their events, and what previews find |
//! | [`leases`] | who runs an operation |
//! | [`rollouts`] | rollouts, their tenants and events |
//! | [`snapshots`] | vaults and snapshots |
//! | [`tenants`] | tenants, their machines and revisions |

mod leases;
mod operations;
mod rollouts;
mod snapshots;
mod tenants;

use std::collections::BTreeMap;

use berth_domain::event::NewEvent;
use berth_domain::{
    Event, MachineName, MachineSpec, Operation, OperationId, Preview, Revision, RevisionId, RolloutId,
    Snapshot, SnapshotId, TenantName, TenantSpec, Timestamp, VaultId,
};
use berth_store::{MachineRecord, News, StoreError, TenantRecord, VaultRecord};
use chrono::SubsecRound;

use crate::weather::Weakness;

type Result<T> = std::result::Result<T, StoreError>;

/// The database's content.
#[derive(Default)]
pub struct Tables {
    /// What the database does not do as it should.
    pub weakness: Option<Weakness>,
    /// News of the last call, which its caller passes on.
    pub news: Vec<News>,
    operations: BTreeMap<OperationId, Row>,
    rollouts: BTreeMap<RolloutId, rollouts::Row>,
    vaults: BTreeMap<VaultId, (Option<TenantName>, VaultRecord)>,
    snapshots: BTreeMap<SnapshotId, (VaultId, Snapshot)>,
    tenants: BTreeMap<TenantName, TenantRecord>,
    machines: BTreeMap<MachineName, (MachineRecord, i64)>,
    revisions: BTreeMap<(TenantName, RevisionId), Revision>,
    previews: BTreeMap<OperationId, (Option<TenantSpec>, Option<Preview>)>,
}

struct Row {
    operation: Operation,
    owner: Option<String>,
    until: Option<i64>,
    fence: i64,
    writes: i64,
    events: Vec<Event>,
}

impl Row {
    fn tell(&mut self, event: NewEvent, news: &mut Vec<News>) -> Event {
        self.operation.last_seq += 1;
        let event = event.numbered(self.operation.id, self.operation.last_seq);
        self.events.push(event.clone());
        news.push(News::Events(self.operation.id, event.seq));
        event
    }
}

fn not_found(what: &'static str, name: impl ToString) -> StoreError {
    StoreError::NotFound { what, name: name.to_string() }
}

fn stored(time: Timestamp) -> Timestamp {
    time.trunc_subsecs(3)
}

fn as_kept(mut operation: Operation) -> Operation {
    operation.created_at = stored(operation.created_at);
    operation.started_at = operation.started_at.map(stored);
    operation.finished_at = operation.finished_at.map(stored);
    for step in &mut operation.steps {
        step.started_at = step.started_at.map(stored);
        step.finished_at = step.finished_at.map(stored);
    }
    operation
}

/// What the engine does not do.
impl Tables {
    /// Registers a machine.
    pub fn create_machine(&mut self, spec: &MachineSpec, now: Timestamp) {
        let record = MachineRecord {
            spec: spec.clone(),
            tenant: None,
            created_at: stored(now),
            facts: None,
            holds_data_of: None,
            lent_to: None,
        };
        self.machines.insert(spec.name.clone(), (record, 0));
    }

    /// Creates a tenant, whose machine is free.
    pub fn create_tenant(&mut self, spec: &TenantSpec, now: Timestamp) {
        let now = stored(now);
        let record = TenantRecord {
            spec: spec.clone(),
            version: 1,
            created_at: now,
            updated_at: now,
            deployed_revision: None,
            deployed_system: None,
            platform: None,
            condition: None,
        };
        if let Some((machine, _)) = self.machines.get_mut(&spec.machine) {
            machine.tenant = Some(spec.name.clone());
        }
        self.tenants.insert(spec.name.clone(), record);
    }

    /// Changes a tenant's settings.
    pub fn update_tenant(&mut self, spec: &TenantSpec) {
        if let Some(tenant) = self.tenants.get_mut(&spec.name) {
            tenant.spec = spec.clone();
            tenant.version += 1;
        }
    }

    /// Whether a tenant's settings are these.
    pub fn is_spec(&self, spec: &TenantSpec) -> bool {
        self.tenants.get(&spec.name).is_some_and(|tenant| tenant.spec == *spec)
    }

    /// Every operation with all its events.
    pub fn everything(&self) -> impl Iterator<Item = (&Operation, &[Event])> {
        self.operations.values().map(|row| (&row.operation, row.events.as_slice()))
    }

    /// How many unfinished operations belong to rollouts.
    pub fn unfinished_of_rollouts(&self) -> usize {
        let unfinished = self.operations.values().filter(|row| !row.operation.status.is_final());
        unfinished.filter(|row| row.operation.rollout.is_some()).count()
    }

    /// Whose claim on an operation is the newest, and its number.
    pub fn holder(&self, id: OperationId) -> Option<(&str, u64)> {
        let row = self.operations.get(&id)?;
        Some((row.owner.as_deref()?, row.fence.cast_unsigned()))
    }
}
