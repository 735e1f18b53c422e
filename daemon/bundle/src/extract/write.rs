//! Writing entries.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{
    AtFlags, Gid, Mode, OFlags, Timespec, Timestamps, UTIME_OMIT, Uid, chownat, fchmod, fchown, futimens,
    openat, symlinkat, utimensat,
};
use sha2::{Digest as _, Sha256};

use super::folder::Folders;
use super::links::leaves;
use super::{Extracted, Leaving, Ownership, Selection};
use crate::entry::{Entry, Kind, Target};
use crate::error::{ExtractError, ReadError};
use crate::header;
use crate::progress::Progress;
use crate::source::{ReadAt, Section};
use crate::verify::Signed;

type Result<T> = std::result::Result<T, ExtractError>;

const CHUNK: usize = 128 * 1024;
/// So many zeros in a row become a hole.
const HOLE: usize = 4096;
/// So many links that were left out are named.
const MAX_NAMED: usize = 1000;

pub(super) fn size(entry: &Entry) -> u64 {
    match entry.kind {
        Kind::File { size, .. } => size,
        Kind::Directory | Kind::Symlink { .. } => 0,
    }
}

/// Writes what is selected.
pub(super) fn all(
    source: &dyn ReadAt,
    signed: Signed,
    root: OwnedFd,
    selection: Selection<'_>,
    progress: Progress,
    tell: &mut dyn FnMut(Progress),
) -> Result<Extracted> {
    let mut manifest = signed.manifest(source)?;
    let (folders, done) = (Folders::new(root), Extracted::default());
    let mut writing =
        Writing { source, folders, selection, done, progress, tell, at: 0, unfinished: Vec::new() };
    while let Some(entry) = manifest.next_entry().map_err(ReadError::from)? {
        writing.entry(entry)?;
    }
    writing.finish()
}

struct Writing<'a> {
    source: &'a dyn ReadAt,
    folders: Folders,
    selection: Selection<'a>,
    done: Extracted,
    progress: Progress,
    tell: &'a mut dyn FnMut(Progress),
    /// Where the next entry's header begins.
    at: u64,
    /// Folders whose mode and time are set when nothing is written into them any more, from the outermost.
    unfinished: Vec<Entry>,
}

impl Writing<'_> {
    fn entry(&mut self, entry: Entry) -> Result<()> {
        let content = self.at.saturating_add(header::of_entry(&entry).len() as u64);
        let size = size(&entry);
        self.at = content.saturating_add(size).saturating_add(header::padding(size));
        if !(self.selection.select)(&entry) {
            return Ok(());
        }
        if leaves(&entry) && self.selection.leaving != Leaving::Keep {
            self.leave_out(&entry);
            return Ok(());
        }
        self.write(&entry, content)?;
        self.done.entries += 1;
        self.done.bytes += size;
        if entry.kind == Kind::Directory {
            // What is not around this folder is finished: entries come in the order of their paths.
            while let Some(last) = self.unfinished.pop_if(|last| !entry.path.is_within(&last.path)) {
                self.finish_folder(&last)?;
            }
            self.unfinished.push(entry);
        }
        Ok(())
    }

    fn leave_out(&mut self, entry: &Entry) {
        self.done.left_out_count += 1;
        if self.done.left_out.len() < MAX_NAMED {
            self.done.left_out.push(entry.path.encoded());
        }
    }

    fn write(&mut self, entry: &Entry, content: u64) -> Result<()> {
        match &entry.kind {
            Kind::Directory => self.folders.folder(&entry.path).map(drop).map_err(unwritable(entry)),
            Kind::Symlink { target } => self.symlink(entry, target).map_err(unwritable(entry)),
            Kind::File { size, sha256 } => {
                let (folder, name) = self.folders.of(&entry.path).map_err(unwritable(entry))?;
                let flags =
                    OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                let file = openat(folder, name, flags, Mode::RUSR | Mode::WUSR);
                let file = File::from(file.map_err(|error| unwritable(entry)(error.into()))?);
                let sum = self.content(entry, &file, content, *size)?;
                if sum != *sha256.as_bytes() {
                    return Err(ReadError::Changing.into());
                }
                self.dress(entry, &file).map_err(unwritable(entry))?;
                self.progress.files += 1;
                (self.tell)(self.progress);
                Ok(())
            }
        }
    }

    fn content(&mut self, entry: &Entry, mut file: &File, at: u64, size: u64) -> Result<[u8; 32]> {
        let mut content = Section::new(self.source, at, at.saturating_add(size));
        let (mut sum, mut chunk) =
            (Sha256::new(), vec![0; CHUNK.min(usize::try_from(size).unwrap_or(CHUNK))]);
        loop {
            let read = match content.read(&mut chunk).map_err(ReadError::from)? {
                0 => break,
                read => read,
            };
            sum.update(&chunk[..read]);
            write_sparsely(&mut file, &chunk[..read]).map_err(unwritable(entry))?;
            self.progress.bytes += read as u64;
            (self.tell)(self.progress);
        }
        // A hole at the end.
        file.set_len(size).map_err(unwritable(entry))?;
        Ok(sum.finalize().into())
    }

    fn symlink(&mut self, entry: &Entry, target: &Target) -> io::Result<()> {
        let ownership = self.selection.ownership;
        let (folder, name) = self.folders.of(&entry.path)?;
        symlinkat(target.as_bytes(), folder, name)?;
        if let Ownership::Of(owner) = ownership {
            let (uid, gid) = owner(entry);
            let (uid, gid) = (Uid::from_raw(uid), Gid::from_raw(gid));
            chownat(folder, name, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW)?;
        }
        utimensat(folder, name, &times(entry), AtFlags::SYMLINK_NOFOLLOW)?;
        Ok(())
    }

    /// Owner, mode and time, in this order: a change of the owner takes special bits away.
    fn dress(&self, entry: &Entry, file: impl AsFd) -> io::Result<()> {
        let mut mode = entry.meta.mode.bits() & 0o777;
        if let Ownership::Of(owner) = self.selection.ownership {
            let (uid, gid) = owner(entry);
            fchown(&file, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)))?;
            mode = entry.meta.mode.bits();
        }
        fchmod(&file, Mode::from_raw_mode(mode))?;
        futimens(&file, &times(entry))?;
        Ok(())
    }

    fn finish_folder(&mut self, entry: &Entry) -> Result<()> {
        let folder = self.folders.folder(&entry.path).map_err(unwritable(entry))?;
        let folder = folder.try_clone_to_owned().map_err(unwritable(entry))?;
        self.dress(entry, folder).map_err(unwritable(entry))
    }

    fn finish(mut self) -> Result<Extracted> {
        while let Some(last) = self.unfinished.pop() {
            self.finish_folder(&last)?;
        }
        Ok(self.done)
    }
}

fn unwritable(entry: &Entry) -> impl Fn(io::Error) -> ExtractError + '_ {
    |source| ExtractError::Write { path: entry.path.clone(), source }
}

/// The time of the last change; that of the last access is now.
fn times(entry: &Entry) -> Timestamps {
    let last_access = Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT as _ };
    Timestamps { last_access, last_modification: Timespec { tv_sec: entry.meta.mtime, tv_nsec: 0 } }
}

/// Writes bytes, and goes past zeros instead of writing them.
fn write_sparsely(file: &mut &File, bytes: &[u8]) -> io::Result<()> {
    const ZEROS: &[u8] = &[0; HOLE];
    for piece in bytes.chunks(HOLE) {
        if *piece == ZEROS[..piece.len()] {
            file.seek(SeekFrom::Current(piece.len() as i64))?;
        } else {
            file.write_all(piece)?;
        }
    }
    Ok(())
}
