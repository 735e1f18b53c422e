//! What is in which pack. (restic's design, “Indexing”.)

use std::collections::HashMap;

use serde::Deserialize;

use crate::object::{Blob, Sum};

/// Every piece of a repository.
#[derive(Default)]
pub(super) struct Index {
    packs: Vec<Sum>,
    pieces: HashMap<(Blob, [u8; 32]), Piece>,
}

/// Where a piece is, in as few bytes as can be: there are millions.
#[derive(Clone, Copy)]
struct Piece {
    pack: u32,
    offset: u32,
    length: u32,
    /// Its length before it was compressed; 0 where it was not.
    unpacked: u32,
}

/// Where a piece is.
pub(super) struct Place {
    pub(super) pack: Sum,
    pub(super) offset: u32,
    /// As it is sealed.
    pub(super) length: u32,
    /// Before it was compressed, where it was.
    pub(super) unpacked: Option<u32>,
}

#[derive(Deserialize)]
struct Written<'a> {
    #[serde(borrow, default)]
    packs: Option<Vec<WrittenPack<'a>>>,
}

#[derive(Deserialize)]
struct WrittenPack<'a> {
    id: &'a str,
    #[serde(borrow)]
    blobs: Vec<WrittenPiece<'a>>,
}

#[derive(Deserialize)]
struct WrittenPiece<'a> {
    id: &'a str,
    #[serde(rename = "type")]
    blob: Blob,
    offset: u32,
    length: u32,
    #[serde(default)]
    uncompressed_length: u32,
}

impl Index {
    /// Adds what an object of the index says.
    pub(super) fn add(&mut self, text: &[u8]) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        let written: Written<'_> = serde_json::from_slice(text)?;
        for pack in written.packs.into_iter().flatten() {
            if pack.blobs.is_empty() {
                continue;
            }
            let number = u32::try_from(self.packs.len())?;
            self.packs.push(pack.id.parse()?);
            for piece in pack.blobs {
                let id: Sum = piece.id.parse()?;
                let (offset, length, unpacked) = (piece.offset, piece.length, piece.uncompressed_length);
                self.pieces
                    .insert((piece.blob, id.bytes()), Piece { pack: number, offset, length, unpacked });
            }
        }
        Ok(())
    }

    /// Of how many pieces it tells.
    pub(super) fn pieces(&self) -> usize {
        self.pieces.len()
    }

    /// In how many packs they are, each counted as often as it is told of.
    pub(super) fn packs(&self) -> usize {
        self.packs.len()
    }

    /// The pieces that it tells of, in any order.
    pub(super) fn all(&self) -> impl Iterator<Item = (Blob, [u8; 32])> {
        self.pieces.keys().copied()
    }

    pub(super) fn place(&self, blob: Blob, id: [u8; 32]) -> Option<Place> {
        let Piece { pack, offset, length, unpacked } = *self.pieces.get(&(blob, id))?;
        let unpacked = (unpacked > 0).then_some(unpacked);
        Some(Place { pack: self.packs[pack as usize], offset, length, unpacked })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_of_both_kinds_are_found_where_the_index_says() {
        let (pack, one) = ("11".repeat(32), "22".repeat(32));
        let text = format!(
            r#"{{"supersedes":["x"],"packs":[{{"id":"{pack}","blobs":[
                {{"id":"{one}","type":"data","offset":5,"length":60,"uncompressed_length":90}},
                {{"id":"{one}","type":"tree","offset":65,"length":40}}]}}]}}"#
        );
        let mut index = Index::default();
        index.add(text.as_bytes()).unwrap();
        index.add(b"{}").unwrap();
        // A pack of which nothing is told takes no room.
        index.add(format!(r#"{{"packs":[{{"id":"{one}","blobs":[]}}]}}"#).as_bytes()).unwrap();
        assert_eq!((index.packs(), index.pieces()), (1, 2));
        let at =
            |blob| index.place(blob, [0x22; 32]).map(|place| (place.offset, place.length, place.unpacked));
        assert_eq!(at(Blob::Data), Some((5, 60, Some(90))));
        assert_eq!(at(Blob::Tree), Some((65, 40, None)));
        assert!(index.place(Blob::Data, [0x11; 32]).is_none());
        assert!(index.add(text.replace("data", "other").as_bytes()).is_err());
    }
}
