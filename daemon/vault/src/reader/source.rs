//! Where a reader reads, from a thread that may wait.

use std::sync::Arc;

use bytes::BytesMut;
use futures_util::TryStreamExt as _;
use tokio::runtime::Handle;

use crate::name::RepositoryName;
use crate::object::{Key, Kind, Sum};
use crate::storage::{Part, Storage, StorageError};

/// One repository.
pub(crate) struct Source {
    pub(crate) storage: Arc<dyn Storage>,
    pub(crate) repository: RepositoryName,
    pub(crate) runtime: Handle,
}

impl Source {
    pub(super) fn list(&self, kind: Kind) -> Result<Vec<Sum>, StorageError> {
        let entries = self.runtime.block_on(self.storage.list(&self.repository, kind))?;
        Ok(entries.into_iter().map(|entry| entry.name).collect())
    }

    pub(super) fn get(&self, key: &Key, part: Part) -> Result<BytesMut, StorageError> {
        self.runtime.block_on(async {
            let content = self.storage.get(&self.repository, key, part).await?;
            let length = content.range.end - content.range.start;
            let mut all =
                BytesMut::with_capacity(usize::try_from(length).unwrap_or(0).min(super::LARGEST_TREE));
            let mut bytes = content.bytes;
            let failed =
                |source| StorageError::Folder { what: format!("cannot read {}", key.path()), source };
            while let Some(some) = bytes.try_next().await.map_err(failed)? {
                all.extend_from_slice(&some);
            }
            Ok(all)
        })
    }
}
