//! A stream whose length is not known before: pieces, each after its length; one of length nothing ends it.

use tokio::io::{AsyncWrite, AsyncWriteExt as _};

use super::WorkerError;

/// How much is sent at once, in bytes: what a pipe takes.
pub(crate) const SIZE: usize = 64 * 1024;

const LENGTH: usize = size_of::<u64>();

/// Gathers what is put into it into pieces.
#[derive(Debug)]
pub(crate) struct Frames<'a, W> {
    output: &'a mut W,
    /// Room for the length, then the bytes.
    piece: Vec<u8>,
}

impl<'a, W: AsyncWrite + Unpin> Frames<'a, W> {
    pub(super) fn of(output: &'a mut W) -> Self {
        Self { output, piece: vec![0; LENGTH] }
    }

    /// Sends bytes, or keeps them for the next piece.
    pub(crate) async fn put(&mut self, bytes: &[u8]) -> Result<(), WorkerError> {
        self.piece.extend_from_slice(bytes);
        if self.piece.len() < LENGTH + SIZE { Ok(()) } else { self.flush().await }
    }

    /// Sends what is left, and that nothing follows.
    pub(crate) async fn end(mut self) -> Result<(), WorkerError> {
        self.flush().await?;
        self.output.write_u64_le(0).await?;
        Ok(self.output.flush().await?)
    }

    async fn flush(&mut self) -> Result<(), WorkerError> {
        let length = self.piece.len() - LENGTH;
        if length > 0 {
            self.piece[..LENGTH].copy_from_slice(&(length as u64).to_le_bytes());
            self.output.write_all(&self.piece).await?;
            self.piece.truncate(LENGTH);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn small_pieces_are_gathered_and_nothing_is_sent_as_the_end_before_it() {
        let mut output = Vec::new();
        let mut frames = Frames::of(&mut output);
        let all: Vec<u8> = (0..3 * SIZE / 2).map(|at| u8::try_from(at % 251).unwrap()).collect();
        for bytes in all.chunks(1000) {
            frames.put(&[]).await.unwrap();
            frames.put(bytes).await.unwrap();
        }
        frames.end().await.unwrap();
        let (mut read, mut rest, mut pieces) = (Vec::new(), output.as_slice(), 0);
        loop {
            let (length, behind) = rest.split_first_chunk().unwrap();
            let (piece, behind) = behind.split_at(usize::try_from(u64::from_le_bytes(*length)).unwrap());
            (rest, pieces) = (behind, pieces + 1);
            read.extend_from_slice(piece);
            if piece.is_empty() {
                break;
            }
        }
        assert!(read == all && rest.is_empty());
        assert_eq!(pieces, 3);
    }
}
