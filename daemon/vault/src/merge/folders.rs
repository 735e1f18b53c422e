//! A snapshot's folders, changed from the root on in the order of paths' components. Just those on the way are in memory.

use std::collections::{BTreeMap, HashSet};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use berth_delta::Folder;

use super::node::Attributes;
use super::{MOST_BYTES, MergeError, names};
use crate::author::Author;
use crate::reader::{Node, Reader};

/// The folders of a path, which are open.
pub(super) struct Folders<'a> {
    reader: &'a Reader,
    author: &'a mut Author,
    /// At and below these, what is not named goes.
    exact: Vec<PathBuf>,
    root: Level,
    /// Those below it.
    open: Vec<Level>,
}

/// One folder.
struct Level {
    name: Vec<u8>,
    path: PathBuf,
    /// What its own entry says; of the root there is none.
    attributes: Option<Attributes>,
    /// The tree that it has as long as nothing in it is changed.
    tree: Option<[u8; 32]>,
    /// Whether its own entry is another.
    dressed: bool,
    nodes: BTreeMap<Vec<u8>, Node>,
    /// What stays, where nothing else does.
    named: Option<HashSet<Vec<u8>>>,
}

impl<'a> Folders<'a> {
    pub(super) fn of(
        reader: &'a Reader,
        author: &'a mut Author,
        root: [u8; 32],
        exact: Vec<PathBuf>,
    ) -> Result<Self, MergeError> {
        let root = Level::of(reader, b"", Path::new("/"), None, Some(root))?;
        Ok(Self { reader, author, exact, root, open: Vec::new() })
    }

    /// Goes to a folder, so that what is not named of it goes.
    pub(super) fn enter(&mut self, path: &Path) -> Result<(), MergeError> {
        self.go_to(path, false).map(drop)
    }

    /// What is at a path stays as it is; whether there is anything.
    pub(super) fn stays(&mut self, path: &Path) -> Result<bool, MergeError> {
        if !self.go_to_parent(path, false)? {
            return Ok(false);
        }
        let (level, name) = self.entry(path);
        level.name_it(name);
        let Some(node) = level.nodes.get(name) else { return Ok(false) };
        // What is in a folder may go although the folder stays.
        if node.subtree().is_some() {
            self.enter(path)?;
        }
        Ok(true)
    }

    /// What is at a path goes, with all that is in it.
    pub(super) fn remove(&mut self, path: &Path) -> Result<(), MergeError> {
        if self.go_to_parent(path, false)? {
            let (level, name) = self.entry(path);
            if level.nodes.remove(name).is_some() {
                level.tree = None;
            }
        }
        Ok(())
    }

    /// Something comes in the place of what is at a path, if anything is.
    pub(super) fn put(&mut self, path: &Path, node: Node) -> Result<(), MergeError> {
        self.go_to_parent(path, true)?;
        let (level, name) = self.entry(path);
        level.name_it(name);
        level.insert(node);
        Ok(())
    }

    /// A folder is like this; it is made where there is none.
    pub(super) fn dress(&mut self, path: &Path, folder: &Folder) -> Result<(), MergeError> {
        self.go_to_parent(path, true)?;
        let (level, name) = self.entry(path);
        level.name_it(name);
        self.go_to(path, true)?;
        if let Some(level) = self.open.last_mut()
            && let Some(attributes) = &mut level.attributes
        {
            attributes.dress(folder);
            level.dressed = true;
        }
        Ok(())
    }

    /// Gives the root's tree.
    pub(super) fn finish(mut self) -> Result<[u8; 32], MergeError> {
        while !self.open.is_empty() {
            self.close()?;
        }
        self.root.into_tree(self.author).map(|(tree, _)| tree)
    }

    fn go_to_parent(&mut self, path: &Path, make: bool) -> Result<bool, MergeError> {
        self.go_to(path.parent().unwrap_or(path), make)
    }

    /// Has just the folders of a path open; whether there are such. With `make` those are made that there are not.
    fn go_to(&mut self, path: &Path, make: bool) -> Result<bool, MergeError> {
        let wanted: Vec<&[u8]> = names(path).collect();
        let common = self.open.iter().zip(&wanted).take_while(|(level, name)| level.name == **name).count();
        while self.open.len() > common {
            self.close()?;
        }
        for name in &wanted[common..] {
            let around = self.open.last().unwrap_or(&self.root);
            let node = around.nodes.get(*name).filter(|node| node.subtree().is_some());
            if node.is_none() && !make {
                return Ok(false);
            }
            let at = around.path.join(OsStr::from_bytes(name));
            let attributes = node.map_or_else(|| Ok(Attributes::new(name)), Attributes::of)?;
            let tree = node.and_then(Node::subtree);
            let mut level = Level::of(self.reader, name, &at, Some(attributes), tree)?;
            let is_exact = self.exact.iter().any(|exact| at.starts_with(exact));
            level.named = is_exact.then(HashSet::new);
            self.open.push(level);
        }
        Ok(true)
    }

    /// The innermost folder, and the name in it that a path ends with.
    fn entry<'p>(&mut self, path: &'p Path) -> (&mut Level, &'p [u8]) {
        let name = names(path).last().unwrap_or_default();
        (self.innermost(), name)
    }

    fn innermost(&mut self) -> &mut Level {
        self.open.last_mut().unwrap_or(&mut self.root)
    }

    fn close(&mut self) -> Result<(), MergeError> {
        let Some(mut level) = self.open.pop() else { return Ok(()) };
        let Some(attributes) = level.attributes.take() else { return Ok(()) };
        let dressed = level.dressed;
        let (tree, changed) = level.into_tree(self.author)?;
        if changed || dressed {
            let node = attributes.node(tree)?;
            self.innermost().insert(node);
        }
        Ok(())
    }
}

impl Level {
    fn of(
        reader: &Reader,
        name: &[u8],
        path: &Path,
        attributes: Option<Attributes>,
        tree: Option<[u8; 32]>,
    ) -> Result<Self, MergeError> {
        let nodes = match tree {
            Some(tree) => reader.tree(tree)?.nodes,
            None => Vec::new(),
        };
        Ok(Self {
            name: name.to_owned(),
            path: path.to_owned(),
            attributes,
            tree,
            dressed: false,
            nodes: nodes.into_iter().map(|node| (node.name().to_owned(), node)).collect(),
            named: None,
        })
    }

    fn insert(&mut self, node: Node) {
        self.tree = None;
        self.nodes.insert(node.name().to_owned(), node);
    }

    fn name_it(&mut self, name: &[u8]) {
        if let Some(named) = &mut self.named {
            named.insert(name.to_owned());
        }
    }

    /// Its tree, and whether that is another than it was.
    fn into_tree(mut self, author: &mut Author) -> Result<([u8; 32], bool), MergeError> {
        if let Some(named) = &self.named {
            let before = self.nodes.len();
            self.nodes.retain(|name, _| named.contains(name));
            if self.nodes.len() != before {
                self.tree = None;
            }
        }
        match self.tree {
            Some(tree) => Ok((tree, false)),
            None if author.written() > MOST_BYTES => Err(MergeError::TooMuch("folders")),
            None => Ok((author.tree(self.nodes.values())?, true)),
        }
    }
}
