//! Writes snapshots into a repository without restic: of what comes as a stream, with owners that this host does not know.
//!
//! restic copies what lies on a disk, as it lies there. What stands in a bundle would first have to be written to one by root,
//! under the very paths and with the very owners. Here each entry goes straight into packs; memory holds the packs that are
//! being filled, the folders that are open, and 33 bytes for each piece that was stored.
//!
//! The format is that of restic's design (<https://restic.readthedocs.io/en/stable/100_references.html>, “Repository Format”),
//! version 2, without compression. Pieces of files have a fixed length and not one that follows from their content, which the
//! format leaves open.

pub(crate) mod node;
mod packs;

use std::io::Read;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use secrecy::SecretString;
use serde_json::json;

use crate::init::keys_of;
use crate::object::{Blob, Key, Kind, Sum};
use crate::reader::Node as Entry;
use crate::storage::StorageError;
use node::{Node, Tree};
use packs::Packs;

/// How long a piece of a file is, in bytes: what restic's own have on average.
pub(crate) const PIECE: usize = 1024 * 1024;

/// Keeps an object of the repository.
pub type Emit = Box<dyn FnMut(Key, Bytes) -> Result<(), StorageError> + Send>;

/// Writes snapshots. What is written is seen by nobody until its snapshot is.
pub struct Author {
    packs: Packs,
    /// The folders that are open, from the root on.
    open: Vec<Folder>,
    piece: Box<[u8]>,
}

/// Whose something is, who may do what with it, and when it was changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attributes {
    /// The twelve bits of its mode.
    pub mode: u32,
    /// The owner's number.
    pub uid: u32,
    /// The group's number.
    pub gid: u32,
    /// The owner's name, where it has one.
    pub user: String,
    /// The group's name, where it has one.
    pub group: String,
    /// When it was changed last, in seconds since 1970.
    pub mtime: i64,
}

/// What a snapshot says of itself.
#[derive(Debug, Clone)]
pub struct Title {
    /// When it was made.
    pub at: DateTime<Utc>,
    /// Whose it is.
    pub host: String,
    /// The paths that it is of.
    pub paths: Vec<String>,
    /// Words by which it is found.
    pub tags: Vec<String>,
}

/// Why a snapshot cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum AuthorError {
    /// A content cannot be read.
    #[error("a content cannot be read: {0}")]
    Content(std::io::Error),
    /// The repository does not take it.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// This host has no random numbers.
    #[error("there are no random numbers: {0}")]
    Chance(getrandom::Error),
    /// Something of restic's cannot be written as JSON.
    #[error("an object cannot be written: {0}")]
    Json(#[from] serde_json::Error),
    /// An entry is below what was closed already, or below what is no folder.
    #[error("entries must come in the order of their paths")]
    Order,
}

struct Folder {
    name: Vec<u8>,
    attributes: Attributes,
    tree: Tree,
}

impl Attributes {
    /// A folder that nobody says anything of.
    fn of_a_folder() -> Self {
        Self::of_root(0o755, DateTime::UNIX_EPOCH)
    }

    /// What was made here and is root's.
    pub fn of_root(mode: u32, at: DateTime<Utc>) -> Self {
        let root = || "root".to_owned();
        Self { mode, uid: 0, gid: 0, user: root(), group: root(), mtime: at.timestamp() }
    }
}

impl Author {
    /// Writes into a repository that [`crate::Vault::init`] made of this password.
    pub fn of(password: &SecretString, emit: Emit) -> Self {
        Self {
            packs: Packs::new(keys_of(password), emit),
            open: Vec::new(),
            piece: vec![0; PIECE].into_boxed_slice(),
        }
    }

    /// Adds a folder, and those around it that were not added. What is in it follows. Paths are relative to the root, and come
    /// in the order of their components.
    ///
    /// # Errors
    /// [`AuthorError`]
    pub fn folder(&mut self, path: &[u8], attributes: Attributes) -> Result<(), AuthorError> {
        self.go_to(path)?;
        match self.open.last_mut() {
            Some(folder) => folder.attributes = attributes,
            None => return Err(AuthorError::Order),
        }
        Ok(())
    }

    /// Adds a file.
    ///
    /// # Errors
    /// [`AuthorError`]
    pub fn file(
        &mut self,
        path: &[u8],
        attributes: &Attributes,
        content: &mut dyn Read,
    ) -> Result<(), AuthorError> {
        let (pieces, size) = self.content(content)?;
        self.file_of(path, attributes, size, &pieces)
    }

    /// Stores what a file holds, which has no place yet ([`Author::file_of`]); gives its pieces, and how long it is.
    ///
    /// # Errors
    /// [`AuthorError`]
    pub(crate) fn content(&mut self, content: &mut dyn Read) -> Result<(Vec<[u8; 32]>, u64), AuthorError> {
        let (mut pieces, mut size) = (Vec::new(), 0_u64);
        loop {
            let read = fill(content, &mut self.piece).map_err(AuthorError::Content)?;
            if read == 0 {
                return Ok((pieces, size));
            }
            size += read as u64;
            pieces.push(self.packs.add(Blob::Data, &self.piece[..read])?);
        }
    }

    /// Adds a file of pieces that the repository has already, or that were added before; nobody looks whether it has.
    ///
    /// # Errors
    /// [`AuthorError`]
    pub fn file_of(
        &mut self,
        path: &[u8],
        attributes: &Attributes,
        size: u64,
        pieces: &[[u8; 32]],
    ) -> Result<(), AuthorError> {
        self.add(path, |name| Node::file(name, attributes, size, pieces))
    }

    /// Adds a symbolic link.
    ///
    /// # Errors
    /// [`AuthorError`]
    pub fn link(&mut self, path: &[u8], attributes: &Attributes, target: &[u8]) -> Result<(), AuthorError> {
        self.add(path, |name| Node::link(name, attributes, target))
    }

    /// Finishes what was added as a folder that has no place yet; [`Author::graft`] gives it one. So what comes in another order
    /// than that of its paths can be written.
    ///
    /// # Errors
    /// [`AuthorError`]
    pub fn detach(&mut self) -> Result<[u8; 32], AuthorError> {
        self.go_to(b"")?;
        let root = self.open.pop().map(|root| root.tree).unwrap_or_default();
        self.packs.add(Blob::Tree, &root.text()?)
    }

    /// Adds a folder with all that [`Author::detach`] made of it.
    ///
    /// # Errors
    /// [`AuthorError`]
    pub fn graft(&mut self, path: &[u8], attributes: &Attributes, tree: [u8; 32]) -> Result<(), AuthorError> {
        self.add(path, |name| Node::folder(name, attributes, tree))
    }

    /// Makes a snapshot of what was added since the last one. Gives its id, by which restic knows it.
    ///
    /// # Errors
    /// [`AuthorError`]
    pub fn snapshot(&mut self, title: &Title) -> Result<String, AuthorError> {
        let tree = self.detach()?;
        self.snapshot_of(tree, title)
    }

    /// Stores the tree of a folder with these entries, each of which is of this repository, in the order of their names.
    pub(crate) fn tree<'a>(
        &mut self,
        nodes: impl Iterator<Item = &'a Entry>,
    ) -> Result<[u8; 32], AuthorError> {
        let mut text = b"{\"nodes\":[".to_vec();
        for (number, node) in nodes.enumerate() {
            text.extend_from_slice(if number > 0 { b"," } else { b"" });
            text.extend_from_slice(node.text().get().as_bytes());
        }
        text.extend_from_slice(b"]}\n");
        self.packs.add(Blob::Tree, &text)
    }

    /// What the repository has already is not stored again.
    pub(crate) fn knows(&mut self, pieces: impl Iterator<Item = (Blob, [u8; 32])>) {
        self.packs.knows(pieces);
    }

    /// Whether a piece was stored, or is known to be there.
    pub(crate) fn has(&self, blob: Blob, id: [u8; 32]) -> bool {
        self.packs.has(blob, id)
    }

    /// Stores a piece as it is, once, and gives its id.
    pub(crate) fn piece(&mut self, blob: Blob, plain: &[u8]) -> Result<[u8; 32], AuthorError> {
        self.packs.add(blob, plain)
    }

    /// Whoever comes after a killed daemon finds what was stored until now.
    pub(crate) fn leave_word(&mut self) -> Result<(), AuthorError> {
        self.packs.flush()
    }

    /// Makes a snapshot with this tree for its root, which was stored or is of this repository. Gives its id.
    pub(crate) fn snapshot_of(&mut self, tree: [u8; 32], title: &Title) -> Result<String, AuthorError> {
        self.packs.flush()?;
        let snapshot = json!({
            "time": title.at.to_rfc3339(),
            "tree": Sum::new(tree).to_string(),
            "paths": title.paths,
            "hostname": title.host,
            "username": "berth",
            "tags": title.tags,
            "program_version": concat!("berth ", env!("CARGO_PKG_VERSION")),
        });
        Ok(self.packs.keep(Kind::Snapshots, snapshot.to_string().as_bytes())?.to_string())
    }

    /// How many bytes went into the repository so far.
    pub fn written(&self) -> u64 {
        self.packs.written()
    }

    fn add(&mut self, path: &[u8], node: impl FnOnce(&[u8]) -> Node) -> Result<(), AuthorError> {
        let slash = path.iter().rposition(|byte| *byte == b'/');
        let (folder, name) = slash.map_or((&b""[..], path), |at| (&path[..at], &path[at + 1..]));
        self.go_to(folder)?;
        let folder = self.open.last_mut().ok_or(AuthorError::Order)?;
        folder.tree.add(name, node(name))
    }

    /// Has just the folders of a path open; those that are left are finished.
    fn go_to(&mut self, path: &[u8]) -> Result<(), AuthorError> {
        let wanted: Vec<&[u8]> = path.split(|byte| *byte == b'/').filter(|name| !name.is_empty()).collect();
        if self.open.is_empty() {
            self.open.push(Folder::new(b""));
        }
        let inner = self.open.iter().skip(1);
        let common = inner.zip(&wanted).take_while(|(folder, name)| folder.name == **name).count();
        while self.open.len() > common + 1 {
            self.close()?;
        }
        self.open.extend(wanted[common..].iter().map(|name| Folder::new(name)));
        Ok(())
    }

    fn close(&mut self) -> Result<(), AuthorError> {
        let Some(folder) = self.open.pop() else { return Ok(()) };
        let tree = self.packs.add(Blob::Tree, &folder.tree.text()?)?;
        let around = self.open.last_mut().ok_or(AuthorError::Order)?;
        around.tree.add(&folder.name, Node::folder(&folder.name, &folder.attributes, tree))
    }
}

impl Folder {
    fn new(name: &[u8]) -> Self {
        Self { name: name.to_owned(), attributes: Attributes::of_a_folder(), tree: Tree::default() }
    }
}

/// Fills a buffer; fewer bytes only at the end.
fn fill(content: &mut dyn Read, buffer: &mut [u8]) -> std::io::Result<usize> {
    let mut done = 0;
    while done < buffer.len() {
        match content.read(&mut buffer[done..]) {
            Ok(0) => break,
            Ok(read) => done += read,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(done)
}
