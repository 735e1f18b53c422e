//! Where a repository lies that is not ours: below a prefix of a bucket, or in a folder of this host. Only reading is known here.

use std::fmt;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use berth_bundle::Beneath;
use bytes::Bytes;

use super::OffsiteError;
use crate::buckets::{Bucket, BucketConfig, BucketError, Reach};
use crate::object::{Key, Kind};
use crate::reader::Place;
use crate::storage::{Entry, Part, StorageError};

/// How many objects of a kind a folder may have.
const MOST: usize = 5_000_000;

/// Where a repository lies.
#[derive(Clone)]
pub enum Location {
    /// In a bucket, below a prefix: objects are at `PREFIX/config` and so on, as restic has it.
    Bucket {
        /// The bucket, and what opens it.
        config: BucketConfig,
        /// What the keys begin with, without slashes at its ends; empty for none.
        prefix: String,
    },
    /// In a folder of this host.
    Folder(PathBuf),
}

/// Which places may be reached: whoever asks must not have this host read what is not theirs.
#[derive(Debug, Clone, Default)]
pub struct Reaching {
    /// Where stores may be.
    pub stores: Reach,
    /// The folder below which repositories may lie; without it, none of this host's is read.
    pub folders: Option<PathBuf>,
}

impl fmt::Debug for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bucket { config, prefix } => write!(f, "Bucket({config:?}, {prefix:?})"),
            Self::Folder(path) => write!(f, "Folder({})", path.display()),
        }
    }
}

impl Location {
    /// The place, of which nothing is asked yet.
    pub(super) fn place(&self, reaching: &Reaching) -> Result<Arc<dyn Place>, OffsiteError> {
        match self {
            Self::Bucket { config, prefix } => {
                let bucket = Bucket::new(config, &reaching.stores);
                let bucket = bucket.map_err(|error| OffsiteError::Location(error.to_string()))?;
                let prefix = prefix.trim_matches('/');
                if prefix.split('/').any(|part| matches!(part, "." | "..")) {
                    return Err(OffsiteError::Location("no part of the prefix may be . or ..".into()));
                }
                let before = if prefix.is_empty() { String::new() } else { format!("{prefix}/") };
                Ok(Arc::new(InBucket { bucket, before }))
            }
            Self::Folder(path) => Ok(Arc::new(InFolder(Arc::new(folder(path, reaching)?)))),
        }
    }
}

/// A folder that may be read.
fn folder(path: &Path, reaching: &Reaching) -> Result<Beneath, OffsiteError> {
    let refused = |why: String| OffsiteError::Location(why);
    let root = reaching.folders.as_ref().ok_or_else(|| {
        refused("this daemon reads no repositories from folders: vault.import_folder is not set".into())
    })?;
    let below = path.strip_prefix(root).ok().filter(|below| {
        let plain = |part: Component<'_>| matches!(part, Component::Normal(_));
        below.components().next().is_some() && below.components().all(plain)
    });
    let below =
        below.ok_or_else(|| refused(format!("a repository must be in a folder below {}", root.display())))?;
    let root = Beneath::open(root)
        .map_err(|error| refused(format!("{} cannot be read: {error}", root.display())))?;
    root.folder(below).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => OffsiteError::NoRepository,
        _ => refused(format!("{} cannot be read: {error}", path.display())),
    })
}

/// Below a prefix, which is empty or ends with a slash.
struct InBucket {
    bucket: Bucket,
    before: String,
}

#[async_trait]
impl Place for InBucket {
    async fn get(&self, key: &Key, part: Part, most: usize) -> Result<Bytes, StorageError> {
        Ok(self.bucket.bytes(&format!("{}{}", self.before, key.path()), part, most).await.map_err(failed)?)
    }

    async fn list(&self, kind: Kind) -> Result<Vec<Entry>, StorageError> {
        let folder = format!("{}{}/", self.before, kind.as_str());
        let listed = self.bucket.list_below(&folder).await;
        let entry = |listed: crate::buckets::Listed| {
            // Whatever else a store tells of.
            let name = listed.key.strip_prefix(&folder)?.rsplit('/').next()?.parse().ok()?;
            Some(Entry { name, size: listed.size })
        };
        Ok(listed.map_err(failed)?.into_iter().filter_map(entry).collect())
    }
}

fn failed(error: BucketError) -> StorageError {
    match error {
        BucketError::NoObject => StorageError::NotFound,
        error => StorageError::Bucket(Box::new(error)),
    }
}

/// In a folder, out of which no link leads.
struct InFolder(Arc<Beneath>);

impl InFolder {
    async fn read<T: Send + 'static>(
        &self,
        what: String,
        work: impl FnOnce(&Beneath) -> io::Result<T> + Send + 'static,
    ) -> Result<T, StorageError> {
        let folder = Arc::clone(&self.0);
        let done = tokio::task::spawn_blocking(move || work(&folder)).await;
        done.map_err(|_| StorageError::BrokenOff)?.map_err(|source| match source.kind() {
            io::ErrorKind::NotFound => StorageError::NotFound,
            io::ErrorKind::FileTooLarge => StorageError::TooLarge,
            _ => StorageError::Folder { what: format!("cannot read {what}"), source },
        })
    }
}

#[async_trait]
impl Place for InFolder {
    async fn get(&self, key: &Key, part: Part, most: usize) -> Result<Bytes, StorageError> {
        let path = key.path();
        let what = path.clone();
        let read = move |folder: &Beneath| {
            let mut file = folder.file(&path)?;
            let size = file.metadata()?.len();
            let Some(range) = part.of(size) else { return Ok(Err(size)) };
            if range.end - range.start > most as u64 {
                return Err(io::ErrorKind::FileTooLarge.into());
            }
            file.seek(SeekFrom::Start(range.start))?;
            let mut bytes = Vec::new();
            file.take(range.end - range.start).read_to_end(&mut bytes)?;
            Ok(Ok(bytes))
        };
        match self.read(what, read).await? {
            Ok(bytes) => Ok(bytes.into()),
            Err(size) => Err(StorageError::OutOfRange { size }),
        }
    }

    async fn list(&self, kind: Kind) -> Result<Vec<Entry>, StorageError> {
        let list = move |folder: &Beneath| {
            let folder = match folder.folder(kind.as_str()) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
                folder => folder?,
            };
            let names = folder.names()?;
            if names.len() > MOST {
                return Err(io::ErrorKind::FileTooLarge.into());
            }
            // Packs are never listed: the index says where they are.
            let entries = names.iter().filter_map(|name| Some(Entry { name: name.parse().ok()?, size: 0 }));
            Ok(entries.collect())
        };
        self.read(format!("{}/", kind.as_str()), list).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_below_the_folder_that_was_configured_is_read() {
        let place = tempfile::tempdir().unwrap();
        let root = place.path().join("from");
        std::fs::create_dir_all(root.join("acme")).unwrap();
        std::fs::create_dir_all(place.path().join("other")).unwrap();
        std::os::unix::fs::symlink(place.path().join("other"), root.join("link")).unwrap();
        let reaching = Reaching { folders: Some(root.clone()), ..Reaching::default() };
        assert!(folder(&root.join("acme"), &reaching).is_ok());
        for bad in ["link", "../other", "", ".."] {
            let refused = folder(&root.join(bad), &reaching);
            assert!(matches!(refused, Err(OffsiteError::Location(_))), "{bad}");
        }
        assert!(matches!(folder(&root.join("none"), &reaching), Err(OffsiteError::NoRepository)));
        let refused = folder(&place.path().join("other"), &reaching).unwrap_err();
        assert!(refused.to_string().contains("below"), "{refused}");
        let refused = folder(&root.join("acme"), &Reaching::default()).unwrap_err();
        assert!(refused.to_string().contains("vault.import_folder"), "{refused}");
    }
}
