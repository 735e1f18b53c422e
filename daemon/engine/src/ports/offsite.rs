//! Repositories of tenants that lie elsewhere: looked into, and taken over into vaults.

use std::collections::BTreeMap;

use async_trait::async_trait;
use berth_domain::{ServiceName, SnapshotId, VaultId};
use berth_protocol::ServiceFingerprint;
pub use berth_vault::offsite::{Extent, TakenOver, Wanted};
use secrecy::SecretString;

use super::{Bounds, Tell};
use crate::error::StepError;
use crate::offsite::{Contents, Place, Told};

/// A service's snapshot in a vault, of whose directories it is to be known what they come to.
#[derive(Debug, Clone)]
pub struct Summing {
    /// The service.
    pub service: ServiceName,
    /// The restic snapshot.
    pub restic: String,
    /// The directories.
    pub directories: Vec<String>,
}

/// Reads repositories that lie elsewhere, of which nothing is changed. Neither a password nor a key stands in any error.
#[async_trait]
pub trait Offsites: Send + Sync {
    /// What a repository holds, and all that the snapshot tells that is asked for, or else the newest whole one.
    async fn look(
        &self,
        place: &Place,
        snapshot: Option<SnapshotId>,
        bounds: &Bounds,
    ) -> Result<Contents, StepError>;

    /// All that one snapshot tells; nothing where it has no part of the tenant's own. The repository's own id as well.
    async fn read(
        &self,
        place: &Place,
        snapshot: SnapshotId,
        bounds: &Bounds,
    ) -> Result<(String, Option<Told>), StepError>;

    /// How much is below trees of a repository.
    async fn extents(
        &self,
        place: &Place,
        trees: Vec<[u8; 32]>,
        bounds: &Bounds,
    ) -> Result<Vec<Extent>, StepError>;

    /// Takes restic snapshots over into a vault, in the order in which they are wanted.
    async fn take_over(
        &self,
        place: &Place,
        wanted: Vec<Wanted>,
        vault: VaultId,
        key: &SecretString,
        bounds: &Bounds,
        tell: Tell,
    ) -> Result<Vec<TakenOver>, StepError>;

    /// What directories in snapshots of a vault have to come to wherever they are restored. All of them is read.
    async fn sum(
        &self,
        vault: VaultId,
        key: &SecretString,
        what: Vec<Summing>,
        bounds: &Bounds,
        tell: Tell,
    ) -> Result<BTreeMap<ServiceName, ServiceFingerprint>, StepError>;
}
