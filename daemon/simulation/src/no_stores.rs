//! Stores that no simulated world has: nobody there has a bucket, or takes a tenant in of what its provider left.

use std::collections::BTreeMap;

use async_trait::async_trait;
use berth_domain::{ServiceName, SnapshotId, VaultId};
use berth_engine::StepError;
use berth_engine::offsite::{Contents, Place, Told};
use berth_engine::ports::{
    Bounds, BucketConfig, BucketCopy, Buckets, Copied, Extent, Moved, ObjectsMove, Offsites, PutBack,
    ReadingOut, Summing, TakenOver, Tell, Wanted,
};
use berth_protocol::ServiceFingerprint;
use secrecy::SecretString;

/// No tenant of a simulated world has a bucket.
pub(crate) struct NoBuckets;

#[async_trait]
impl Buckets for NoBuckets {
    async fn copy(
        &self,
        _: VaultId,
        _: &SecretString,
        _: BucketCopy,
        _: &Bounds,
        _: Tell,
    ) -> Result<Option<Copied>, StepError> {
        Err(StepError::failed("absent", "nothing of that kind is here"))
    }

    async fn put_back(
        &self,
        _: VaultId,
        _: &SecretString,
        _: &BucketConfig,
        _: &str,
        _: &Bounds,
        _: Tell,
    ) -> Result<PutBack, StepError> {
        Err(StepError::failed("absent", "nothing of that kind is here"))
    }

    async fn can_move(&self, _: &BucketConfig, _: &BucketConfig, _: &Bounds) -> Result<bool, StepError> {
        Err(StepError::failed("absent", "nothing of that kind is here"))
    }

    async fn move_objects(&self, _: ObjectsMove, _: &Bounds, _: Tell) -> Result<Moved, StepError> {
        Err(StepError::failed("absent", "nothing of that kind is here"))
    }

    async fn read_out(
        &self,
        _: VaultId,
        _: &SecretString,
        _: ReadingOut,
        _: &Bounds,
    ) -> Result<u64, StepError> {
        Err(StepError::failed("absent", "nothing of that kind is here"))
    }
}

/// Nobody takes a tenant in of what its provider left.
pub(crate) struct NoOffsites;

#[async_trait]
impl Offsites for NoOffsites {
    async fn look(&self, _: &Place, _: Option<SnapshotId>, _: &Bounds) -> Result<Contents, StepError> {
        Err(StepError::failed("absent", "nothing of that kind is here"))
    }

    async fn read(&self, _: &Place, _: SnapshotId, _: &Bounds) -> Result<(String, Option<Told>), StepError> {
        Err(StepError::failed("absent", "nothing of that kind is here"))
    }

    async fn extents(&self, _: &Place, _: Vec<[u8; 32]>, _: &Bounds) -> Result<Vec<Extent>, StepError> {
        Err(StepError::failed("absent", "nothing of that kind is here"))
    }

    async fn take_over(
        &self,
        _: &Place,
        _: Vec<Wanted>,
        _: VaultId,
        _: &SecretString,
        _: &Bounds,
        _: Tell,
    ) -> Result<Vec<TakenOver>, StepError> {
        Err(StepError::failed("absent", "nothing of that kind is here"))
    }

    async fn sum(
        &self,
        _: VaultId,
        _: &SecretString,
        _: Vec<Summing>,
        _: &Bounds,
        _: Tell,
    ) -> Result<BTreeMap<ServiceName, ServiceFingerprint>, StepError> {
        Err(StepError::failed("absent", "nothing of that kind is here"))
    }
}
