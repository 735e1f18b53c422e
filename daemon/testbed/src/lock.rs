//! Locks between processes.

use std::fs::{File, OpenOptions};
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

use crate::error::{Context, Result, TestbedError};

/// How often a lock that another process holds is tried again.
const PAUSE: Duration = Duration::from_millis(20);

/// An exclusive lock on a file or folder, released when dropped or when the process ends, however it ends.
pub(crate) struct FileLock {
    _file: File,
}

impl FileLock {
    /// Waits for the lock; `on_wait` is called once if another holds it.
    pub(crate) async fn acquire(path: &Path, timeout: Duration, on_wait: impl FnOnce()) -> Result<Self> {
        let (deadline, mut on_wait) = (Instant::now() + timeout, Some(on_wait));
        loop {
            if let Some(lock) = Self::try_acquire(path)? {
                return Ok(lock);
            }
            if let Some(on_wait) = on_wait.take() {
                on_wait();
            }
            if Instant::now() > deadline {
                return Err(TestbedError::Timeout {
                    what: format!("locking {}", path.display()),
                    after: timeout,
                });
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Waits, without a runtime, for the lock on a folder itself. `None` if it does not exist, or not any more when
    /// the lock is had: for those who want to remove it.
    pub(crate) fn acquire_folder(path: &Path, timeout: Duration) -> Result<Option<Self>> {
        let deadline = Instant::now() + timeout;
        let file = match File::open(path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            file => file.context(|| format!("cannot open {}", path.display()))?,
        };
        while !try_lock(&file, path)? {
            if Instant::now() > deadline {
                return Err(TestbedError::Timeout {
                    what: format!("locking {}", path.display()),
                    after: timeout,
                });
            }
            std::thread::sleep(PAUSE);
        }
        Ok(path.exists().then_some(Self { _file: file }))
    }

    fn try_acquire(path: &Path) -> Result<Option<Self>> {
        let file = OpenOptions::new().create(true).truncate(false).write(true).open(path);
        let file = file.context(|| format!("cannot open {}", path.display()))?;
        Ok(try_lock(&file, path)?.then_some(Self { _file: file }))
    }
}

fn try_lock(file: &File, path: &Path) -> Result<bool> {
    match flock(file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(true),
        Err(Errno::WOULDBLOCK | Errno::INTR) => Ok(false),
        Err(error) => Err(error).context(|| format!("cannot lock {}", path.display())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_lock_is_had_by_one_and_free_again_when_dropped() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock");
        let first = FileLock::acquire(&path, Duration::from_secs(1), || ()).await.unwrap();
        let mut waited = false;
        let second = FileLock::acquire(&path, Duration::from_millis(50), || waited = true).await;
        assert!(matches!(second.err(), Some(TestbedError::Timeout { .. })));
        assert!(waited);
        drop(first);
        FileLock::acquire(&path, Duration::from_secs(1), || ()).await.unwrap();
    }

    #[test]
    fn of_two_who_want_to_remove_a_folder_the_second_is_told_that_it_is_gone() {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("folder");
        std::fs::create_dir(&path).unwrap();
        let first = FileLock::acquire_folder(&path, Duration::from_secs(1)).unwrap();
        assert!(first.is_some());
        let again = path.clone();
        let second = std::thread::spawn(move || FileLock::acquire_folder(&again, Duration::from_secs(10)));
        std::thread::sleep(Duration::from_millis(100));
        std::fs::remove_dir(&path).unwrap();
        drop(first);
        assert!(second.join().unwrap().unwrap().is_none());
        assert!(FileLock::acquire_folder(&path, Duration::from_secs(1)).unwrap().is_none());
    }
}
