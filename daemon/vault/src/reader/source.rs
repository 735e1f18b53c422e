//! Where a reader reads, from a thread that may wait.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

use crate::name::RepositoryName;
use crate::object::{Key, Kind, Sum};
use crate::storage::{Entry, Part, Storage, StorageError};

/// How much is read of one object at the most, in bytes: more than anything that is understood, as it is sealed.
pub(super) const MOST: usize = super::LARGEST_TREE + super::LARGEST_TREE / 64;

/// One repository, wherever it lies. Nothing of it is changed.
#[async_trait]
pub(crate) trait Place: Send + Sync {
    /// An object or a part of it, of so many bytes at the most.
    async fn get(&self, key: &Key, part: Part, most: usize) -> Result<Bytes, StorageError>;

    /// Every object of a kind.
    async fn list(&self, kind: Kind) -> Result<Vec<Entry>, StorageError>;
}

/// One of the repositories of a storage.
pub(crate) struct Within {
    pub(crate) storage: Arc<dyn Storage>,
    pub(crate) repository: RepositoryName,
}

#[async_trait]
impl Place for Within {
    async fn get(&self, key: &Key, part: Part, most: usize) -> Result<Bytes, StorageError> {
        let content = self.storage.get(&self.repository, key, part).await?;
        let length = content.range.end - content.range.start;
        let mut all = BytesMut::with_capacity(usize::try_from(length).unwrap_or(most).min(most));
        let mut bytes = content.bytes;
        let failed = |source| StorageError::Folder { what: format!("cannot read {}", key.path()), source };
        while let Some(some) = bytes.try_next().await.map_err(failed)? {
            all.extend_from_slice(&some);
            if all.len() > most {
                return Err(StorageError::TooLarge);
            }
        }
        Ok(all.freeze())
    }

    async fn list(&self, kind: Kind) -> Result<Vec<Entry>, StorageError> {
        self.storage.list(&self.repository, kind).await
    }
}

/// One repository, for a thread that may wait, until somebody wishes that it waits no more.
#[derive(Clone)]
pub(crate) struct Source {
    pub(crate) place: Arc<dyn Place>,
    pub(crate) runtime: Handle,
    pub(crate) stop: CancellationToken,
}

impl Source {
    pub(crate) fn list(&self, kind: Kind) -> Result<Vec<Sum>, StorageError> {
        let entries = self.wait(self.place.list(kind))?;
        Ok(entries.into_iter().map(|entry| entry.name).collect())
    }

    pub(crate) fn get(&self, key: &Key, part: Part) -> Result<Bytes, StorageError> {
        self.wait(self.place.get(key, part, MOST))
    }

    /// Several objects of a kind at once, each of so many bytes at the most, in any order.
    pub(super) fn get_each(
        &self,
        kind: Kind,
        names: &[Sum],
        most: usize,
    ) -> Result<Vec<(Sum, Bytes)>, StorageError> {
        let get = |name: Sum| async move {
            let bytes = self.place.get(&Key::Object(kind, name), Part::All, most).await?;
            Ok::<_, StorageError>((name, bytes))
        };
        self.wait(stream::iter(names.iter().copied().map(get)).buffer_unordered(names.len()).try_collect())
    }

    fn wait<T>(&self, what: impl Future<Output = Result<T, StorageError>>) -> Result<T, StorageError> {
        let done = self.runtime.block_on(self.stop.run_until_cancelled(what));
        done.unwrap_or(Err(StorageError::BrokenOff))
    }
}
