//! What the failures of a repository that lies elsewhere mean to a client. Codes are listed on the documentation's page “Problems”.

use berth_vault::buckets::BucketError;
use berth_vault::{AuthorError, OffsiteError, ReadError, StorageError};

use crate::error::{StepError, VAULT_FAILED};

/// As a step tells it.
pub(crate) fn failed(error: OffsiteError) -> StepError {
    let message = error.to_string();
    match error {
        OffsiteError::Cancelled => StepError::Cancelled,
        OffsiteError::BrokenOff => StepError::transient("internal", message),
        OffsiteError::Location(_) => StepError::failed("repository-location", message),
        OffsiteError::NoRepository => StepError::failed("repository-missing", message),
        OffsiteError::Password => StepError::failed("repository-password", message),
        OffsiteError::Unsupported(_) | OffsiteError::TooMuch(_) => {
            StepError::failed("repository-unsupported", message)
        }
        OffsiteError::Lacks { .. } => damaged(&message),
        OffsiteError::Far(error) => far(&error),
        OffsiteError::Author(AuthorError::Storage(StorageError::NoSpace))
        | OffsiteError::Storage(StorageError::NoSpace) => {
            StepError::retryable("no-space", "the vault's file system is full")
        }
        OffsiteError::Author(AuthorError::Storage(_)) | OffsiteError::Own(_) | OffsiteError::Storage(_) => {
            StepError::transient(VAULT_FAILED, message)
        }
        OffsiteError::Author(_) => StepError::failed(VAULT_FAILED, message),
    }
}

/// What reading the other repository came to.
fn far(error: &ReadError) -> StepError {
    let message = format!("the repository: {error}");
    let unreachable = |message| StepError::transient("repository-unreachable", message);
    match error {
        ReadError::Storage(StorageError::Bucket(bucket)) => match &**bucket {
            BucketError::NoBucket => StepError::failed("repository-missing", message),
            BucketError::Refused { .. } => StepError::retryable("repository-refused", message),
            _ => unreachable(message),
        },
        ReadError::Storage(StorageError::Late(_) | StorageError::Folder { .. } | StorageError::BrokenOff) => {
            unreachable(message)
        }
        ReadError::Storage(_) | ReadError::Damaged(_) | ReadError::Missing(_) | ReadError::Unknown { .. } => {
            damaged(&error.to_string())
        }
    }
}

fn damaged(what: &str) -> StepError {
    StepError::failed("repository-damaged", format!("the repository is damaged or not whole: {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_sort_of_trouble_has_a_name_of_its_own_and_only_some_may_pass() {
        let named = |error| match failed(error) {
            StepError::Failed(failure) => (failure.code, failure.retryable),
            _ => ("", false),
        };
        let far = |error| OffsiteError::Far(ReadError::Storage(error));
        let bucket = |error| far(StorageError::Bucket(Box::new(error)));
        let refused = BucketError::Refused { status: 403, code: "AccessDenied".into() };
        for (error, name) in [
            (OffsiteError::Password, ("repository-password", false)),
            (OffsiteError::NoRepository, ("repository-missing", false)),
            (bucket(BucketError::NoBucket), ("repository-missing", false)),
            (bucket(refused), ("repository-refused", true)),
            (bucket(BucketError::Unreachable("no".into())), ("repository-unreachable", true)),
            (far(StorageError::NotFound), ("repository-damaged", false)),
            (OffsiteError::Far(ReadError::Damaged("data/1".into())), ("repository-damaged", false)),
            (OffsiteError::Storage(StorageError::NoSpace), ("no-space", true)),
            (OffsiteError::Storage(StorageError::BrokenOff), ("vault-failed", true)),
        ] {
            assert_eq!(named(error), name);
        }
        assert_eq!(failed(OffsiteError::Cancelled), StepError::Cancelled);
    }
}
