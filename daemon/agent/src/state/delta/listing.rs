//! What a service's directories held at one moment: every entry's path and stamp. The next look tells by it what has changed since.
//!
//! Everything is written to the disk before it is looked at (syncfs(2)): a page that a program has mapped and changed already would
//! otherwise be changed again without the kernel noticing. What was changed about then or later, or is on another file system, is taken
//! for changed by the next look, whatever it is like then. A listing is good for one boot, as after a power cut a file may have the times
//! of one write and the content of another.

use std::fs::{File, Metadata};
use std::io::{BufReader, BufWriter, ErrorKind, Read, Seek as _, SeekFrom, Write};
use std::os::unix::fs::FileTypeExt as _;
use std::path::{Path, PathBuf};

use berth_delta::{read_path, write_path};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::Change;
use crate::activation::boot_id;
use crate::files::Draft;
use crate::state::stamp::{Settled, Stamp, read_u64};
use crate::state::tree::walk;

/// The first bytes of a listing.
const MAGIC: &[u8; 8] = b"berthls1";

/// What was changed so many seconds before a look or later may change once more with the same time: the clock has ticks, and a write
/// has the time of its beginning.
const SETTLED_SECONDS: i64 = 2;

/// The longest heading, in bytes.
const MAX_HEADING: u32 = 1024 * 1024;

/// What a listing says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Heading {
    /// The boot that it is good for.
    pub(super) boot: String,
    /// Which state it is of; snapshots are found by it.
    pub(super) state: Uuid,
    /// The directories, in the order of their paths.
    pub(super) directories: Vec<String>,
}

/// What has become known of a listing's state only once its snapshots were made.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Since {
    /// The bytes of the files that have changed since a snapshot held everything.
    pub(super) bytes: u64,
    /// Whether a copy may hold what stands in no listing: what came and went while a snapshot of everything was made.
    pub(super) leaky: bool,
}

/// What there is altogether.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(in crate::state) struct Total {
    pub(in crate::state) files: u64,
    pub(in crate::state) bytes: u64,
}

/// A listing that was made before.
pub(super) struct Earlier {
    pub(super) heading: Heading,
    pub(super) since: Since,
    reader: BufReader<File>,
    next: Option<(PathBuf, Stamp)>,
}

impl Earlier {
    /// Reads what is there; nothing where it is of another boot, or no listing.
    pub(super) fn open(file: &Path) -> Option<Self> {
        let mut reader = BufReader::new(File::open(file).ok()?);
        let (mut magic, mut leaky, mut length) = ([0; MAGIC.len()], [0], [0; 4]);
        reader.read_exact(&mut magic).ok()?;
        let bytes = read_u64(&mut reader).ok()?;
        reader.read_exact(&mut leaky).and_then(|()| reader.read_exact(&mut length)).ok()?;
        let (length, since) = (u32::from_be_bytes(length), Since { bytes, leaky: leaky != [0] });
        if magic != *MAGIC || length > MAX_HEADING {
            return None;
        }
        let mut text = vec![0; length as usize];
        reader.read_exact(&mut text).ok()?;
        let heading: Heading = serde_json::from_slice(&text).ok()?;
        (heading.boot == boot_id()).then_some(Self { heading, since, reader, next: None })
    }

    fn advance(&mut self) -> std::io::Result<()> {
        // The end is marked: what was cut off is not taken for what is gone.
        let path = read_path(&mut self.reader)?;
        self.next =
            if path.as_os_str().is_empty() { None } else { Some((path, Stamp::read(&mut self.reader)?)) };
        Ok(())
    }
}

/// Lists the heading's directories into a draft; `changed` is told of every entry how it stands to an earlier listing, in the order
/// of paths' components. Tells how much there is. What is gone when it is looked at is passed over, and so are sockets, which no copy brings along.
pub(super) fn take(
    heading: &Heading,
    mut earlier: Option<Earlier>,
    draft: &Draft,
    changed: &mut dyn FnMut(Change<'_>) -> std::io::Result<()>,
) -> std::io::Result<Total> {
    let (mut writer, mut total) = (BufWriter::new(&draft.file), Total::default());
    let text = serde_json::to_vec(heading)?;
    let length = u32::try_from(text.len()).map_err(|_| std::io::Error::from(ErrorKind::InvalidData))?;
    writer.write_all(MAGIC)?;
    write_since(&mut writer, Since::default())?;
    writer.write_all(&length.to_be_bytes())?;
    writer.write_all(&text)?;
    if let Some(earlier) = &mut earlier {
        earlier.advance()?;
    }
    for directory in &heading.directories {
        let root = Path::new(directory);
        let settled = Settled::now(root, SETTLED_SECONDS)?;
        walk(root, &mut |relative, found| {
            if found.file_type().is_socket() {
                return Ok(());
            }
            if found.is_file() {
                total.files += 1;
                total.bytes = total.bytes.saturating_add(found.len());
            }
            let path = root.join(relative);
            compare(earlier.as_mut(), &path, found, changed)?;
            let fits = write_path(&mut writer, &path)?;
            fits.then_some(()).ok_or_else(|| std::io::Error::from(ErrorKind::InvalidFilename))?;
            let stamp = Stamp::of(found);
            let known = if settled.has(&stamp) { stamp } else { stamp.unsettled() };
            known.write(&mut writer)
        })?;
    }
    if let Some(earlier) = &mut earlier {
        while let Some((path, _)) = &earlier.next {
            changed(Change::Goes(path))?;
            earlier.advance()?;
        }
    }
    write_path(&mut writer, Path::new(""))?;
    writer.flush()?;
    Ok(total)
}

/// Gives a listing its name, once snapshots lead to its state.
pub(super) fn keep(mut draft: Draft, since: Since) -> std::io::Result<()> {
    draft.file.seek(SeekFrom::Start(MAGIC.len() as u64))?;
    write_since(&mut draft.file, since)?;
    draft.replace()
}

/// Says anew of a listing that has its name what has become known of its state.
pub(super) fn keep_again(file: &Path, since: Since) -> std::io::Result<()> {
    let mut file = File::options().write(true).open(file)?;
    file.seek(SeekFrom::Start(MAGIC.len() as u64))?;
    write_since(&mut file, since)?;
    file.sync_all()
}

fn write_since(writer: &mut impl Write, since: Since) -> std::io::Result<()> {
    writer.write_all(&since.bytes.to_be_bytes())?;
    writer.write_all(&[since.leaky.into()])
}

fn compare(
    earlier: Option<&mut Earlier>,
    path: &Path,
    found: &Metadata,
    changed: &mut dyn FnMut(Change<'_>) -> std::io::Result<()>,
) -> std::io::Result<()> {
    let Some(earlier) = earlier else { return changed(Change::Comes(path, found)) };
    while let Some((gone, _)) = earlier.next.as_ref().filter(|(next, _)| next.as_path() < path) {
        changed(Change::Goes(gone))?;
        earlier.advance()?;
    }
    match &earlier.next {
        Some((next, stamp)) if next == path => {
            let stays = *stamp == Stamp::of(found);
            earlier.advance()?;
            changed(if stays { Change::Stays(path) } else { Change::Comes(path, found) })
        }
        _ => changed(Change::Comes(path, found)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn heading(directory: &Path) -> Heading {
        let directories = vec![directory.to_str().unwrap().to_owned()];
        Heading { boot: boot_id(), state: Uuid::now_v7(), directories }
    }

    /// Waits until what was changed so far is settled.
    fn settle() {
        std::thread::sleep(std::time::Duration::from_secs(SETTLED_SECONDS.unsigned_abs() + 1));
    }

    /// Lists a directory into a file; tells what has changed since the listing in it.
    fn look(directory: &Path, file: &Path) -> Vec<String> {
        let (heading, draft) = (heading(directory), Draft::of(file).unwrap());
        let mut told = Vec::new();
        take(&heading, Earlier::open(file), &draft, &mut |change| {
            let name = |path: &Path| path.strip_prefix(directory).unwrap().display().to_string();
            match change {
                Change::Comes(path, _) => told.push(format!("+{}", name(path))),
                Change::Goes(path) => told.push(format!("-{}", name(path))),
                Change::Stays(_) => {}
            }
            Ok(())
        })
        .unwrap();
        let since = Since { bytes: 7, leaky: true };
        keep(draft, since).unwrap();
        let kept = Earlier::open(file).unwrap();
        assert_eq!((kept.heading, kept.since), (heading, since));
        told
    }

    #[test]
    fn just_what_has_changed_is_told_however_little_shows_of_it() {
        let folder = tempfile::tempdir().unwrap();
        let (root, file) = (folder.path().join("root"), folder.path().join("listing"));
        std::fs::create_dir_all(root.join("a/deep")).unwrap();
        for name in ["a/deep/x", "a/y", "a.txt", "z"] {
            std::fs::write(root.join(name), "one").unwrap();
        }
        let _socket = std::os::unix::net::UnixListener::bind(root.join("socket")).unwrap();
        let all = ["+a", "+a/deep", "+a/deep/x", "+a/y", "+a.txt", "+z"];
        assert_eq!(look(&root, &file), all);
        assert_eq!(look(&root, &file), all, "it was changed just now, and could have been once more");
        settle();
        look(&root, &file);
        assert!(look(&root, &file).is_empty());

        // As long and as old as before: the kernel knows.
        let times = std::fs::metadata(root.join("z")).unwrap().modified().unwrap();
        std::fs::write(root.join("z"), "two").unwrap();
        File::options().write(true).open(root.join("z")).unwrap().set_modified(times).unwrap();
        settle();
        assert_eq!(look(&root, &file), ["+z"]);
        std::fs::set_permissions(root.join("a.txt"), PermissionsExt::from_mode(0o600)).unwrap();
        std::fs::remove_dir_all(root.join("a/deep")).unwrap();
        settle();
        assert_eq!(look(&root, &file), ["+a", "-a/deep", "-a/deep/x", "+a.txt"]);
        std::fs::remove_file(root.join("z")).unwrap();
        assert_eq!(look(&root, &file), ["-z"]);
        // A second name is a change of the file with the first.
        std::fs::hard_link(root.join("a.txt"), root.join("b")).unwrap();
        assert_eq!(look(&root, &file), ["+a.txt", "+b"]);
    }

    #[test]
    fn what_was_cut_off_is_no_listing() {
        let folder = tempfile::tempdir().unwrap();
        let (root, file) = (folder.path().join("root"), folder.path().join("listing"));
        std::fs::create_dir(&root).unwrap();
        std::fs::write(root.join("x"), "").unwrap();
        look(&root, &file);
        let whole = std::fs::read(&file).unwrap();
        for length in 0..whole.len() {
            std::fs::write(&file, &whole[..length]).unwrap();
            let Some(earlier) = Earlier::open(&file) else { continue };
            let draft = Draft::of(&folder.path().join("other")).unwrap();
            assert!(take(&heading(&root), Some(earlier), &draft, &mut |_| Ok(())).is_err(), "{length}");
        }
    }
}
