//! A demo's folder: what its daemon writes, and what is written down of it.
//!
//! ```text
//! ~/.cache/berth/demo/lock                 held while a folder is made or claimed
//! ~/.cache/berth/demo/keep.lock            held while a demo that is to be kept comes up
//! ~/.cache/berth/demo/PID-XXXXXX/lock      held for as long as the demo's process lives
//!                                data/     the daemon's
//!                                daemon.log
//!                                demo.json once its services answered
//! ```

use std::fs::{self, File};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use berth_testbed::{Kept, Testbed, TestbedOptions, image};
use rustix::fs::{FlockOperation, flock};

use super::daemon;
use super::record::Record;
use crate::failure::{Failure, Result};

/// The folder of a demo that runs. Dropped, it is removed, unless it was kept.
#[derive(Debug)]
pub(super) struct DemoFolder {
    path: PathBuf,
    kept: bool,
    /// Tells others that this process lives.
    _lock: File,
}

/// Held by whoever is about to keep a demo: there is one at most.
#[derive(Debug)]
pub(super) struct KeepLock {
    _lock: File,
}

impl DemoFolder {
    pub(super) fn create() -> Result<Self> {
        let home = made_home()?;
        let made = || {
            let _home = lock(&home.join("lock"), FlockOperation::LockExclusive)?;
            let prefix = format!("{}-", std::process::id());
            let path = tempfile::Builder::new().prefix(&prefix).tempdir_in(&home)?.keep();
            let lock = lock(&path.join("lock"), FlockOperation::LockExclusive)?;
            Ok(lock.map(|lock| Self { path, kept: false, _lock: lock }))
        };
        let failed =
            |error: std::io::Error| Failure::local(format!("{} cannot be used: {error}", home.display()));
        made().map_err(failed)?.ok_or_else(|| Failure::local(format!("{} is in use", home.display())))
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Writes down what runs; a reader sees all of it or nothing.
    pub(super) fn write(&self, record: &Record) -> Result<()> {
        let partial = self.path.join("demo.json.partial");
        serde_json::to_vec_pretty(record)
            .map_err(std::io::Error::other)
            .and_then(|text| fs::write(&partial, text))
            .and_then(|()| fs::rename(&partial, self.path.join("demo.json")))
            .map_err(|error| Failure::local(format!("{} cannot be written: {error}", partial.display())))
    }

    pub(super) fn keep(mut self) {
        self.kept = true;
    }
}

impl Drop for DemoFolder {
    fn drop(&mut self) {
        if !self.kept
            && let Err(error) = fs::remove_dir_all(&self.path)
        {
            tracing::warn!("{} cannot be removed: {error}", self.path.display());
        }
    }
}

impl KeepLock {
    pub(super) fn take() -> Result<Self> {
        let path = made_home()?.join("keep.lock");
        let failed =
            |error: std::io::Error| Failure::local(format!("{} cannot be locked: {error}", path.display()));
        match lock(&path, FlockOperation::NonBlockingLockExclusive).map_err(failed)? {
            Some(lock) => Ok(Self { _lock: lock }),
            None => Err(Failure::advised(
                "another demo that is to be kept is just coming up",
                "wait for it; there is one at most",
            )),
        }
    }
}

/// The folders of all demos, also of those that have ended badly.
pub(super) fn all() -> Vec<PathBuf> {
    let entries = home().and_then(|home| fs::read_dir(home).ok());
    let paths = entries.into_iter().flatten().flatten().map(|entry| entry.path());
    let mut folders: Vec<_> = paths.filter(|path| path.is_dir()).collect();
    folders.sort();
    folders
}

/// Puts away what demos left whose process was killed, and kept ones whose daemon is gone. The result says how many.
pub(super) async fn sweep() -> usize {
    let mut count = 0;
    for folder in all() {
        let kept = Record::read(&folder).is_some_and(|record| record.kept);
        if kept && daemon::runs(&folder) {
            continue;
        }
        match put_away(&folder).await {
            Ok(done) => count += usize::from(done),
            Err(error) => tracing::warn!("{} cannot be put away: {error}", folder.display()),
        }
    }
    count
}

/// Puts away all of a demo: daemon, machine, folder. Nothing happens, and `false` is the result, if it belongs to a
/// process that lives.
pub(super) async fn put_away(folder: &Path) -> Result<bool> {
    let Some(_claim) = claim(folder) else { return Ok(false) };
    daemon::end_found(folder);
    if let Some(record) = Record::read(folder).filter(|record| record.testbed.exists())
        && let Ok(testbed) = Kept::attach(&record.testbed)
    {
        testbed.stop().await.map_err(|error| Failure::local(error.to_string()))?;
    }
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(Failure::local(format!("{} cannot be removed: {error}", folder.display())))
        }
        _ => Ok(true),
    }
}

/// The same for machines whose process was killed before anything was written down.
pub(super) async fn sweep_machines() -> Result<usize> {
    Testbed::sweep(&TestbedOptions::default().state).await.map_err(|error| Failure::local(error.to_string()))
}

/// Takes a demo's folder over from a process that ended; `None` if it lives, or another was faster.
fn claim(folder: &Path) -> Option<File> {
    // While this is held nobody makes a folder, so that none is seen between being made and being locked.
    let _home = lock(&folder.parent()?.join("lock"), FlockOperation::LockExclusive).ok()?;
    lock(&folder.join("lock"), FlockOperation::NonBlockingLockExclusive).ok()?
}

/// Where demos are.
fn home() -> Option<PathBuf> {
    image::default_cache().ok().map(|cache| cache.join("demo"))
}

/// The same, made if it is not there.
fn made_home() -> Result<PathBuf> {
    let home =
        home().ok_or_else(|| Failure::local("neither HOME nor XDG_CACHE_HOME says where to keep things"))?;
    match fs::DirBuilder::new().recursive(true).mode(0o700).create(&home) {
        Ok(()) => Ok(home),
        Err(error) => Err(Failure::local(format!("{} cannot be made: {error}", home.display()))),
    }
}

/// Takes a lock, which is held until the file is closed or the process ends; `None` if another has it and the operation
/// does not wait.
fn lock(path: &Path, operation: FlockOperation) -> std::io::Result<Option<File>> {
    let file = File::options().create(true).truncate(false).write(true).mode(0o600).open(path)?;
    match flock(&file, operation) {
        Ok(()) => Ok(Some(file)),
        Err(rustix::io::Errno::WOULDBLOCK) => Ok(None),
        Err(error) => Err(error.into()),
    }
}
