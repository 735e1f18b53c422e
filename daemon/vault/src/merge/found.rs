//! What a snapshot holds, and must hold.

use std::path::Path;

use super::MergeError;
use crate::reader::{Node, Paths, Read, Reader, from_root};

/// A snapshot that is looked into.
pub(super) struct Found<'a> {
    snapshot: &'a Read,
    paths: Paths<'a>,
}

impl<'a> Found<'a> {
    pub(super) fn of(reader: &'a Reader, snapshot: &'a Read) -> Result<Self, MergeError> {
        Ok(Self { snapshot, paths: Paths::of(reader, snapshot.tree)? })
    }

    /// The entry at a plain path.
    pub(super) fn node(&mut self, path: &Path) -> Result<Node, MergeError> {
        let node = self.paths.node(from_root(path))?.cloned();
        node.ok_or_else(|| self.lacks(path))
    }

    pub(super) fn lacks(&self, path: &Path) -> MergeError {
        MergeError::Lacks { snapshot: self.snapshot.id.clone(), path: path.display().to_string() }
    }
}
