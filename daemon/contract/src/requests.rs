//! What the routes take, beside the domain's drafts.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A deployment to be made: of the tenant as it is specified now.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewDeployment {
    /// Only find out what would change: the operation is a `preview`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub dry_run: bool,
}

/// A token to be issued.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"name": "panel", "scope": "tenant:acme:read", "expires_in_seconds": 86400}))]
pub struct NewToken {
    /// What it is for, for people: 1 to 100 characters.
    pub name: String,
    /// What it opens: `admin`, `operator`, `tenant:NAME:read` or `tenant:NAME:write`.
    pub scope: String,
    /// After how many seconds it stops working; never when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_in_seconds: Option<u64>,
}

/// A link for a customer to be made.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewWatchLink {
    /// After how many seconds it stops working: 60 to 2592000 (30 days); a day when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_in_seconds: Option<u64>,
}

/// A wish to stop an operation.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewCancellation {}
