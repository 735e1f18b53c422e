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
    /// The buckets of object stores that it keeps files in, by name; what they hold counts in none of the fields above.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub buckets: BTreeMap<String, CapturedBucket>,
}

/// A bucket that was captured.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CapturedBucket {
    /// The snapshot's id in the tenant's restic repository.
    pub restic: String,
    /// The store's address.
    pub endpoint: String,
    /// How many objects it holds.
    pub objects: u64,
    /// How long they are together, in bytes.
    pub bytes: u64,
    /// What had to be written into the vault, in bytes.
    pub bytes_added: u64,
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
        let services = self.captured().flat_map(|(_, captured)| {
            let buckets = captured.buckets.values().map(|bucket| bucket.restic.as_str());
            std::iter::once(captured.restic.as_str()).chain(buckets)
        });
        services.chain(self.tenant_part.iter().map(|part| part.restic.as_str()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn service(text: &str) -> CapturedService {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn a_service_that_was_written_down_before_buckets_were_captured_has_none() {
        let old =
            r#"{"restic":"aa","bytes_added":1,"bytes_total":2,"files_total":3,"databases":[],"quiet_ms":4}"#;
        let read = service(old);
        assert!(read.buckets.is_empty());
        assert_eq!(serde_json::to_string(&read).unwrap(), old);
    }

    #[test]
    fn a_snapshot_consists_of_its_buckets_as_well() {
        let bucket = r#""buckets":{"media":{"restic":"bb","endpoint":"https://s3","objects":1,"bytes":2,"bytes_added":3}}"#;
        let captured = service(&format!(
            r#"{{"restic":"aa","bytes_added":1,"bytes_total":2,"files_total":3,"databases":[],"quiet_ms":4,{bucket}}}"#
        ));
        let snapshot = Snapshot {
            id: Uuid::nil(),
            tenant: "acme".parse().unwrap(),
            created_at: DateTime::UNIX_EPOCH,
            finished_at: DateTime::UNIX_EPOCH,
            revision: None,
            system: "/nix/store/x".into(),
            whole: true,
            due_at: None,
            forgetting: false,
            services: BTreeMap::from([("mastodon".parse().unwrap(), SnapshotPart::Captured(captured))]),
            tenant_part: Some(TenantPart { restic: "cc".into(), secrets: BTreeMap::new() }),
        };
        assert_eq!(snapshot.restic_ids().collect::<Vec<_>>(), ["aa", "bb", "cc"]);
    }
}
