//! Repositories that lie elsewhere, of which there is one, in memory.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use berth_domain::{ServiceName, SnapshotId, VaultId};
use berth_engine::StepError;
use berth_engine::offsite::{Contents, Place, Told};
use berth_engine::ports::{Bounds, Extent, News, Offsites, Summing, TakenOver, Tell, Wanted};
use berth_protocol::ServiceFingerprint;
use secrecy::SecretString;

/// What the repository is called.
pub const REPOSITORY: &str = "abababababababababababababababababababababababababababababababab";

/// What happens to the repository, and what was done with it.
#[derive(Default)]
pub struct OffsiteState {
    /// What it is called; [`REPOSITORY`] unless a test says otherwise.
    pub repository: Mutex<Option<String>>,
    /// What its only snapshot tells.
    pub told: Mutex<Option<Told>>,
    /// How much is below each tree.
    pub extent: Mutex<Extent>,
    /// Why it cannot be had.
    pub trouble: Mutex<Option<StepError>>,
    /// Whether taking over waits until it is cancelled.
    pub hangs: Mutex<bool>,
    /// How long a look takes.
    pub look_takes: Mutex<Duration>,
    /// How many look at the moment.
    looking: AtomicUsize,
    /// How many looked at once at the most.
    pub most_looking: AtomicUsize,
    /// What was taken over: the password, and what each copy is called.
    pub taken: Mutex<Vec<(String, Vec<Wanted>)>>,
    /// What the directories come to.
    pub sums: Mutex<BTreeMap<ServiceName, ServiceFingerprint>>,
}

pub struct FakeOffsites(pub Arc<OffsiteState>);

impl FakeOffsites {
    fn id(&self) -> String {
        self.0.repository.lock().unwrap().clone().unwrap_or_else(|| REPOSITORY.into())
    }

    fn trouble(&self) -> Result<(), StepError> {
        self.0.trouble.lock().unwrap().clone().map_or(Ok(()), Err)
    }
}

#[async_trait]
impl Offsites for FakeOffsites {
    async fn look(&self, _: &Place, _: Option<SnapshotId>, _: &Bounds) -> Result<Contents, StepError> {
        let looking = self.0.looking.fetch_add(1, Ordering::Relaxed) + 1;
        self.0.most_looking.fetch_max(looking, Ordering::Relaxed);
        let takes = *self.0.look_takes.lock().unwrap();
        tokio::time::sleep(takes).await;
        self.0.looking.fetch_sub(1, Ordering::Relaxed);
        self.trouble()?;
        let chosen = Ok(self.0.told.lock().unwrap().clone());
        Ok(Contents { repository: self.id(), snapshots: Vec::new(), older: 0, chosen })
    }

    async fn read(
        &self,
        _: &Place,
        snapshot: SnapshotId,
        _: &Bounds,
    ) -> Result<(String, Option<Told>), StepError> {
        self.trouble()?;
        let told = self.0.told.lock().unwrap().clone().filter(|told| told.id == snapshot);
        Ok((self.id(), told))
    }

    async fn extents(&self, _: &Place, trees: Vec<[u8; 32]>, _: &Bounds) -> Result<Vec<Extent>, StepError> {
        Ok(vec![*self.0.extent.lock().unwrap(); trees.len()])
    }

    async fn take_over(
        &self,
        place: &Place,
        wanted: Vec<Wanted>,
        _: VaultId,
        _: &SecretString,
        bounds: &Bounds,
        mut tell: Tell,
    ) -> Result<Vec<TakenOver>, StepError> {
        self.trouble()?;
        tell(News::Progress { done: 5, expected: 10 });
        if *self.0.hangs.lock().unwrap() {
            bounds.cancel.cancelled().await;
            return Err(StepError::Cancelled);
        }
        let extent = *self.0.extent.lock().unwrap();
        let taken = wanted.iter().map(|wanted| TakenOver {
            restic: format!("own-{}", wanted.restic),
            extent,
            bytes_added: 3,
        });
        let taken = taken.collect();
        self.0.taken.lock().unwrap().push((place.password.expose().to_owned(), wanted));
        Ok(taken)
    }

    async fn sum(
        &self,
        _: VaultId,
        _: &SecretString,
        _: Vec<Summing>,
        _: &Bounds,
        _: Tell,
    ) -> Result<BTreeMap<ServiceName, ServiceFingerprint>, StepError> {
        Ok(self.0.sums.lock().unwrap().clone())
    }
}
