//! Bundles that somebody brought here, so that a tenant is made of one.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::name::{ServiceName, TenantName};
use crate::operation::words;
use crate::tenant::TenantDraft;

/// The id of a bundle that was brought here.
pub type BundleId = Uuid;

words! {
    /// Where a bundle stands that is brought here.
    BundleStatus {
        /// It is not all here.
        Receiving = "receiving",
        /// It is here, and compared with what is signed.
        Verifying = "verifying",
        /// Every byte of it is as it was signed.
        Whole = "whole",
        /// It cannot be taken in; `refusal` says why.
        Refused = "refused",
    }
}

/// A bundle that somebody brings here.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct IncomingBundle {
    /// Its id.
    pub id: Uuid,
    /// How many bytes it has.
    pub size: u64,
    /// How many of them are here.
    pub received: u64,
    /// How many of them were compared with what is signed.
    pub verified: u64,
    /// Where it stands.
    pub status: BundleStatus,
    /// Why it cannot be taken in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refusal: Option<BundleRefusal>,
    /// What it says of itself; known once it is whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub about: Option<BundleAbout>,
    /// The tenant that was made of it last, or was to be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub taken_in: Option<TakenIn>,
    /// The name of the token that brings it.
    pub brought_by: String,
    /// When it was announced.
    pub created_at: DateTime<Utc>,
}

/// Why a bundle cannot be taken in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BundleRefusal {
    /// A stable name, such as `bundle-altered`.
    #[schema(example = "bundle-altered")]
    pub code: String,
    /// What it is, for a person.
    pub message: String,
    /// Each part of it that is not as it should be, by name; the first hundred.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub problems: Vec<String>,
}

/// What a bundle says of itself, according to what is signed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct BundleAbout {
    /// What the tenant was called.
    pub tenant: String,
    /// What the provider calls itself that signed it.
    pub provider: String,
    /// The thumbprint of the key that it is signed with.
    pub signer: String,
    /// Whether that is a key of `bundles.trusted_signers`.
    pub trusted: bool,
    /// When it was made.
    pub made_at: DateTime<Utc>,
    /// The SHA-256 of its manifest: bundles of the same one hold the same.
    pub manifest_sha256: String,
    /// How many files it holds.
    pub files: u64,
    /// How many bytes they have.
    pub bytes: u64,
    /// The services that it holds data of.
    #[schema(value_type = BTreeMap<String, BundledService>)]
    pub services: BTreeMap<ServiceName, BundledService>,
    /// The secrets that are in it, sealed: `SERVICE/NAME`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub secrets: Vec<String>,
    /// The tenant that it is of, as it was specified. A number stands in the place of what was given in confidence.
    #[schema(value_type = Object)]
    pub specification: TenantDraft,
}

/// What a bundle holds of a service.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BundledService {
    /// The version that its data is of, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data_version: Option<String>,
    /// The databases.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub databases: Vec<String>,
    /// How many files there are.
    pub files: u64,
    /// How many bytes they and the databases' dumps have.
    pub bytes: u64,
    /// The buckets of object stores that it kept files in, by name; what they hold counts in none of the fields above.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub buckets: BTreeMap<String, BundledBucket>,
}

/// What a bundle holds of a bucket.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BundledBucket {
    /// The address of the store that it was in, where the bundle says so.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub endpoint: String,
    /// That store's region.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub region: String,
    /// How many objects there are.
    pub objects: u64,
    /// How many bytes they have.
    pub bytes: u64,
}

/// The tenant that is made of a bundle.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TakenIn {
    /// Its name here.
    pub tenant: TenantName,
    /// The operation that makes it.
    pub operation: Uuid,
}
