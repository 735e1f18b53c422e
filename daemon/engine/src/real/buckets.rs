//! Buckets that this host itself copies into the vaults behind its server, and back.

use std::io::{self, Read};

use async_trait::async_trait;
use berth_domain::VaultId;
use berth_vault::buckets::moving::{self, LedgerError, Moving, Origin};
use berth_vault::buckets::{Bucket, BucketError, Copying, Held, PuttingBack, Reach};
use berth_vault::{ReadError, Reader, Vault};
use secrecy::SecretString;
use tokio_util::sync::CancellationToken;

use super::in_time::{Ended, in_time};
use super::vaults::repository;
use crate::error::{BUCKET_DIFFERS, BUCKET_FAILED, StepError, VAULT_FAILED};
use crate::ports::{
    Bounds, BucketConfig, BucketCopy, Buckets, Copied, HeldBucket, HeldBuckets, Moved, ObjectRecord,
    ObjectsMove, PutBack, ReadingOut, Tell,
};

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

    /// A bucket that objects are moved from.
    fn origin(&self, config: &BucketConfig) -> Result<Origin, StepError> {
        Origin::new(config, &self.reach).map_err(failed)
    }

    /// A bucket that objects are moved into.
    fn destination(&self, config: &BucketConfig) -> Result<Bucket, StepError> {
        Bucket::new(config, &self.reach).map_err(|error| failed(error.in_the_new()))
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

    async fn can_move(
        &self,
        from: &BucketConfig,
        into: &BucketConfig,
        bounds: &Bounds,
    ) -> Result<bool, StepError> {
        let (from, into) = (self.origin(from)?, self.destination(into)?);
        let cancel = bounds.cancel.child_token();
        let asked = async {
            let asked = cancel.run_until_cancelled(moving::can_move(&from, &into)).await;
            asked.ok_or(BucketError::Cancelled)?
        };
        in_time(bounds, &cancel, is_the_end, asked).await.map_err(unmoved)
    }

    async fn move_objects(&self, what: ObjectsMove, bounds: &Bounds, tell: Tell) -> Result<Moved, StepError> {
        let ObjectsMove { from, into, ledger, pass } = what;
        let (from, into) = (self.origin(&from)?, self.destination(&into)?);
        let cancel = bounds.cancel.child_token();
        let moving = Moving { from, into, ledger, pass, cancel: cancel.clone() };
        in_time(bounds, &cancel, is_the_end, moving::move_objects(&moving, tell)).await.map_err(unmoved)
    }

    async fn read_out(
        &self,
        vault: VaultId,
        key: &SecretString,
        work: ReadingOut,
        bounds: &Bounds,
    ) -> Result<u64, StepError> {
        let (repository, cancel) = (repository(vault)?, bounds.cancel.child_token());
        let stop = cancel.clone();
        let read = self.vault.read(&repository, key, move |reader| {
            work(&InVault { reader, stop: stop.clone() }).map_err(|error| {
                // Whatever a wish to stop has come to on its way.
                Unread(if stop.is_cancelled() { StepError::Cancelled } else { error })
            })
        });
        let stopped = |Unread(error): &Unread| *error == StepError::Cancelled;
        in_time(bounds, &cancel, stopped, read).await.map_err(|ended| match ended {
            Ended::Late => late(),
            Ended::Failed(Unread(error)) => error,
        })
    }
}

/// The buckets of a vault, until somebody wishes to stop.
struct InVault<'a> {
    reader: &'a Reader,
    stop: CancellationToken,
}

impl HeldBuckets for InVault<'_> {
    fn open<'a>(&'a self, restic: &str) -> Result<Box<dyn HeldBucket + 'a>, StepError> {
        let held = Held::of(self.reader, restic).map_err(unread)?;
        Ok(Box::new(OneHeld { held, stop: &self.stop }))
    }
}

struct OneHeld<'a> {
    held: Held<'a>,
    stop: &'a CancellationToken,
}

impl HeldBucket for OneHeld<'_> {
    fn region(&self) -> &str {
        &self.held.bucket.region
    }

    fn objects(&self) -> Box<dyn Iterator<Item = &ObjectRecord> + '_> {
        Box::new(self.held.objects.values())
    }

    fn content<'a>(&'a self, object: &ObjectRecord) -> Result<Box<dyn Read + 'a>, StepError> {
        let content = self.held.content(object).map_err(unread)?;
        Ok(Box::new(Stoppable { content, stop: self.stop }))
    }
}

/// A content that is read until somebody wishes to stop.
struct Stoppable<'a, R> {
    content: R,
    stop: &'a CancellationToken,
}

impl<R: Read> Read for Stoppable<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.stop.is_cancelled() {
            return Err(io::Error::other(StepError::Cancelled));
        }
        self.content.read(buffer).map_err(|error| match error.downcast::<ReadError>() {
            Ok(error) => io::Error::other(unread(error.into())),
            Err(error) => error,
        })
    }
}

/// Why the buckets of a vault were not read.
struct Unread(StepError);

impl From<ReadError> for Unread {
    fn from(error: ReadError) -> Self {
        Self(unread(error.into()))
    }
}

/// Only a place that fails may be better the next time.
fn unread(error: BucketError) -> StepError {
    let message = error.to_string();
    match error {
        BucketError::Cancelled => StepError::Cancelled,
        BucketError::Read(ReadError::Storage(_)) | BucketError::Storage(_) => {
            StepError::transient(VAULT_FAILED, message)
        }
        _ => StepError::failed(VAULT_FAILED, message),
    }
}

fn is_the_end(error: &BucketError) -> bool {
    matches!(error, BucketError::Cancelled)
}

fn ended(ended: Ended<BucketError>) -> StepError {
    match ended {
        Ended::Late => late(),
        Ended::Failed(error) => failed(error),
    }
}

/// Why objects were not moved. Where a store may be better soon, the step goes on from what was moved.
fn unmoved(ended: Ended<BucketError>) -> StepError {
    let error = match ended {
        Ended::Late => return late(),
        Ended::Failed(error) => error,
    };
    let message = error.to_string();
    match error {
        BucketError::Ledger(LedgerError(error)) => match error.downcast::<StepError>() {
            Ok(error) => *error,
            Err(_) => StepError::failed("internal", message),
        },
        BucketError::Differs { .. } => StepError::retryable(BUCKET_DIFFERS, message),
        error if error.may_pass() => StepError::transient(BUCKET_FAILED, message),
        error => failed(error),
    }
}

fn late() -> StepError {
    StepError::retryable("timeout", "the bucket took longer than it may")
}

fn failed(error: BucketError) -> StepError {
    match error {
        BucketError::Cancelled => StepError::Cancelled,
        error => StepError::retryable(BUCKET_FAILED, error.to_string()),
    }
}
