//! Repositories of tenants that lie elsewhere, as somebody who wants to take one in sees them.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::migration::Obstacle;
use crate::name::ServiceName;
use crate::tenant::TenantDraft;

/// What a repository holds of a tenant, and whether the tenant can be taken in from it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct OffsiteVault {
    /// The repository's own id, which it has wherever it is copied to.
    pub repository: String,
    /// The snapshots that Berth made, the newest first; the newest fifty.
    pub snapshots: Vec<OffsiteSnapshot>,
    /// How many there are beside these.
    #[serde(default, skip_serializing_if = "is_none")]
    pub older: u64,
    /// What would be taken in; absent where there is no snapshot that can be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant: Option<OffsiteTenant>,
    /// What keeps it from being taken in here. Only known where a machine was named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub obstacles: Option<Vec<Obstacle>>,
}

/// A snapshot of a repository that lies elsewhere.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct OffsiteSnapshot {
    /// Its id.
    pub id: Uuid,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// The services that it holds.
    #[schema(value_type = Vec<String>)]
    pub services: Vec<ServiceName>,
    /// The buckets that it holds, as `SERVICE/BUCKET`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub buckets: Vec<String>,
    /// Whether it holds the tenant's settings and secrets. Without them no tenant is made of it.
    pub tenant_part: bool,
    /// Whether it holds every service that the tenant had, and that part.
    pub whole: bool,
    /// Why it cannot be read, as far as it was looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

/// The tenant that a snapshot is of.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct OffsiteTenant {
    /// Of which snapshot this is.
    pub snapshot: Uuid,
    /// The version of the daemon that made it.
    pub daemon_version: String,
    /// The platform that the tenant was deployed with, as a flake reference.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<String>,
    /// What it holds of each service.
    #[schema(value_type = BTreeMap<String, OffsiteService>)]
    pub services: BTreeMap<ServiceName, OffsiteService>,
    /// The secrets in it that services made of chance, as `SERVICE/NAME`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub secrets: Vec<String>,
    /// What in it was given in confidence, as `SERVICE/SETTING`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub given: Vec<String>,
    /// The tenant as it was specified. A number stands in the place of what was given in confidence.
    #[schema(value_type = Object)]
    pub specification: TenantDraft,
}

/// What a snapshot holds of a service.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct OffsiteService {
    /// The version that its data is of, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data_version: Option<String>,
    /// The databases.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub databases: Vec<String>,
}

/// Whether there are none.
fn is_none(count: &u64) -> bool {
    *count == 0
}
