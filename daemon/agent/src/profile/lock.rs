//! Nix's own lock of a profile, so that neither `nix-env` nor whoever else uses it changes the profile meanwhile.
//!
//! It is a file beside the profile with `flock(2)`. Whoever lets go of it removes the file and writes a byte into it first, so that others
//! who have opened it meanwhile see that it is not the lock any more (`src/libstore/pathlocks.cc` and `src/libstore/unix/pathlocks.cc` of
//! Nix 2.24).

use std::fs::{File, TryLockError};
use std::io::{self, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::files::open_lock;

/// How often it is tried again.
const PAUSE: Duration = Duration::from_millis(10);

/// The lock, held as long as this value lives.
#[derive(Debug)]
pub(super) struct ProfileLock {
    file: File,
    path: PathBuf,
}

impl ProfileLock {
    /// Takes the lock of a profile, and waits for it for so long at the most.
    pub(super) fn take(profile: &Path, patience: Duration) -> io::Result<Self> {
        let path = profile.with_added_extension("lock");
        let end = Instant::now() + patience;
        loop {
            let file = open_lock(&path)?;
            match file.try_lock() {
                Ok(()) if is_the_lock(&file)? => return Ok(Self { file, path }),
                // Its last holder has removed it, and there may be another one by now; or it waits for whoever holds it.
                Ok(()) | Err(TryLockError::WouldBlock) => {}
                Err(TryLockError::Error(error)) => return Err(error),
            }
            if Instant::now() >= end {
                return Err(io::Error::new(io::ErrorKind::TimedOut, "another program holds its lock"));
            }
            sleep(PAUSE);
        }
    }
}

/// Whether a file that was locked is not one that was let go of: on a disk that is full, the byte may be missing.
fn is_the_lock(file: &File) -> io::Result<bool> {
    let about = file.metadata()?;
    Ok(about.len() == 0 && about.nlink() > 0)
}

impl Drop for ProfileLock {
    fn drop(&mut self) {
        // What cannot be removed is an empty file that nobody holds, and as good as none.
        if std::fs::remove_file(&self.path).is_ok() {
            let _ = self.file.write_all(b"d");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_at_a_time_has_it_and_nothing_is_left_of_it() {
        let folder = tempfile::tempdir().unwrap();
        let profile = folder.path().join("system");
        let first = ProfileLock::take(&profile, Duration::ZERO).unwrap();
        assert!(folder.path().join("system.lock").exists());
        let refused = ProfileLock::take(&profile, Duration::from_millis(30)).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::TimedOut);
        std::thread::scope(|scope| {
            let second = scope.spawn(|| ProfileLock::take(&profile, Duration::from_secs(20)).unwrap());
            sleep(Duration::from_millis(50));
            drop(first);
            drop(second.join().unwrap());
        });
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_file_that_was_let_go_of_is_no_lock_and_is_not_waited_for_without_end() {
        let folder = tempfile::tempdir().unwrap();
        let profile = folder.path().join("system");
        let lock = ProfileLock::take(&profile, Duration::ZERO).unwrap();
        std::fs::remove_file(&lock.path).unwrap();
        assert!(!is_the_lock(&lock.file).unwrap());
        std::fs::write(folder.path().join("system.lock"), "d").unwrap();
        let refused = ProfileLock::take(&profile, Duration::from_millis(30)).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::TimedOut);
    }
}
