//! Where a repository lies that is not ours, and what opens it.

use std::path::PathBuf;

use berth_domain::OperationId;
use berth_protocol::SecretText;
use berth_seal::{About, Keys};
use berth_vault::Location;
use berth_vault::buckets::BucketConfig;
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};

use crate::error::{SECRET_SEALED, StepError};

/// A repository that lies elsewhere.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// Where it lies.
    pub lies: Lies,
    /// What it is encrypted with.
    pub password: SecretText,
}

/// Where a repository lies.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Lies {
    /// In a bucket of an object store.
    S3 {
        /// The store's address.
        endpoint: String,
        /// The store's region.
        region: String,
        /// The bucket.
        bucket: String,
        /// What the keys of the repository's objects begin with; empty for none.
        prefix: String,
        /// The id of the key.
        access_key: String,
        /// The key's secret.
        secret_key: SecretText,
    },
    /// In a folder of the daemon's host.
    Folder(PathBuf),
}

impl Place {
    /// Seals it for an operation that is to make a tenant of it.
    ///
    /// # Errors
    /// It cannot be sealed.
    pub fn seal(&self, operation: OperationId, keys: &Keys) -> Result<String, StepError> {
        let text = serde_json::to_string(self).map(SecretString::from);
        let text = text.map_err(|_| StepError::failed("internal", "a place cannot be written down"))?;
        Ok(keys.seal(&About::offsite(&operation.to_string()), &text)?)
    }

    /// Opens what was sealed.
    pub(crate) fn open(operation: OperationId, keys: &Keys, sealed: &str) -> Result<Self, StepError> {
        let text = keys.open(&About::offsite(&operation.to_string()), sealed)?;
        // What cannot be read is not shown: it is secret.
        let unreadable = |_| StepError::failed(SECRET_SEALED, "what opens the repository cannot be read");
        serde_json::from_str(text.expose_secret()).map_err(unreadable)
    }

    pub(crate) fn location(&self) -> Location {
        match self.lies.clone() {
            Lies::Folder(path) => Location::Folder(path),
            Lies::S3 { endpoint, region, bucket, prefix, access_key, secret_key } => {
                let secret = SecretString::from(secret_key.expose());
                let config = BucketConfig { endpoint, region, name: bucket, access_key, secret };
                Location::Bucket { config, prefix }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_opens_a_repository_is_sealed_for_one_operation_and_never_shown() {
        let secret = || SecretText::from(SecretString::from("hunter2"));
        let text = |text: &str| text.to_owned();
        let place = Place {
            lies: Lies::S3 {
                endpoint: text("https://s3.example.net"),
                region: text("r"),
                bucket: text("b"),
                prefix: text("p"),
                access_key: text("GK1"),
                secret_key: secret(),
            },
            password: secret(),
        };
        let (keys, operation) = (Keys::generate(), OperationId::from_u128(1));
        let sealed = place.seal(operation, &keys).unwrap();
        assert_eq!(Place::open(operation, &keys, &sealed).unwrap(), place);
        assert!(Place::open(OperationId::from_u128(2), &keys, &sealed).is_err());
        assert!(!format!("{place:?}{:?}", place.location()).contains("hunter2"));
    }
}
