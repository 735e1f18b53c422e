//! What a snapshot holds at paths that are asked for in their order.

use std::path::Path;

use super::{MergeError, names};
use crate::reader::{Node, Read, Reader, Tree};

/// A snapshot that is looked into. The folders of the path that was asked for last stay open.
pub(super) struct Found<'a> {
    reader: &'a Reader,
    snapshot: &'a Read,
    root: Option<Tree>,
    open: Vec<(Vec<u8>, Tree)>,
}

impl<'a> Found<'a> {
    pub(super) fn of(reader: &'a Reader, snapshot: &'a Read) -> Self {
        Self { reader, snapshot, root: None, open: Vec::new() }
    }

    /// The entry at a path.
    pub(super) fn node(&mut self, path: &Path) -> Result<Node, MergeError> {
        let names: Vec<&[u8]> = names(path).collect();
        let Some((name, folders)) = names.split_last() else { return Err(self.lacks(path)) };
        if self.root.is_none() {
            self.root = Some(self.reader.tree(self.snapshot.tree)?);
        }
        let common = self.open.iter().zip(folders).take_while(|((open, _), name)| open == *name).count();
        self.open.truncate(common);
        for folder in &folders[common..] {
            let inner = self.innermost().and_then(|tree| tree.node(folder)?.subtree());
            let tree = self.reader.tree(inner.ok_or_else(|| self.lacks(path))?)?;
            self.open.push((folder.to_vec(), tree));
        }
        self.innermost().and_then(|tree| tree.node(name)).cloned().ok_or_else(|| self.lacks(path))
    }

    pub(super) fn lacks(&self, path: &Path) -> MergeError {
        MergeError::Lacks { snapshot: self.snapshot.id.clone(), path: path.display().to_string() }
    }

    fn innermost(&self) -> Option<&Tree> {
        self.open.last().map(|(_, tree)| tree).or(self.root.as_ref())
    }
}
