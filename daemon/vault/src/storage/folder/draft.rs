//! An object under a temporary name.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use async_trait::async_trait;
use bytes::Bytes;
use tokio::io::AsyncWriteExt as _;

use super::{blocking, failure, files};
use crate::storage::{Draft, Kept, StorageError};

/// A file beside the objects, in the same file system.
#[derive(Debug)]
pub(super) struct FolderDraft {
    file: tokio::fs::File,
    name: Temporary,
    path: PathBuf,
}

/// A temporary name. Dropped, nothing has it any more.
#[derive(Debug)]
struct Temporary(PathBuf);

impl Drop for Temporary {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

impl FolderDraft {
    /// A draft of what will be at `path`, in the repository of this folder.
    pub(super) fn new(repository: &Path, path: PathBuf) -> io::Result<Self> {
        let drafts = repository.join(files::DRAFTS);
        // A repository that was brought here from elsewhere has no such folder; one that was destroyed does not come back.
        files::make_below(repository, &drafts)?;
        let temporary = drafts.join(files::random_name()?);
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary)?;
        Ok(Self { file: file.into(), name: Temporary(temporary), path })
    }
}

#[async_trait]
impl Draft for FolderDraft {
    async fn write(&mut self, bytes: Bytes) -> Result<(), StorageError> {
        self.file.write_all(&bytes).await.map_err(|source| failure("write an object", source))
    }

    async fn keep(mut self: Box<Self>) -> Result<Kept, StorageError> {
        // What was written last may be under way still, and says only here that it failed.
        self.file.flush().await.map_err(|source| failure("write an object", source))?;
        let Self { file, name, path } = *self;
        let file = file.into_std().await;
        blocking("keep an object", move || appear(&file, &name, &path)).await
    }
}

/// Gives it its name. The content is on the disk before the name is, so that no crash leaves a name without its content.
fn appear(file: &File, temporary: &Temporary, path: &Path) -> io::Result<Kept> {
    file.sync_all()?;
    let folder = path.parent().ok_or_else(|| io::Error::from(ErrorKind::InvalidInput))?;
    let mut linked = std::fs::hard_link(&temporary.0, path);
    if linked.as_ref().is_err_and(|error| error.kind() == ErrorKind::NotFound) && temporary.0.exists() {
        // restic itself makes the 256 folders of packs only as it needs them.
        files::make_folder(folder)?;
        linked = std::fs::hard_link(&temporary.0, path);
    }
    match linked {
        Ok(()) => {
            files::sync(folder)?;
            Ok(Kept::New)
        }
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(Kept::ThereAlready),
        Err(error) => Err(error),
    }
}
