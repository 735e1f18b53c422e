//! What a service keeps for the customer, and how it is captured and brought back.

use serde::{Deserialize, Serialize};

use super::Command;

/// What must be kept, and what must be quiet while it is captured.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StateContract {
    /// PostgreSQL databases, by name.
    #[serde(default)]
    pub databases: Vec<String>,
    /// Directories.
    #[serde(default)]
    pub directories: Vec<Directory>,
    /// Buckets of an object store that is not a part of the directories.
    #[serde(default)]
    pub buckets: Vec<Bucket>,
    /// Units to stop while the state is captured.
    #[serde(default)]
    pub quiesce: Vec<String>,
    /// What must be made anew after the state was brought back, in order; none of them takes parameters.
    #[serde(default)]
    pub after_restore: Vec<Command>,
}

/// A directory of state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Directory {
    /// Absolute path.
    pub path: String,
    /// Owner.
    pub owner: String,
    /// Group.
    pub group: String,
    /// Mode in octal digits, such as `0750`.
    pub mode: String,
}

/// A bucket of an object store that speaks the protocol of Amazon S3.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bucket {
    /// The bucket's name.
    pub name: String,
    /// The store's URL.
    pub endpoint: String,
    /// The store's region.
    pub region: String,
    /// The access key's identifier.
    pub access_key: String,
    /// The file with the secret key, absolute; nothing where none was given.
    pub secret_key_file: Option<String>,
}
