//! A folder and all that is in it, as entries.
//!
//! Every folder is opened from the one that it lies in and no link is followed, so that nothing that moves meanwhile
//! leads elsewhere.

use std::ffi::CString;
use std::fs::File;
use std::io::Write;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, Stat, fstat, openat, readlinkat, statat};

use crate::beneath::Beneath;
use crate::entry::{FileMode, Meta, Target};
use crate::error::WriteError;
use crate::names::Names;
use crate::path::{self, BundlePath};
use crate::writer::Writer;

type Result<T> = std::result::Result<T, WriteError>;

/// How a folder is carried.
#[derive(Clone, Copy)]
pub struct Tree<'a> {
    /// The names of the owners.
    pub names: &'a Names,
    /// What is left out, with all that is in it; it is asked for each path as it would be in the bundle.
    pub leave_out: &'a dyn Fn(&BundlePath) -> bool,
}

impl<W: Write> Writer<'_, W> {
    /// Adds a folder, which becomes the entry `path`, and all that is in it.
    ///
    /// A file with several names is carried once for each of them. Extended attributes and access lists are not carried.
    ///
    /// # Errors
    /// [`WriteError::Unfit`] for what is neither file, folder nor symbolic link; otherwise as [`Writer::file`]
    pub fn tree(&mut self, path: &BundlePath, folder: &Path, tree: Tree<'_>) -> Result<()> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let folder = rustix::fs::open(folder, flags, Mode::empty()).map_err(unreadable(path))?;
        self.folder(path, folder, tree)
    }

    /// The same of a folder in one whose content somebody else made.
    ///
    /// # Errors
    /// As [`Writer::tree`]
    pub fn tree_beneath(&mut self, path: &BundlePath, folder: Beneath, tree: Tree<'_>) -> Result<()> {
        self.folder(path, folder.into_fd(), tree)
    }

    fn folder(&mut self, path: &BundlePath, folder: OwnedFd, tree: Tree<'_>) -> Result<()> {
        let stat = fstat(&folder).map_err(unreadable(path))?;
        self.directory(path.clone(), tree.meta(&stat))?;
        for name in names(&folder).map_err(unreadable(path))? {
            let bytes = name.as_bytes();
            let inner = path.join(bytes).map_err(|reason| WriteError::BadPath {
                name: format!("{}/{}", path.encoded(), path::encode(bytes)),
                reason,
            })?;
            if !(tree.leave_out)(&inner) {
                self.within(&inner, folder.as_fd(), &name, tree)?;
            }
        }
        Ok(())
    }

    /// Adds what has a name in a folder.
    fn within(
        &mut self,
        path: &BundlePath,
        folder: BorrowedFd<'_>,
        name: &CString,
        tree: Tree<'_>,
    ) -> Result<()> {
        let stat = statat(folder, name, AtFlags::SYMLINK_NOFOLLOW).map_err(unreadable(path))?;
        // A pipe that takes the place of a file would otherwise be waited for.
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let open = |flags| openat(folder, name, flags, Mode::empty()).map_err(unreadable(path));
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory => self.folder(path, open(flags | OFlags::DIRECTORY)?, tree),
            FileType::RegularFile => self.regular(path, open(flags)?, tree),
            FileType::Symlink => {
                let target = readlinkat(folder, name, Vec::new()).map_err(unreadable(path))?;
                let target = Target::new(target.into_bytes());
                let unfit = || WriteError::Unfit { path: path.clone(), what: "a symbolic link to nothing" };
                let meta = Meta { mode: FileMode::SYMLINK, ..tree.meta(&stat) };
                self.symlink(path.clone(), target.ok_or_else(unfit)?, meta)
            }
            other => Err(WriteError::Unfit { path: path.clone(), what: what(other) }),
        }
    }

    fn regular(&mut self, path: &BundlePath, file: OwnedFd, tree: Tree<'_>) -> Result<()> {
        let stat = fstat(&file).map_err(unreadable(path))?;
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => {
                let size = u64::try_from(stat.st_size).unwrap_or_default();
                self.file(path.clone(), tree.meta(&stat), size, File::from(file))
            }
            other => Err(WriteError::Unfit { path: path.clone(), what: what(other) }),
        }
    }
}

impl Tree<'_> {
    fn meta(&self, stat: &Stat) -> Meta {
        Meta {
            mode: FileMode::of(stat.st_mode),
            uid: stat.st_uid,
            gid: stat.st_gid,
            owner: self.names.user(stat.st_uid),
            group: self.names.group(stat.st_gid),
            mtime: stat.st_mtime,
            media_type: None,
            object: None,
            bucket: None,
        }
    }
}

/// The names in a folder, in the order of their bytes.
pub(crate) fn names(folder: &OwnedFd) -> rustix::io::Result<Vec<CString>> {
    let mut names = Vec::new();
    for entry in Dir::read_from(folder)? {
        let name = entry?.file_name().to_owned();
        if !matches!(name.as_bytes(), b"." | b"..") {
            names.push(name);
        }
    }
    names.sort_unstable();
    Ok(names)
}

fn unreadable(path: &BundlePath) -> impl Fn(rustix::io::Errno) -> WriteError + '_ {
    |error| WriteError::Read { path: path.clone(), source: error.into() }
}

fn what(kind: FileType) -> &'static str {
    match kind {
        FileType::Fifo => "a pipe",
        FileType::Socket => "a socket",
        FileType::CharacterDevice | FileType::BlockDevice => "a device",
        _ => "neither file, folder nor symbolic link",
    }
}
