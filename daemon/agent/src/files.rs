//! Files that appear as a whole.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::failure::{Result, io};

/// The mode of a folder that is made: services read secrets below the agent's own folder.
const FOLDER_MODE: u32 = 0o711;

/// A file under a temporary name in the folder of the real one; removed unless it was given its real name.
#[derive(Debug)]
pub(crate) struct Draft {
    pub(crate) file: File,
    temporary: PathBuf,
    path: PathBuf,
    folder: PathBuf,
}

impl Draft {
    /// A draft of `path` that its user alone can read. Folders that are missing are made such that others can pass through
    /// to files of theirs below, and list nothing.
    pub(crate) fn of(path: &Path) -> std::io::Result<Self> {
        let folder = path.parent().ok_or_else(|| std::io::Error::from(ErrorKind::InvalidInput))?.to_owned();
        DirBuilder::new().recursive(true).mode(FOLDER_MODE).create(&folder)?;
        let mut random = [0; 8];
        getrandom::fill(&mut random)?;
        let temporary = folder.join(format!(".berth-{:016x}", u64::from_ne_bytes(random)));
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary)?;
        Ok(Self { file, temporary, path: path.to_owned(), folder })
    }

    /// Gives it its real name in place of what has it. After a crash, either the old or the new file is there.
    pub(crate) fn replace(self) -> std::io::Result<()> {
        self.file.sync_all()?;
        std::fs::rename(&self.temporary, &self.path)?;
        File::open(&self.folder)?.sync_all()
    }

    /// Gives it its real name unless something has it already; tells whether it did.
    pub(crate) fn appear(self) -> std::io::Result<bool> {
        self.file.sync_all()?;
        match std::fs::hard_link(&self.temporary, &self.path) {
            Ok(()) => {
                File::open(&self.folder)?.sync_all()?;
                Ok(true)
            }
            Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(false),
            Err(error) => Err(error),
        }
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        // After `replace` there is nothing under this name any more.
        let _ = std::fs::remove_file(&self.temporary);
    }
}

/// Opens the file of a lock (flock(2)), which is made where there is none and never emptied.
pub(crate) fn open_lock(path: &Path) -> std::io::Result<File> {
    OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)
}

/// Removes a file; nothing where there is none.
pub(crate) fn remove_if_there(path: &Path) -> std::io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        done => done,
    }
}

/// Removes a folder with all that is in it; nothing where there is none.
pub(crate) fn remove_folder_if_there(path: &str) -> Result<()> {
    match std::fs::remove_dir_all(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(io(format!("cannot remove {path}"))(error)),
        _ => Ok(()),
    }
}

/// What a file of JSON holds; nothing where there is no such file.
pub(crate) fn json_if_any<T: DeserializeOwned>(path: &Path) -> Result<Option<T>> {
    let problem = || io(format!("cannot read {}", path.display()));
    match std::fs::read(path) {
        Ok(bytes) => serde_json::from_slice(&bytes).map(Some).map_err(|error| problem()(error.into())),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(problem()(error)),
    }
}

/// Replaces a file as a whole by what a value is in JSON.
pub(crate) fn write_json(path: &Path, value: &impl Serialize) -> Result<()> {
    let problem = || io(format!("cannot write {}", path.display()));
    let bytes = serde_json::to_vec(value).map_err(|error| problem()(error.into()))?;
    write_whole(path, &bytes).map_err(problem())
}

/// Replaces a file as a whole, in a place that does not outlive a boot anyway.
pub(crate) fn replace_unsynced(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let mut draft = Draft::of(path)?;
    draft.file.write_all(bytes)?;
    std::fs::rename(&draft.temporary, &draft.path)
}

/// Replaces a file as a whole.
pub(crate) fn write_whole(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let mut draft = Draft::of(path)?;
    draft.file.write_all(bytes)?;
    draft.replace()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_replaced_or_kept_as_wished_and_no_draft_stays_behind() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a/b");
        write_whole(&path, b"one").unwrap();
        write_whole(&path, b"two").unwrap();
        let mut draft = Draft::of(&path).unwrap();
        draft.file.write_all(b"three").unwrap();
        assert!(!draft.appear().unwrap());
        assert_eq!(std::fs::read(&path).unwrap(), b"two");
        assert_eq!(std::fs::read_dir(folder.path().join("a")).unwrap().count(), 1);
    }
}
