//! `changes`: what a delta does beside bringing files, as a file that comes with it.
//!
//! Eight bytes that name the format and one that tells whether all that stays is named as well; then, in the order of paths'
//! components, a byte that tells what happens to an entry, its path (four bytes of length, most significant first, then itself) and
//! of a folder its mode, owner, group (four bytes each) and time of change (eight bytes of seconds, four of nanoseconds); in the end
//! the byte [`END`]. Paths are whole, as they are at the source.

use std::io::{BufReader, ErrorKind, Read, Write};
use std::path::{Path, PathBuf};

use crate::paths::{read_path, write_path};

const MAGIC: &[u8; 8] = b"berthch1";

const FOLDER: u8 = b'd';
const BROUGHT: u8 = b'b';
const STAYS: u8 = b's';
const GONE: u8 = b'g';
const END: u8 = b'e';

/// Whose a folder is, and who may do what with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Folder {
    /// The twelve bits of its mode.
    pub mode: u32,
    /// Its owner's number.
    pub uid: u32,
    /// Its group's number.
    pub gid: u32,
    /// When it was changed: seconds since 1970, and nanoseconds.
    pub modified: (i64, u32),
}

/// What happens to an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It is a folder that is like this.
    Folder(Folder),
    /// It comes with the delta.
    Brought,
    /// It stays as it is.
    Stays,
    /// It goes, with all that is in it.
    Gone,
}

/// Writes it.
pub struct Writer<W>(W);

impl<W: Write> Writer<W> {
    /// Begins it; `complete` where all that stays will be named.
    ///
    /// # Errors
    /// The writer fails.
    pub fn new(mut to: W, complete: bool) -> std::io::Result<Self> {
        to.write_all(MAGIC)?;
        to.write_all(&[complete.into()])?;
        Ok(Self(to))
    }

    /// Adds an entry, which must come after those before it in the order of paths' components.
    ///
    /// # Errors
    /// The writer fails, or the path is longer than Linux has any.
    pub fn add(&mut self, path: &Path, fate: &Fate) -> std::io::Result<()> {
        let word = match fate {
            Fate::Folder(_) => FOLDER,
            Fate::Brought => BROUGHT,
            Fate::Stays => STAYS,
            Fate::Gone => GONE,
        };
        self.0.write_all(&[word])?;
        if !write_path(&mut self.0, path)? {
            return Err(ErrorKind::InvalidFilename.into());
        }
        if let Fate::Folder(Folder { mode, uid, gid, modified: (seconds, nanoseconds) }) = fate {
            [mode, uid, gid].into_iter().try_for_each(|word| self.0.write_all(&word.to_be_bytes()))?;
            self.0.write_all(&seconds.to_be_bytes())?;
            self.0.write_all(&nanoseconds.to_be_bytes())?;
        }
        Ok(())
    }

    /// Ends it.
    ///
    /// # Errors
    /// The writer fails.
    pub fn finish(mut self) -> std::io::Result<()> {
        self.0.write_all(&[END])?;
        self.0.flush()
    }
}

/// Reads it. It may come from another provider: paths are those that it says, and have to be looked at.
pub struct Reader<R> {
    from: BufReader<R>,
    last: PathBuf,
    /// Whether all that stays is named: what is not named is not to be there.
    pub complete: bool,
}

impl<R: Read> Reader<R> {
    /// Begins with what stands at its head.
    ///
    /// # Errors
    /// The reader fails, or it is of another format.
    pub fn new(from: R) -> std::io::Result<Self> {
        let mut from = BufReader::new(from);
        let mut head = [0; MAGIC.len() + 1];
        from.read_exact(&mut head)?;
        match head.split_last() {
            Some((&complete, magic)) if magic == MAGIC && complete <= 1 => {
                Ok(Self { from, last: PathBuf::new(), complete: complete == 1 })
            }
            _ => Err(invalid("it is of a format that is not known here")),
        }
    }

    /// The next entry; nothing at the end.
    ///
    /// # Errors
    /// The reader fails or ends before the end is marked, or an entry is none or out of order.
    pub fn entry(&mut self) -> std::io::Result<Option<(PathBuf, Fate)>> {
        let [word] = self.bytes()?;
        if word == END {
            return Ok(None);
        }
        let path = read_path(&mut self.from)?;
        // So there are no more entries than there can be paths, and they come as what is there does.
        if path <= self.last {
            return Err(invalid("entries must come in the order of their paths"));
        }
        self.last.clone_from(&path);
        let fate = match word {
            FOLDER => Fate::Folder(Folder {
                mode: u32::from_be_bytes(self.bytes()?),
                uid: u32::from_be_bytes(self.bytes()?),
                gid: u32::from_be_bytes(self.bytes()?),
                modified: (i64::from_be_bytes(self.bytes()?), u32::from_be_bytes(self.bytes()?)),
            }),
            BROUGHT => Fate::Brought,
            STAYS => Fate::Stays,
            GONE => Fate::Gone,
            _ => return Err(invalid("an entry is of a kind that is not known here")),
        };
        Ok(Some((path, fate)))
    }

    fn bytes<const N: usize>(&mut self) -> std::io::Result<[u8; N]> {
        let mut bytes = [0; N];
        self.from.read_exact(&mut bytes)?;
        Ok(bytes)
    }
}

/// Something says what cannot be.
pub fn invalid(what: &str) -> std::io::Error {
    std::io::Error::new(ErrorKind::InvalidData, what.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_read_as_it_was_written_and_nothing_less_is_taken_for_it() {
        let folder = Fate::Folder(Folder { mode: 0o2751, uid: 12, gid: 34, modified: (-5, 999) });
        let written = [("/a", folder), ("/a/x\n", Fate::Brought), ("/b", Fate::Stays), ("/c", Fate::Gone)];
        let mut bytes = Vec::new();
        let mut writer = Writer::new(&mut bytes, true).unwrap();
        written.iter().for_each(|(path, fate)| writer.add(Path::new(path), fate).unwrap());
        writer.finish().unwrap();
        let read = |bytes: &[u8]| {
            let mut reader = Reader::new(bytes)?;
            let mut entries = Vec::new();
            while let Some(entry) = reader.entry()? {
                entries.push(entry);
            }
            std::io::Result::Ok((reader.complete, entries))
        };
        let expected: Vec<_> = written.iter().map(|(path, fate)| (PathBuf::from(path), *fate)).collect();
        assert_eq!(read(&bytes).unwrap(), (true, expected));
        for length in 0..bytes.len() {
            assert!(read(&bytes[..length]).is_err(), "{length}");
        }
        bytes[9] = b'?';
        assert!(read(&bytes).is_err());
    }
}
