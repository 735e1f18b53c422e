//! Buckets that exist only in memory.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use berth_domain::VaultId;
use berth_engine::StepError;
use berth_engine::error::{BUCKET_FAILED, VAULT_FAILED};
use berth_engine::ports::{
    Bounds, BucketConfig, BucketCopy, Buckets, Copied, Earlier, HeldBucket, HeldBuckets, Moved, News,
    ObjectRecord, ObjectsMove, PutBack, ReadingOut, Tell,
};
use secrecy::{ExposeSecret as _, SecretString};

use crate::bucket_moves::Moves;

/// What a vault holds of an object, and its content; without one, the vault fails.
pub type Held = (ObjectRecord, Option<Vec<u8>>);

/// What happens to buckets, and what was done with them.
#[derive(Default)]
pub struct BucketState {
    /// What was copied: the bucket, the key's secret, the tags.
    pub copied: Mutex<Vec<(String, String, Vec<String>)>>,
    /// What was put back: the bucket, the key's secret, the snapshot.
    pub put: Mutex<Vec<(String, String, String)>>,
    /// The buckets that cannot be reached, as `HOST/NAME`.
    pub failing: Mutex<BTreeSet<String>>,
    /// What each copy could go on from.
    pub earlier: Mutex<Vec<Vec<Earlier>>>,
    /// For how many copies there is not time enough.
    pub hurried: Mutex<usize>,
    /// Whether copying waits until it is cancelled.
    pub hangs: Mutex<bool>,
    /// Whether restic itself has made every vault.
    pub foreign: Mutex<bool>,
    /// What cannot be had of each bucket.
    pub skipped: Mutex<BTreeMap<String, Vec<String>>>,
    /// What vaults hold of each bucket, by its name.
    pub held: Mutex<BTreeMap<String, Vec<Held>>>,
    /// What is moved from one to another.
    pub moves: Moves,
    /// Of which bucket each snapshot is.
    pub names: Mutex<BTreeMap<String, String>>,
}

/// The buckets of every vault.
struct FakeHeld(Arc<BucketState>);

struct OneHeld(Vec<Held>);

impl HeldBuckets for FakeHeld {
    fn open<'a>(&'a self, restic: &str) -> Result<Box<dyn HeldBucket + 'a>, StepError> {
        let name = self.0.names.lock().unwrap()[restic].clone();
        Ok(Box::new(OneHeld(self.0.held.lock().unwrap().get(&name).cloned().unwrap_or_default())))
    }
}

impl HeldBucket for OneHeld {
    fn region(&self) -> &str {
        "r"
    }

    fn objects(&self) -> Box<dyn Iterator<Item = &ObjectRecord> + '_> {
        Box::new(self.0.iter().map(|(object, _)| object))
    }

    fn content<'a>(&'a self, object: &ObjectRecord) -> Result<Box<dyn Read + 'a>, StepError> {
        let found = self.0.iter().find(|(known, _)| known.key == object.key).unwrap();
        let content =
            found.1.as_deref().ok_or_else(|| StepError::transient(VAULT_FAILED, "the disk is away"))?;
        Ok(Box::new(content))
    }
}

pub struct FakeBuckets(pub Arc<BucketState>);

fn place(config: &BucketConfig) -> String {
    format!("{}/{}", config.endpoint, config.name)
}

impl BucketState {
    fn reached(&self, config: &BucketConfig) -> Result<String, StepError> {
        let place = place(config);
        match self.failing.lock().unwrap().contains(&place) {
            true => Err(StepError::retryable(BUCKET_FAILED, "the store refuses the key (403 AccessDenied)")),
            false => Ok(place),
        }
    }
}

#[async_trait]
impl Buckets for FakeBuckets {
    async fn copy(
        &self,
        _: VaultId,
        _: &SecretString,
        copy: BucketCopy,
        bounds: &Bounds,
        mut tell: Tell,
    ) -> Result<Option<Copied>, StepError> {
        if *self.0.hangs.lock().unwrap() {
            bounds.cancel.cancelled().await;
            return Err(StepError::Cancelled);
        }
        if *self.0.foreign.lock().unwrap() {
            return Ok(None);
        }
        let place = self.0.reached(&copy.config)?;
        tell(News::Progress { done: 40, expected: 100 });
        tell(News::Progress { done: 100, expected: 100 });
        let mut copied = self.0.copied.lock().unwrap();
        let secret = copy.config.secret.expose_secret().to_owned();
        copied.push((place, secret, copy.title.tags.clone()));
        self.0.earlier.lock().unwrap().push(copy.earlier);
        let restic = format!("{:064}", copied.len());
        self.0.names.lock().unwrap().insert(restic.clone(), copy.config.name.clone());
        let complete = {
            let mut left = self.0.hurried.lock().unwrap();
            let before = *left;
            *left = before.saturating_sub(1);
            before == 0
        };
        let skipped = self.0.skipped.lock().unwrap().get(&copy.config.name).cloned().unwrap_or_default();
        Ok(Some(Copied { restic, objects: 3, bytes: 100, bytes_added: 60, skipped, complete }))
    }

    async fn put_back(
        &self,
        _: VaultId,
        _: &SecretString,
        config: &BucketConfig,
        restic: &str,
        _: &Bounds,
        _: Tell,
    ) -> Result<PutBack, StepError> {
        let place = self.0.reached(config)?;
        let secret = config.secret.expose_secret().to_owned();
        self.0.put.lock().unwrap().push((place, secret, restic.to_owned()));
        Ok(PutBack { objects: 2, bytes: 50, there: 1 })
    }

    async fn can_move(
        &self,
        from: &BucketConfig,
        into: &BucketConfig,
        _: &Bounds,
    ) -> Result<bool, StepError> {
        self.0.moves.can_move(from, into)
    }

    async fn move_objects(&self, what: ObjectsMove, bounds: &Bounds, tell: Tell) -> Result<Moved, StepError> {
        self.0.moves.pass(what, bounds, tell).await
    }

    async fn read_out(
        &self,
        _: VaultId,
        _: &SecretString,
        work: ReadingOut,
        _: &Bounds,
    ) -> Result<u64, StepError> {
        let held = FakeHeld(Arc::clone(&self.0));
        tokio::task::spawn_blocking(move || work(&held)).await.unwrap()
    }
}
