//! One file's record: what tells that it is still the one that was read, and its sum.

use std::ffi::OsString;
use std::fs::Metadata;
use std::io::{ErrorKind, Read, Write};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// The longest path that is kept; Linux has none that is longer (PATH_MAX).
const MAX_PATH: usize = 4096;

/// A SHA-256.
pub(in super::super) type Sum = [u8; 32];

/// What tells that a file is still the one that was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stamp {
    pub(super) device: u64,
    number: u64,
    pub(super) size: u64,
    modified: (i64, i64),
    pub(super) changed: (i64, i64),
}

impl Stamp {
    pub(super) fn of(found: &Metadata) -> Self {
        Self {
            device: found.dev(),
            number: found.ino(),
            size: found.size(),
            modified: (found.mtime(), found.mtime_nsec()),
            changed: (found.ctime(), found.ctime_nsec()),
        }
    }

    /// The same but for the time that a change of owner changes as well.
    pub(super) fn has_content_of(&self, other: &Self) -> bool {
        Self { changed: other.changed, ..*self } == *other
    }

    fn words(&self) -> [u64; 7] {
        let [modified, changed] =
            [self.modified, self.changed].map(|(s, n)| [s.cast_unsigned(), n.cast_unsigned()]);
        [self.device, self.number, self.size, modified[0], modified[1], changed[0], changed[1]]
    }

    fn from_words([device, number, size, ms, mn, cs, cn]: [u64; 7]) -> Self {
        let time = |seconds: u64, nanoseconds: u64| (seconds.cast_signed(), nanoseconds.cast_signed());
        Self { device, number, size, modified: time(ms, mn), changed: time(cs, cn) }
    }
}

/// What is known of a file.
pub(super) struct Kept {
    pub(super) path: PathBuf,
    pub(super) stamp: Stamp,
    pub(super) sum: Sum,
}

/// Reads one.
pub(super) fn read(reader: &mut impl Read) -> std::io::Result<Kept> {
    let mut length = [0; 4];
    reader.read_exact(&mut length)?;
    let length = u32::from_be_bytes(length) as usize;
    if length > MAX_PATH {
        return Err(ErrorKind::InvalidData.into());
    }
    let mut path = vec![0; length];
    reader.read_exact(&mut path)?;
    let mut words = [0; 7];
    for word in &mut words {
        let mut bytes = [0; 8];
        reader.read_exact(&mut bytes)?;
        *word = u64::from_be_bytes(bytes);
    }
    let mut sum = [0; 32];
    reader.read_exact(&mut sum)?;
    Ok(Kept { path: OsString::from_vec(path).into(), stamp: Stamp::from_words(words), sum })
}

/// Writes one; not of a path that is longer than Linux has any.
pub(super) fn write(writer: &mut impl Write, path: &Path, stamp: &Stamp, sum: &Sum) -> std::io::Result<()> {
    let path = path.as_os_str().as_bytes();
    let Some(length) = u32::try_from(path.len()).ok().filter(|_| path.len() <= MAX_PATH) else {
        return Ok(());
    };
    writer.write_all(&length.to_be_bytes())?;
    writer.write_all(path)?;
    for word in stamp.words() {
        writer.write_all(&word.to_be_bytes())?;
    }
    writer.write_all(sum)
}
