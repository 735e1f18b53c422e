//! Why nothing can be had of a repository that lies elsewhere.

use crate::author::AuthorError;
use crate::buckets::BucketError;
use crate::reader::ReadError;
use crate::storage::StorageError;

/// Why nothing can be had of a repository that lies elsewhere. No text of it has a secret.
#[derive(Debug, thiserror::Error)]
pub enum OffsiteError {
    /// The place cannot be used: an address that is none or out of reach, a folder that is none of those that may be read.
    #[error("{0}")]
    Location(String),
    /// There is none.
    #[error("there is no restic repository at this place")]
    NoRepository,
    /// None of its keys is opened by the password.
    #[error("the password opens none of the repository's keys")]
    Password,
    /// It is of a kind that is not understood, or asks for more than it may.
    #[error("the repository cannot be used: {0}")]
    Unsupported(String),
    /// Something in it cannot be read.
    #[error(transparent)]
    Far(ReadError),
    /// A snapshot does not hold what it says that it holds.
    #[error("the snapshot {snapshot} does not hold {path}")]
    Lacks {
        /// Its restic id.
        snapshot: String,
        /// What it should hold.
        path: String,
    },
    /// There is more of it than can be gone through.
    #[error("there is too much of it: {0}")]
    TooMuch(&'static str),
    /// What is to be there cannot be written.
    #[error(transparent)]
    Author(#[from] AuthorError),
    /// The repository of ours cannot be read.
    #[error(transparent)]
    Own(#[from] ReadError),
    /// The place of ours fails.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// Somebody wished that it stops.
    #[error("it was cancelled")]
    Cancelled,
    /// A task of ours was ended from outside.
    #[error("it was broken off")]
    BrokenOff,
}

impl OffsiteError {
    /// What the reader of the other repository says.
    pub fn far(error: ReadError) -> Self {
        match error {
            ReadError::Storage(StorageError::BrokenOff) => Self::Cancelled,
            ReadError::Storage(StorageError::Bucket(error)) if matches!(*error, BucketError::Endpoint(_)) => {
                Self::Location(error.to_string())
            }
            error => Self::Far(error),
        }
    }
}
