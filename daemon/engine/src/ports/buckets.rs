//! Buckets of tenants' object stores: from there into vaults, and back.

use std::time::Duration;

use async_trait::async_trait;
use berth_domain::VaultId;
use berth_vault::Title;
pub use berth_vault::buckets::{BucketConfig, Copied, Earlier, News, PutBack, Tell};
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
}
