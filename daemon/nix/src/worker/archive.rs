//! A path's content as an archive (NAR), which comes without its length: where it ends, it tells itself.
//!
//! An archive is a sequence of texts: `nix-archive-1`, then a node between parentheses, which for a folder holds nodes. Source:
//! the Nix manual, “Nix Archive (NAR) format”.

use tokio::io::{AsyncBufRead, AsyncBufReadExt as _};

use super::{WorkerError, told};

/// The longest word of the format's own, `nix-archive-1`, filled up.
const LONGEST_WORD: u64 = 16;

/// An archive that is being read.
#[derive(Debug)]
pub(crate) struct Archive<'a, R> {
    input: &'a mut R,
    reader: Reader,
    /// How much of what is buffered was given out.
    given: usize,
}

impl<'a, R: AsyncBufRead + Unpin> Archive<'a, R> {
    pub(super) fn of(input: &'a mut R) -> Self {
        Self { input, reader: Reader::default(), given: 0 }
    }

    /// The next bytes; nothing at its end.
    pub(crate) async fn next(&mut self) -> Result<Option<&[u8]>, WorkerError> {
        self.input.consume(std::mem::take(&mut self.given));
        if self.reader.ended {
            return Ok(None);
        }
        let buffered = self.input.fill_buf().await?;
        if buffered.is_empty() {
            return Err(std::io::Error::from(std::io::ErrorKind::UnexpectedEof).into());
        }
        self.given = self.reader.take(buffered)?;
        if self.reader.failed {
            self.input.consume(std::mem::take(&mut self.given));
            return Err(WorkerError::Refused(told::error(self.input).await?));
        }
        // What is buffered is there still.
        Ok(Some(&self.input.fill_buf().await?[..self.given]))
    }
}

/// Reads as far as finding the end takes.
#[derive(Debug, Default)]
struct Reader {
    ended: bool,
    /// In place of what is next, the daemon's error follows: it says that it will send a path before it looks at it.
    failed: bool,
    /// How many parentheses are open.
    open: u32,
    /// What was read of a number or of a word.
    begun: Vec<u8>,
    next: Next,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Next {
    /// The length of a word.
    #[default]
    Length,
    /// A word of so many bytes, and how many they are when filled up.
    Word { length: usize, filled: usize },
    /// The length of a text that is not the format's own: a name, a target, a file's content.
    ValueLength,
    /// So many bytes of it.
    Value { left: u64 },
}

impl Reader {
    /// How many bytes belong to the archive.
    fn take(&mut self, bytes: &[u8]) -> Result<usize, WorkerError> {
        let mut rest = bytes;
        while !rest.is_empty() && !self.ended && !self.failed {
            rest = match self.next {
                Next::Value { left } => {
                    let passed = usize::try_from(left).unwrap_or(usize::MAX).min(rest.len());
                    let left = left - passed as u64;
                    self.next = if left == 0 { Next::Length } else { Next::Value { left } };
                    &rest[passed..]
                }
                Next::Length | Next::ValueLength => self.gather(rest, size_of::<u64>())?,
                Next::Word { filled, .. } => self.gather(rest, filled)?,
            };
        }
        Ok(bytes.len() - rest.len())
    }

    /// Takes what is missing of a number or a word; goes on once it is whole.
    fn gather<'a>(&mut self, bytes: &'a [u8], whole: usize) -> Result<&'a [u8], WorkerError> {
        let (taken, rest) = bytes.split_at((whole - self.begun.len()).min(bytes.len()));
        self.begun.extend_from_slice(taken);
        if self.begun.len() == whole {
            let gathered = std::mem::take(&mut self.begun);
            self.next = self.after(&gathered)?;
        }
        Ok(rest)
    }

    fn after(&mut self, gathered: &[u8]) -> Result<Next, WorkerError> {
        const GARBLED: WorkerError = WorkerError::Garbled("an archive that is none");
        if let Next::Word { length, .. } = self.next {
            return self.word(&gathered[..length]);
        }
        let length = gathered.try_into().map(u64::from_le_bytes).map_err(|_| GARBLED)?;
        self.failed = told::is_error(length);
        if self.failed {
            return Ok(Next::Length);
        }
        let filled = length.checked_next_multiple_of(8).ok_or(GARBLED)?;
        Ok(match self.next {
            _ if filled == 0 => Next::Length,
            Next::ValueLength => Next::Value { left: filled },
            _ if filled > LONGEST_WORD => return Err(GARBLED),
            // Both are at most the longest word.
            _ => Next::Word { length: length as usize, filled: filled as usize },
        })
    }

    fn word(&mut self, word: &[u8]) -> Result<Next, WorkerError> {
        match word {
            b"contents" | b"target" | b"name" => return Ok(Next::ValueLength),
            b"(" => self.open += 1,
            b")" => {
                let left = self.open.checked_sub(1);
                self.open = left.ok_or(WorkerError::Garbled("an archive that ends before it begins"))?;
                self.ended = self.open == 0;
            }
            b"nix-archive-1" | b"type" | b"regular" | b"executable" | b"symlink" | b"directory"
            | b"entry" | b"node" => {}
            _ => return Err(WorkerError::Garbled("a word that no archive has")),
        }
        Ok(Next::Length)
    }
}

#[cfg(test)]
mod tests {
    use super::super::wire::Outgoing;
    use super::*;

    /// A folder with files that hold what ends an archive, an empty one, and a link.
    fn archive() -> Vec<u8> {
        let mut archive = Outgoing::default();
        let words = "nix-archive-1 ( type directory entry ( name ) node ( type regular contents )))))))))))))))))))) ) ) \
                     entry ( name a node ( type regular executable - contents - ) ) \
                     entry ( name node node ( type symlink target ( ) ) )";
        words.split(' ').for_each(|word| archive.text(word.trim_matches('-')));
        archive.bytes().to_vec()
    }

    #[tokio::test]
    async fn an_archive_is_read_to_its_end_and_no_further_however_it_comes() {
        let archive = archive();
        let stream = [archive.as_slice(), b"what follows"].concat();
        for size in 1..40 {
            let mut input = tokio::io::BufReader::with_capacity(size, stream.as_slice());
            let mut reading = Archive::of(&mut input);
            let mut read = Vec::new();
            while let Some(bytes) = reading.next().await.unwrap() {
                read.extend_from_slice(bytes);
            }
            assert!(read == archive, "in pieces of {size}");
            let mut rest = String::new();
            tokio::io::AsyncReadExt::read_to_string(&mut input, &mut rest).await.unwrap();
            assert_eq!(rest, "what follows");
        }
    }

    #[test]
    fn what_is_no_archive_is_refused() {
        for words in
            [&["hello"] as &[&str], &[")"], &["nix-archive-1", "(", "typo"], &["a-word-of-seventeen"]]
        {
            let mut stream = Outgoing::default();
            words.iter().for_each(|word| stream.text(word));
            assert!(
                matches!(Reader::default().take(stream.bytes()), Err(WorkerError::Garbled(_))),
                "{words:?}"
            );
        }
        assert!(Reader::default().take(&u64::MAX.to_le_bytes()).is_err());
    }
}
