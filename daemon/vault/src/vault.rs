//! The vault: storage, who is let in, and what each repository holds.

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;
use secrecy::SecretString;
use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::access::Gate;
use crate::author::{Author, Emit};
use crate::init::{New, keys_of};
use crate::ledger::{Account, Ledger};
use crate::limits::Limits;
use crate::merge::{self, Completed, MOST_STEPS, MergeError};
use crate::name::RepositoryName;
use crate::object::{Key, Kind};
use crate::reader::{ReadError, Reader, Source, Within};
use crate::storage::{Kept, Storage, StorageError};

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

impl Inner {
    /// Keeps an object of our own, which no quota refuses.
    async fn keep(
        &self,
        account: &Arc<Account>,
        repository: &RepositoryName,
        key: Key,
        bytes: Bytes,
    ) -> Result<(), StorageError> {
        let (size, mut room) = (bytes.len() as u64, account.reserve(None));
        room.cover(size);
        let mut draft = self.storage.begin(repository, &key).await?;
        draft.write(bytes).await?;
        let current = account.current.read().await;
        if !*current {
            return Err(StorageError::NotFound);
        }
        let _turn = account.turn(&key).await;
        if draft.keep().await? == Kept::New {
            room.kept(size);
        }
        Ok(())
    }
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

    /// Has somebody read what a repository holds that [`Vault::init`] made, on a thread for that.
    ///
    /// # Errors
    /// [`StorageError::NotFound`] where the repository is not there or was made by somebody else; whatever `work` says.
    pub async fn read<T, E>(
        &self,
        repository: &RepositoryName,
        password: &SecretString,
        work: impl FnOnce(&Reader) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<ReadError> + Send + 'static,
    {
        self.is_made_of(repository, password).await.map_err(ReadError::from)?;
        let (source, keys) = (self.source(repository), keys_of(password));
        let done = tokio::task::spawn_blocking(move || work(&Reader::new(source, keys))).await;
        done.unwrap_or_else(|_| Err(ReadError::from(StorageError::BrokenOff).into()))
    }

    /// Has somebody write snapshots into a repository that [`Vault::init`] made, on a thread for that.
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
        let mut author = self.new_author(repository, password).await?;
        let done = tokio::task::spawn_blocking(move || work(&mut author)).await;
        done.unwrap_or_else(|_| Err(StorageError::BrokenOff.into()))
    }

    /// Has somebody write snapshots, as [`Vault::author`], of what is there already.
    ///
    /// # Errors
    /// As those of [`Vault::author`] and of [`Vault::read`].
    pub async fn rewrite<T, E>(
        &self,
        repository: &RepositoryName,
        password: &SecretString,
        work: impl FnOnce(&Reader, &mut Author) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StorageError> + From<ReadError> + Send + 'static,
    {
        let mut author = self.new_author(repository, password).await?;
        self.read(repository, password, move |reader| work(reader, &mut author)).await
    }

    /// Makes a snapshot of everything of each state to which deltas lead ([`berth_delta`]), up to each service's newest.
    ///
    /// # Errors
    /// [`MergeError`]; what was made until then stays.
    pub async fn merge(
        &self,
        repository: &RepositoryName,
        password: &SecretString,
    ) -> Result<(), MergeError> {
        for _ in 0..MOST_STEPS {
            if !self.rewrite(repository, password, merge::go_on).await? {
                return Ok(());
            }
        }
        Err(MergeError::TooMuch("deltas"))
    }

    /// The id of the snapshot of everything of one that may be just the rest of it ([`berth_delta`]): it is made of that and of those
    /// before. Asked once more, it is the same. Of a snapshot that is whole, its own; of one in a repository that restic itself has made,
    /// as well.
    ///
    /// # Errors
    /// [`MergeError`]
    pub async fn complete(
        &self,
        repository: &RepositoryName,
        password: &SecretString,
        snapshot: &str,
    ) -> Result<String, MergeError> {
        if !self.is_ours(repository, password).await? {
            return Ok(snapshot.to_owned());
        }
        for _ in 0..MOST_STEPS {
            let id = snapshot.to_owned();
            let step = move |reader: &Reader, author: &mut Author| merge::complete(&id, reader, author);
            if let Completed::Whole(id) = self.rewrite(repository, password, step).await? {
                return Ok(id);
            }
        }
        Err(MergeError::TooMuch("deltas"))
    }

    /// What an author keeps is counted, whoever else adds to the repository meanwhile.
    async fn new_author(
        &self,
        repository: &RepositoryName,
        password: &SecretString,
    ) -> Result<Author, StorageError> {
        self.is_made_of(repository, password).await?;
        let inner = Arc::clone(&self.inner);
        let account = inner.ledger.account(&*inner.storage, repository).await?;
        let (runtime, into) = (Handle::current(), repository.clone());
        let emit: Emit =
            Box::new(move |key, bytes| runtime.block_on(inner.keep(&account, &into, key, bytes)));
        Ok(Author::of(password, emit))
    }

    /// Whether [`Vault::init`] made a repository of this password; not where restic itself did.
    ///
    /// # Errors
    /// The place fails.
    pub async fn is_ours(
        &self,
        repository: &RepositoryName,
        password: &SecretString,
    ) -> Result<bool, StorageError> {
        match self.is_made_of(repository, password).await {
            Err(StorageError::NotFound) => Ok(false),
            made => made.map(|()| true),
        }
    }

    async fn is_made_of(
        &self,
        repository: &RepositoryName,
        password: &SecretString,
    ) -> Result<(), StorageError> {
        self.inner.storage.size(repository, &New::of(password).key_name()).await.map(drop)
    }

    fn source(&self, repository: &RepositoryName) -> Source {
        let storage = Arc::clone(&self.inner.storage);
        let place = Arc::new(Within { storage, repository: repository.clone() });
        Source { place, runtime: Handle::current(), stop: CancellationToken::new() }
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
