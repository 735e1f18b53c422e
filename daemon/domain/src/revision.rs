//! An immutable rendered configuration of a tenant.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::Timestamp;
use crate::invalid::Rule;
use crate::name::TenantName;
use crate::tenant::TenantSpec;

/// A revision's id: the SHA-256 of its files, as 64 hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
#[serde(try_from = "String", into = "String")]
#[schema(pattern = "^[0-9a-f]{64}$")]
pub struct RevisionId(String);

impl RevisionId {
    /// All 64 digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The first 12 digits, for people.
    pub fn short(&self) -> &str {
        &self.0[..12]
    }
}

impl FromStr for RevisionId {
    type Err = Rule;

    fn from_str(text: &str) -> Result<Self, Rule> {
        let hex = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
        if text.len() == 64 && text.bytes().all(hex) {
            return Ok(Self(text.to_owned()));
        }
        Err(Rule::new("revision-id", "must be 64 hexadecimal digits in lower case"))
    }
}

impl TryFrom<String> for RevisionId {
    type Error = Rule;

    fn try_from(text: String) -> Result<Self, Rule> {
        text.parse()
    }
}

impl From<RevisionId> for String {
    fn from(id: RevisionId) -> String {
        id.0
    }
}

impl fmt::Display for RevisionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The rendered files, by path relative to the flake's root.
pub type Files = BTreeMap<String, String>;

/// A rendered configuration and the specification that it came from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Revision {
    /// Hash of the files.
    pub id: RevisionId,
    /// Whose configuration it is.
    pub tenant: TenantName,
    /// What it was rendered from.
    pub spec: TenantSpec,
    /// The flake.
    pub files: Files,
    /// When it was first rendered.
    pub created_at: Timestamp,
}
