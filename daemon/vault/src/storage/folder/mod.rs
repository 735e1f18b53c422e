//! Repositories in a folder of this host, in restic's own layout: `restic -r FOLDER/NAME` reads them as well.

mod draft;
mod files;

use std::io::{self, ErrorKind, SeekFrom};
use std::path::{Path, PathBuf};

use async_trait::async_trait;
use futures_util::StreamExt as _;
use tokio::fs::File;
use tokio::io::{AsyncReadExt as _, AsyncSeekExt as _};
use tokio::task::spawn_blocking;
use tokio_util::io::ReaderStream;

use self::draft::FolderDraft;
use super::{Content, Draft, Entry, Part, Storage, StorageError};
use crate::name::RepositoryName;
use crate::object::{Key, Kind};

/// How many bytes are read at once.
const CHUNK: usize = 64 * 1024;

/// A folder of repositories, which is this process' own: nobody else can read what it makes there.
#[derive(Debug, Clone)]
pub struct FolderStorage {
    root: PathBuf,
}

impl FolderStorage {
    /// Opens a folder, which is made if it is not there. What an earlier process left half done goes.
    ///
    /// # Errors
    /// It cannot be made, read or tidied.
    pub async fn open(root: &Path) -> Result<Self, StorageError> {
        let opened = Self { root: root.to_owned() };
        let root = root.to_owned();
        blocking("open the vault's folder", move || {
            files::make_folder(&root)?;
            files::tidy(&root)
        })
        .await?;
        Ok(opened)
    }

    fn repository(&self, name: &RepositoryName) -> PathBuf {
        self.root.join(name.as_str())
    }

    fn path(&self, repository: &RepositoryName, key: &Key) -> PathBuf {
        self.repository(repository).join(key.path())
    }
}

#[async_trait]
impl Storage for FolderStorage {
    async fn create(&self, repository: &RepositoryName) -> Result<(), StorageError> {
        let (root, folder) = (self.root.clone(), self.repository(repository));
        blocking("make a repository", move || files::make_repository(&root, &folder)).await
    }

    async fn get(&self, repository: &RepositoryName, key: &Key, part: Part) -> Result<Content, StorageError> {
        let failed = |source| failure("read an object", source);
        let mut file = File::open(self.path(repository, key)).await.map_err(failed)?;
        let size = file.metadata().await.map_err(failed)?.len();
        let range = part.of(size).ok_or(StorageError::OutOfRange { size })?;
        if range.start > 0 {
            file.seek(SeekFrom::Start(range.start)).await.map_err(failed)?;
        }
        let wanted = file.take(range.end - range.start);
        Ok(Content { size, range, bytes: ReaderStream::with_capacity(wanted, CHUNK).boxed() })
    }

    async fn size(&self, repository: &RepositoryName, key: &Key) -> Result<u64, StorageError> {
        let metadata = tokio::fs::metadata(self.path(repository, key)).await;
        Ok(metadata.map_err(|source| failure("look at an object", source))?.len())
    }

    async fn begin(&self, repository: &RepositoryName, key: &Key) -> Result<Box<dyn Draft>, StorageError> {
        let (folder, path) = (self.repository(repository), self.path(repository, key));
        let draft = blocking("begin an object", move || FolderDraft::new(&folder, path)).await?;
        Ok(Box::new(draft))
    }

    async fn delete(&self, repository: &RepositoryName, key: &Key) -> Result<Option<u64>, StorageError> {
        let path = self.path(repository, key);
        blocking("remove an object", move || files::remove(&path)).await
    }

    async fn list(&self, repository: &RepositoryName, kind: Kind) -> Result<Vec<Entry>, StorageError> {
        let folder = self.repository(repository).join(kind.as_str());
        blocking("list objects", move || files::list(&folder, kind)).await
    }

    async fn repositories(&self) -> Result<Vec<RepositoryName>, StorageError> {
        let root = self.root.clone();
        blocking("list repositories", move || files::repositories(&root)).await
    }

    async fn room(&self) -> Result<Option<u64>, StorageError> {
        let root = self.root.clone();
        let look = move || {
            let found = rustix::fs::statvfs(&root)?;
            Ok(found.f_bavail.saturating_mul(found.f_frsize))
        };
        blocking("look for room", look).await.map(Some)
    }

    async fn destroy(&self, repository: &RepositoryName) -> Result<(), StorageError> {
        let (root, folder) = (self.root.clone(), self.repository(repository));
        blocking("remove a repository", move || files::destroy(&root, &folder)).await
    }
}

/// Runs what waits for a disk where waiting is allowed. It is carried to its end, also when nobody waits any more.
async fn blocking<T: Send + 'static>(
    what: &'static str,
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Result<T, StorageError> {
    let done = spawn_blocking(work).await.map_err(|_| StorageError::BrokenOff)?;
    done.map_err(|source| failure(what, source))
}

fn failure(what: &str, source: io::Error) -> StorageError {
    match source.kind() {
        ErrorKind::NotFound => StorageError::NotFound,
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => StorageError::NoSpace,
        _ => StorageError::Folder { what: format!("cannot {what}"), source },
    }
}
