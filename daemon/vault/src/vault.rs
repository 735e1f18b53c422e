//! The vault: storage, who is let in, and what each repository holds.

use std::collections::BTreeSet;
use std::sync::Arc;

use secrecy::SecretString;
use tokio::runtime::Handle;
use tokio::sync::Semaphore;

use crate::access::Gate;
use crate::author::{Author, Emit};
use crate::init::New;
use crate::ledger::Ledger;
use crate::limits::Limits;
use crate::name::RepositoryName;
use crate::object::{Key, Kind};
use crate::storage::{Storage, StorageError};

/// Repositories at one place. Clones are the same vault. Usage is counted by this process: two that write to the same
/// repository do not see each other's bytes until they are started again.
#[derive(Clone)]
pub struct Vault {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) storage: Arc<dyn Storage>,
    pub(crate) gate: Arc<dyn Gate>,
    pub(crate) limits: Limits,
    pub(crate) ledger: Ledger,
    /// Turns for uploads of all repositories.
    pub(crate) turns: Semaphore,
}

impl Vault {
    /// A vault at a place, for whom a gate lets in.
    pub fn new(storage: Arc<dyn Storage>, gate: Arc<dyn Gate>, limits: Limits) -> Self {
        let ledger = Ledger::new(limits.uploads_per_repository);
        let turns = Semaphore::new(limits.uploads);
        Self { inner: Arc::new(Inner { storage, gate, limits, ledger, turns }) }
    }

    /// The bytes of all objects in a repository; 0 where there is none. The first call lists it, later ones do not.
    ///
    /// # Errors
    /// The place fails.
    pub async fn usage(&self, repository: &RepositoryName) -> Result<u64, StorageError> {
        Ok(self.inner.ledger.account(&*self.inner.storage, repository).await?.used())
    }

    /// The ids of the snapshots in a repository, which are their objects' names; none where there is no repository.
    ///
    /// # Errors
    /// The place fails.
    pub async fn snapshots(&self, repository: &RepositoryName) -> Result<BTreeSet<String>, StorageError> {
        let entries = self.inner.storage.list(repository, Kind::Snapshots).await?;
        Ok(entries.into_iter().map(|entry| entry.name.to_string()).collect())
    }

    /// Removes a repository and everything in it. Uploads that are under way leave nothing. Harmless where there is none.
    ///
    /// # Errors
    /// The place fails; what is left goes when it is tried again.
    pub async fn destroy(&self, repository: &RepositoryName) -> Result<(), StorageError> {
        let (inner, repository) = (self.inner.clone(), repository.clone());
        // Carried to its end, also when nobody waits any more.
        let done = tokio::spawn(async move {
            let account = inner.ledger.uncounted(&repository);
            let mut current = account.current.write().await;
            let removed = inner.storage.destroy(&repository).await;
            *current = false;
            inner.ledger.close(&repository);
            removed
        });
        done.await.map_err(|_| StorageError::BrokenOff)?
    }

    /// Every repository, in the order of names.
    ///
    /// # Errors
    /// The place fails.
    pub async fn list_repositories(&self) -> Result<Vec<RepositoryName>, StorageError> {
        self.inner.storage.repositories().await
    }

    /// Makes room for a repository, as the first request of `restic init` does.
    ///
    /// # Errors
    /// The place fails.
    pub async fn create(&self, repository: &RepositoryName) -> Result<(), StorageError> {
        self.inner.storage.create(repository).await
    }

    /// Makes a repository as `restic init` does, unless it is there; but restic takes half a second less to open it each time,
    /// as it may try the password quickly. So the password must not be one that can be guessed: 128 random bits at the least.
    ///
    /// # Errors
    /// The place fails; done again, what is missing is added.
    pub async fn init(
        &self,
        repository: &RepositoryName,
        password: &SecretString,
    ) -> Result<(), StorageError> {
        let account = self.inner.ledger.uncounted(repository);
        let mut current = account.current.write().await;
        let made = New::of(password).keep(&*self.inner.storage, repository).await;
        if !matches!(made, Ok(false)) {
            // What was counted before does not know of it.
            *current = false;
            self.inner.ledger.close(repository);
        }
        made.map(drop)
    }

    /// Has somebody write snapshots into a repository that [`Vault::init`] made, on a thread for that. Nobody else may write to it
    /// meanwhile.
    ///
    /// # Errors
    /// [`StorageError::NotFound`] where the repository is not there or was made by somebody else; whatever `work` says.
    pub async fn author<T, E>(
        &self,
        repository: &RepositoryName,
        password: &SecretString,
        work: impl FnOnce(&mut Author) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StorageError> + Send + 'static,
    {
        let storage = Arc::clone(&self.inner.storage);
        storage.size(repository, &New::of(password).key_name()).await?;
        let (runtime, into) = (Handle::current(), repository.clone());
        let emit: Emit = Box::new(move |key, bytes| {
            runtime.block_on(async {
                let mut draft = storage.begin(&into, &key).await?;
                draft.write(bytes).await?;
                draft.keep().await.map(drop)
            })
        });
        let mut author = Author::of(password, emit);
        let done = tokio::task::spawn_blocking(move || work(&mut author)).await;
        // What was counted before does not know of it.
        *self.inner.ledger.uncounted(repository).current.write().await = false;
        self.inner.ledger.close(repository);
        done.unwrap_or_else(|_| Err(StorageError::BrokenOff.into()))
    }

    /// Removes an object. Harmless where there is none.
    pub(crate) async fn remove(&self, repository: &RepositoryName, key: &Key) -> Result<(), StorageError> {
        let (inner, repository, key) = (self.inner.clone(), repository.clone(), *key);
        // What is removed is also subtracted, whoever waits.
        let done = tokio::spawn(async move {
            let account = inner.ledger.account(&*inner.storage, &repository).await?;
            let _turn = account.turn(&key).await;
            if let Some(bytes) = inner.storage.delete(&repository, &key).await? {
                account.removed(bytes);
            }
            Ok(())
        });
        done.await.map_err(|_| StorageError::BrokenOff)?
    }
}

impl std::fmt::Debug for Vault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Vault").field("storage", &self.inner.storage).finish_non_exhaustive()
    }
}
