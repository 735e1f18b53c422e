//! What the routes answer with.

use std::collections::BTreeMap;

use berth_domain::catalogue::CatalogueEntry;
use berth_domain::revision::Files;
use berth_domain::{MachineDraft, MachineFacts, RevisionId, Scope, ServiceName, TenantDraft, TenantName};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

/// This provider: what a new machine and a client need to know of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Provider {
    /// Its name, from the daemon's configuration.
    pub name: String,
    /// The daemon's version.
    pub version: String,
    /// The key with which the daemon logs in on machines; it belongs into root's `authorized_keys` there.
    pub ssh_public_key: String,
    /// What tenants are built on.
    pub platform: Platform,
}

/// The kind of the platform that the daemon carries with it, and its word in the configuration.
pub const REHEARSAL: &str = "rehearsal";

/// What tenants are built on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Platform {
    /// `flake` for one that was configured, `rehearsal` for the stand-in that the daemon carries with it.
    #[schema(example = "rehearsal")]
    pub kind: String,
    /// The flake reference that was configured; absent for the rehearsal platform.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<String>,
}

/// A service on offer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Service {
    /// Its name, as it stands in a tenant's `services`.
    #[schema(value_type = String, example = "gitea")]
    pub name: ServiceName,
    /// What a panel needs to offer it.
    pub entry: CatalogueEntry,
}

/// A registered machine.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Machine {
    /// As it was registered.
    pub spec: MachineDraft,
    /// The tenant that is on it.
    pub tenant: Option<TenantName>,
    /// What the agent found out the last time; absent before the first deployment.
    pub facts: Option<MachineFacts>,
    /// The tenant that was taken off it and whose data it still holds.
    pub holds_data_of: Option<TenantName>,
    /// When it was registered.
    pub created_at: DateTime<Utc>,
}

/// A tenant.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Tenant {
    /// What it should be; this is what `PUT` takes.
    pub spec: TenantDraft,
    /// Counts its changes; also the `ETag`.
    pub version: i64,
    /// Where each enabled service is to be found once deployed.
    #[schema(value_type = BTreeMap<String, String>)]
    pub urls: BTreeMap<ServiceName, String>,
    /// The revision that was deployed last; absent before the first deployment.
    pub deployed_revision: Option<RevisionId>,
    /// When it was created.
    pub created_at: DateTime<Utc>,
    /// When its spec was changed last.
    pub updated_at: DateTime<Utc>,
}

/// A rendered configuration.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Configuration {
    /// Hash of the files.
    pub revision: RevisionId,
    /// The flake's files, by path.
    #[schema(value_type = BTreeMap<String, String>)]
    pub files: Files,
}

/// A configuration that was rendered for a deployment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct RevisionInfo {
    /// Hash of the files.
    pub id: RevisionId,
    /// When it was rendered first.
    pub created_at: DateTime<Utc>,
    /// Whether the machine was committed to it last.
    pub deployed: bool,
}

/// A token, without its secret.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct TokenInfo {
    /// Its id.
    pub id: Uuid,
    /// What it is for.
    pub name: String,
    /// What it opens.
    pub scope: Scope,
    /// When it was issued.
    pub created_at: DateTime<Utc>,
    /// When it stops working.
    pub expires_at: Option<DateTime<Utc>>,
}

/// A token that was just issued.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
pub struct IssuedToken {
    /// What is known of it.
    pub info: TokenInfo,
    /// The token itself, for `Authorization: Bearer`; shown this once.
    pub token: String,
}

/// A link that shows one operation to whoever has it.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
pub struct WatchLink {
    /// The page.
    pub url: String,
    /// When it stops working.
    pub expires_at: DateTime<Utc>,
}

impl std::fmt::Debug for IssuedToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("IssuedToken").field("info", &self.info).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for WatchLink {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WatchLink").field("expires_at", &self.expires_at).finish_non_exhaustive()
    }
}
