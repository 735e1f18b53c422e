//! Sums of files' contents, kept from one look at a directory to the next, so that what has not changed need not be read again
//! while services stand still.
//!
//! A file's sum is kept with the file's number, size, and times of change. The kernel sets the second of these (`ctime`) whenever
//! it changes a file, and nobody else can (inode(7)). Some things could still be missed, and are not:
//!
//! - A change within the same tick of the clock as the one before, and a write that takes long, as its time is when it began. What
//!   was changed within two minutes before the look is not kept.
//! - A page that a program has mapped and changed already is changed again without the kernel noticing, until it is written to
//!   the disk. So everything is written first (syncfs(2)): what is changed afterwards is noticed. That is done for the file system
//!   of the directory itself; what is on another is not kept.
//! - A power cut, after which a file may have the times of one write and the content of another. Sums are good for one boot.
//!
//! What lies in a room (see `exchange`) is nobody's but the operation's that restores it, or that takes the room over, and restic sets times
//! of change anew also where it keeps a file. There the number, the size and the time of the content's change are enough: it is how
//! restic itself tells what to keep, and what comes of it is compared with what the source has read. Files that are made anew may get the
//! numbers of those that were there, so a directory's sums go with its room, and where restic has not gone through everything (see `delta`),
//! all of it has to be the same.
//!
//! Without a file of sums, or with a damaged one, everything is read. Both looks go through a directory in the same order, so one
//! record of each is in memory at a time.

mod record;
#[cfg(test)]
mod tests;

use std::ffi::OsStr;
use std::fs::{DirBuilder, File, Metadata, OpenOptions};
use std::io::{BufReader, BufWriter, Read, Seek as _, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use record::Kept;

pub(super) use record::Sum;

use super::stamp::{Settled, Stamp};

use crate::activation::boot_id;
use crate::failure::{Result, io};
use crate::files::{remove_folder_if_there, remove_if_there};
use crate::places::SUMS;

/// The first bytes of a file of sums.
const MAGIC: &[u8; 8] = b"berthsm1";

/// How long a boot's name is (the kernel's `boot_id`, a UUID as text).
const BOOT_BYTES: usize = 36;

/// What was changed less than so many seconds before a look is read again at the next.
const SETTLED_SECONDS: i64 = 120;

/// Where the sums of a directory are, and how far they are relied on.
pub(super) struct Place {
    file: PathBuf,
    /// Whose they are alone, where they are of what an operation restored.
    operation: Uuid,
}

impl Place {
    /// Of a directory that services use; `operation` may also rely on what it has summed in a room of its own.
    pub(super) fn of(directory: &str, operation: Uuid) -> Self {
        Self::below(Path::new(SUMS), directory, operation)
    }

    fn below(folder: &Path, directory: &str, operation: Uuid) -> Self {
        let name: String = Sha256::digest(directory).iter().map(|byte| format!("{byte:02x}")).collect();
        Self { file: folder.join(name), operation }
    }

    /// A look at the directory whose sums are kept for the next one.
    pub(super) fn look(&self, root: &Path) -> Sums {
        match settled(root) {
            Some(settled) => self.keeping(Uuid::nil(), settled),
            None => self.rely(),
        }
    }

    /// The same of what the operation has in a room, at `root`. Nobody else writes there. Where what stays was left untouched, all of
    /// the stamp counts: what was made anew may have the number of what was there.
    pub(super) fn look_in_room(&self, root: &Path, untouched: bool) -> Sums {
        match settled(root) {
            Some(settled) => {
                let mut sums = self.keeping(self.operation, Settled { before: i64::MAX, ..settled });
                if untouched {
                    sums.relied = Relied::OnAll;
                }
                sums
            }
            None => self.rely(),
        }
    }

    /// A look that only uses what is known. What was known of a room is forgotten by it: whatever is made anew in the directory
    /// may have the numbers of what was there.
    pub(super) fn rely(&self) -> Sums {
        let known = self.read();
        if matches!(known, Some((_, Relied::OnContent))) {
            let _ = std::fs::remove_file(&self.file);
        }
        self.sums(known, None, Settled { before: i64::MIN, device: 0 })
    }

    /// What cannot be taken over is read anew.
    fn take_over(&self) {
        let hand_over = || {
            let mut file = OpenOptions::new().read(true).write(true).open(&self.file)?;
            let (mut beginning, mut owner) = ([0; MAGIC.len() + BOOT_BYTES], [0; 16]);
            file.read_exact(&mut beginning)?;
            file.read_exact(&mut owner)?;
            if !beginning.starts_with(MAGIC) || Uuid::from_bytes(owner).is_nil() {
                return Ok(());
            }
            file.seek(SeekFrom::Start(beginning.len() as u64))?;
            file.write_all(self.operation.as_bytes())
        };
        let _: std::io::Result<()> = hand_over();
    }

    fn keeping(&self, owner: Uuid, settled: Settled) -> Sums {
        self.sums(self.read(), self.writer(owner), settled)
    }

    fn sums(
        &self,
        known: Option<(BufReader<File>, Relied)>,
        writer: Option<BufWriter<File>>,
        settled: Settled,
    ) -> Sums {
        let (reader, relied) = known.map_or((None, Relied::OnAll), |(reader, relied)| (Some(reader), relied));
        let (new, file) = (self.new_file(), self.file.clone());
        let mut sums = Sums { reader, relied, next: None, writer, settled, new, file };
        sums.advance();
        sums
    }

    /// What is known, where it is anything for this operation.
    fn read(&self) -> Option<(BufReader<File>, Relied)> {
        let mut reader = BufReader::new(File::open(&self.file).ok()?);
        let (mut magic, mut boot, mut owner) = ([0; MAGIC.len()], [0; BOOT_BYTES], [0; 16]);
        reader.read_exact(&mut magic).ok()?;
        reader.read_exact(&mut boot).and_then(|()| reader.read_exact(&mut owner)).ok()?;
        if magic != *MAGIC || boot != this_boot()? {
            return None;
        }
        let relied = match Uuid::from_bytes(owner) {
            owner if owner.is_nil() => Relied::OnAll,
            owner if owner == self.operation => Relied::OnContent,
            _ => return None,
        };
        Some((reader, relied))
    }

    fn writer(&self, owner: Uuid) -> Option<BufWriter<File>> {
        let folder = self.file.parent()?;
        DirBuilder::new().recursive(true).mode(0o700).create(folder).ok()?;
        self.remove_what_others_began();
        let options =
            OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(self.new_file());
        let mut writer = BufWriter::new(options.ok()?);
        let boot = this_boot()?;
        writer.write_all(MAGIC).and_then(|()| writer.write_all(&boot)).ok()?;
        writer.write_all(owner.as_bytes()).ok()?;
        Some(writer)
    }

    /// Removes what looks at this directory left that were killed.
    fn remove_what_others_began(&self) {
        let entries = self.file.parent().and_then(|folder| std::fs::read_dir(folder).ok());
        let paths = entries.into_iter().flatten().flatten().map(|entry| entry.path());
        for path in paths.filter(|path| path.file_stem().is_some_and(|stem| self.has_begun(stem))) {
            let _ = std::fs::remove_file(path);
        }
    }

    /// Whether a name without `.new` is of this directory, with the number of a process that is not there any more.
    fn has_begun(&self, stem: &OsStr) -> bool {
        let stem = Path::new(stem);
        let process = stem.extension().filter(|_| stem.file_stem() == self.file.file_name());
        process.is_some_and(|process| !Path::new("/proc").join(process).exists())
    }

    /// Each process has its own: the last to end has the place.
    fn new_file(&self) -> PathBuf {
        self.file.with_extension(format!("{}.new", std::process::id()))
    }
}

/// Forgets the sums of all directories.
pub(crate) fn forget() -> Result<()> {
    remove_folder_if_there(SUMS)
}

/// Has an operation rely on what another has summed in the room that it takes over.
pub(super) fn take_over(directory: &str, operation: Uuid) {
    Place::of(directory, operation).take_over();
}

/// Forgets the sums of a directory, as what they are of is not there any more.
pub(super) fn forget_of(directory: &str) -> Result<()> {
    let file = Place::of(directory, Uuid::nil()).file;
    remove_if_there(&file).map_err(io(format!("cannot remove {}", file.display())))
}

/// The boot that the machine is in; nothing where the kernel tells none.
fn this_boot() -> Option<[u8; BOOT_BYTES]> {
    boot_id().into_bytes().try_into().ok()
}

/// Writes everything to the disk. Nothing where that cannot be had.
fn settled(root: &Path) -> Option<Settled> {
    Settled::now(root, SETTLED_SECONDS).ok()
}

/// What has to be the same for a sum to be believed.
#[derive(Debug, Clone, Copy)]
enum Relied {
    /// All of the stamp.
    OnAll,
    /// What concerns the content.
    OnContent,
}

/// The sums of one directory, while it is gone through.
pub(super) struct Sums {
    reader: Option<BufReader<File>>,
    relied: Relied,
    next: Option<Kept>,
    writer: Option<BufWriter<File>>,
    settled: Settled,
    new: PathBuf,
    file: PathBuf,
}

impl Sums {
    /// A file's size and sum: as they are known, or as `read` finds them. Files come in the order of their paths' components.
    pub(super) fn of(
        &mut self,
        path: &Path,
        found: &Metadata,
        read: impl FnOnce() -> std::io::Result<(u64, Sum)>,
    ) -> std::io::Result<(u64, Sum)> {
        let stamp = Stamp::of(found);
        let (size, sum) = match self.known(path, &stamp) {
            Some(sum) => (stamp.size, sum),
            None => read()?,
        };
        if size == stamp.size && self.settled.has(&stamp) {
            self.keep(path, &stamp, &sum);
        }
        Ok((size, sum))
    }

    /// Has what was seen known at the next look. What was begun and not finished is not kept.
    pub(super) fn finish(mut self) {
        let Some(mut writer) = self.writer.take() else { return };
        if writer.flush().is_ok() {
            let _ = std::fs::rename(&self.new, &self.file);
        }
    }

    fn known(&mut self, path: &Path, stamp: &Stamp) -> Option<Sum> {
        while self.next.as_ref().is_some_and(|kept| kept.path.as_path() < path) {
            self.advance();
        }
        let kept = self.next.as_ref().filter(|kept| kept.path == path)?;
        let is_same = match self.relied {
            Relied::OnAll => kept.stamp == *stamp,
            Relied::OnContent => kept.stamp.has_content_of(stamp),
        };
        is_same.then_some(kept.sum)
    }

    /// Reads the next record; what cannot be read is the end.
    fn advance(&mut self) {
        self.next = self.reader.as_mut().and_then(|reader| record::read(reader).ok());
        if self.next.is_none() {
            self.reader = None;
        }
    }

    fn keep(&mut self, path: &Path, stamp: &Stamp, sum: &Sum) {
        if let Some(writer) = &mut self.writer
            && record::write(writer, path, stamp, sum).is_err()
        {
            // The disk may be full: nothing is kept then.
            self.writer = None;
        }
    }
}

impl Drop for Sums {
    fn drop(&mut self) {
        // After `finish`, it has another name.
        let _ = std::fs::remove_file(&self.new);
    }
}
