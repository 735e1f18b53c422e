//! Buckets that this host itself copies into the vaults behind its server, and back.

use async_trait::async_trait;
use berth_domain::VaultId;
use berth_vault::Vault;
use berth_vault::buckets::{Bucket, BucketError, Copying, PuttingBack, Reach};
use secrecy::SecretString;
use tokio_util::sync::CancellationToken;

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
        Ok(Some(in_time(bounds, &cancel, copied).await?))
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
        Ok(in_time(bounds, &cancel, put).await?)
    }
}

/// Why it ended without an outcome.
enum Ended {
    Bucket(BucketError),
    Late,
}

impl From<Ended> for StepError {
    fn from(ended: Ended) -> Self {
        match ended {
            Ended::Late => Self::retryable("timeout", "the bucket took longer than it may"),
            Ended::Bucket(error) => failed(error),
        }
    }
}

/// Waits for work that runs on a thread of its own, and has it end where nobody may wait any longer: nothing goes on unseen.
async fn in_time<T>(
    bounds: &Bounds,
    cancel: &CancellationToken,
    work: impl Future<Output = Result<T, BucketError>>,
) -> Result<T, Ended> {
    // Also where whoever waits is dropped.
    let _end = cancel.clone().drop_guard();
    let mut work = std::pin::pin!(work);
    match tokio::time::timeout(bounds.timeout, &mut work).await {
        Ok(done) => done.map_err(Ended::Bucket),
        Err(_) => {
            cancel.cancel();
            match work.await {
                Err(BucketError::Cancelled) => Err(Ended::Late),
                done => done.map_err(Ended::Bucket),
            }
        }
    }
}

fn failed(error: BucketError) -> StepError {
    match error {
        BucketError::Cancelled => StepError::Cancelled,
        error => StepError::retryable(BUCKET_FAILED, error.to_string()),
    }
}
