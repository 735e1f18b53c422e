//! Directories and files that a tenant can claim, and their removal, which never follows a link.

use std::ffi::OsStr;
use std::io::ErrorKind;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};

use berth_delta::is_plain;

use rustix::fs::{CWD, Mode, OFlags, openat};
use rustix::io::Errno;

use crate::failure::{Result, bad_manifest, io};

/// State stands below these.
const ROOTS: [&str; 4] = ["/var/lib", "/var/cache", "/var/www", "/srv"];

/// Secrets also stand here.
const MORE_ROOTS_OF_FILES: [&str; 2] = ["/run", "/etc"];

/// Directories of the machine itself, which no tenant's state contract can claim.
const THE_MACHINES: [&str; 14] = [
    "/var/lib/apt",
    "/var/lib/berth",
    "/var/lib/containers",
    "/var/lib/dbus",
    "/var/lib/docker",
    "/var/lib/dpkg",
    "/var/lib/libvirt",
    "/var/lib/machines",
    "/var/lib/nixos",
    "/var/lib/postgresql",
    "/var/lib/private",
    "/var/lib/systemd",
    "/var/lib/ucf",
    "/var/cache/apt",
];

/// Refuses a directory that is not a tenant's to claim.
pub(crate) fn check(path: &str) -> Result<()> {
    let there = Path::new(path);
    let machines =
        THE_MACHINES.iter().any(|kept| Path::new(kept).starts_with(there) || there == Path::new(kept));
    match is_below(there, &ROOTS) && !machines {
        true => Ok(()),
        false => Err(bad_manifest(format!("the directory “{path}” is not a tenant's"))),
    }
}

/// Refuses a directory to which a link leads, or that is one: what is done to it would be done elsewhere.
pub(crate) fn check_way(path: &str) -> Result<()> {
    let problem = || io(format!("cannot use {path}"));
    let Some((parent, name)) = open_parent(Path::new(path)).map_err(problem())? else { return Ok(()) };
    match std::fs::symlink_metadata(below(&parent, &name)) {
        Ok(found) if found.is_dir() => Ok(()),
        Ok(_) => Err(problem()(std::io::Error::new(ErrorKind::NotADirectory, "it is not a directory"))),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(error) => Err(problem()(error)),
    }
}

/// Refuses a file that is not a tenant's to claim.
pub(crate) fn check_file(path: &str) -> Result<()> {
    let there = Path::new(path);
    match is_below(there, &ROOTS) || is_below(there, &MORE_ROOTS_OF_FILES) {
        true => Ok(()),
        false => Err(bad_manifest(format!("the file “{path}” is not a tenant's"))),
    }
}

fn is_below(path: &Path, roots: &[&str]) -> bool {
    is_plain(path) && roots.iter().any(|root| path.starts_with(root) && path != Path::new(root))
}

/// Removes a directory with all that is in it; tells whether it was there. A directory that is a mount point is
/// emptied and stays.
pub(crate) fn remove(path: &str) -> Result<bool> {
    let problem = || io(format!("cannot remove {path}"));
    let Some((parent, name)) = open_parent(Path::new(path)).map_err(problem())? else { return Ok(false) };
    let inside = below(&parent, &name);
    match std::fs::symlink_metadata(&inside) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(problem()(error)),
        Ok(found) if !found.is_dir() => {
            let error = std::io::Error::new(ErrorKind::NotADirectory, "it is not a directory");
            return Err(problem()(error));
        }
        Ok(_) => {}
    }
    match std::fs::remove_dir_all(&inside) {
        Err(error) if error.kind() == ErrorKind::ResourceBusy && is_empty(&inside) => Ok(true),
        outcome => outcome.map(|()| true).map_err(problem()),
    }
}

/// Removes a file, or the link that stands in its place.
pub(crate) fn remove_file(path: &Path) -> std::io::Result<()> {
    match open_parent(path)? {
        Some((parent, name)) => std::fs::remove_file(below(&parent, &name)),
        None => Err(ErrorKind::NotFound.into()),
    }
}

fn is_empty(path: &Path) -> bool {
    std::fs::read_dir(path).is_ok_and(|mut entries| entries.next().is_none())
}

/// Opens the parent step by step, each step refusing links; nothing where it does not exist.
pub(crate) fn open_parent(path: &Path) -> std::io::Result<Option<(OwnedFd, std::ffi::OsString)>> {
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(ErrorKind::InvalidInput.into());
    };
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mut folder = openat(CWD, "/", flags, Mode::empty())?;
    for part in parent.components().skip(1) {
        folder = match openat(&folder, part.as_os_str(), flags, Mode::empty()) {
            Ok(next) => next,
            Err(Errno::NOENT) => return Ok(None),
            Err(Errno::NOTDIR | Errno::LOOP) => {
                let message = format!("{} on the way is a link", Path::new(part.as_os_str()).display());
                return Err(std::io::Error::new(ErrorKind::InvalidInput, message));
            }
            Err(error) => return Err(error.into()),
        };
    }
    Ok(Some((folder, name.to_owned())))
}

/// A name in an open directory, as a path: what the directory's own path leads to meanwhile does not matter.
pub(crate) fn below(folder: &OwnedFd, name: &OsStr) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}", folder.as_raw_fd())).join(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn only_directories_that_a_tenant_can_claim_are_removed() {
        for good in ["/var/lib/gitea", "/var/lib/peertube/storage", "/srv/x", "/var/lib/postgresql-dumps"] {
            check(good).unwrap();
        }
        for bad in [
            "",
            "/",
            "/var",
            "/var/lib",
            "/var/lib/",
            "/srv",
            "/etc/x",
            "/nix/store/x",
            "/home/x",
            "/var/lib/..",
            "/var/lib/x/../../../etc",
            "/var/lib/./x",
            "/var/lib//x",
            "/var/lib/gitea/",
            "var/lib/x",
            "/var/lib/postgresql",
            "/var/lib/private",
            "/var/lib/berth",
        ] {
            assert!(check(bad).is_err(), "{bad:?}");
        }
        check_file("/var/lib/berth/secrets/gitea/key").unwrap();
        assert!(check_file("/root/.ssh/authorized_keys").is_err());
    }

    #[test]
    fn a_directory_goes_with_all_that_is_in_it_and_links_in_it_lead_nowhere() {
        let folder = tempfile::tempdir().unwrap();
        let base = folder.path().canonicalize().unwrap();
        let (state, outside) = (base.join("state"), base.join("outside"));
        std::fs::create_dir_all(state.join("deep/deeper")).unwrap();
        std::fs::create_dir(&outside).unwrap();
        std::fs::write(outside.join("precious"), "x").unwrap();
        symlink(&outside, state.join("deep/link")).unwrap();
        let path = state.to_str().unwrap();
        assert!(remove(path).unwrap());
        assert!(!state.exists());
        assert!(outside.join("precious").exists());
        assert!(!remove(path).unwrap(), "removing twice finds nothing to do");
        assert!(!remove(base.join("no/such/parent").to_str().unwrap()).unwrap());
    }

    #[test]
    fn a_link_in_place_of_the_directory_or_on_the_way_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let base = folder.path().canonicalize().unwrap();
        std::fs::create_dir_all(base.join("real/state")).unwrap();
        symlink(base.join("real"), base.join("way")).unwrap();
        symlink(base.join("real/state"), base.join("state")).unwrap();
        let failure = remove(base.join("way/state").to_str().unwrap()).unwrap_err();
        assert!(failure.message.contains("is a link"), "{failure}");
        assert!(
            remove(base.join("state").to_str().unwrap()).unwrap_err().message.contains("not a directory")
        );
        assert!(base.join("real/state").exists());
        check_way(base.join("real/state").to_str().unwrap()).unwrap();
        check_way(base.join("real/none").to_str().unwrap()).unwrap();
        assert!(check_way(base.join("state").to_str().unwrap()).is_err());
        assert!(check_way(base.join("way/state").to_str().unwrap()).is_err());
    }
}
