//! What NixOps4 knows of a tenant's resources.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A tenant's NixOps4 state.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Nixops4State {
    /// The document, as NixOps4's state schema describes it. Without its secrets, unless the lease's fence was named.
    #[schema(value_type = Object)]
    pub state: serde_json::Value,
    /// Counts the changes.
    pub serial: i64,
    /// Who is about to change it; absent when nobody is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lease: Option<StateLease>,
}

/// Who may change a state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct StateLease {
    /// What the holder's requests name. It grows whenever another one takes the lease; absent for everybody else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fence: Option<i64>,
    /// The name of the token that it was taken with.
    pub held_by: String,
    /// When others may take it, unless it is renewed before.
    pub expires_at: DateTime<Utc>,
}

/// A wish for the lease of a state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewStateLease {
    /// What the holder calls itself, such as a UUID: 8 to 100 visible ASCII characters that nobody else uses. Who has the
    /// lease already renews it by the same name.
    pub holder: String,
}

/// A change of a state.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewStateChange {
    /// The lease's.
    pub fence: i64,
    /// What happened, in NixOps4's word: `create` or `update`.
    pub event: String,
    /// The version of NixOps4.
    pub nixops_version: String,
    /// What that changes: an array of RFC 6902 operations.
    #[schema(value_type = Vec<Object>)]
    pub patch: serde_json::Value,
    /// Names of properties that are secrets although their names do not say so.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sensitive: Vec<String>,
}

/// A change that was kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct KeptStateChange {
    /// Its number, from 1.
    pub serial: i64,
}

/// A change as it is shown.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct StateChangeInfo {
    /// Its number, from 1.
    pub serial: i64,
    /// When it came.
    pub at: DateTime<Utc>,
    /// What happened, in NixOps4's word.
    pub event: String,
    /// The version of NixOps4.
    pub nixops_version: String,
    /// The name of the token that it came with.
    pub made_by: String,
    /// The operations, without secrets.
    #[schema(value_type = Vec<Object>)]
    pub patch: serde_json::Value,
}
