//! A directory put in place of another, and back.
//!
//! The new one is made in a *room* beside the old one. One that another operation has left behind, as it only restored ahead
//! (see `ahead`), is taken over by the next, or goes with the data.
//!
//! Where it can be, it is renamed: one moment it is the old one, the next it is the new one. A mount point cannot be renamed;
//! what is in it is exchanged instead, entry by entry, in steps that can each be told apart afterwards. Names are made of the
//! operation, so that whoever comes after a crash finds what was exchanged.

use std::ffi::{OsStr, OsString};
use std::fs::DirBuilder;
use std::io::ErrorKind;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{ahead, sums};
use crate::directories;
use crate::failure::{Result, io};

/// A directory that is exchanged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Exchange {
    path: PathBuf,
    operation: Uuid,
    /// Whether it is a mount point.
    mounted: bool,
    /// Whether there was one before.
    existed: bool,
}

impl Exchange {
    /// How a directory will be exchanged; changes nothing.
    pub(super) fn of(path: &str, operation: Uuid, mounts: &Mounts) -> Self {
        let (existed, path) = (Path::new(path).exists(), PathBuf::from(path));
        Self { mounted: mounts.is_one(&path), existed, path, operation }
    }

    /// Whether it is a mount point.
    pub(super) fn is_mounted(&self) -> bool {
        self.mounted
    }

    /// The folder that the new one is restored into, on the same file system; made empty, and root's alone.
    pub(super) fn make_room(&self) -> Result<PathBuf> {
        remove_rooms(&self.path)?;
        let room = self.room();
        self.remove_room()?;
        let parent = room.parent().unwrap_or(Path::new("/"));
        let make = || {
            std::fs::create_dir_all(parent)?;
            DirBuilder::new().mode(0o700).create(&room)
        };
        make().map_err(self.problem("make room for"))?;
        Ok(room)
    }

    /// The same folder with what was restored ahead into it, be it by an operation that came to nothing since.
    pub(super) fn take_room(&self) -> Result<PathBuf> {
        if self.mounted {
            return self.make_room();
        }
        let room = self.room();
        if !room.exists()
            && let Some(left) = rooms(&self.path).map_err(self.problem("look beside"))?.pop()
        {
            std::fs::rename(left, &room).map_err(self.problem("make room for"))?;
            // Nobody but operations like this one has touched it.
            sums::take_over(&self.path.to_string_lossy(), self.operation);
        }
        if room.exists() { Ok(room) } else { self.make_room() }
    }

    /// Removes that folder, as nothing will come of it.
    pub(super) fn leave_room(&self) -> Result<()> {
        self.remove_room()
    }

    /// With what is known of the files in it.
    fn remove_room(&self) -> Result<()> {
        sums::forget_of(&self.path.to_string_lossy())?;
        self.remove(&self.room())
    }

    /// Where the new one stands in that folder.
    pub(super) fn new_one(&self) -> PathBuf {
        self.room().join(self.path.strip_prefix("/").unwrap_or(&self.path))
    }

    /// Puts the new one in the old one's place.
    pub(super) fn put(&self) -> Result<()> {
        let put = || {
            if self.mounted {
                std::fs::create_dir(self.moving())?;
                self.move_all(&self.path, &self.moving())?;
                // From here on, what else is in it is new.
                std::fs::rename(self.moving(), self.before())?;
                return self.move_all(&self.new_one(), &self.path);
            }
            if self.existed {
                std::fs::rename(&self.path, self.before())?;
            }
            std::fs::rename(self.new_one(), &self.path)
        };
        put().map_err(self.problem("exchange"))
    }

    /// Puts the old one back, however far [`Exchange::put`] went; done twice, it does nothing.
    pub(super) fn put_back(&self) -> Result<()> {
        if self.mounted {
            self.put_content_back()?
        } else {
            self.put_whole_back()?
        }
        self.remove_room()
    }

    fn put_whole_back(&self) -> Result<()> {
        if self.before().exists() {
            self.remove(&self.path)?;
            return std::fs::rename(self.before(), &self.path).map_err(self.problem("put back"));
        }
        // There was none, and the new one may have come.
        if self.existed { Ok(()) } else { self.remove(&self.path) }
    }

    fn put_content_back(&self) -> Result<()> {
        if self.before().exists() {
            for entry in self.entries(&self.path).map_err(self.problem("put back"))? {
                self.remove_entry(&entry)?;
            }
            std::fs::rename(self.before(), self.moving()).map_err(self.problem("put back"))?;
        }
        if self.moving().exists() {
            self.move_all(&self.moving(), &self.path).map_err(self.problem("put back"))?;
            std::fs::remove_dir(self.moving()).map_err(self.problem("put back"))?;
        }
        Ok(())
    }

    /// Removes the old one: there is no way back any more.
    pub(super) fn forget(&self) -> Result<()> {
        self.remove(&self.before())?;
        self.remove(&self.room())
    }

    fn room(&self) -> PathBuf {
        self.beside("new")
    }

    fn before(&self) -> PathBuf {
        self.beside("before")
    }

    fn moving(&self) -> PathBuf {
        self.beside("moving")
    }

    /// `/var/lib/.web.berth-before-OPERATION`; of a mount point, in it.
    fn beside(&self, what: &str) -> PathBuf {
        let name = format!(".berth-{what}-{}", self.operation);
        if self.mounted {
            return self.path.join(name);
        }
        let mut whole = OsString::from(".");
        whole.push(self.path.file_name().unwrap_or_default());
        whole.push(&name);
        self.path.with_file_name(whole)
    }

    /// What is in a folder, but for what is ours.
    fn entries(&self, folder: &Path) -> std::io::Result<Vec<PathBuf>> {
        let ours = [self.room(), self.before(), self.moving()];
        let entries = std::fs::read_dir(folder)?.map(|entry| entry.map(|entry| entry.path()));
        let entries: Vec<PathBuf> = entries.collect::<std::result::Result<_, _>>()?;
        Ok(entries.into_iter().filter(|path| !ours.contains(path)).collect())
    }

    fn move_all(&self, from: &Path, to: &Path) -> std::io::Result<()> {
        for entry in self.entries(from)? {
            std::fs::rename(&entry, to.join(entry.file_name().unwrap_or_default()))?;
        }
        Ok(())
    }

    fn remove(&self, path: &Path) -> Result<()> {
        // The paths are of the contract's, which were checked, and of ours.
        directories::remove(&path.to_string_lossy()).map(drop)
    }

    fn remove_entry(&self, path: &Path) -> Result<()> {
        let remove = || match path.symlink_metadata()?.is_dir() {
            true => std::fs::remove_dir_all(path),
            false => std::fs::remove_file(path),
        };
        match remove() {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(self.problem("put back")(error)),
            _ => Ok(()),
        }
    }

    fn problem(&self, what: &str) -> impl FnOnce(std::io::Error) -> berth_protocol::Failure + use<> {
        io(format!("cannot {what} {}", self.path.display()))
    }
}

/// Has nobody restore ahead any more, and removes the rooms of directories that are a tenant's. Whoever calls it has the machine to
/// itself.
pub(crate) fn forget_rooms(directories: &[&str]) -> Result<()> {
    ahead::end_others(None)?;
    directories.iter().try_for_each(|path| remove_rooms(Path::new(path)))
}

/// Removes the rooms beside a directory that operations have left behind.
fn remove_rooms(path: &Path) -> Result<()> {
    sums::forget_of(&path.to_string_lossy())?;
    let rooms = rooms(path).map_err(io(format!("cannot look beside {}", path.display())))?;
    rooms.iter().try_for_each(|room| directories::remove(&room.to_string_lossy()).map(drop))
}

/// The rooms beside a directory: `.web.berth-new-OPERATION`.
fn rooms(path: &Path) -> std::io::Result<Vec<PathBuf>> {
    let mut beginning = OsString::from(".");
    beginning.push(path.file_name().unwrap_or_default());
    beginning.push(".berth-new-");
    let entries = match std::fs::read_dir(path.parent().unwrap_or(Path::new("/"))) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let paths = entries.map(|entry| entry.map(|entry| entry.path())).collect::<std::io::Result<Vec<_>>>()?;
    let is_room = |path: &PathBuf| {
        path.file_name().is_some_and(|name| name.as_bytes().starts_with(beginning.as_bytes()))
    };
    Ok(paths.into_iter().filter(is_room).collect())
}

/// Where file systems are mounted (proc_pid_mountinfo(5)).
pub(super) struct Mounts {
    points: Vec<PathBuf>,
}

impl Mounts {
    pub(super) fn read() -> Result<Self> {
        let path = "/proc/self/mountinfo";
        let text = std::fs::read(path).map_err(io(format!("cannot read {path}")))?;
        Ok(Self::parse(&text))
    }

    fn parse(text: &[u8]) -> Self {
        let lines = text.split(|byte| *byte == b'\n');
        let points = lines.filter_map(|line| line.split(|byte| *byte == b' ').nth(4)).map(unescaped);
        Self { points: points.collect() }
    }

    fn is_one(&self, path: &Path) -> bool {
        self.points.iter().any(|point| point == path)
    }

    /// One that is somewhere below a directory.
    pub(super) fn below(&self, path: &str) -> Option<&Path> {
        let mut below = self
            .points
            .iter()
            .filter(|point| point.starts_with(path) && point.as_os_str() != OsStr::new(path));
        below.next().map(PathBuf::as_path)
    }
}

/// A blank is `\040`, and so are others.
fn unescaped(field: &[u8]) -> PathBuf {
    let mut bytes = Vec::new();
    let mut rest = field;
    while let Some((&first, after)) = rest.split_first() {
        let octal = (first == b'\\').then(|| after.get(..3)).flatten();
        let value = octal.and_then(|digits| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 8).ok());
        match value {
            Some(byte) => {
                bytes.push(byte);
                rest = &after[3..];
            }
            None => {
                bytes.push(first);
                rest = after;
            }
        }
    }
    OsString::from_vec(bytes).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Case {
        _folder: tempfile::TempDir,
        base: PathBuf,
        exchange: Exchange,
    }

    /// A directory with an old file in it, unless there is none, and a new one that waits.
    fn case(mounted: bool, existed: bool) -> Case {
        let folder = tempfile::tempdir().unwrap();
        let base = folder.path().canonicalize().unwrap();
        let path = base.join("web");
        if existed {
            std::fs::create_dir(&path).unwrap();
            std::fs::write(path.join("old"), "").unwrap();
            std::fs::create_dir(path.join("same")).unwrap();
        }
        let exchange = Exchange { path, operation: Uuid::now_v7(), mounted, existed };
        let room = exchange.make_room().unwrap();
        assert!(exchange.new_one().starts_with(&room));
        std::fs::create_dir_all(exchange.new_one().join("same/deep")).unwrap();
        std::fs::write(exchange.new_one().join("new"), "").unwrap();
        Case { _folder: folder, base, exchange }
    }

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<_> = std::fs::read_dir(folder)
            .unwrap()
            .map(|e| e.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn the_new_one_comes_and_the_old_one_goes_for_good_only_at_the_end() {
        for (mounted, existed) in [(false, true), (false, false), (true, true)] {
            let case = case(mounted, existed);
            case.exchange.put().unwrap();
            assert!(case.exchange.path.join("new").exists() && case.exchange.path.join("same/deep").exists());
            assert_eq!(case.exchange.before().exists(), existed);
            case.exchange.forget().unwrap();
            assert_eq!(names(&case.base), ["web"]);
            assert_eq!(names(&case.exchange.path), ["new", "same"]);
        }
    }

    #[test]
    fn the_old_one_is_put_back_however_far_it_went_and_twice_is_as_once() {
        for (mounted, existed) in [(false, true), (false, false), (true, true)] {
            for put in [false, true] {
                let case = case(mounted, existed);
                if put {
                    case.exchange.put().unwrap();
                }
                for _ in 0..2 {
                    case.exchange.put_back().unwrap();
                    assert_eq!(names(&case.base), if existed { vec!["web"] } else { Vec::new() });
                    if existed {
                        assert_eq!(names(&case.exchange.path), ["old", "same"]);
                    }
                }
            }
        }
    }

    #[test]
    fn a_mount_points_exchange_that_was_broken_off_in_the_middle_is_put_back() {
        // Half of the old content was moved away.
        let half = case(true, true);
        std::fs::create_dir(half.exchange.moving()).unwrap();
        std::fs::rename(half.exchange.path.join("old"), half.exchange.moving().join("old")).unwrap();
        half.exchange.put_back().unwrap();
        assert_eq!(names(&half.exchange.path), ["old", "same"]);
        // All of it was, and half of the new one came.
        let half = case(true, true);
        std::fs::create_dir(half.exchange.moving()).unwrap();
        half.exchange.move_all(&half.exchange.path, &half.exchange.moving()).unwrap();
        std::fs::rename(half.exchange.moving(), half.exchange.before()).unwrap();
        std::fs::rename(half.exchange.new_one().join("new"), half.exchange.path.join("new")).unwrap();
        half.exchange.put_back().unwrap();
        assert_eq!(names(&half.exchange.path), ["old", "same"]);
    }

    #[test]
    fn mount_points_are_read_as_the_kernel_writes_them() {
        let text = b"36 35 98:0 /mnt1 /var/lib/web\\040data rw - ext3 /dev/root rw\n37 35 0:5 / /srv/x rw - tmpfs t rw\n";
        let mounts = Mounts::parse(text);
        assert!(mounts.is_one(Path::new("/var/lib/web data")) && !mounts.is_one(Path::new("/var/lib")));
        assert_eq!(mounts.below("/srv"), Some(Path::new("/srv/x")));
        assert_eq!(mounts.below("/srv/x"), None);
    }
}
