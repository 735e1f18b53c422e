//! Buckets of tenants' object stores: from there into vaults, and back; and out of vaults.

use std::io::Read;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use berth_domain::VaultId;
use berth_vault::Title;
pub use berth_vault::buckets::moving::{
    Entry as LedgerEntry, Ledger, LedgerError, Moved, Pass as ObjectsPass,
};
pub use berth_vault::buckets::{BucketConfig, Copied, Earlier, News, ObjectRecord, PutBack, Tell};
use secrecy::SecretString;

use super::Bounds;
use crate::error::StepError;

/// A bucket that is to be copied into a vault.
#[derive(Debug, Clone)]
pub struct BucketCopy {
    /// The bucket, and what opens it.
    pub config: BucketConfig,
    /// What its snapshot says of itself.
    pub title: Title,
    /// The snapshots that it may go on from, the best one first.
    pub earlier: Vec<Earlier>,
    /// For how long objects are fetched before a snapshot is made of what came.
    pub limit: Duration,
}

/// Objects that are to be moved from one bucket into another.
pub struct ObjectsMove {
    /// The bucket that has them, which is only read.
    pub from: BucketConfig,
    /// The one that gets them.
    pub into: BucketConfig,
    /// What earlier passes have put there.
    pub ledger: Arc<dyn Ledger>,
    /// Which pass it is.
    pub pass: ObjectsPass,
}

/// The buckets that a vault holds, for a thread that may wait.
pub trait HeldBuckets {
    /// What a bucket's snapshot holds.
    ///
    /// # Errors
    /// It cannot be read.
    fn open<'a>(&'a self, restic: &str) -> Result<Box<dyn HeldBucket + 'a>, StepError>;
}

/// A bucket's snapshot.
pub trait HeldBucket {
    /// The region of the store that it was copied from.
    fn region(&self) -> &str;

    /// Its objects, in any order.
    fn objects(&self) -> Box<dyn Iterator<Item = &ObjectRecord> + '_>;

    /// What one of them holds, as it is read. Quickest in the order of their paths.
    ///
    /// # Errors
    /// The vault does not have it.
    fn content<'a>(&'a self, object: &ObjectRecord) -> Result<Box<dyn Read + 'a>, StepError>;
}

/// What is done with the buckets of a vault; gives a number of bytes.
pub type ReadingOut = Box<dyn FnOnce(&dyn HeldBuckets) -> Result<u64, StepError> + Send>;

/// Copies buckets. What a tenant gave in confidence stands in no error.
#[async_trait]
pub trait Buckets: Send + Sync {
    /// Makes a snapshot of a bucket in a vault, of which nothing is fetched that the earlier one holds. Nothing is made in a vault that
    /// only restic can write to.
    async fn copy(
        &self,
        vault: VaultId,
        key: &SecretString,
        copy: BucketCopy,
        bounds: &Bounds,
        tell: Tell,
    ) -> Result<Option<Copied>, StepError>;

    /// Puts into a bucket what a snapshot of one holds, where it is missing or another; the rest stays.
    async fn put_back(
        &self,
        vault: VaultId,
        key: &SecretString,
        config: &BucketConfig,
        restic: &str,
        bounds: &Bounds,
        tell: Tell,
    ) -> Result<PutBack, StepError>;

    /// Whether objects can be moved from one bucket into another: the one can be read, the other written to. Tells whether both are the
    /// same. A failure says of which one it is.
    async fn can_move(
        &self,
        from: &BucketConfig,
        into: &BucketConfig,
        bounds: &Bounds,
    ) -> Result<bool, StepError>;

    /// Moves what is new or another since the last time. Nothing is written to the old bucket, and nothing of others removed from the new
    /// one.
    async fn move_objects(&self, what: ObjectsMove, bounds: &Bounds, tell: Tell) -> Result<Moved, StepError>;

    /// Has `work` read what snapshots of buckets hold, on a thread for that. Where it may go on no longer, no content gives any more.
    async fn read_out(
        &self,
        vault: VaultId,
        key: &SecretString,
        work: ReadingOut,
        bounds: &Bounds,
    ) -> Result<u64, StepError>;
}
