//! Repositories that lie elsewhere, read from this host.

use std::collections::BTreeMap;
use std::path::Path;

use async_trait::async_trait;
use berth_domain::{ServiceName, SnapshotId, VaultId};
use berth_protocol::ServiceFingerprint;
use berth_vault::buckets::News;
use berth_vault::offsite::{Opening, TakingOver};
use berth_vault::{OffsiteError, Reaching, ReadError, Reader, Vault};
use secrecy::SecretString;
use tokio_util::sync::CancellationToken;

use super::in_time::{Ended, in_time};
use super::vaults::repository;
use crate::directory_sum::DirectorySum;
use crate::error::{StepError, VAULT_FAILED};
use crate::offsite::{Contents, Place, Told, failed, find, look};
use crate::ports::{Bounds, Extent, Offsites, Summing, TakenOver, Tell, Wanted};

/// Takes repositories over into the vaults of this daemon's own server.
pub struct LocalOffsites {
    vault: Vault,
    reaching: Reaching,
}

impl LocalOffsites {
    /// Into a vault, from places that may be reached.
    pub fn new(vault: Vault, reaching: Reaching) -> Self {
        Self { vault, reaching }
    }

    fn opening(&self, place: &Place, cancel: CancellationToken) -> Opening {
        let password = SecretString::from(place.password.expose());
        Opening { location: place.location(), password, reaching: self.reaching.clone(), cancel }
    }
}

#[async_trait]
impl Offsites for LocalOffsites {
    async fn look(
        &self,
        place: &Place,
        snapshot: Option<SnapshotId>,
        bounds: &Bounds,
    ) -> Result<Contents, StepError> {
        let cancel = bounds.cancel.child_token();
        let opening = self.opening(place, cancel.clone());
        let work = opening.look(move |offsite| look(offsite, snapshot).map_err(Unseen));
        in_time(bounds, &cancel, Unseen::is_the_end, work).await.map_err(ended(|Unseen(error)| error))
    }

    async fn read(
        &self,
        place: &Place,
        snapshot: SnapshotId,
        bounds: &Bounds,
    ) -> Result<(String, Option<Told>), StepError> {
        let cancel = bounds.cancel.child_token();
        let opening = self.opening(place, cancel.clone());
        let work =
            opening.look(move |offsite| Ok((offsite.id.clone(), find(offsite, snapshot).map_err(Unseen)?)));
        in_time(bounds, &cancel, Unseen::is_the_end, work).await.map_err(ended(|Unseen(error)| error))
    }

    async fn extents(
        &self,
        place: &Place,
        trees: Vec<[u8; 32]>,
        bounds: &Bounds,
    ) -> Result<Vec<Extent>, StepError> {
        let cancel = bounds.cancel.child_token();
        let opening = self.opening(place, cancel.clone());
        let work = opening.look(move |offsite| offsite.extents(&trees));
        in_time(bounds, &cancel, is_the_end, work).await.map_err(ended(failed))
    }

    async fn take_over(
        &self,
        place: &Place,
        wanted: Vec<Wanted>,
        vault: VaultId,
        key: &SecretString,
        bounds: &Bounds,
        tell: Tell,
    ) -> Result<Vec<TakenOver>, StepError> {
        let (repository, cancel) = (repository(vault)?, bounds.cancel.child_token());
        let what = TakingOver { opening: self.opening(place, cancel.clone()), wanted };
        let work = self.vault.take_over(&repository, key, what, tell);
        in_time(bounds, &cancel, is_the_end, work).await.map_err(ended(failed))
    }

    async fn sum(
        &self,
        vault: VaultId,
        key: &SecretString,
        what: Vec<Summing>,
        bounds: &Bounds,
        tell: Tell,
    ) -> Result<BTreeMap<ServiceName, ServiceFingerprint>, StepError> {
        let (repository, cancel) = (repository(vault)?, bounds.cancel.child_token());
        let stop = cancel.clone();
        let work = self.vault.read(&repository, key, move |reader| {
            let mut summed = Sums { reader, stop, tell, done: 0 };
            what.iter().map(|what| Ok((what.service.clone(), summed.service(what)?))).collect()
        });
        let unread = |error: Option<ReadError>| match error {
            None => StepError::Cancelled,
            Some(error) => StepError::transient(VAULT_FAILED, error.to_string()),
        };
        in_time(bounds, &cancel, Unsummed::is_the_end, work).await.map_err(ended(|Unsummed(e)| unread(e)))
    }
}

fn is_the_end(error: &OffsiteError) -> bool {
    matches!(error, OffsiteError::Cancelled)
}

fn ended<E>(told: impl Fn(E) -> StepError) -> impl Fn(Ended<E>) -> StepError {
    move |ended| match ended {
        Ended::Late => StepError::retryable("timeout", "the repository took longer than it may"),
        Ended::Failed(error) => told(error),
    }
}

/// Why a repository could not be looked into.
struct Unseen(StepError);

impl Unseen {
    fn is_the_end(&self) -> bool {
        self.0 == StepError::Cancelled
    }
}

impl From<OffsiteError> for Unseen {
    fn from(error: OffsiteError) -> Self {
        Self(failed(error))
    }
}

/// Why directories could not be summed up; nothing where somebody wished to end it.
struct Unsummed(Option<ReadError>);

impl Unsummed {
    fn is_the_end(&self) -> bool {
        self.0.is_none()
    }
}

impl From<ReadError> for Unsummed {
    fn from(error: ReadError) -> Self {
        Self(Some(error))
    }
}

/// Directories that are summed up one after the other.
struct Sums<'a> {
    reader: &'a Reader,
    stop: CancellationToken,
    tell: Tell,
    done: u64,
}

impl Sums<'_> {
    fn service(&mut self, what: &Summing) -> Result<ServiceFingerprint, Unsummed> {
        let root = self.reader.snapshot(&what.restic)?.tree;
        let mut found = ServiceFingerprint::default();
        for path in &what.directories {
            if let Some(tree) = self.reader.directory(root, Path::new(path))? {
                found.directories.insert(path.clone(), self.directory(tree)?.fingerprint());
            }
        }
        Ok(found)
    }

    fn directory(&mut self, tree: [u8; 32]) -> Result<DirectorySum, Unsummed> {
        let mut sum = DirectorySum::default();
        let Self { reader, stop, tell, done } = self;
        let whole = reader.sum(tree, &mut |entry, read| {
            if let Some(entry) = entry {
                sum.add(entry.path, entry.kind, entry.mode, entry.size, entry.content);
            }
            *done += read;
            if read > 0 {
                tell(News::Progress { done: *done, expected: 0 });
            }
            !stop.is_cancelled()
        })?;
        whole.then_some(sum).ok_or(Unsummed(None))
    }
}
