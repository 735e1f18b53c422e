//! Where repositories lie: objects below a name, in a folder or in a bucket.

pub mod folder;
pub mod s3;

use std::fmt::Debug;
use std::io;
use std::ops::Range;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream::BoxStream;

use crate::buckets::BucketError;
use crate::name::RepositoryName;
use crate::object::{Key, Kind, Sum};

/// A place for repositories. What it keeps survives a power cut from the moment that it says so.
#[async_trait]
pub trait Storage: Debug + Send + Sync {
    /// Makes room for a repository, where the place needs that. Harmless where it is there already.
    ///
    /// # Errors
    /// The place fails.
    async fn create(&self, repository: &RepositoryName) -> Result<(), StorageError>;

    /// An object's content, or a part of it.
    ///
    /// # Errors
    /// [`StorageError::NotFound`], [`StorageError::OutOfRange`], or the place fails.
    async fn get(&self, repository: &RepositoryName, key: &Key, part: Part) -> Result<Content, StorageError>;

    /// An object's size in bytes.
    ///
    /// # Errors
    /// [`StorageError::NotFound`], or the place fails.
    async fn size(&self, repository: &RepositoryName, key: &Key) -> Result<u64, StorageError>;

    /// Begins an object, of which nothing is seen until it is kept.
    ///
    /// # Errors
    /// [`StorageError::NotFound`] if the place knows that there is no such repository, or the place fails.
    async fn begin(&self, repository: &RepositoryName, key: &Key) -> Result<Box<dyn Draft>, StorageError>;

    /// Removes an object; its size in bytes where there was one.
    ///
    /// # Errors
    /// The place fails.
    async fn delete(&self, repository: &RepositoryName, key: &Key) -> Result<Option<u64>, StorageError>;

    /// Every object of a kind, in any order. Whatever else lies there is left out.
    ///
    /// # Errors
    /// The place fails.
    async fn list(&self, repository: &RepositoryName, kind: Kind) -> Result<Vec<Entry>, StorageError>;

    /// Every repository, in the order of names.
    ///
    /// # Errors
    /// The place fails.
    async fn repositories(&self) -> Result<Vec<RepositoryName>, StorageError>;

    /// Removes a repository and everything in it. Harmless where there is none.
    ///
    /// # Errors
    /// The place fails; what is left goes when it is tried again.
    async fn destroy(&self, repository: &RepositoryName) -> Result<(), StorageError>;

    /// How many bytes there is room for; nothing where the place does not say.
    ///
    /// # Errors
    /// The place fails.
    async fn room(&self) -> Result<Option<u64>, StorageError> {
        Ok(None)
    }

    /// The bytes of all objects of a repository.
    ///
    /// # Errors
    /// The place fails.
    async fn usage(&self, repository: &RepositoryName) -> Result<u64, StorageError> {
        let mut bytes = match self.size(repository, &Key::Config).await {
            Err(StorageError::NotFound) => 0,
            size => size?,
        };
        for kind in Kind::ALL {
            bytes += self.list(repository, kind).await?.iter().map(|entry| entry.size).sum::<u64>();
        }
        Ok(bytes)
    }
}

/// An object that comes into being. Dropped, it leaves nothing behind.
#[async_trait]
pub trait Draft: Debug + Send {
    /// Adds to its content.
    ///
    /// # Errors
    /// The place fails.
    async fn write(&mut self, bytes: Bytes) -> Result<(), StorageError>;

    /// Gives it its name, unless something has that already.
    ///
    /// # Errors
    /// The place fails; then nobody knows whether it is there.
    async fn keep(self: Box<Self>) -> Result<Kept, StorageError>;
}

/// How an object was kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kept {
    /// It is new.
    New,
    /// There was one of this name; it was left as it is.
    ThereAlready,
}

/// An object in a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    /// Its name.
    pub name: Sum,
    /// Its size in bytes.
    pub size: u64,
}

/// What of an object is wanted, as one range of HTTP (RFC 9110, section 14.1.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// All of it.
    All,
    /// From a byte on.
    From(u64),
    /// From a byte to another, that one included.
    Between(u64, u64),
    /// So many of its last bytes.
    Last(u64),
}

impl Part {
    /// Which bytes that are of an object of a size; nothing if there are none.
    pub fn of(self, size: u64) -> Option<Range<u64>> {
        let range = match self {
            Self::All => return Some(0..size),
            Self::From(first) => first..size,
            Self::Between(first, last) => first..size.min(last.saturating_add(1)),
            Self::Last(count) => size.saturating_sub(count)..size,
        };
        (range.start < range.end).then_some(range)
    }
}

/// What was asked for of an object.
pub struct Content {
    /// The whole object's size in bytes.
    pub size: u64,
    /// Which of its bytes follow.
    pub range: Range<u64>,
    /// These bytes.
    pub bytes: BoxStream<'static, io::Result<Bytes>>,
}

/// What can go wrong. What these say is for the provider's log, not for clients.
#[derive(Debug, thiserror::Error)]
pub enum StorageError {
    /// There is no such object or repository.
    #[error("it is not there")]
    NotFound,
    /// The object has fewer bytes.
    #[error("the object has only {size} bytes")]
    OutOfRange {
        /// Its size.
        size: u64,
    },
    /// The folder's file system is full.
    #[error("the file system is full")]
    NoSpace,
    /// The folder's file system failed otherwise.
    #[error("{what}: {source}")]
    Folder {
        /// What could not be done.
        what: String,
        /// Why.
        source: io::Error,
    },
    /// The object store failed.
    #[error("S3: {0}")]
    S3(Box<object_store::Error>),
    /// The object store did not answer in time.
    #[error("S3: no answer within {0:?}")]
    Late(Duration),
    /// It has more bytes than anything that is understood.
    #[error("it is larger than it may be")]
    TooLarge,
    /// A store of somebody else's failed.
    #[error(transparent)]
    Bucket(Box<BucketError>),
    /// A task of ours was ended from outside.
    #[error("it was broken off")]
    BrokenOff,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_never_reaches_beyond_the_object() {
        assert_eq!(Part::All.of(0), Some(0..0));
        assert_eq!(Part::From(3).of(10), Some(3..10));
        assert_eq!(Part::From(10).of(10), None);
        assert_eq!(Part::Between(2, 4).of(10), Some(2..5));
        assert_eq!(Part::Between(2, u64::MAX).of(10), Some(2..10));
        assert_eq!(Part::Between(10, 12).of(10), None);
        assert_eq!(Part::Last(4).of(10), Some(6..10));
        assert_eq!(Part::Last(40).of(10), Some(0..10));
        assert_eq!(Part::Last(0).of(10), None);
    }
}
