//! Pieces of files and trees, sealed and put together into packs, and the index that says what is where. (restic's design, “Pack
//! Format” and “Indexing”.)

use std::collections::HashSet;

use bytes::Bytes;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::{AuthorError, Emit};
use crate::init::sealed::{IV_BYTES, Keys};
use crate::object::{Blob, Key, Kind, Sum};

/// From how many bytes on a pack is full: restic's own size.
const FULL: usize = 16 * 1024 * 1024;

/// Of how many packs an index tells at the most.
const INDEXED: usize = 1_000;

pub(super) struct Packs {
    keys: Keys,
    emit: Emit,
    data: Pack,
    trees: Pack,
    /// What is stored already.
    known: HashSet<(Blob, [u8; 32])>,
    /// Packs that no index tells of yet.
    index: Vec<Value>,
    written: u64,
}

/// A pack that is being filled, of pieces of one kind.
#[derive(Default)]
struct Pack {
    bytes: Vec<u8>,
    pieces: Vec<Piece>,
}

struct Piece {
    id: [u8; 32],
    offset: u32,
    length: u32,
}

impl Packs {
    pub(super) fn new(keys: Keys, emit: Emit) -> Self {
        let (data, trees) = (Pack::default(), Pack::default());
        Self { keys, emit, data, trees, known: HashSet::new(), index: Vec::new(), written: 0 }
    }

    pub(super) fn knows(&mut self, pieces: impl Iterator<Item = (Blob, [u8; 32])>) {
        self.known.extend(pieces);
    }

    pub(super) fn has(&self, blob: Blob, id: [u8; 32]) -> bool {
        self.known.contains(&(blob, id))
    }

    pub(super) fn written(&self) -> u64 {
        self.written
    }

    /// Stores a piece once, and gives its id.
    pub(super) fn add(&mut self, blob: Blob, plain: &[u8]) -> Result<[u8; 32], AuthorError> {
        let id: [u8; 32] = Sha256::digest(plain).into();
        if !self.known.insert((blob, id)) {
            return Ok(id);
        }
        let sealed = self.sealed(plain)?;
        let pack = self.pack(blob);
        // A pack ends soon after it is full, and a tree has to fit into memory anyway.
        let (offset, length) = (pack.bytes.len() as u32, sealed.len() as u32);
        pack.bytes.extend_from_slice(&sealed);
        pack.pieces.push(Piece { id, offset, length });
        if pack.bytes.len() >= FULL {
            self.finish(blob)?;
        }
        Ok(id)
    }

    /// Stores what is left, and an index of all of it.
    pub(super) fn flush(&mut self) -> Result<(), AuthorError> {
        self.finish(Blob::Data)?;
        self.finish(Blob::Tree)?;
        self.write_index()
    }

    /// Keeps an object under the sum of what it is sealed as.
    pub(super) fn keep(&mut self, kind: Kind, plain: &[u8]) -> Result<Sum, AuthorError> {
        let sealed = self.sealed(plain)?;
        self.emit(kind, sealed)
    }

    fn pack(&mut self, blob: Blob) -> &mut Pack {
        match blob {
            Blob::Data => &mut self.data,
            Blob::Tree => &mut self.trees,
        }
    }

    fn finish(&mut self, blob: Blob) -> Result<(), AuthorError> {
        let Pack { mut bytes, pieces } = std::mem::take(self.pack(blob));
        if pieces.is_empty() {
            return Ok(());
        }
        let mut header = Vec::with_capacity(pieces.len() * 37);
        for piece in &pieces {
            header.push(blob.digit());
            header.extend_from_slice(&piece.length.to_le_bytes());
            header.extend_from_slice(&piece.id);
        }
        let header = self.sealed(&header)?;
        bytes.extend_from_slice(&header);
        bytes.extend_from_slice(&(header.len() as u32).to_le_bytes());
        let id = self.emit(Kind::Data, bytes)?;
        let blobs: Vec<Value> = pieces
            .iter()
            .map(|piece| {
                let id = Sum::new(piece.id).to_string();
                json!({"id": id, "type": blob.word(), "offset": piece.offset, "length": piece.length})
            })
            .collect();
        self.index.push(json!({"id": id.to_string(), "blobs": blobs}));
        if self.index.len() >= INDEXED { self.write_index() } else { Ok(()) }
    }

    fn write_index(&mut self) -> Result<(), AuthorError> {
        let packs = std::mem::take(&mut self.index);
        if packs.is_empty() {
            return Ok(());
        }
        self.keep(Kind::Index, json!({ "packs": packs }).to_string().as_bytes()).map(drop)
    }

    fn sealed(&self, plain: &[u8]) -> Result<Vec<u8>, AuthorError> {
        let mut iv = [0; IV_BYTES];
        getrandom::fill(&mut iv).map_err(AuthorError::Chance)?;
        Ok(self.keys.seal(iv, plain))
    }

    fn emit(&mut self, kind: Kind, bytes: Vec<u8>) -> Result<Sum, AuthorError> {
        let sum = Sum::new(Sha256::digest(&bytes).into());
        self.written += bytes.len() as u64;
        (self.emit)(Key::Object(kind, sum), Bytes::from(bytes))?;
        Ok(sum)
    }
}
