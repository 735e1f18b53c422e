//! A delta, applied to what was restored of the states before.
//!
//! What the delta says comes from another provider. Every path of it has to be below the directory that it is applied to, and no
//! link is followed on the way.

use std::fs::File;
use std::io::Write as _;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use berth_delta::changes::{Reader, invalid};
use berth_delta::{CHANGES, Fate, Folder, Snapshot, is_plain};
use berth_protocol::FailureCode;
use rustix::fs::{
    Gid, Mode, OFlags, Timespec, Timestamps, Uid, fchmod, fchown, flistxattr, fremovexattr, futimens,
    mkdirat, openat,
};
use rustix::io::Errno;
use uuid::Uuid;

use super::attributes;
use crate::activation::boot_id;
use crate::directories::{below, open_parent};
use crate::failure::{Result, failure, io};
use crate::files::remove_if_there;
use crate::state::fetched::fetched;
use crate::state::restic::{Restic, Status};
use crate::state::tree::walk;

/// The file in a room that names the state of what is in it.
const STATE: &str = ".berth-state";

/// The state that a room's directory is in; nothing where that is not known, or was known before a boot only: after a power cut
/// not all of it may be on the disk.
pub(in crate::state) fn state_of(room: &Path) -> Option<Uuid> {
    let text = std::fs::read_to_string(room.join(STATE)).ok()?;
    let (boot, state) = text.split_once('\n')?;
    if boot == boot_id() { state.parse().ok() } else { None }
}

/// Writes it down, once all of it is there.
pub(in crate::state) fn set_state(room: &Path, state: Uuid) -> Result<()> {
    let write =
        || File::create_new(room.join(STATE))?.write_all(format!("{}\n{state}", boot_id()).as_bytes());
    write().map_err(io(format!("cannot write into {}", room.display())))
}

/// Forgets it, before anything is changed.
pub(in crate::state) fn forget_state(room: &Path) -> Result<()> {
    remove_if_there(&room.join(STATE)).map_err(io(format!("cannot write into {}", room.display())))
}

/// A delta that has arrived.
pub(in crate::state) struct Delta<'a> {
    restic: &'a Restic<'a>,
    snapshot: &'a str,
    /// The file that says what it changes.
    changes: PathBuf,
}

impl<'a> Delta<'a> {
    /// Reads what a delta changes into a folder that is nobody else's.
    pub(in crate::state) fn fetch(
        restic: &'a Restic<'a>,
        snapshot: &'a Snapshot,
        into: &Path,
    ) -> Result<Self> {
        let lacking = || failure(FailureCode::StateMismatch, "a delta does not say what it changes");
        let changes = fetched(restic, snapshot, |path| path.ends_with(CHANGES), &into.join("delta"))?;
        let changes = changes.ok_or_else(lacking)?;
        Ok(Self { restic, snapshot: &snapshot.id, changes })
    }

    /// Makes of a directory in a room, which is in the state from which the delta goes on, that to which it leads. What fails leaves
    /// it in neither.
    pub(in crate::state) fn apply(
        &self,
        directory: &str,
        (room, new): (&Path, &Path),
        on_status: &mut dyn FnMut(Status),
    ) -> Result<()> {
        let problem = || io(format!("cannot follow what has changed in {directory}"));
        let change = Application { directory: Path::new(directory), new, changes: &self.changes };
        change.make_way().map_err(problem())?;
        self.restic.restore((self.snapshot, directory), &room.to_string_lossy(), false, on_status)?;
        change.furnish().map_err(problem())
    }
}

/// What a delta changes in one directory.
struct Application<'a> {
    directory: &'a Path,
    /// Where the directory stands in its room.
    new: &'a Path,
    changes: &'a Path,
}

impl Application<'_> {
    /// Removes what goes, and what something else comes in place of: files are made anew, and never written into, as they may have
    /// other names.
    fn make_way(&self) -> std::io::Result<()> {
        let mut reader = Reader::new(File::open(self.changes)?)?;
        let mut strangers = Strangers::of(self.new, reader.complete)?;
        while let Some((path, fate)) = reader.entry()? {
            let Some(relative) = self.inside(&path)? else { continue };
            strangers.named(relative);
            match fate {
                Fate::Stays => {}
                Fate::Folder(_) => remove(&self.new.join(relative), false)?,
                Fate::Brought | Fate::Gone => remove(&self.new.join(relative), true)?,
            }
        }
        strangers.rest().try_for_each(|stranger| remove(&self.new.join(stranger), true))
    }

    /// Makes folders as they are to be. The innermost last of all are touched first, as a folder's time is that of its last entry.
    fn furnish(&self) -> std::io::Result<()> {
        let (mut reader, mut folders) = (Reader::new(File::open(self.changes)?)?, Vec::new());
        while let Some((path, fate)) = reader.entry()? {
            if let (Some(relative), Fate::Folder(folder)) = (self.inside(&path)?, fate) {
                let path = self.new.join(relative);
                make(&path)?;
                folders.push((path, folder));
            }
        }
        folders.iter().rev().try_for_each(|(path, folder)| dress(path, folder))
    }

    /// A path below the directory; nothing for one of another directory.
    fn inside<'p>(&self, path: &'p Path) -> std::io::Result<Option<&'p Path>> {
        if !is_plain(path) {
            return Err(invalid("a path is none"));
        }
        Ok(path.strip_prefix(self.directory).ok().filter(|relative| !relative.as_os_str().is_empty()))
    }
}

/// What stands in a room, less what is named.
struct Strangers {
    waiting: std::iter::Peekable<std::vec::IntoIter<PathBuf>>,
    found: Vec<PathBuf>,
}

impl Strangers {
    /// Everything is one where all that is to stay is named.
    fn of(room: &Path, all_named: bool) -> std::io::Result<Self> {
        let mut paths = Vec::new();
        if all_named {
            walk(room, &mut |relative, _| {
                paths.push(relative.to_owned());
                Ok(())
            })?;
        }
        Ok(Self { waiting: paths.into_iter().peekable(), found: Vec::new() })
    }

    /// Both come in the order of their components.
    fn named(&mut self, path: &Path) {
        while let Some(stranger) = self.waiting.next_if(|waiting| waiting.as_path() < path) {
            self.found.push(stranger);
        }
        let _ = self.waiting.next_if(|waiting| waiting == path);
    }

    fn rest(self) -> impl Iterator<Item = PathBuf> {
        self.found.into_iter().chain(self.waiting)
    }
}

/// Removes what is there; of folders only where they go as well.
fn remove(path: &Path, folders: bool) -> std::io::Result<()> {
    let Some((parent, name)) = open_parent(path)? else { return Ok(()) };
    let inside = below(&parent, &name);
    match inside.symlink_metadata() {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
        Ok(found) if found.is_dir() && folders => std::fs::remove_dir_all(inside),
        Ok(found) if found.is_dir() => Ok(()),
        Ok(_) => std::fs::remove_file(inside),
    }
}

/// Makes a folder, unless there is one.
fn make(path: &Path) -> std::io::Result<()> {
    let Some((parent, name)) = open_parent(path)? else { return Err(invalid("a folder is in none")) };
    match mkdirat(&parent, name, Mode::RWXU) {
        Err(Errno::EXIST) | Ok(()) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

fn dress(path: &Path, folder: &Folder) -> std::io::Result<()> {
    let Some((parent, name)) = open_parent(path)? else { return Err(invalid("a folder is in none")) };
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let there: OwnedFd = openat(&parent, name, flags, Mode::empty())?;
    // The owner first, as a change of it may take bits of the mode away.
    fchown(&there, Some(Uid::from_raw(folder.uid)), Some(Gid::from_raw(folder.gid)))?;
    fchmod(&there, Mode::from_raw_mode(folder.mode & 0o7777))?;
    for name in attributes(&mut |names| flistxattr(&there, names))? {
        fremovexattr(&there, name)?;
    }
    let (tv_sec, nanoseconds) = folder.modified;
    let time = Timespec { tv_sec, tv_nsec: nanoseconds.min(999_999_999).into() };
    Ok(futimens(&there, &Timestamps { last_access: time, last_modification: time })?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use berth_delta::changes::Writer;
    use std::os::unix::fs::{MetadataExt as _, symlink};

    const FOLDER: Folder = Folder { mode: 0o2750, uid: 0, gid: 0, modified: (1_000_000_000, 5) };

    struct Case {
        _folder: tempfile::TempDir,
        base: PathBuf,
        new: PathBuf,
        changes: PathBuf,
    }

    impl Case {
        /// A room with a few files, a link that leads out of it, and what is told to happen to it.
        fn of(complete: bool, fates: &[(&str, Fate)]) -> Self {
            let folder = tempfile::tempdir().unwrap();
            let base = folder.path().canonicalize().unwrap();
            let (new, changes) = (base.join("room"), base.join("changes"));
            std::fs::create_dir_all(new.join("a/deep")).unwrap();
            std::fs::create_dir(base.join("outside")).unwrap();
            for name in ["room/a/deep/x", "room/a/y", "room/z", "outside/precious"] {
                std::fs::write(base.join(name), "").unwrap();
            }
            symlink("../outside", new.join("link")).unwrap();
            let mut writer = Writer::new(File::create(&changes).unwrap(), complete).unwrap();
            fates.iter().for_each(|(path, fate)| writer.add(Path::new(path), fate).unwrap());
            writer.finish().unwrap();
            Self { _folder: folder, base, new, changes }
        }

        fn apply(&self) -> std::io::Result<()> {
            let directory = Path::new("/srv/web");
            let change = Application { directory, new: &self.new, changes: &self.changes };
            change.make_way().and_then(|()| change.furnish())
        }

        fn names(&self) -> Vec<String> {
            let mut names = Vec::new();
            walk(&self.new, &mut |relative, _| {
                names.push(relative.display().to_string());
                Ok(())
            })
            .unwrap();
            assert!(self.base.join("outside/precious").exists());
            names
        }
    }

    #[test]
    fn what_goes_or_is_replaced_is_removed_and_folders_are_as_they_are_to_be() {
        let case = Case::of(
            false,
            &[
                ("/srv/other/a", Fate::Gone),
                ("/srv/web/a/deep", Fate::Brought),
                ("/srv/web/a/deep/x", Fate::Gone),
                ("/srv/web/link", Fate::Folder(FOLDER)),
                ("/srv/web/link/empty", Fate::Folder(FOLDER)),
                ("/srv/web/z", Fate::Gone),
            ],
        );
        case.apply().unwrap();
        assert_eq!(case.names(), ["a", "a/y", "link", "link/empty"]);
        let found = case.new.join("link").symlink_metadata().unwrap();
        assert_eq!((found.mode() & 0o7777, found.mtime(), found.mtime_nsec()), (0o2750, 1_000_000_000, 5));
        case.apply().unwrap();
    }

    #[test]
    fn where_everything_is_named_nothing_else_stays() {
        let case = Case::of(true, &[("/srv/web/a", Fate::Stays), ("/srv/web/a/y", Fate::Stays)]);
        case.apply().unwrap();
        assert_eq!(case.names(), ["a", "a/y"]);
    }

    #[test]
    fn no_path_leads_out_of_the_room() {
        for bad in ["/srv/web/../x", "srv/web/x", "/srv/web//x", "/srv/web/./x", ""] {
            assert!(Case::of(false, &[(bad, Fate::Gone)]).apply().is_err(), "{bad}");
        }
        for fate in [Fate::Gone, Fate::Brought, Fate::Folder(FOLDER)] {
            let case = Case::of(false, &[("/srv/web/link/precious", fate)]);
            assert!(case.apply().is_err(), "{fate:?}");
            assert!(case.names().contains(&"link".to_owned()));
        }
    }

    #[test]
    fn a_rooms_state_is_known_until_it_is_forgotten_and_in_the_same_boot_only() {
        let folder = tempfile::tempdir().unwrap();
        let (room, state) = (folder.path(), Uuid::now_v7());
        assert_eq!(state_of(room), None);
        set_state(room, state).unwrap();
        assert_eq!(state_of(room), Some(state));
        assert!(set_state(room, state).is_err(), "it is forgotten before anything is changed");
        forget_state(room).unwrap();
        forget_state(room).unwrap();
        assert_eq!(state_of(room), None);
        std::fs::write(room.join(STATE), format!("another boot\n{state}")).unwrap();
        assert_eq!(state_of(room), None);
    }
}
