//! A countersignature: somebody has seen a manifest, in a role, at a time. It is a JWS of its own beside what it is
//! about, so that any number of them can be added without changing that.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::error::JwsError;
use crate::jws::{Signed, verify_embedded};
use crate::key::{PublicKey, SigningKey};
use crate::seconds;
use crate::sum::Sha256Hex;

/// The `typ` of a countersignature.
pub const COUNTERSIGNATURE: &str = "berth-countersignature+jws";

/// What is countersigned.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Countersignature {
    /// The SHA-256 of the manifest's bytes.
    pub manifest_sha256: Sha256Hex,
    /// As what, for instance `source`, `target` or `owner`.
    pub role: String,
    /// When, to the second.
    #[serde(with = "seconds")]
    pub at: DateTime<Utc>,
}

impl Countersignature {
    /// Signs it.
    pub fn sign(&self, key: &SigningKey) -> String {
        // Texts only: this cannot fail, and nothing would be read back from an empty payload.
        key.sign(&serde_json::to_vec(self).unwrap_or_default(), COUNTERSIGNATURE)
    }

    /// What was countersigned, and with which key. Whether the key counts, and the manifest is the one that is meant, is
    /// for the caller to compare.
    ///
    /// # Errors
    /// [`JwsError`]
    pub fn verify(jws: &str) -> Result<(Self, PublicKey), JwsError> {
        let Signed { payload, key } = verify_embedded(jws, COUNTERSIGNATURE)?;
        let content =
            serde_json::from_slice(&payload).map_err(|error| JwsError::Payload(error.to_string()))?;
        Ok((content, key))
    }
}
