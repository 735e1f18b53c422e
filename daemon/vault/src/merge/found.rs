//! What a snapshot holds at paths that are asked for in their order.

use std::io::{ErrorKind, Result as IoResult};
use std::path::Path;

use super::{MergeError, names};
use crate::reader::{Node, Read, ReadError, Reader, Tree};

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

/// A file's content, piece by piece.
pub(super) struct Content<'a> {
    reader: &'a Reader,
    pieces: std::vec::IntoIter<[u8; 32]>,
    piece: std::io::Cursor<Vec<u8>>,
}

impl<'a> Content<'a> {
    /// Nothing where it is no file.
    pub(super) fn of(reader: &'a Reader, file: &Node) -> Option<Self> {
        Some(Self { reader, pieces: file.pieces()?.into_iter(), piece: std::io::Cursor::default() })
    }
}

impl std::io::Read for Content<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> IoResult<usize> {
        loop {
            let read = self.piece.read(buffer)?;
            if read > 0 || buffer.is_empty() {
                return Ok(read);
            }
            let Some(piece) = self.pieces.next() else { return Ok(0) };
            let failed = |error: ReadError| std::io::Error::new(ErrorKind::InvalidData, error);
            self.piece = std::io::Cursor::new(self.reader.data(piece).map_err(failed)?);
        }
    }
}
