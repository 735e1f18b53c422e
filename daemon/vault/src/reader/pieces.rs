//! A file's content, piece by piece, each compared with its sum.

use std::io;

use super::Reader;

/// What is read of the pieces that a file consists of. An error of the reader's is within that of reading.
pub(crate) struct Pieces<'a> {
    reader: &'a Reader,
    left: std::vec::IntoIter<[u8; 32]>,
    piece: io::Cursor<Vec<u8>>,
}

impl<'a> Pieces<'a> {
    pub(crate) fn new(reader: &'a Reader, pieces: Vec<[u8; 32]>) -> Self {
        Self { reader, left: pieces.into_iter(), piece: io::Cursor::default() }
    }
}

impl io::Read for Pieces<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let read = self.piece.read(buffer)?;
            if read > 0 || buffer.is_empty() {
                return Ok(read);
            }
            match self.left.next() {
                Some(piece) => {
                    self.piece = io::Cursor::new(self.reader.data(piece).map_err(io::Error::other)?);
                }
                None => return Ok(0),
            }
        }
    }
}
