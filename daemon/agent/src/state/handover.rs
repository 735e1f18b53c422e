//! What opens the repository, on its way from the agent that was told to the unit that needs it.
//!
//! It goes through a pipe with a name that root alone can open, so it stands in no file, no command line and no property of a
//! unit.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use berth_protocol::{FailureCode, Repository};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{CWD, FileType, Mode, OFlags, mknodat};
use secrecy::zeroize::Zeroizing;

use super::record::Name;
use crate::failure::{Result, failure, io};
use crate::places::VOLATILE;

/// How long the one side waits for the other.
const LIMIT: Duration = Duration::from_secs(20);

/// How often it is looked whether the other side is there.
const PAUSE: Duration = Duration::from_millis(5);

/// A pipe that waits for its reader; it goes with this value.
pub(super) struct Handover {
    path: PathBuf,
}

impl Handover {
    /// Makes the pipe.
    pub(super) fn prepare(name: Name) -> Result<Self> {
        Self::at(path(name))
    }

    fn at(path: PathBuf) -> Result<Self> {
        let make = || {
            std::fs::create_dir_all(path.parent().unwrap_or(Path::new("/")))?;
            let _ = std::fs::remove_file(&path);
            mknodat(CWD, &path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).map_err(std::io::Error::from)
        };
        make().map_err(io(format!("cannot make the pipe {}", path.display())))?;
        Ok(Self { path })
    }

    /// Waits for the reader and gives it what it needs.
    pub(super) fn give(self, repository: &Repository) -> Result<()> {
        let problem = || io("cannot hand the repository's password over");
        let bytes = serde_json::to_vec(repository).map_err(|error| problem()(error.into()))?;
        let bytes = Zeroizing::new(bytes);
        let end = Instant::now() + LIMIT;
        loop {
            match OpenOptions::new().write(true).custom_flags(nonblocking()).open(&self.path) {
                // It is far smaller than a pipe's room (pipe(7): 16 pages), so writing does not wait.
                Ok(mut pipe) => return pipe.write_all(&bytes).map_err(problem()),
                // open(2): ENXIO until somebody reads.
                Err(error) if error.raw_os_error() == Some(6) && Instant::now() < end => sleep(PAUSE),
                Err(error) => return Err(problem()(error)),
            }
        }
    }
}

impl Drop for Handover {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

/// Takes what [`Handover::give`] gives.
pub(super) fn take(name: Name) -> Result<Repository> {
    take_from(&path(name))
}

fn take_from(path: &Path) -> Result<Repository> {
    let problem = || io("cannot take the repository's password over");
    let nobody = || failure(FailureCode::Io, "nobody handed the repository's password over");
    let mut pipe = match OpenOptions::new().read(true).custom_flags(nonblocking()).open(path) {
        Ok(pipe) => pipe,
        Err(error) if error.kind() == ErrorKind::NotFound => return Err(nobody()),
        Err(error) => return Err(problem()(error)),
    };
    let mut bytes = Zeroizing::new(Vec::new());
    let end = Instant::now() + LIMIT;
    loop {
        wait_for_bytes(&pipe);
        match pipe.read_to_end(&mut bytes) {
            // A pipe that nobody has opened for writing yet looks as one that has ended.
            Ok(_) if bytes.is_empty() && Instant::now() < end => sleep(PAUSE),
            Ok(_) if bytes.is_empty() => return Err(nobody()),
            Ok(_) => break,
            Err(error) if error.kind() == ErrorKind::WouldBlock && Instant::now() < end => {}
            Err(error) => return Err(problem()(error)),
        }
    }
    serde_json::from_slice(&bytes).map_err(|_| nobody())
}

fn wait_for_bytes(pipe: &File) {
    let mut fds = [PollFd::new(pipe, PollFlags::IN)];
    let _ = poll(&mut fds, Some(&Timespec { tv_sec: 1, tv_nsec: 0 }));
}

fn nonblocking() -> i32 {
    OFlags::NONBLOCK.bits().cast_signed()
}

fn path(name: Name) -> PathBuf {
    Path::new(VOLATILE).join("handover").join(name.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};

    #[test]
    fn what_is_given_is_taken_and_the_pipe_is_roots_alone_and_gone_afterwards() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("handover/x");
        let repository = Repository {
            url: "/srv/vault".into(),
            user: String::new(),
            password: secrecy::SecretString::from("").into(),
            key: secrecy::SecretString::from("hunter2").into(),
        };
        let handover = Handover::at(path.clone()).unwrap();
        let found = path.symlink_metadata().unwrap();
        assert!(found.file_type().is_fifo());
        assert_eq!(found.permissions().mode() & 0o777, 0o600);
        let taken = std::thread::scope(|scope| {
            let taking = scope.spawn(|| take_from(&path));
            sleep(Duration::from_millis(50));
            handover.give(&repository).unwrap();
            taking.join().unwrap().unwrap()
        });
        assert_eq!(taken, repository);
        assert!(!path.exists());
        assert!(take_from(&path).unwrap_err().message.contains("nobody"));
    }
}
