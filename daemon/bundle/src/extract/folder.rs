//! Folders, each opened from the one that it lies in, without following a link.

use std::fs::DirBuilder;
use std::io::{self, ErrorKind};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::Path;

use rustix::fs::{Dir, Mode, OFlags, mkdirat, openat};

use crate::error::ExtractError;
use crate::path::BundlePath;

const FOLDER: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

/// The mode of folders while they are written into: what is in them is nobody else's business before its own mode is set.
const WHILE_WRITING: Mode = Mode::RWXU;

/// A folder that is new, or has nothing in it.
pub(super) fn open_empty(path: &Path) -> Result<OwnedFd, ExtractError> {
    let problem = |source: io::Error| ExtractError::Folder { path: path.to_owned(), source };
    match DirBuilder::new().mode(WHILE_WRITING.as_raw_mode()).create(path) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(problem(error)),
        _ => {}
    }
    let folder = rustix::fs::open(path, FOLDER, Mode::empty()).map_err(|error| problem(error.into()))?;
    for entry in Dir::read_from(&folder).map_err(|error| problem(error.into()))? {
        let entry = entry.map_err(|error| problem(error.into()))?;
        if !matches!(entry.file_name().to_bytes(), b"." | b"..") {
            return Err(ExtractError::NotEmpty(path.to_owned()));
        }
    }
    Ok(folder)
}

/// The folders from the root to the one that is written into. As entries come in the order of their paths, each is opened
/// about once.
pub(super) struct Folders {
    root: OwnedFd,
    open: Vec<(Vec<u8>, OwnedFd)>,
}

impl Folders {
    pub(super) fn new(root: OwnedFd) -> Self {
        Self { root, open: Vec::new() }
    }

    /// The folder that an entry lies in, and the entry's name in it.
    pub(super) fn of<'p>(&mut self, path: &'p BundlePath) -> io::Result<(BorrowedFd<'_>, &'p [u8])> {
        let mut components: Vec<_> = path.components().collect();
        let name = components.pop().unwrap_or_default();
        self.enter(&components)?;
        Ok((self.innermost(), name))
    }

    /// An entry that is a folder.
    pub(super) fn folder(&mut self, path: &BundlePath) -> io::Result<BorrowedFd<'_>> {
        let components: Vec<_> = path.components().collect();
        self.enter(&components)?;
        Ok(self.innermost())
    }

    fn innermost(&self) -> BorrowedFd<'_> {
        self.open.last().map_or(self.root.as_fd(), |(_, folder)| folder.as_fd())
    }

    /// Goes to a folder, making what is not there.
    fn enter(&mut self, components: &[&[u8]]) -> io::Result<()> {
        let same = self.open.iter().zip(components).take_while(|((open, _), wanted)| open == *wanted).count();
        self.open.truncate(same);
        for component in &components[same..] {
            match mkdirat(self.innermost(), *component, WHILE_WRITING) {
                Ok(()) | Err(rustix::io::Errno::EXIST) => {}
                Err(error) => return Err(error.into()),
            }
            let folder = openat(self.innermost(), *component, FOLDER | OFlags::NOFOLLOW, Mode::empty())?;
            self.open.push((component.to_vec(), folder));
        }
        Ok(())
    }
}
