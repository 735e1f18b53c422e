//! The folder of sockets and generated files.
//!
//! Its path must suit three readers: a Unix socket's name holds 107 bytes (unix(7)) of which `ssh` needs some for a
//! temporary name of its own; `ssh_config` expands `%`, `~` and `${…}` and divides at spaces; and Nix divides
//! `NIX_SSHOPTS` at spaces without any quoting.

use std::fs::{DirBuilder, File};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::error::MachineError;

/// The longest path of the folder, in bytes: 107, less `/` and a name of [`crate::ssh::files::NAME_LENGTH`] with its
/// suffix `.sock`, less the 17 that `ssh` appends while it binds the socket (`mux.c`, `muxserver_listen`).
const MAX_LENGTH: usize = 107 - 1 - crate::ssh::files::NAME_LENGTH - ".sock".len() - 17;

/// What folders of our own making are called, before six letters by chance.
const PREFIX: &str = "berth-ssh-";

/// The file in a folder of our own that is locked as long as it is used.
const LOCK: &str = "lock";

/// A folder that only the daemon's user may enter.
#[derive(Debug)]
pub(crate) struct RuntimeDir {
    path: PathBuf,
    own: Option<Own>,
}

/// A folder of our own making, removed in the end.
#[derive(Debug)]
struct Own {
    folder: TempDir,
    _lock: File,
}

impl RuntimeDir {
    /// The given folder, made where it does not exist; without one, a new folder that goes when this value goes.
    pub(crate) fn open(given: Option<&Path>) -> Result<Self, MachineError> {
        match given {
            Some(path) => Self::given(path),
            None => Self::own(),
        }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    fn given(path: &Path) -> Result<Self, MachineError> {
        let path = std::path::absolute(path)
            .map_err(MachineError::io(format!("cannot make {} absolute", path.display())))?;
        check(&path)?;
        let what = format!("cannot make the folder {}", path.display());
        let made = DirBuilder::new().recursive(true).mode(0o700).create(&path);
        made.and_then(|()| std::fs::set_permissions(&path, PermissionsExt::from_mode(0o700)))
            .map_err(MachineError::io(what))?;
        Ok(Self { path, own: None })
    }

    /// Removes a folder of our own, as dropping it does, which the end of a program does not wait for.
    pub(crate) fn remove(&self) {
        if let Some(own) = &self.own {
            let _ = std::fs::remove_dir_all(own.folder.path());
        }
    }

    fn own() -> Result<Self, MachineError> {
        let bases = [std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from), Some(std::env::temp_dir())];
        let base = bases
            .into_iter()
            .flatten()
            .find(|base| base.is_dir() && check(&base.join("berth-ssh-123456")).is_ok());
        let base = base.unwrap_or_else(|| "/tmp".into());
        sweep(&base);
        let made = || {
            let mut builder = tempfile::Builder::new();
            builder.prefix(PREFIX).permissions(PermissionsExt::from_mode(0o700));
            let folder = builder.tempdir_in(&base)?;
            let lock = locked(folder.path())?;
            Ok(Own { folder, _lock: lock })
        };
        let own = made().map_err(MachineError::io(format!("cannot make a folder in {}", base.display())))?;
        Ok(Self { path: own.folder.path().to_owned(), own: Some(own) })
    }
}

/// The lock of a new folder. It is there from the moment on in which it is held: one that nobody holds yet would be taken for that
/// of a killed daemon by whoever sweeps at that moment.
fn locked(folder: &Path) -> std::io::Result<File> {
    let new = folder.join("lock.new");
    let lock = File::create_new(&new)?;
    lock.lock()?;
    std::fs::rename(&new, folder.join(LOCK))?;
    Ok(lock)
}

/// Removes the folders that killed daemons of this user left in `base`: those whose lock nobody holds. Connections over
/// their sockets end by themselves when nobody has used them for a while.
fn sweep(base: &Path) {
    for entry in std::fs::read_dir(base).into_iter().flatten().flatten() {
        let ours = entry.file_name().to_str().is_some_and(|name| name.starts_with(PREFIX));
        // One without a lock may just be in the making.
        let Some(lock) = ours.then(|| File::open(entry.path().join(LOCK)).ok()).flatten() else { continue };
        if lock.try_lock().is_ok() {
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }
}

fn check(path: &Path) -> Result<(), MachineError> {
    let refuse = |problem| Err(MachineError::RuntimeDir { path: path.to_owned(), problem });
    let plain = |text: &str| text.bytes().all(|b| b.is_ascii_alphanumeric() || b"/._-+@=,:".contains(&b));
    match path.to_str() {
        Some(text) if text.len() > MAX_LENGTH => refuse("its path is too long for a Unix socket below it"),
        Some(text) if plain(text) => Ok(()),
        _ => refuse("its path may hold only letters, digits and / . _ - + @ = , :"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_whose_path_ssh_or_nix_would_misread_is_refused_by_rule() {
        for bad in ["/run/my berth", "/run/100%", "/run/~x", "/run/${HOME}", "/run/\"x\"", "/run/ü"] {
            let error = RuntimeDir::open(Some(Path::new(bad))).unwrap_err();
            assert!(matches!(error, MachineError::RuntimeDir { .. }), "{bad}: {error}");
        }
        let long = format!("/tmp/{}", "x".repeat(MAX_LENGTH));
        let error = RuntimeDir::open(Some(Path::new(&long))).unwrap_err();
        assert!(error.to_string().contains("too long"), "{error}");
        assert!(!Path::new(&long).exists());
    }

    #[test]
    fn a_folder_of_our_own_is_private_and_goes_with_its_value() {
        let dir = RuntimeDir::open(None).unwrap();
        let path = dir.path().to_owned();
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o700);
        drop(dir);
        assert!(!path.exists());
    }

    #[test]
    fn a_folder_that_is_being_made_is_not_swept_by_others() {
        let base = tempfile::tempdir().unwrap();
        let over = std::sync::atomic::AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !over.load(std::sync::atomic::Ordering::Relaxed) {
                    sweep(base.path());
                }
            });
            for number in 0..500 {
                let folder = base.path().join(format!("{PREFIX}{number}"));
                std::fs::create_dir(&folder).unwrap();
                let lock = locked(&folder);
                let there = folder.join(LOCK).exists();
                over.store(lock.is_err() || !there || number == 499, std::sync::atomic::Ordering::Relaxed);
                lock.unwrap();
                assert!(there, "{number}");
            }
        });
    }

    #[test]
    fn what_a_killed_daemon_left_is_swept_and_what_is_used_is_not() {
        let base = tempfile::tempdir().unwrap();
        let stale = base.path().join(format!("{PREFIX}stale1"));
        let used = base.path().join(format!("{PREFIX}used01"));
        let other = base.path().join("other");
        for folder in [&stale, &used, &other] {
            std::fs::create_dir(folder).unwrap();
            File::create(folder.join(LOCK)).unwrap();
        }
        let held = File::open(used.join(LOCK)).unwrap();
        held.lock().unwrap();
        sweep(base.path());
        assert!(!stale.exists() && used.exists() && other.exists());
    }
}
