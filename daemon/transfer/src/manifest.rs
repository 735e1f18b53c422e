//! What is moved, and what it must be equal to once it has arrived.

use std::collections::BTreeMap;

use berth_domain::manifest::DataVersion;
use berth_domain::{CopyTimes, RevisionId, ServiceName, TenantName};
use berth_protocol::state::ServiceFingerprint;
use berth_sign::{Sha256Hex, seconds};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use crate::rule::{snapshot, whole};
use crate::sealed::Sealed;
use crate::statement::Statement;

/// The source: this is all of the tenant, and it lies in the vault that you gave me.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Which offer.
    pub offer: Uuid,
    /// The tenant's name at the source.
    pub tenant: TenantName,
    /// When its state was captured, to the second.
    #[serde(with = "seconds")]
    pub taken_at: DateTime<Utc>,
    /// The source's revision that ran then, where one did.
    pub revision: Option<RevisionId>,
    /// Every service that is moved.
    pub services: BTreeMap<ServiceName, MovedService>,
    /// A list of [`GivenSecret`](berth_protocol::GivenSecret) as JSON, sealed to the ticket's recipient.
    pub secrets: Sealed,
    /// Of a rehearsal, how the copy was made. Its fingerprints then hold only what did not change while it was copied. Such a
    /// manifest is never handed over, and nobody countersigns it.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "whole")]
    pub rehearsal: Option<CopyTimes>,
}

/// A service that was captured for good.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MovedService {
    /// The restic snapshot's whole id: 64 hexadecimal digits.
    #[serde(deserialize_with = "snapshot")]
    pub snapshot: String,
    /// What the snapshot holds, in bytes.
    pub bytes: u64,
    /// How many files the snapshot holds.
    pub files: u64,
    /// The databases that it holds.
    pub databases: Vec<String>,
    /// Those of which it holds what changed last alone: the rest came before, in snapshots of their own. Never where the target's view
    /// does not say that it follows them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub replicated: Vec<String>,
    /// The version that the data is of, where the service tells it.
    pub data_version: Option<DataVersion>,
    /// What belongs to the service and is not in the snapshot, in words.
    pub left_out: Vec<String>,
    /// What the state on the target's machine must be equal to.
    #[serde(deserialize_with = "whole")]
    pub fingerprint: ServiceFingerprint,
}

impl Manifest {
    /// What a [`HandOver`](crate::HandOver) and a countersignature call a manifest by: the SHA-256 of its JWS.
    pub fn sum(jws: &str) -> Sha256Hex {
        <[u8; 32]>::from(Sha256::digest(jws)).into()
    }
}

impl Statement for Manifest {
    const TYP: &'static str = "berth-transfer-manifest+jws";

    fn offer(&self) -> Uuid {
        self.offer
    }
}
