//! Why a request was refused: problem details (RFC 9457, `application/problem+json`).

use std::fmt;

use berth_domain::FieldError;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What every problem's `type` begins with; its code follows.
pub const PREFIX: &str = "urn:berth:problem:";

/// Why a request was refused.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Problem {
    /// A stable name of the kind of problem; the documentation's page “Problems” explains each.
    #[serde(rename = "type")]
    #[schema(example = "urn:berth:problem:invalid")]
    pub kind: String,
    /// The kind of problem in a few words.
    pub title: String,
    /// The HTTP status code.
    #[schema(example = 422)]
    pub status: u16,
    /// What is wrong with this request.
    pub detail: String,
    /// Each broken rule, where fields of the request broke rules.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<FieldError>,
    /// The operation that is in the way or that ended already.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operation: Option<uuid::Uuid>,
    /// Seconds to wait before trying again; also in the header `Retry-After`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after: Option<u64>,
}

impl Problem {
    /// The last part of the type, such as `invalid`.
    pub fn code(&self) -> &str {
        self.kind.strip_prefix(PREFIX).unwrap_or(&self.kind)
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.title, self.detail)
    }
}

impl std::error::Error for Problem {}
