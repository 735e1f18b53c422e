//! Statements: what is said between the two daemons with a consequence, signed.
//!
//! Each has a `typ` of its own, so that none can be taken for another, and names the offer that it is about. A statement
//! of the source with a field that is not known is refused: its reader would act upon less than was said. A later version
//! that says more has another `typ`. The target's [`View`] is only looked at, and may say more than the
//! reader knows.

use std::collections::BTreeMap;

use berth_domain::ServiceName;
use berth_domain::manifest::DataVersion;
use berth_sign::{JwsError, PublicKey, Sha256Hex, SigningKey, seconds, verify, verify_embedded};
use chrono::{DateTime, Utc};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::brief::brief;
use crate::manifest::Manifest;
use crate::rule::recipient;
use crate::sealed::Sealed;
use crate::ticket::TICKET;
use crate::view::View;

/// Something that one daemon says to the other, and signs.
pub trait Statement: Serialize + DeserializeOwned {
    /// The `typ` of its JWS, which no other statement has.
    const TYP: &'static str;

    /// The offer that it is about.
    fn offer(&self) -> Uuid;

    /// Signs it; a compact JWS.
    fn sign(&self, key: &SigningKey) -> String {
        // Texts and whole numbers only: this cannot fail, and nothing would be read back from an empty payload.
        key.sign(&serde_json::to_vec(self).unwrap_or_default(), Self::TYP)
    }

    /// Reads what was signed with this key about this offer.
    ///
    /// # Errors
    /// [`StatementError`]
    fn verify(jws: &str, key: &PublicKey, offer: Uuid) -> Result<Self, StatementError> {
        read(&verify(jws, Self::TYP, key)?, offer)
    }
}

/// A statement that is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StatementError {
    /// The signature does not hold, or is of another key or for something else.
    #[error(transparent)]
    Signature(JwsError),
    /// It is about another offer.
    #[error("this is said of the offer {found}, and not of {wanted}")]
    OtherOffer {
        /// Which offer was asked about.
        wanted: Uuid,
        /// Which one it is about.
        found: Uuid,
    },
    /// It answers an earlier question.
    #[error("this answers another question than the one that was asked")]
    OtherNonce,
    /// A countersignature is of something else than the manifest, or in another role.
    #[error("the countersignature is not the target’s of this manifest")]
    OtherManifest,
    /// It was signed, and is not what its `typ` says.
    #[error("what is signed as {typ} cannot be read: {reason}")]
    Content {
        /// Its `typ`.
        typ: &'static str,
        /// What is wrong with it.
        reason: String,
    },
}

impl From<JwsError> for StatementError {
    /// Without what a stranger wrote into the header, which may be anything and of any length.
    fn from(error: JwsError) -> Self {
        let other = || "something else".to_owned();
        Self::Signature(match error {
            JwsError::Type { wanted, found } if !TYPS.contains(&found.as_str()) => {
                JwsError::Type { wanted, found: other() }
            }
            JwsError::Algorithm(_) => JwsError::Algorithm(other()),
            JwsError::Key(_) => JwsError::Key("it is missing, or not what it is called".to_owned()),
            known => known,
        })
    }
}

/// Every `typ` of this protocol.
const TYPS: [&str; 6] = [TICKET, Claim::TYP, Manifest::TYP, HandOver::TYP, Abort::TYP, View::TYP];

fn read<S: Statement>(payload: &[u8], offer: Uuid) -> Result<S, StatementError> {
    let statement: S = serde_json::from_slice(payload)
        .map_err(|error| StatementError::Content { typ: S::TYP, reason: brief(&error.to_string()) })?;
    if statement.offer() == offer {
        Ok(statement)
    } else {
        Err(StatementError::OtherOffer { wanted: offer, found: statement.offer() })
    }
}

/// The source: this tenant shall move to you. The first thing that it says, and how the target learns its key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Claim {
    /// Which offer is taken up.
    pub offer: Uuid,
    /// What the source calls itself, for people.
    pub provider: String,
    /// The source's age recipient, for what the target tells it in confidence.
    #[serde(deserialize_with = "recipient")]
    pub recipient: String,
    /// The tenant, a [`TenantDraft`](berth_domain::TenantDraft) as JSON, sealed to the ticket's recipient.
    pub tenant: Sealed,
    /// What the target will have to take over.
    pub services: BTreeMap<ServiceName, OfferedService>,
    /// The tenant stays: a copy of it is to be tried out, and thrown away. Not said of a move, so that a target which knows no
    /// rehearsals refuses them, and nothing else.
    #[serde(default, skip_serializing_if = "is_false")]
    pub rehearsal: bool,
}

/// A service that is to be moved.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OfferedService {
    /// The version that its data is of, where that is known.
    pub data_version: Option<DataVersion>,
    /// How much there is to be moved, in bytes, where that is known.
    pub bytes: Option<u64>,
}

// By reference, as serde wants it.
#[allow(clippy::trivially_copy_pass_by_ref)]
fn is_false(value: &bool) -> bool {
    !value
}

impl Claim {
    /// Reads a claim of a source that is not known yet, and with which key it is signed. That the source is the one that
    /// the customer means, the token and the [short code](crate::short_code) tell, and not the signature.
    ///
    /// # Errors
    /// [`StatementError`]
    pub fn verify_first(jws: &str, offer: Uuid) -> Result<(Self, PublicKey), StatementError> {
        let signed = verify_embedded(jws, Self::TYP)?;
        Ok((read(&signed.payload, offer)?, signed.key))
    }
}

impl Statement for Claim {
    const TYP: &'static str = "berth-transfer-claim+jws";

    fn offer(&self) -> Uuid {
        self.offer
    }
}

/// The source: I have stopped for good, and serve this tenant never again; you have the epoch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HandOver {
    /// Which offer.
    pub offer: Uuid,
    /// The SHA-256 of the manifest's JWS, as [`Manifest::sum`](crate::Manifest::sum) makes it: what is handed over.
    pub manifest: Sha256Hex,
    /// A ticket of the source's, as text, sealed to the recipient of the target's: with it the tenant can go back. Said only to a
    /// target that knows it ([`View::knows_way_back`]), as others refuse what they do not know.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub way_back: Option<Sealed>,
    /// When, to the second.
    #[serde(with = "seconds")]
    pub at: DateTime<Utc>,
}

impl Statement for HandOver {
    const TYP: &'static str = "berth-transfer-handover+jws";

    fn offer(&self) -> Uuid {
        self.offer
    }
}

/// The source: the tenant stays here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Abort {
    /// Which offer.
    pub offer: Uuid,
    /// Why, for people.
    pub reason: String,
    /// When, to the second.
    #[serde(with = "seconds")]
    pub at: DateTime<Utc>,
}

impl Statement for Abort {
    const TYP: &'static str = "berth-transfer-abort+jws";

    fn offer(&self) -> Uuid {
        self.offer
    }
}
