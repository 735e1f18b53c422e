//! How much and how long.

use std::time::Duration;

use crate::object::{Key, Kind};

const KIB: u64 = 1024;
const MIB: u64 = 1024 * KIB;

/// What a client may take. The defaults suit a daemon on the open Internet.
#[derive(Debug, Clone)]
pub struct Limits {
    /// The largest pack or index, in bytes. restic's packs have at most 128 MiB and a little more (`--pack-size`).
    pub object_bytes: u64,
    /// How long an upload may stand still.
    pub idle: Duration,
    /// How long an upload may take altogether.
    pub upload: Duration,
    /// How many uploads run at once in all repositories; others wait for as long as they may stand still. On S3 each
    /// holds up to 11 MiB of memory.
    pub uploads: usize,
    /// How many uploads run at once in one repository, so that one tenant does not keep the others out. restic makes
    /// five unless it is told otherwise.
    pub uploads_per_repository: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            object_bytes: 256 * MIB,
            idle: Duration::from_secs(60),
            upload: Duration::from_secs(2 * 60 * 60),
            uploads: 64,
            uploads_per_repository: 16,
        }
    }
}

impl Limits {
    /// The largest object at a key, in bytes. A lock or a key has a few hundred bytes; a snapshot names what it holds.
    pub(crate) fn largest(&self, key: &Key) -> u64 {
        match key {
            Key::Config | Key::Object(Kind::Keys | Kind::Locks, _) => 64 * KIB,
            Key::Object(Kind::Snapshots, _) => 16 * MIB,
            Key::Object(Kind::Data | Kind::Index, _) => self.object_bytes,
        }
    }
}

/// How far above its quota a repository may grow for an object, in bytes. Whoever tidies up a full repository writes
/// locks, and a new index before old packs go: a quota that refused these could never be come back from.
pub(crate) fn spare(key: &Key, quota: u64) -> u64 {
    match key {
        Key::Object(Kind::Locks, _) => MIB,
        Key::Object(Kind::Index, _) => MIB + quota / 32,
        _ => 0,
    }
}
