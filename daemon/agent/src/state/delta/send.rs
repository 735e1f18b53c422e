//! What has changed since the last pass, on its way to whoever follows.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{BufWriter, Write};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use berth_delta::changes::Writer;
use berth_delta::{CHANGES, Chain, Fate, Folder, Snapshot, at_tag, brings_files, delta_tag, from_tag};
use berth_domain::ServiceName;
use rustix::fs::llistxattr;
use uuid::Uuid;

use super::listing::{self, Earlier, Heading, Since, Total};
use super::{Change, attributes};
use crate::activation::boot_id;
use crate::failure::{Result, io};
use crate::files::{Draft, remove_folder_if_there};
use crate::places::LISTINGS;

/// The bytes that the paths of all deltas of a repository have together at the most: each stands in its snapshot, and whoever looks
/// for one snapshot reads all.
const PATHS_BYTES: usize = 1024 * 1024;

/// How many bytes may have changed since the last snapshot of everything, as whoever makes the next reads them once more.
const SINCE_WHOLE: u64 = 256 * 1024 * 1024;

/// What a pass found of a service's directories.
pub(in crate::state) struct Tracked {
    place: PathBuf,
    /// The listing, until it is kept.
    draft: Option<Draft>,
    state: Uuid,
    since: Since,
    pub(in crate::state) found: Found,
    /// How much there is.
    pub(in crate::state) total: Total,
}

/// How it stands to the state before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::state) enum Found {
    /// It is the same; a snapshot that leads there.
    Same(String),
    /// Few files have changed.
    Few {
        /// The file that lists what a delta consists of, for restic.
        list: PathBuf,
        /// The state before.
        from: Uuid,
    },
    /// So many have changed, or nothing leads to what was there before, that everything has to be gone through.
    Many,
}

impl Tracked {
    /// Looks at directories, and prepares a delta in a folder of its own.
    pub(in crate::state) fn look(
        service: &ServiceName,
        snapshots: &[Snapshot],
        directories: &[String],
        folder: &Path,
    ) -> Result<Self> {
        let mut directories = directories.to_vec();
        directories.sort_by(|one, other| Path::new(one).cmp(Path::new(other)));
        let place = Path::new(LISTINGS).join(service.as_str());
        remove_what_others_began();
        let chain = Chain::of(service.as_str(), snapshots);
        // Whoever is to go on from it must be able to get there.
        let earlier = Earlier::open(&place).filter(|earlier| {
            earlier.heading.directories == directories && chain.to(earlier.heading.state, None).is_some()
        });
        let heading = Heading { boot: boot_id(), state: Uuid::now_v7(), directories };
        let look = || {
            let draft = Draft::of(&place)?;
            let Some(earlier) = earlier else {
                let total = listing::take(&heading, None, &draft, &mut |_| Ok(()))?;
                return Ok((draft, heading.state, Since::default(), (Found::Many, total)));
            };
            let (from, since) = (earlier.heading.state, earlier.since);
            let room = PATHS_BYTES.saturating_sub(paths_bytes(snapshots));
            let mut few = Few::new(folder, since.leaky, room)?;
            let total = listing::take(&heading, Some(earlier), &draft, &mut |change| few.add(&change))?;
            // A copy that may hold more is not the same.
            // Whoever follows waits for what was sent, and not for what they made of it.
            let sent =
                || chain.at(from).find(|one| brings_files(&one.tags)).or_else(|| chain.at(from).next());
            let same = if few.changed || since.leaky { None } else { sent() };
            let bytes = since.bytes.saturating_add(few.bytes);
            let (state, found) = match same {
                Some(snapshot) => (from, Found::Same(snapshot.id.clone())),
                None if few.too_many => (heading.state, Found::Many),
                None => (heading.state, Found::Few { list: few.finish()?, from }),
            };
            Ok((draft, state, Since { bytes, ..since }, (found, total)))
        };
        let looked = look().map_err(io(format!("cannot look for what has changed of {service}")))?;
        let (draft, state, since, (found, total)) = looked;
        Ok(Self { place, draft: Some(draft), state, since, found, total })
    }

    /// The tag of snapshots of everything.
    pub(in crate::state) fn tag(&self) -> String {
        at_tag(self.state)
    }

    /// The tags of the delta.
    pub(in crate::state) fn delta_tags(&self, service: &ServiceName, from: Uuid) -> Vec<String> {
        vec![delta_tag(service.as_str()), from_tag(from), self.tag()]
    }

    /// Whether a snapshot of everything is due in any case.
    pub(in crate::state) fn is_far(&self) -> bool {
        self.since.bytes > SINCE_WHOLE
    }

    /// Has the next pass go on from here: snapshots lead to this state. Without it, the next one goes on from the state before. Where more
    /// was made of the state since, it is said once more.
    pub(in crate::state) fn keep(&mut self, made: Made) -> Result<()> {
        let since = match made {
            // What is known already is as good.
            _ if matches!(self.found, Found::Same(_)) => return Ok(()),
            Made::Delta => Since { leaky: false, ..self.since },
            Made::Whole { quiet } => Since { bytes: 0, leaky: !quiet },
        };
        let kept = match self.draft.take() {
            Some(draft) => listing::keep(draft, since),
            None => listing::keep_again(&self.place, since),
        };
        kept.map_err(io("cannot keep what a service's directories held"))
    }
}

/// What was made of a state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::state) enum Made {
    /// A delta alone.
    Delta,
    /// A snapshot of everything.
    Whole {
        /// Whether nobody wrote meanwhile.
        quiet: bool,
    },
}

/// Forgets what the directories of all services held.
pub(crate) fn forget() -> Result<()> {
    remove_folder_if_there(LISTINGS)
}

/// Removes listings that a pass had begun that was killed. Whoever looks has the machine to itself.
fn remove_what_others_began() {
    let entries = std::fs::read_dir(LISTINGS).into_iter().flatten().flatten();
    for entry in entries.filter(|entry| entry.file_name().as_bytes().starts_with(b".")) {
        let _ = std::fs::remove_file(entry.path());
    }
}

/// What a delta consists of, as it is found.
struct Few {
    changes: Writer<BufWriter<File>>,
    complete: bool,
    list: BufWriter<File>,
    list_path: PathBuf,
    changes_path: PathBuf,
    /// How many bytes the paths of files that come may still have.
    room: usize,
    too_many: bool,
    changed: bool,
    /// The bytes of the files that come.
    bytes: u64,
}

impl Few {
    /// In a folder that is nobody else's.
    fn new(folder: &Path, complete: bool, room: usize) -> std::io::Result<Self> {
        DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        let file = |path: &Path| {
            let options = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path);
            options.map(BufWriter::new)
        };
        let (changes_path, list_path) = (folder.join(CHANGES), folder.join("list"));
        let (changes, list) = (Writer::new(file(&changes_path)?, complete)?, file(&list_path)?);
        let (too_many, changed, bytes) = (false, false, 0);
        Ok(Self { changes, complete, list, list_path, changes_path, room, too_many, changed, bytes })
    }

    fn add(&mut self, change: &Change<'_>) -> std::io::Result<()> {
        let (path, fate) = match change {
            Change::Stays(path) if self.complete => (path, Fate::Stays),
            Change::Stays(_) => return Ok(()),
            Change::Goes(path) => (path, Fate::Gone),
            Change::Comes(path, found) if found.is_dir() => {
                // Whatever else a folder has is left to a snapshot of everything.
                self.too_many |= has_attributes(path);
                let modified = (found.mtime(), u32::try_from(found.mtime_nsec()).unwrap_or(0));
                let (mode, uid, gid) = (found.mode() & 0o7777, found.uid(), found.gid());
                (path, Fate::Folder(Folder { mode, uid, gid, modified }))
            }
            Change::Comes(path, found) => {
                self.bytes = self.bytes.saturating_add(found.size());
                self.comes(path)?;
                (path, Fate::Brought)
            }
        };
        self.changed |= fate != Fate::Stays;
        if self.too_many { Ok(()) } else { self.changes.add(path, &fate) }
    }

    fn comes(&mut self, path: &Path) -> std::io::Result<()> {
        let path = path.as_os_str().as_bytes();
        match self.room.checked_sub(path.len()) {
            Some(room) => self.room = room,
            None => self.too_many = true,
        }
        if self.too_many { Ok(()) } else { self.list(path) }
    }

    fn list(&mut self, path: &[u8]) -> std::io::Result<()> {
        self.list.write_all(path)?;
        self.list.write_all(&[0])
    }

    /// Gives the list.
    fn finish(mut self) -> std::io::Result<PathBuf> {
        let changes = self.changes_path.clone();
        self.list(changes.as_os_str().as_bytes())?;
        self.list.flush()?;
        self.changes.finish()?;
        Ok(self.list_path)
    }
}

/// Whether somebody has given it extended attributes, or a list of who may use it (acl(5)).
fn has_attributes(path: &Path) -> bool {
    attributes(&mut |names| llistxattr(path, names)).is_ok_and(|names| !names.is_empty())
}

fn paths_bytes(snapshots: &[Snapshot]) -> usize {
    let deltas = snapshots.iter().filter(|snapshot| snapshot.is_delta());
    deltas.flat_map(|delta| &delta.paths).map(String::len).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use berth_delta::changes::Reader;

    fn few(folder: &Path, complete: bool, room: usize) -> Few {
        let mut few = Few::new(folder, complete, room).unwrap();
        std::fs::write(folder.join("file"), "1234").unwrap();
        let found = |name: &str| folder.join(name).symlink_metadata().unwrap();
        few.add(&Change::Comes(Path::new("/s/a"), &folder.metadata().unwrap())).unwrap();
        few.add(&Change::Comes(Path::new("/s/a/x"), &found("file"))).unwrap();
        few.add(&Change::Stays(Path::new("/s/b"))).unwrap();
        few.add(&Change::Goes(Path::new("/s/c"))).unwrap();
        few
    }

    #[test]
    fn files_that_come_are_listed_for_restic_and_everything_else_stands_in_a_file_that_comes_too() {
        let folder = tempfile::tempdir().unwrap();
        for complete in [false, true] {
            let few = few(folder.path(), complete, 6);
            assert_eq!((few.bytes, few.changed, few.too_many), (4, true, false));
            let list = std::fs::read(few.finish().unwrap()).unwrap();
            assert_eq!(list, format!("/s/a/x\0{}\0", folder.path().join(CHANGES).display()).into_bytes());
            let mut reader = Reader::new(File::open(folder.path().join(CHANGES)).unwrap()).unwrap();
            let mut paths = Vec::new();
            while let Some((path, fate)) = reader.entry().unwrap() {
                let kind = if let Fate::Folder(_) = fate { "Folder".to_owned() } else { format!("{fate:?}") };
                paths.push(format!("{} {kind}", path.display()));
            }
            let mut expected = vec!["/s/a Folder", "/s/a/x Brought", "/s/c Gone"];
            if complete {
                expected.insert(2, "/s/b Stays");
            }
            assert_eq!(
                (reader.complete, paths),
                (complete, expected.iter().map(|s| (*s).to_owned()).collect())
            );
        }
    }

    #[test]
    fn more_than_there_is_room_for_is_too_much() {
        let folder = tempfile::tempdir().unwrap();
        let few = few(folder.path(), true, 5);
        assert_eq!((few.too_many, few.bytes), (true, 4));
    }
}
