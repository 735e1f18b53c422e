//! A tenant's state at one instant, kept in its vault.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::name::{ServiceName, TenantName};
use crate::revision::RevisionId;

/// A snapshot's id: that of the operation that made it (UUID version 7: ids sort by time).
pub type SnapshotId = Uuid;

/// A repository of snapshots: a tenant has one, under a name that no other tenant ever has.
pub type VaultId = Uuid;

/// A tenant's state at one instant. Each service is captured whole or not at all, and the failure of one does not keep the
/// others from being captured.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Snapshot {
    /// Its id.
    pub id: Uuid,
    /// Whose state it is.
    pub tenant: TenantName,
    /// When it was begun.
    pub created_at: DateTime<Utc>,
    /// When it was whole, or as whole as it became.
    pub finished_at: DateTime<Utc>,
    /// The revision that the tenant was deployed with.
    pub revision: Option<RevisionId>,
    /// The system that ran.
    pub system: String,
    /// Whether every service was captured.
    pub whole: bool,
    /// When it was due by the tenant's backup plan; absent for one that somebody asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub due_at: Option<DateTime<Utc>>,
    /// Whether it is being removed: it cannot be brought back any more.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub forgetting: bool,
    /// The services.
    #[schema(value_type = BTreeMap<String, SnapshotPart>)]
    pub services: BTreeMap<ServiceName, SnapshotPart>,
    /// What of the tenant is in no service's part: its settings and its secrets. Null where the snapshot has none of that: a
    /// machine that takes it up then has secrets of its own.
    #[serde(default)]
    pub tenant_part: Option<TenantPart>,
}

/// What a snapshot holds of the tenant beside its services' state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TenantPart {
    /// The snapshot's id in the tenant's restic repository.
    pub restic: String,
    /// The names of the secrets in it that services made of chance and whose loss would cost something, by service.
    #[schema(value_type = BTreeMap<String, Vec<String>>)]
    pub secrets: BTreeMap<ServiceName, Vec<String>>,
}

impl TenantPart {
    /// The names of a service's secrets in it.
    pub fn secrets_of(&self, service: &ServiceName) -> &[String] {
        self.secrets.get(service).map_or(&[], Vec::as_slice)
    }
}

/// What became of one service.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum SnapshotPart {
    /// It was captured.
    Captured(CapturedService),
    /// It was not.
    Failed {
        /// Why.
        message: String,
    },
}

/// A service that was captured.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct CapturedService {
    /// The snapshot's id in the tenant's restic repository.
    pub restic: String,
    /// What had to be sent to the vault, in bytes.
    pub bytes_added: u64,
    /// What it holds, in bytes.
    pub bytes_total: u64,
    /// How many files it holds.
    pub files_total: u64,
    /// The databases that it holds.
    pub databases: Vec<String>,
    /// The version that the data is of, where the service tells it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data_version: Option<String>,
    /// How long the service was stopped, in milliseconds.
    pub quiet_ms: u64,
    /// What belongs to the service and is not in the snapshot, in words.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub left_out: Vec<String>,
}

impl Snapshot {
    /// The services that it holds.
    pub fn captured(&self) -> impl Iterator<Item = (&ServiceName, &CapturedService)> {
        self.services.iter().filter_map(|(service, part)| match part {
            SnapshotPart::Captured(captured) => Some((service, captured)),
            SnapshotPart::Failed { .. } => None,
        })
    }

    /// Everything that it consists of in the tenant's restic repository.
    pub fn restic_ids(&self) -> impl Iterator<Item = &str> {
        let services = self.captured().map(|(_, captured)| captured.restic.as_str());
        services.chain(self.tenant_part.iter().map(|part| part.restic.as_str()))
    }
}
