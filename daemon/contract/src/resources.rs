//! What the routes answer with.

use std::collections::BTreeMap;

use berth_domain::catalogue::CatalogueEntry;
use berth_domain::revision::Files;
use berth_domain::{
    Arrival, BackupDraft, BackupFailure, Condition, Drill, Finding, LastWhole, MachineDraft, MachineFacts,
    Pause, RevisionId, Scope, ServiceName, TenantDraft, TenantName,
};
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
    /// The tenant for whose drill it is lent: nobody else gets it until that has left nothing there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lent_to: Option<TenantName>,
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
    /// The platform that was deployed last, which later deployments keep until a rollout brings it to another.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<String>,
    /// What the last check found, and what of its backups is not as it should be; absent until there is either since the last
    /// deployment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub condition: Option<Condition>,
    /// When it was created.
    pub created_at: DateTime<Utc>,
    /// When its spec was changed last.
    pub updated_at: DateTime<Utc>,
}

/// A tenant's backup plan, and how its backups stand.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct TenantBackups {
    /// The plan; this is what `PUT` takes.
    pub plan: BackupDraft,
    /// Counts the plan's changes; also the `ETag`.
    pub version: i64,
    /// When the next snapshot is due, the tenant's share of the jitter included; in the past for one that could not begin yet.
    /// Absent while the plan rests.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_due_at: Option<DateTime<Utc>>,
    /// Why the plan rests; absent while it does not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paused: Option<Pause>,
    /// Since when a snapshot is missing that was due and could not begin within the plan's grace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub overdue_since: Option<DateTime<Utc>>,
    /// The newest whole snapshot, whoever asked for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_whole: Option<LastWhole>,
    /// What failed, or was missed, since the newest whole snapshot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<BackupFailure>,
    /// The last try to remove what is not kept, where it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prune_failure: Option<BackupFailure>,
    /// When the next drill is due; in the past for one that could not begin yet. Absent where the plan has none, and while it
    /// rests.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_drill_at: Option<DateTime<Utc>>,
    /// Since when a drill is missing that was due and could not begin within its grace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drill_overdue_since: Option<DateTime<Utc>>,
    /// The last drill that passed, whoever asked for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_drill: Option<Drill>,
    /// The drill that failed, or was missed, since.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drill_failure: Option<BackupFailure>,
    /// What is not as it should be; also part of the tenant's `condition`.
    pub findings: Vec<Finding>,
    /// When the plan was made.
    pub created_at: DateTime<Utc>,
    /// When it was changed last.
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

/// A ticket that was issued.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
pub struct IssuedTicket {
    /// What is known of it.
    pub info: Arrival,
    /// The ticket itself, to be handed in at the tenant's old provider; shown this once.
    pub ticket: String,
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
