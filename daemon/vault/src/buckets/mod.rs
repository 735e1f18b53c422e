//! Buckets of other object stores: into a repository as snapshots of it, and back.
//!
//! restic copies what lies on a disk. What somebody keeps in a bucket goes straight from there into packs, object by object, as does
//! what comes back; memory holds what is known of the objects, some hundred bytes of each, and the few that are on their way.
//!
//! | module | subject |
//! | --- | --- |
//! | `client`, `listing`, `fetch`, `put` | the protocol of Amazon S3 |
//! | [`attributes`] | what an object has beside its content |
//! | [`record`] | what a snapshot says of the objects in it |
//! | `reach` | which addresses a store may have |
//! | `place` | where in a snapshot the content of each is |
//! | `crowds` | how much there may be in one folder |
//! | `held` | what a vault has of a bucket |
//! | `plan`, `copy` | into the vault |
//! | `bring` | into the vault from elsewhere than a store |
//! | `written` | what both end with |
//! | `put_back` | and back |
//! | [`moving`] | from one bucket straight into another |
//! | [`error`] | why not |

pub mod attributes;
mod bring;
mod client;
mod copy;
mod crowds;
pub mod error;
mod fetch;
mod held;
mod listing;
pub mod moving;
mod place;
mod plan;
mod put;
mod put_back;
mod reach;
pub mod record;
mod written;

use std::time::Duration;

use secrecy::SecretString;
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

pub use attributes::ObjectAttributes;
pub use bring::{Bringing, Brought, Coming};
pub use client::{Bucket, BucketConfig};
pub use error::BucketError;
pub use held::Held;
pub use listing::Listed;
pub use reach::Reach;
pub use record::ObjectRecord;

use crate::author::Title;
use crate::name::RepositoryName;
use crate::vault::Vault;

/// Something that people may hear of while a bucket is on its way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum News {
    /// How far it is, in bytes.
    Progress {
        /// How many came so far.
        done: u64,
        /// How many there will be, as far as is known.
        expected: u64,
    },
    /// What else happens, in words.
    Line(String),
}

/// Hears the news.
pub type Tell = Box<dyn FnMut(News) + Send>;

/// A bucket that is to be copied.
#[derive(Debug, Clone)]
pub struct Copying {
    /// The bucket.
    pub bucket: Bucket,
    /// The store's address, as the snapshot is to say it.
    pub endpoint: String,
    /// What the snapshot says of itself.
    pub title: Title,
    /// The snapshots that it may go on from, the best one first.
    pub earlier: Vec<Earlier>,
    /// For how long objects are fetched. A snapshot of what came until then is [incomplete](Copied::complete), and can be gone on from.
    pub limit: Duration,
    /// Ends it.
    pub cancel: CancellationToken,
}

/// A snapshot of a bucket, of which nothing that it holds is fetched again. Whoever can write to a repository can put a snapshot there
/// that says of an object what is not so; it is therefore named by whoever knows that it was made here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Earlier {
    /// Its id.
    pub restic: String,
    /// Whether the next one holds everything that it holds, also what is in the bucket no more.
    pub stays: bool,
}

/// A bucket that was copied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Copied {
    /// The snapshot's id.
    pub restic: String,
    /// How many objects it holds.
    pub objects: u64,
    /// How long they are together, in bytes.
    pub bytes: u64,
    /// How many bytes went into the repository.
    pub bytes_added: u64,
    /// The objects that are not in it, each with why.
    pub skipped: Vec<String>,
    /// Whether these are the only ones: there was time for all others.
    pub complete: bool,
}

/// A bucket that is to be put back.
#[derive(Debug, Clone)]
pub struct PuttingBack {
    /// The bucket, which may be another one.
    pub bucket: Bucket,
    /// The id of the snapshot that has its objects.
    pub restic: String,
    /// Ends it.
    pub cancel: CancellationToken,
}

/// A bucket that was put back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PutBack {
    /// How many objects were missing, or others, and were sent.
    pub objects: u64,
    /// How long these are together, in bytes.
    pub bytes: u64,
    /// How many were there already.
    pub there: u64,
}

impl Vault {
    /// Makes a snapshot of a bucket in a repository that [`Vault::init`] made.
    ///
    /// # Errors
    /// [`crate::StorageError::NotFound`] where the repository is not there or was made by somebody else; [`BucketError`].
    pub async fn copy_bucket(
        &self,
        repository: &RepositoryName,
        password: &SecretString,
        copying: Copying,
        tell: Tell,
    ) -> Result<Copied, BucketError> {
        let listed = copying.cancel.run_until_cancelled(copying.bucket.list()).await;
        let listed = listed.ok_or(BucketError::Cancelled)??;
        let runtime = Handle::current();
        self.rewrite(repository, password, move |reader, author| {
            copy::copy(&copying, listed, runtime, reader, author, tell)
        })
        .await
    }

    /// Puts back what a bucket's snapshot holds. What is in the bucket beside that stays as it is.
    ///
    /// # Errors
    /// As those of [`Vault::copy_bucket`].
    pub async fn put_bucket_back(
        &self,
        repository: &RepositoryName,
        password: &SecretString,
        what: PuttingBack,
        tell: Tell,
    ) -> Result<PutBack, BucketError> {
        let listed = what.cancel.run_until_cancelled(what.bucket.list()).await;
        let listed = listed.ok_or(BucketError::Cancelled)??;
        let runtime = Handle::current();
        self.read(repository, password, move |reader| {
            put_back::put_back(&what, listed, runtime, reader, tell)
        })
        .await
    }
}
