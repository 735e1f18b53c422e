//! Reads snapshots of a repository without restic: what its trees and files consist of, where this daemon has to know.
//!
//! Whatever is read was sealed with the repository's keys, and has the sum that it is called by. Its JSON may come from somebody
//! else's restic, and is taken for what it is: nothing that it says is used as a path of this host.
//!
//! The format is that of restic's design (<https://restic.readthedocs.io/en/stable/100_references.html>, “Repository Format”),
//! versions 1 and 2.

mod index;
mod paths;
mod pieces;
mod runs;
mod source;
mod sums;
mod tree;
mod unpack;

use std::cell::OnceCell;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde::Deserialize;
use sha2::{Digest as _, Sha256};

use crate::init::sealed::Keys;
use crate::object::{BadName, Blob, Key, Kind, Sum};
use crate::storage::{Part, StorageError};
use index::{Index, Place as Spot};
pub(crate) use paths::{Paths, from_root};
pub(crate) use pieces::Pieces;
pub(crate) use runs::SEAL;
pub(crate) use source::{Place, Source, Within};
pub use sums::{Summed, Walked};
pub use tree::{BadTree, Node, Tree};

/// How large what is read may be, in bytes, once it is unpacked: it has to fit into memory, whoever made it. restic cuts files into
/// pieces of 8 MiB at the most, a folder of 100,000 files has a tree of some 40 MiB, and an object of the index tells of what is in
/// some hundred packs.
const LARGEST_PIECE: usize = 16 * 1024 * 1024;
const LARGEST_TREE: usize = 64 * 1024 * 1024;
const LARGEST_INDEX: usize = 64 * 1024 * 1024;
const LARGEST_SNAPSHOT: usize = 4 * 1024 * 1024;

/// How much all snapshots together may say of themselves, in bytes.
const LARGEST_SNAPSHOTS: usize = 256 * 1024 * 1024;

/// How many snapshots are read at once, and how many objects of the index, which are larger.
const AT_ONCE: usize = 16;
const INDEXES_AT_ONCE: usize = 4;

/// Of how many pieces is known where they are, and in how many packs: 80 bytes, and 32.
const MOST_PIECES: usize = 10_000_000;
const MOST_PACKS: usize = 5_000_000;

/// Reads a repository as it was when the first piece was asked for. Each call may wait for the storage.
pub struct Reader {
    source: Source,
    keys: Arc<Keys>,
    /// Read once it is asked for.
    index: OnceCell<Index>,
}

/// What a snapshot says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Read {
    /// Its id, by which restic knows it.
    pub id: String,
    /// When it was made.
    pub at: DateTime<Utc>,
    /// Whose it is.
    pub host: String,
    /// The paths that it is of.
    pub paths: Vec<String>,
    /// Words by which it is found.
    pub tags: Vec<String>,
    /// The id of the tree of its root.
    pub tree: [u8; 32],
}

/// Why something cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The place fails, or does not have what the repository says that it has.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// It is not what the repository's keys sealed, or not what its sum says.
    #[error("{0} was damaged or forged")]
    Damaged(String),
    /// It is not understood.
    #[error("{what} cannot be understood: {why}")]
    Unknown {
        /// What.
        what: String,
        /// Why.
        why: String,
    },
    /// The repository has no such piece.
    #[error("the repository does not have {0}")]
    Missing(String),
}

/// A snapshot's object.
#[derive(Deserialize)]
struct Written {
    time: DateTime<Utc>,
    tree: String,
    #[serde(default)]
    paths: Option<Vec<String>>,
    #[serde(default)]
    hostname: String,
    #[serde(default)]
    tags: Option<Vec<String>>,
}

impl Reader {
    pub(crate) fn new(source: Source, keys: Keys) -> Self {
        Self { source, keys: Arc::new(keys), index: OnceCell::new() }
    }

    /// Every piece of which it is known where it is.
    pub(crate) fn all(&self) -> Result<impl Iterator<Item = (Blob, [u8; 32])>, ReadError> {
        Ok(self.index()?.all())
    }

    /// What is where.
    fn index(&self) -> Result<&Index, ReadError> {
        if let Some(index) = self.index.get() {
            return Ok(index);
        }
        let mut index = Index::default();
        for some in self.source.list(Kind::Index)?.chunks(INDEXES_AT_ONCE) {
            for (name, sealed) in self.source.get_each(Kind::Index, some, LARGEST_INDEX)? {
                let text = self.opened(Kind::Index, name, &sealed)?;
                index.add(&text).map_err(|error| unknown(format!("the index {name}"), error))?;
                if index.pieces() > MOST_PIECES || index.packs() > MOST_PACKS {
                    return Err(unknown("the index", "it tells of too much"));
                }
            }
        }
        Ok(self.index.get_or_init(|| index))
    }

    /// The ids of all snapshots, as they are now.
    ///
    /// # Errors
    /// [`ReadError::Storage`]
    pub fn snapshots(&self) -> Result<Vec<String>, ReadError> {
        let names = self.source.list(Kind::Snapshots)?;
        Ok(names.into_iter().map(|name| name.to_string()).collect())
    }

    /// A snapshot.
    ///
    /// # Errors
    /// [`ReadError`]
    pub fn snapshot(&self, id: &str) -> Result<Read, ReadError> {
        let name = id.parse().map_err(|error: BadName| unknown(format!("the snapshot {id}"), error))?;
        self.read_snapshot(name, &self.source.get(&Key::Object(Kind::Snapshots, name), Part::All)?)
    }

    /// All snapshots, as they are now, in any order: quicker than one after the other. No more than so many.
    ///
    /// # Errors
    /// [`ReadError`]
    pub fn read_snapshots(&self, most: usize) -> Result<Vec<Read>, ReadError> {
        let names = self.source.list(Kind::Snapshots)?;
        if names.len() > most {
            return Err(unknown("the repository", format!("it has more than {most} snapshots")));
        }
        let (mut all, mut held) = (Vec::with_capacity(names.len()), 0);
        for some in names.chunks(AT_ONCE) {
            for (name, sealed) in self.source.get_each(Kind::Snapshots, some, LARGEST_SNAPSHOT)? {
                let read = self.read_snapshot(name, &sealed)?;
                held += size_of::<Read>() + read.host.len();
                held += read
                    .paths
                    .iter()
                    .chain(&read.tags)
                    .map(|word| size_of_val(word) + word.len())
                    .sum::<usize>();
                if held > LARGEST_SNAPSHOTS {
                    return Err(unknown("the repository", "its snapshots say too much of themselves"));
                }
                all.push(read);
            }
        }
        Ok(all)
    }

    fn read_snapshot(&self, name: Sum, sealed: &[u8]) -> Result<Read, ReadError> {
        let (text, id) = (self.opened(Kind::Snapshots, name, sealed)?, name.to_string());
        let unknown = |why: &dyn std::fmt::Display| unknown(format!("the snapshot {id}"), why);
        let written: Written = serde_json::from_slice(&text).map_err(|error| unknown(&error))?;
        let tree: Sum = written.tree.parse().map_err(|error: BadName| unknown(&error))?;
        Ok(Read {
            id: id.clone(),
            at: written.time,
            host: written.hostname,
            paths: written.paths.unwrap_or_default(),
            tags: written.tags.unwrap_or_default(),
            tree: tree.bytes(),
        })
    }

    /// A folder's entries.
    ///
    /// # Errors
    /// [`ReadError`]
    pub fn tree(&self, id: [u8; 32]) -> Result<Tree, ReadError> {
        tree_of(id, &self.piece(Blob::Tree, id)?)
    }

    /// A piece of a file, of those that [`Node::pieces`] tells.
    ///
    /// # Errors
    /// [`ReadError`]
    pub fn data(&self, id: [u8; 32]) -> Result<Vec<u8>, ReadError> {
        self.piece(Blob::Data, id)
    }

    /// Whether the repository has a piece of a file.
    ///
    /// # Errors
    /// [`ReadError`]
    pub fn has_data(&self, id: [u8; 32]) -> Result<bool, ReadError> {
        Ok(self.index()?.place(Blob::Data, id).is_some())
    }

    fn piece(&self, blob: Blob, id: [u8; 32]) -> Result<Vec<u8>, ReadError> {
        let spot = self.spot(blob, id)?;
        let end = spot.offset.saturating_add(spot.length.saturating_sub(1));
        let part = Part::Between(spot.offset.into(), end.into());
        let sealed = self.source.get(&Key::Object(Kind::Data, spot.pack), part)?;
        self.open_piece(id, &spot, &sealed)
    }

    /// Where a piece is, if that is nothing that does not fit into memory.
    fn spot(&self, blob: Blob, id: [u8; 32]) -> Result<Spot, ReadError> {
        let name = || Sum::new(id).to_string();
        let spot = self.index()?.place(blob, id).ok_or_else(|| ReadError::Missing(name()))?;
        let most = match blob {
            Blob::Data => LARGEST_PIECE,
            Blob::Tree => LARGEST_TREE,
        };
        let length = spot.unpacked.unwrap_or(spot.length) as usize;
        // What cannot be compressed becomes a little longer by it.
        if length > most || spot.length as usize > most + most / 64 {
            return Err(unknown(name(), "it is too large"));
        }
        Ok(spot)
    }

    fn open_piece(&self, id: [u8; 32], spot: &Spot, sealed: &[u8]) -> Result<Vec<u8>, ReadError> {
        let name = || Sum::new(id).to_string();
        let damaged = || ReadError::Damaged(format!("{} in data/{}", name(), spot.pack));
        let mut plain = self.keys.open(sealed).ok_or_else(damaged)?;
        if let Some(length) = spot.unpacked {
            plain = unpack::exactly(&plain, length as usize).map_err(|error| unknown(name(), error))?;
        }
        if Sha256::digest(&plain).as_slice() == id { Ok(plain) } else { Err(damaged()) }
    }

    /// What an object that is no pack holds.
    fn opened(&self, kind: Kind, name: Sum, sealed: &[u8]) -> Result<Vec<u8>, ReadError> {
        let damaged = || ReadError::Damaged(format!("{}/{name}", kind.as_str()));
        if Sum::new(Sha256::digest(sealed).into()) != name {
            return Err(damaged());
        }
        let plain = self.keys.open(sealed).ok_or_else(damaged)?;
        let most = if kind == Kind::Snapshots { LARGEST_SNAPSHOT } else { LARGEST_INDEX };
        unpack::object(plain, most).map_err(|error| unknown(format!("{}/{name}", kind.as_str()), error))
    }
}

/// The entries of a folder that is stored so.
pub(crate) fn tree_of(id: [u8; 32], plain: &[u8]) -> Result<Tree, ReadError> {
    Tree::parse(plain).map_err(|error| unknown(format!("the tree {}", Sum::new(id)), error))
}

fn unknown(what: impl Into<String>, why: impl std::fmt::Display) -> ReadError {
    ReadError::Unknown { what: what.into(), why: why.to_string() }
}
