//! Mounts: made, found, taken away; and folders removed without reaching through one.

use std::ffi::{CString, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::io::Errno;
use rustix::mount::{MountFlags, UnmountFlags};

use crate::error::{Context, Result, TestbedError};

/// How often a busy mount is tried again before it is detached: what ran in it needs a moment to be gone.
const ATTEMPTS: u32 = 50;
const PAUSE: Duration = Duration::from_millis(20);

/// Mounts `root` as a writable view of `lower`, keeping what is written in `upper`.
pub(crate) fn overlay(lower: &Path, upper: &Path, work: &Path, root: &Path) -> Result<()> {
    let mut options = Vec::new();
    for (name, path) in [("lowerdir=", lower), (",upperdir=", upper), (",workdir=", work)] {
        options.extend_from_slice(name.as_bytes());
        options.extend(escape(path));
    }
    mount_with("overlay", options, root)
}

/// Mounts a file system in memory that holds at most `bytes`.
pub(crate) fn tmpfs(bytes: u64, target: &Path) -> Result<()> {
    mount_with("tmpfs", format!("size={bytes},mode=755").into_bytes(), target)
}

fn mount_with(kind: &str, options: Vec<u8>, target: &Path) -> Result<()> {
    let action = || format!("cannot mount {kind} at {}", target.display());
    let options = CString::new(options).map_err(|_| Errno::INVAL).context(action)?;
    rustix::mount::mount(kind, target, kind, MountFlags::empty(), options.as_c_str()).context(action)
}

/// Overlay separates options by commas and lower folders by colons.
fn escape(path: &Path) -> Vec<u8> {
    let special = |byte: u8| matches!(byte, b',' | b':' | b'\\');
    let escaped = |byte: &u8| if special(*byte) { vec![b'\\', *byte] } else { vec![*byte] };
    path.as_os_str().as_bytes().iter().flat_map(escaped).collect()
}

/// What is mounted at a path and below it, the latest mount first.
fn mounted_below(path: &Path) -> Result<Vec<PathBuf>> {
    let table = std::fs::read("/proc/self/mountinfo").context(|| "cannot read the mount table".to_owned())?;
    Ok(parse(&table).into_iter().rev().filter(|mounted| mounted.starts_with(path)).collect())
}

/// The mount points of a mountinfo table: the fifth field, with octal escapes (proc(5)).
fn parse(table: &[u8]) -> Vec<PathBuf> {
    let fifth = |line: &[u8]| line.split(|byte| *byte == b' ').nth(4).map(unescape);
    table.split(|byte| *byte == b'\n').filter_map(fifth).collect()
}

fn unescape(field: &[u8]) -> PathBuf {
    let mut bytes = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((first, tail)) = rest.split_first() {
        let code = tail.get(..3).filter(|_| *first == b'\\');
        let code = code.and_then(|code| std::str::from_utf8(code).ok());
        match code.and_then(|code| u8::from_str_radix(code, 8).ok()) {
            Some(byte) => (bytes.push(byte), rest = &tail[3..]),
            None => (bytes.push(*first), rest = tail),
        };
    }
    OsString::from_vec(bytes).into()
}

/// Takes away every mount at a path and below it.
pub(crate) fn unmount_below(path: &Path) -> Result<()> {
    for mounted in mounted_below(path)? {
        unmount(&mounted)?;
    }
    Ok(())
}

fn unmount(path: &Path) -> Result<()> {
    for _ in 0..ATTEMPTS {
        match rustix::mount::unmount(path, UnmountFlags::empty()) {
            Err(Errno::BUSY) => std::thread::sleep(PAUSE),
            // Another has unmounted it.
            Err(Errno::INVAL | Errno::NOENT) => return Ok(()),
            done => return done.context(|| format!("cannot unmount {}", path.display())),
        }
    }
    rustix::mount::unmount(path, UnmountFlags::DETACH).context(|| format!("cannot detach {}", path.display()))
}

/// Removes a folder with all in it, if it is there; first unmounts what is mounted in it, so that nothing
/// outside is reached.
pub(crate) fn remove_tree(path: &Path) -> Result<()> {
    unmount_below(path)?;
    if !mounted_below(path)?.is_empty() {
        return Err(TestbedError::LeftBehind { what: format!("a mount in {}", path.display()) });
    }
    match std::fs::remove_dir_all(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        done => done.context(|| format!("cannot remove {}", path.display())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mount_points_are_read_with_their_escapes() {
        let table = b"22 1 0:21 / /proc rw - proc proc rw\n23 1 0:22 / /mnt/a\\040b rw - tmpfs tmpfs rw\n";
        assert_eq!(parse(table), [PathBuf::from("/proc"), PathBuf::from("/mnt/a b")]);
    }

    #[test]
    fn folders_with_commas_and_colons_can_be_overlaid() {
        assert_eq!(escape(Path::new("/a,b:c")), b"/a\\,b\\:c");
    }

    #[test]
    fn removing_what_is_not_there_is_fine() {
        let folder = tempfile::tempdir().unwrap();
        remove_tree(&folder.path().join("nothing")).unwrap();
    }
}
