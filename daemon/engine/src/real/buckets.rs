//! Buckets that this host itself copies into the vaults behind its server, and back.

use async_trait::async_trait;
use berth_domain::VaultId;
use berth_vault::Vault;
use berth_vault::buckets::{Bucket, BucketError, Copying, PuttingBack, Reach};
use secrecy::SecretString;

use super::in_time::{Ended, in_time};
use super::vaults::repository;
use crate::error::{BUCKET_FAILED, StepError};
use crate::ports::{Bounds, BucketConfig, BucketCopy, Buckets, Copied, PutBack, Tell};

/// Copies buckets into the vaults of this daemon's own server.
pub struct LocalBuckets {
    vault: Vault,
    reach: Reach,
}

impl LocalBuckets {
    /// Into a vault, from stores that are within reach.
    pub fn new(vault: Vault, reach: Reach) -> Self {
        Self { vault, reach }
    }
}

#[async_trait]
impl Buckets for LocalBuckets {
    async fn copy(
        &self,
        vault: VaultId,
        key: &SecretString,
        copy: BucketCopy,
        bounds: &Bounds,
        tell: Tell,
    ) -> Result<Option<Copied>, StepError> {
        let BucketCopy { config, title, earlier, limit } = copy;
        let bucket = Bucket::new(&config, &self.reach).map_err(failed)?;
        let (repository, cancel) = (repository(vault)?, bounds.cancel.child_token());
        if !self.vault.is_ours(&repository, key).await.map_err(BucketError::from).map_err(failed)? {
            return Ok(None);
        }
        let endpoint = config.endpoint;
        let copying = Copying { bucket, endpoint, title, earlier, limit, cancel: cancel.clone() };
        let copied = self.vault.copy_bucket(&repository, key, copying, tell);
        Ok(Some(in_time(bounds, &cancel, is_the_end, copied).await.map_err(ended)?))
    }

    async fn put_back(
        &self,
        vault: VaultId,
        key: &SecretString,
        config: &BucketConfig,
        restic: &str,
        bounds: &Bounds,
        tell: Tell,
    ) -> Result<PutBack, StepError> {
        let bucket = Bucket::new(config, &self.reach).map_err(failed)?;
        let (repository, cancel) = (repository(vault)?, bounds.cancel.child_token());
        let what = PuttingBack { bucket, restic: restic.to_owned(), cancel: cancel.clone() };
        let put = self.vault.put_bucket_back(&repository, key, what, tell);
        in_time(bounds, &cancel, is_the_end, put).await.map_err(ended)
    }
}

fn is_the_end(error: &BucketError) -> bool {
    matches!(error, BucketError::Cancelled)
}

fn ended(ended: Ended<BucketError>) -> StepError {
    match ended {
        Ended::Late => StepError::retryable("timeout", "the bucket took longer than it may"),
        Ended::Failed(error) => failed(error),
    }
}

fn failed(error: BucketError) -> StepError {
    match error {
        BucketError::Cancelled => StepError::Cancelled,
        error => StepError::retryable(BUCKET_FAILED, error.to_string()),
    }
}
