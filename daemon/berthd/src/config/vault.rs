//! Where tenants' snapshots are kept.

use std::path::PathBuf;

use berth_domain::network::Network;
use berth_vault::buckets::Reach;
use berth_vault::{Reaching, S3Config};
use secrecy::SecretString;
use serde::{Deserialize, Serialize};

use super::{ConfigError, value};

/// Where tenants' snapshots are kept: in a folder, or in a bucket.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct VaultConfig {
    /// The folder; `vault` in the data folder when absent.
    pub folder: Option<PathBuf>,
    /// A bucket of an object store instead.
    pub s3: Option<S3Choice>,
    /// The networks in which tenants' own object stores may be, beside public addresses.
    pub store_networks: Vec<Network>,
    /// The folder below which repositories may lie that tenants are made of; without it, none of this host's folders is read.
    pub import_folder: Option<PathBuf>,
}

/// A bucket of an object store that speaks the protocol of Amazon S3.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct S3Choice {
    /// The store's address, such as `https://s3.example.org`.
    pub endpoint: String,
    /// The region.
    pub region: String,
    /// The bucket.
    pub bucket: String,
    /// What the keys of all objects begin with.
    #[serde(default)]
    pub prefix: String,
    /// The id of the access key.
    pub access_key: String,
    /// The file with the key's secret.
    pub secret_key_file: PathBuf,
}

impl VaultConfig {
    /// The bucket, if there is one, with its secret.
    ///
    /// # Errors
    /// The file of the secret cannot be read.
    pub fn s3(&self) -> Result<Option<S3Config>, ConfigError> {
        let Some(choice) = &self.s3 else { return Ok(None) };
        let path = choice.secret_key_file.clone();
        let secret =
            std::fs::read_to_string(&path).map_err(|source| ConfigError::Unreadable { path, source })?;
        let S3Choice { endpoint, region, bucket, prefix, access_key, .. } = choice.clone();
        let secret = SecretString::from(secret.trim());
        Ok(Some(S3Config { endpoint, region, bucket, prefix, access_key, secret }))
    }

    /// Where tenants' own object stores may be.
    ///
    /// # Errors
    /// [`ConfigError::Value`]
    pub fn reach(&self) -> Result<Reach, ConfigError> {
        let networks = self.store_networks.iter().map(Network::as_str);
        Reach::new(networks).map_err(|error| value("vault.store_networks", error.to_string()))
    }

    /// Where repositories may lie that tenants are made of.
    ///
    /// # Errors
    /// [`ConfigError::Value`]
    pub fn reaching(&self) -> Result<Reaching, ConfigError> {
        Ok(Reaching { stores: self.reach()?, folders: self.import_folder.clone() })
    }

    /// Checks what can be checked without reaching anything.
    ///
    /// # Errors
    /// [`ConfigError::Value`]
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        if self.folder.is_some() && self.s3.is_some() {
            return Err(value("vault", "must name a folder or a bucket (s3), not both"));
        }
        if self.import_folder.as_ref().is_some_and(|folder| !folder.is_absolute()) {
            return Err(value("vault.import_folder", "must begin with /"));
        }
        let Some(s3) = &self.s3 else { return Ok(()) };
        if !s3.endpoint.starts_with("https://") && !s3.endpoint.starts_with("http://") {
            return Err(value("vault.s3.endpoint", "must be a URL such as https://s3.example.org"));
        }
        if s3.bucket.is_empty() || s3.region.is_empty() || s3.access_key.is_empty() {
            return Err(value("vault.s3", "bucket, region and access_key must not be empty"));
        }
        Ok(())
    }
}
