//! What a directory in a snapshot has to come to wherever it is restored, told entry by entry as a machine's agent sums it up
//! (docs/src/migration.md, “The protocol”).

use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::Deserialize;
use sha2::{Digest as _, Sha256};

use super::{Node, ReadError, Reader, Tree, unknown};
use crate::author::node::unix_mode;

/// The bits with which a program runs as somebody else.
const SET_ID: u32 = 0o6000;

/// How long a path may be below a directory, in bytes; on a Linux machine it is 4096 altogether.
const LONGEST_PATH: usize = 4096;

/// How many bytes the folders on the way to an entry may have together: all of them are in memory.
const MOST_OPEN: usize = 256 * 1024 * 1024;

/// What an entry takes of memory beside its text, in bytes, about.
const BESIDE: usize = 150;

/// An entry of a directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Summed<'a> {
    /// Its path below the directory.
    pub path: &'a [u8],
    /// What it is, as the agent writes it: `d`, `f`, `l`, `p`, `b` or `c`.
    pub kind: u8,
    /// The twelve bits of its mode; 0 of a link.
    pub mode: u32,
    /// A file's size in bytes.
    pub size: u64,
    /// The SHA-256 of a file's content, of where a link leads, or of a device's number.
    pub content: [u8; 32],
}

/// Hears of each entry, and of how many bytes were read; false ends it.
pub type Walked<'a> = dyn FnMut(Option<Summed<'_>>, u64) -> bool + 'a;

/// What matters of an entry beside its name.
#[derive(Deserialize)]
struct Said {
    #[serde(rename = "type", default)]
    kind: String,
    #[serde(default)]
    mode: u32,
    #[serde(default)]
    uid: u32,
    #[serde(default)]
    gid: u32,
    #[serde(default)]
    linktarget: String,
    linktarget_raw: Option<String>,
    #[serde(default)]
    device: u64,
}

impl Reader {
    /// The tree of a directory of a snapshot with this root; nothing where it holds none.
    ///
    /// # Errors
    /// [`ReadError`]
    pub fn directory(&self, root: [u8; 32], path: &Path) -> Result<Option<[u8; 32]>, ReadError> {
        Ok(self.node(root, path)?.as_ref().and_then(Node::subtree))
    }

    /// A file of a snapshot with this root, of so many bytes at the most; nothing where it holds none.
    ///
    /// # Errors
    /// [`ReadError`]
    pub fn file(&self, root: [u8; 32], path: &Path, most: u64) -> Result<Option<Vec<u8>>, ReadError> {
        let Some(pieces) = self.file_pieces(root, path)? else { return Ok(None) };
        let mut content = Vec::new();
        for piece in pieces {
            content.extend_from_slice(&self.data(piece)?);
            if content.len() as u64 > most {
                return Err(unknown(path.display().to_string(), "it is too large"));
            }
        }
        Ok(Some(content))
    }

    /// The pieces that it consists of.
    pub(crate) fn file_pieces(
        &self,
        root: [u8; 32],
        path: &Path,
    ) -> Result<Option<Vec<[u8; 32]>>, ReadError> {
        let Some(node) = self.node(root, path)? else { return Ok(None) };
        node.pieces().map(Some).ok_or_else(|| misunderstood(node.name()))
    }

    /// Goes through everything below a directory with this tree, in the order in which the agent does. False where whoever hears of it
    /// wished to end.
    ///
    /// # Errors
    /// [`ReadError`]
    pub fn sum(&self, tree: [u8; 32], hear: &mut Walked<'_>) -> Result<bool, ReadError> {
        // An own stack, as a tree may be deeper than a thread's.
        let (mut open, mut held) = (Vec::new(), 0);
        let first = Open::of(Vec::new(), self.tree(tree)?, &mut held)?;
        open.push(first);
        while let Some(Open { above, nodes, size }) = open.last_mut() {
            let Some(node) = nodes.next() else {
                held -= *size;
                open.pop();
                continue;
            };
            let mut path = above.clone();
            if !path.is_empty() {
                path.push(b'/');
            }
            path.extend_from_slice(node.name());
            if path.len() > LONGEST_PATH {
                return Err(unknown("a path", "it is longer than any that a machine has"));
            }
            let said: Said =
                serde_json::from_str(node.text().get()).map_err(|_| misunderstood(node.name()))?;
            let Some(kind) = kind(&said.kind) else { continue };
            let (size, content) = match kind {
                b'f' => {
                    let Some(summed) = self.sum_file(&node, hear)? else { return Ok(false) };
                    summed
                }
                b'l' => (0, Sha256::digest(said.target(node.name())?).into()),
                b'b' | b'c' => (0, Sha256::digest(said.device.to_be_bytes()).into()),
                _ => (0, [0; 32]),
            };
            let summed = Summed { path: &path, kind, mode: said.mode(kind), size, content };
            if !hear(Some(summed), 0) {
                return Ok(false);
            }
            if let Some(tree) = node.subtree() {
                open.push(Open::of(path, self.tree(tree)?, &mut held)?);
            }
        }
        Ok(true)
    }

    fn sum_file(&self, node: &Node, hear: &mut Walked<'_>) -> Result<Option<(u64, [u8; 32])>, ReadError> {
        let (mut sum, mut size) = (Sha256::new(), 0);
        for piece in node.pieces().ok_or_else(|| misunderstood(node.name()))? {
            let content = self.data(piece)?;
            sum.update(&content);
            size += content.len() as u64;
            if !hear(None, content.len() as u64) {
                return Ok(None);
            }
        }
        Ok(Some((size, sum.finalize().into())))
    }
}

/// A folder on the way.
struct Open {
    /// Its own path.
    above: Vec<u8>,
    nodes: std::vec::IntoIter<Node>,
    /// How many bytes it takes.
    size: usize,
}

impl Open {
    fn of(above: Vec<u8>, tree: Tree, held: &mut usize) -> Result<Self, ReadError> {
        let size = tree.nodes.iter().map(|node| node.text().get().len() + BESIDE).sum();
        *held += size;
        if *held > MOST_OPEN {
            return Err(unknown("a folder", "it and those around it are too large"));
        }
        Ok(Self { above, nodes: tree.nodes.into_iter(), size })
    }
}

impl Said {
    /// What is root's keeps no set-id bits where it is restored.
    fn mode(&self, kind: u8) -> u32 {
        match (kind, unix_mode(self.mode)) {
            (b'l', _) => 0,
            (b'f', mode) if self.uid == 0 || self.gid == 0 => mode & !SET_ID,
            (_, mode) => mode,
        }
    }

    fn target(&self, name: &[u8]) -> Result<Vec<u8>, ReadError> {
        match &self.linktarget_raw {
            Some(raw) => BASE64.decode(raw).map_err(|_| misunderstood(name)),
            None => Ok(self.linktarget.clone().into_bytes()),
        }
    }
}

/// As the agent writes it; nothing for a socket, which no copy can bring along.
fn kind(word: &str) -> Option<u8> {
    match word {
        "file" => Some(b'f'),
        "dir" => Some(b'd'),
        "symlink" => Some(b'l'),
        "fifo" => Some(b'p'),
        "dev" => Some(b'b'),
        "chardev" => Some(b'c'),
        _ => None,
    }
}

fn misunderstood(name: &[u8]) -> ReadError {
    let name = String::from_utf8_lossy(name).escape_debug().to_string();
    unknown(format!("the entry {name}"), "it does not say what it is")
}
