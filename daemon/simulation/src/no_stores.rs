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

fn absent<T>() -> Result<T, StepError> {
    Err(StepError::failed("absent", "nothing of that kind is here"))
}

/// No tenant of a simulated world has a bucket.
pub struct NoBuckets;

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
        absent()
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
        absent()
    }

    async fn can_move(&self, _: &BucketConfig, _: &BucketConfig, _: &Bounds) -> Result<bool, StepError> {
        absent()
    }

    async fn move_objects(&self, _: ObjectsMove, _: &Bounds, _: Tell) -> Result<Moved, StepError> {
        absent()
    }

    async fn read_out(
        &self,
        _: VaultId,
        _: &SecretString,
        _: ReadingOut,
        _: &Bounds,
    ) -> Result<u64, StepError> {
        absent()
    }
}

/// Nobody takes a tenant in of what its provider left.
pub struct NoOffsites;

#[async_trait]
impl Offsites for NoOffsites {
    async fn look(&self, _: &Place, _: Option<SnapshotId>, _: &Bounds) -> Result<Contents, StepError> {
        absent()
    }

    async fn read(&self, _: &Place, _: SnapshotId, _: &Bounds) -> Result<(String, Option<Told>), StepError> {
        absent()
    }

    async fn extents(&self, _: &Place, _: Vec<[u8; 32]>, _: &Bounds) -> Result<Vec<Extent>, StepError> {
        absent()
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
        absent()
    }

    async fn sum(
        &self,
        _: VaultId,
        _: &SecretString,
        _: Vec<Summing>,
        _: &Bounds,
        _: Tell,
    ) -> Result<BTreeMap<ServiceName, ServiceFingerprint>, StepError> {
        absent()
    }
}
