//! Locks between processes.

use std::fs::{File, OpenOptions};
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, flock};

use crate::error::{Context, Result, TestbedError};

/// How often a lock that another process holds is tried again.
const PAUSE: Duration = Duration::from_millis(20);

/// An exclusive lock on a file, released when dropped or when the process ends, however it ends.
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

    fn try_acquire(path: &Path) -> Result<Option<Self>> {
        let file = OpenOptions::new().create(true).truncate(false).write(true).open(path);
        let file = file.context(|| format!("cannot open {}", path.display()))?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Some(Self { _file: file })),
            Err(rustix::io::Errno::WOULDBLOCK) => Ok(None),
            Err(error) => Err(error).context(|| format!("cannot lock {}", path.display())),
        }
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
}
