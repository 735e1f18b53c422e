//! What a snapshot holds at paths, which are best asked for in their order.

use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use super::{Node, ReadError, Reader, Tree};

/// A snapshot's tree that is looked into. The folders of the path that was asked for last stay open.
pub(crate) struct Paths<'a> {
    reader: &'a Reader,
    root: Tree,
    /// From the one in the root on.
    open: Vec<(Vec<u8>, Tree)>,
}

impl Reader {
    /// The entry at an absolute, plain path of a snapshot with this root; nothing where there is none.
    pub(crate) fn node(&self, root: [u8; 32], path: &Path) -> Result<Option<Node>, ReadError> {
        Ok(Paths::of(self, root)?.node(from_root(path))?.cloned())
    }
}

/// An absolute path, as [`Paths::node`] takes it.
pub(crate) fn from_root(path: &Path) -> &[u8] {
    path.strip_prefix("/").unwrap_or(path).as_os_str().as_bytes()
}

impl<'a> Paths<'a> {
    /// From a tree on.
    pub(crate) fn of(reader: &'a Reader, root: [u8; 32]) -> Result<Self, ReadError> {
        Ok(Self { reader, root: reader.tree(root)?, open: Vec::new() })
    }

    /// The entry at a path, which is given from the root on without a slash in front; nothing where there is none.
    pub(crate) fn node(&mut self, path: &[u8]) -> Result<Option<&Node>, ReadError> {
        let mut folders: Vec<&[u8]> = path.split(|byte| *byte == b'/').collect();
        let name = folders.pop().unwrap_or_default();
        let common = self.open.iter().zip(&folders).take_while(|((open, _), name)| open == *name).count();
        self.open.truncate(common);
        for folder in &folders[common..] {
            let Some(inner) = self.innermost().node(folder).and_then(Node::subtree) else { return Ok(None) };
            let tree = self.reader.tree(inner)?;
            self.open.push((folder.to_vec(), tree));
        }
        Ok(self.innermost().node(name))
    }

    fn innermost(&self) -> &Tree {
        self.open.last().map_or(&self.root, |(_, tree)| tree)
    }
}
