//! Why a request is not answered as it was meant.

use std::time::Duration;

use crate::access::Refusal;
use crate::storage::StorageError;

/// Why. The texts are for whoever reads restic's messages, and tell nothing that they do not know.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refused {
    #[error("this needs a valid token of the repository as the password")]
    Unauthorized,
    #[error("the token is not for this repository")]
    Forbidden,
    #[error("too many wrong tokens came from this address")]
    TooMany(Duration),
    #[error("nobody can be admitted now")]
    NobodyAdmitted,
    #[error("this access only reads")]
    ReadOnly,
    #[error("this access only adds: nothing is removed")]
    AppendOnly,
    #[error("a repository is not removed this way")]
    NotRemovable,
    #[error("there is another one of this name, and it is not replaced")]
    ThereAlready,
    #[error("there is nothing of this name")]
    NotFound,
    #[error("this name cannot be")]
    BadName,
    #[error("this request needs ?create=true")]
    NotCreate,
    #[error("this method is not answered here")]
    NoSuchMethod,
    #[error("the content does not have the sum that is its name")]
    WrongSum,
    #[error("the upload broke off")]
    Cut,
    #[error("the upload was too slow")]
    Slow,
    #[error("this is larger than what is kept here")]
    TooLarge,
    #[error("the repository has reached its quota")]
    QuotaReached,
    #[error("the provider's storage is full")]
    NoSpace,
    #[error("too many uploads are under way")]
    Busy,
    #[error("the repository has fewer bytes there")]
    OutOfRange {
        /// How many there are.
        size: u64,
    },
    #[error("the provider's storage fails")]
    Storage(#[source] StorageError),
}

impl From<StorageError> for Refused {
    fn from(error: StorageError) -> Self {
        match error {
            StorageError::NotFound => Self::NotFound,
            StorageError::OutOfRange { size } => Self::OutOfRange { size },
            StorageError::NoSpace => Self::NoSpace,
            other => Self::Storage(other),
        }
    }
}

impl From<Refusal> for Refused {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Unauthorized => Self::Unauthorized,
            Refusal::Forbidden => Self::Forbidden,
            Refusal::TooMany(wait) => Self::TooMany(wait),
            Refusal::Unavailable => Self::NobodyAdmitted,
        }
    }
}
