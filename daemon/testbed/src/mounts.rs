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
    let points = all()?.into_iter().rev().map(|mounted| mounted.point);
    Ok(points.filter(|point| point.starts_with(path)).collect())
}

/// A mount, as `/proc/self/mountinfo` has it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Mounted {
    /// Which part of the file system is mounted.
    pub(crate) root: PathBuf,
    /// Where.
    pub(crate) point: PathBuf,
    /// What kind of file system it is.
    pub(crate) kind: String,
    options: String,
}

impl Mounted {
    /// Whether the file system itself has an option.
    pub(crate) fn has_option(&self, wanted: &str) -> bool {
        self.options.split(',').any(|option| option == wanted)
    }
}

/// All mounts that this process sees, the oldest first.
pub(crate) fn all() -> Result<Vec<Mounted>> {
    let table = std::fs::read("/proc/self/mountinfo").context(|| "cannot read the mount table".to_owned())?;
    Ok(parse(&table))
}

/// Reads a mountinfo table (proc(5)): paths have octal escapes, and optional fields end with a hyphen.
pub(crate) fn parse(table: &[u8]) -> Vec<Mounted> {
    table.split(|byte| *byte == b'\n').filter_map(parse_line).collect()
}

fn parse_line(line: &[u8]) -> Option<Mounted> {
    let mut fields = line.split(|byte| *byte == b' ');
    let (root, point) = (unescape(fields.nth(3)?), unescape(fields.next()?));
    let mut fields = fields.skip_while(|field| *field != b"-").skip(1);
    let mut text = || fields.next().map(|field| String::from_utf8_lossy(field).into_owned());
    let (kind, _source, options) = (text()?, text()?, text()?);
    Some(Mounted { root, point, kind, options })
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
    fn mounts_are_read_with_their_escapes_and_optional_fields() {
        let table =
            b"22 1 0:21 / /proc rw - proc proc rw\n23 1 0:22 /in /mnt/a\\040b rw shared:1 - tmpfs tmpfs rw,size=9k\n";
        let [first, second] = &parse(table)[..] else { panic!() };
        assert_eq!((first.point.as_path(), first.kind.as_str()), (Path::new("/proc"), "proc"));
        assert_eq!(
            (second.root.as_path(), second.point.as_path()),
            (Path::new("/in"), Path::new("/mnt/a b"))
        );
        assert!(second.has_option("size=9k") && !second.has_option("size"));
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
