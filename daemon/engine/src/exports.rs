//! Bundles: all that a tenant owns in one signed file, made of a snapshot that was read out of its vault; objects of buckets come
//! straight from there.
//!
//! docs/src/bundle-format.md is the format. What comes from the machine (`snapshot.json`) is read as what it is: something that
//! the machine wrote.

mod buckets;
mod contents;

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use berth_domain::OperationId;
use berth_sign::SigningKey;

pub(crate) use buckets::carriable;
pub(crate) use contents::{Contents, ServiceContents};

use crate::disk;
use crate::error::{EXPORT_FAILED, StepError};

/// How long a bundle can be downloaded.
pub const KEPT: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// Where bundles are made, and who signs them.
pub struct Exports {
    /// The folder that they are in; nobody but the daemon's user may read it.
    pub folder: PathBuf,
    /// The provider's name, as it stands in them.
    pub provider: String,
    /// The key that signs them.
    pub key: SigningKey,
}

impl Exports {
    /// The bundle that an operation makes, or made.
    pub fn bundle(&self, operation: OperationId) -> PathBuf {
        self.folder.join(format!("{operation}.berth.tar"))
    }

    /// Where what is to go into it is read out to.
    pub(crate) fn work(&self, operation: OperationId) -> PathBuf {
        self.folder.join(format!("{operation}.work"))
    }

    /// Removes bundles that are older than [`KEPT`], and what daemons that were killed left half-done so long ago. Returns how many.
    ///
    /// # Errors
    /// The folder cannot be read, or something in it not removed.
    pub fn purge(&self, now: SystemTime) -> std::io::Result<u64> {
        let mut removed = 0;
        for entry in std::fs::read_dir(&self.folder)? {
            let entry = entry?;
            let (metadata, path) = (entry.metadata()?, entry.path());
            if now.duration_since(metadata.modified()?).is_ok_and(|age| age > KEPT) {
                if metadata.is_dir() {
                    std::fs::remove_dir_all(path)?
                } else {
                    std::fs::remove_file(path)?
                }
                removed += 1;
            }
        }
        Ok(removed)
    }

    /// Refuses what the folder's disk has no room for; so many bytes are read out and written.
    ///
    /// # Errors
    /// `no-space`; the folder cannot be looked at.
    pub(crate) fn has_room_for(&self, needed: u64) -> Result<(), StepError> {
        let room = disk::room(&self.folder);
        let room = room.map_err(|error| StepError::failed(EXPORT_FAILED, error.to_string()))?;
        if room < needed {
            let message =
                format!("making the bundle takes {needed} bytes on this host, which has room for {room}");
            return Err(StepError::failed("no-space", message));
        }
        Ok(())
    }

    /// Gives a bundle that is whole its name.
    ///
    /// # Errors
    /// It is not there, or the folder cannot be written.
    pub(crate) fn keep(&self, draft: &Path, bundle: &Path) -> std::io::Result<()> {
        std::fs::rename(draft, bundle)?;
        std::fs::File::open(&self.folder)?.sync_all()
    }

    /// Removes what an earlier try left.
    pub(crate) fn clear(&self, work: &Path) -> std::io::Result<()> {
        match std::fs::remove_dir_all(work) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
            done => done,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bundles_go_after_a_week_and_not_before() {
        let folder = tempfile::tempdir().unwrap();
        let key = SigningKey::from_seed(&[1; 32]);
        let exports = Exports { folder: folder.path().to_owned(), provider: "Harbour".into(), key };
        let operation = OperationId::from_u128(1);
        std::fs::write(exports.bundle(operation), "bundle").unwrap();
        std::fs::create_dir(exports.work(operation)).unwrap();
        let now = SystemTime::now();
        assert_eq!(exports.purge(now + KEPT / 2).unwrap(), 0);
        assert!(exports.bundle(operation).exists());
        assert_eq!(exports.purge(now + KEPT * 2).unwrap(), 2);
        assert!(!exports.bundle(operation).exists());
        exports.clear(&exports.work(operation)).unwrap();
    }

    #[test]
    fn what_a_disk_has_no_room_for_is_refused_before_anything_is_written() {
        let folder = tempfile::tempdir().unwrap();
        let key = SigningKey::from_seed(&[1; 32]);
        let exports = Exports { folder: folder.path().to_owned(), provider: "Harbour".into(), key };
        exports.has_room_for(1).unwrap();
        let refused = exports.has_room_for(u64::MAX).unwrap_err();
        assert!(matches!(&refused, StepError::Failed(failure) if failure.code == "no-space"), "{refused}");
    }
}
