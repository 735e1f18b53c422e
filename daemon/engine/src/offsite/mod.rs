//! Tenants whose provider is gone, and of whom a repository of snapshots is left: in a bucket, or in a folder of this host. It holds all
//! that a tenant is ([`TenantFile`](berth_protocol::TenantFile)), so that one is made of it as of a bundle, by the same operation.
//! docs/src/offsite.md is for people.
//!
//! | module | subject |
//! | --- | --- |
//! | `place` | where a repository lies and what opens it, also sealed |
//! | `contents` | which of Berth's snapshots it holds |
//! | `told` | what a snapshot tells of the tenant and of its services |
//! | `look` | all of that for somebody who wants to take it in |
//! | `error` | what its failures mean to a client |

mod contents;
mod error;
mod look;
mod place;
mod told;

use std::collections::BTreeMap;

use berth_domain::{OffsiteSnapshot, ServiceName, SnapshotId, Timestamp};
use berth_protocol::TenantFile;

use crate::error::StepError;

pub use look::NEWEST;
pub use place::{Lies, Place};
pub use told::ToldService;

pub(crate) use contents::Listed;
pub(crate) use error::failed;
pub(crate) use look::{find, look};
pub(crate) use told::{read, tenant_file};

/// The tag of restic snapshots that were taken over. One of which nothing is written down is what a try left that was broken off.
pub(crate) const TAKEN_OVER: &str = "berth:taken-over";

/// What a repository holds.
#[derive(Debug, Clone)]
pub struct Contents {
    /// The repository's own id.
    pub repository: String,
    /// Berth's snapshots, the newest first.
    pub snapshots: Vec<OffsiteSnapshot>,
    /// How many there are beside these.
    pub older: u64,
    /// The one that was asked for, or else the newest that is whole; nothing where there is none. Why not, where a newer one might be
    /// whole and cannot be read.
    pub chosen: Result<Option<Told>, StepError>,
}

/// What a snapshot tells of the tenant that it is of.
#[derive(Debug, Clone)]
pub struct Told {
    /// The snapshot.
    pub id: SnapshotId,
    /// When it was made.
    pub at: Timestamp,
    /// The tenant itself.
    pub file: TenantFile,
    /// What it holds of each service.
    pub services: BTreeMap<ServiceName, ToldService>,
    /// The buckets.
    pub buckets: Vec<ToldBucket>,
}

/// A bucket in a snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ToldBucket {
    /// The service that it is of.
    pub service: ServiceName,
    /// Its name.
    pub name: String,
    /// The restic snapshot.
    pub restic: String,
    /// The store's address.
    pub endpoint: String,
    /// How many objects it holds.
    pub objects: u64,
    /// How long they are together, in bytes.
    pub bytes: u64,
}
