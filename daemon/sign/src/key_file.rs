//! The file of a secret key: its user's alone, and there as a whole or not at all.

use std::fs::File;
use std::io::{ErrorKind, Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use secrecy::zeroize::Zeroizing;
use secrecy::{ExposeSecret as _, SecretString};

use crate::error::KeyError;

/// More than any key is.
const LONGEST: u64 = 64 * 1024;

fn problem(path: &Path, what: &'static str) -> impl FnOnce(std::io::Error) -> KeyError {
    let path: PathBuf = path.to_owned();
    move |source| KeyError::Io { path, what, source }
}

pub(crate) fn exists(path: &Path) -> Result<bool, KeyError> {
    path.try_exists().map_err(problem(path, "read"))
}

pub(crate) fn read(path: &Path) -> Result<SecretString, KeyError> {
    let file = File::open(path).map_err(problem(path, "read"))?;
    let mode = file.metadata().map_err(problem(path, "read"))?.permissions().mode() & 0o7777;
    if mode & 0o077 != 0 {
        return Err(KeyError::Open { path: path.to_owned(), mode });
    }
    let mut text = Zeroizing::new(String::new());
    file.take(LONGEST).read_to_string(&mut text).map_err(problem(path, "read"))?;
    Ok(SecretString::from(text.as_str()))
}

/// Writes it unless somebody else has written one meanwhile: then that one stays.
pub(crate) fn create(path: &Path, pem: &SecretString) -> Result<(), KeyError> {
    write(path, pem).map_err(problem(path, "written"))
}

fn write(path: &Path, pem: &SecretString) -> std::io::Result<()> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    // Such a file has the mode 0600 from its beginning.
    let mut draft = tempfile::Builder::new().prefix(".berth-key-").tempfile_in(folder)?;
    draft.write_all(pem.expose_secret().as_bytes())?;
    draft.as_file().sync_all()?;
    match draft.persist_noclobber(path) {
        Ok(_) => File::open(folder)?.sync_all(),
        Err(error) if error.error.kind() == ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error.error),
    }
}
