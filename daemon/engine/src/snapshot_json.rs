//! `snapshot.json` as a machine wrote it into a service's snapshot (docs/src/state.md): as much of it as this host needs.

use std::collections::{BTreeMap, HashMap};

use serde::Deserialize;
use serde::de::IgnoredAny;

/// The newest format that is read.
pub(crate) const FORMAT: u64 = 2;

/// What a service's snapshot says of itself.
#[derive(Debug, Deserialize)]
pub(crate) struct SnapshotJson {
    pub(crate) format: u64,
    pub(crate) service: String,
    pub(crate) data_version: Option<String>,
    /// By name.
    pub(crate) databases: BTreeMap<String, Database>,
    /// Those of which it has no dump, but what changed in them last.
    #[serde(default)]
    replicas: BTreeMap<String, IgnoredAny>,
    pub(crate) directories: Vec<Directory>,
    pub(crate) owners: Owners,
}

impl SnapshotJson {
    /// Why the snapshot by itself does not have all that it is of.
    pub(crate) fn lacks(&self) -> Option<String> {
        let name = self.replicas.keys().next()?;
        Some(format!("the database {name} is not in this snapshot, but in a later one"))
    }
}

/// A database that was dumped.
#[derive(Debug, Deserialize)]
pub(crate) struct Database {
    /// How large it was.
    #[serde(default)]
    pub(crate) bytes: u64,
}

/// A directory that was captured.
#[derive(Debug, Deserialize)]
pub(crate) struct Directory {
    pub(crate) path: String,
    /// Whether it existed.
    pub(crate) present: bool,
}

/// Whose numbers the files' owners and groups were.
#[derive(Debug, Deserialize)]
pub(crate) struct Owners {
    pub(crate) users: HashMap<u32, String>,
    pub(crate) groups: HashMap<u32, String>,
}
