//! The daemon's folder: nobody else may read it, and one daemon at a time uses it.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// Why the folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DataDirError {
    /// It cannot be made or written.
    #[error("cannot use the data folder {}: {source}", .path.display())]
    Io {
        /// The folder or a file in it.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Another daemon uses it.
    #[error("another daemon uses the data folder {}", .0.display())]
    InUse(PathBuf),
    /// Another daemon uses the SQLite database.
    #[error("another daemon uses the database {}; daemons that share the work need PostgreSQL", .0.display())]
    DatabaseInUse(PathBuf),
}

/// Held as long as the daemon runs.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

/// Makes the folder where there is none. One that is there loses the rights of others.
///
/// # Errors
/// [`DataDirError::Io`]
pub fn create(path: &Path) -> Result<(), DataDirError> {
    let io = |source| DataDirError::Io { path: path.to_owned(), source };
    DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(io)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o700)).map_err(io)
}

/// Takes the folder for this daemon.
///
/// # Errors
/// [`DataDirError::InUse`] where another one has it.
pub fn lock(path: &Path) -> Result<Lock, DataDirError> {
    take(&path.join("lock"), || DataDirError::InUse(path.to_owned()))
}

/// Takes an SQLite database for this daemon, wherever its file is.
///
/// # Errors
/// [`DataDirError::DatabaseInUse`] where another one has it.
pub fn lock_database(path: &Path) -> Result<Lock, DataDirError> {
    let mut file = path.as_os_str().to_owned();
    file.push(".lock");
    take(Path::new(&file), || DataDirError::DatabaseInUse(path.to_owned()))
}

fn take(file: &Path, in_use: impl FnOnce() -> DataDirError) -> Result<Lock, DataDirError> {
    let io = |source| DataDirError::Io { path: file.to_owned(), source };
    let lock =
        OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(file).map_err(io)?;
    match lock.try_lock() {
        Ok(()) => Ok(Lock { _file: lock }),
        Err(TryLockError::WouldBlock) => Err(in_use()),
        Err(TryLockError::Error(source)) => Err(io(source)),
    }
}

/// Writes a file that only the daemon's user may read; whole or not at all.
///
/// # Errors
/// [`DataDirError::Io`]
pub fn write_private(path: &Path, text: &[u8]) -> Result<(), DataDirError> {
    let new = path.with_extension("new");
    let io = |source| DataDirError::Io { path: path.to_owned(), source };
    let write = || {
        let _ = std::fs::remove_file(&new);
        let mut file = OpenOptions::new().create_new(true).write(true).mode(0o600).open(&new)?;
        file.write_all(text)?;
        file.sync_all()
    };
    write().map_err(io)?;
    rename(&new, path)
}

/// Puts a file in the place of another one in the same folder, also after a power failure.
///
/// # Errors
/// [`DataDirError::Io`]
pub fn rename(from: &Path, to: &Path) -> Result<(), DataDirError> {
    let io = |source| DataDirError::Io { path: to.to_owned(), source };
    std::fs::rename(from, to).map_err(io)?;
    let folder = to.parent().unwrap_or(Path::new("."));
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(io)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_folder_is_private_and_has_one_user_at_a_time() {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("a/b");
        create(&data).unwrap();
        assert_eq!(std::fs::metadata(&data).unwrap().permissions().mode() & 0o777, 0o700);
        let first = lock(&data).unwrap();
        assert!(matches!(lock(&data), Err(DataDirError::InUse(_))));
        drop(first);
        assert!(lock(&data).is_ok());
        let database = data.join("berth.db");
        let first = lock_database(&database).unwrap();
        let second = lock_database(&database).unwrap_err().to_string();
        assert!(second.contains("berth.db; daemons that share the work need PostgreSQL"), "{second}");
        drop(first);
        assert!(lock_database(&database).is_ok());
        let file = data.join("admin.token");
        write_private(&file, b"one").unwrap();
        write_private(&file, b"two").unwrap();
        assert_eq!(std::fs::read(&file).unwrap(), b"two");
        assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    }
}
