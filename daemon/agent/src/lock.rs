//! One change of the machine at a time, whoever asks for it.
//!
//! The lock is the kernel's (flock(2)), so it ends with the process that holds it, however that ends.

use std::fs::{File, TryLockError};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

use berth_protocol::FailureCode;

use crate::failure::{Result, failure, io};
use crate::files::open_lock;

/// How long the lock is waited for: who has just been told that a change is over may find it not let go yet.
const PATIENCE: Duration = Duration::from_millis(200);

/// The machine's lock, held as long as this value lives.
#[derive(Debug)]
pub(crate) struct Lock {
    _file: File,
}

/// The lock's file; `/run` is empty after a boot, when nothing can be going on.
const PATH: &str = "/run/berth/lock";

impl Lock {
    /// Takes the machine's lock; [`FailureCode::Busy`] where another holds it. `what` tells the other who has it.
    pub(crate) fn machine(what: &str) -> Result<Self> {
        Self::take(Path::new(PATH), what, PATIENCE)
    }

    /// The same, but whoever has it is waited for so long.
    pub(crate) fn machine_within(what: &str, patience: Duration) -> Result<Self> {
        Self::take(Path::new(PATH), what, patience)
    }

    fn take(path: &Path, what: &str, patience: Duration) -> Result<Self> {
        let problem = || io(format!("cannot lock {}", path.display()));
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).map_err(problem())?;
        }
        let mut file = open_lock(path).map_err(problem())?;
        let end = Instant::now() + patience;
        loop {
            match file.try_lock() {
                Ok(()) => break,
                Err(TryLockError::WouldBlock) if Instant::now() < end => sleep(Duration::from_millis(10)),
                Err(TryLockError::WouldBlock) => return Err(busy(&mut file)),
                Err(TryLockError::Error(error)) => return Err(problem()(error)),
            }
        }
        let written = file.set_len(0).and_then(|()| file.write_all(what.as_bytes()));
        written.map_err(problem())?;
        Ok(Self { _file: file })
    }
}

fn busy(file: &mut File) -> berth_protocol::Failure {
    let mut holder = String::new();
    let read = file.seek(SeekFrom::Start(0)).and_then(|_| file.take(200).read_to_string(&mut holder));
    let holder = if read.is_ok() && !holder.is_empty() { holder } else { "another operation".into() };
    failure(FailureCode::Busy, format!("this machine is being changed by {holder}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_who_wants_the_lock_learns_who_has_it_and_gets_it_afterwards() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run/lock");
        let first = Lock::take(&path, "the first one", PATIENCE).unwrap();
        let failure = Lock::take(&path, "the second", PATIENCE).unwrap_err();
        assert_eq!(failure.code, FailureCode::Busy);
        assert!(failure.message.ends_with("the first one"), "{failure}");
        drop(first);
        Lock::take(&path, "the second", PATIENCE).unwrap();
    }
}
