//! What tells that something on the disk is still what it was, and how it is written down.

use std::fs::{File, Metadata};
use std::io::{Read, Write};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use chrono::Utc;

/// A file's number, size and times. The kernel sets the second of these (`changed`, ctime) whenever it changes anything of it, and
/// nobody else can (inode(7)).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stamp {
    device: u64,
    number: u64,
    pub(super) size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
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

    /// One that nothing has: what has it will be taken for changed.
    pub(super) fn unsettled(self) -> Self {
        Self { changed: (i64::MAX, 0), ..self }
    }

    /// The same but for the time that a change of owner changes as well.
    pub(super) fn has_content_of(&self, other: &Self) -> bool {
        Self { changed: other.changed, ..*self } == *other
    }

    pub(super) fn write(&self, writer: &mut impl Write) -> std::io::Result<()> {
        let [modified, changed] =
            [self.modified, self.changed].map(|(s, n)| [s.cast_unsigned(), n.cast_unsigned()]);
        let words = [self.device, self.number, self.size, modified[0], modified[1], changed[0], changed[1]];
        words.iter().try_for_each(|word| writer.write_all(&word.to_be_bytes()))
    }

    pub(super) fn read(reader: &mut impl Read) -> std::io::Result<Self> {
        let mut words = [0; 7];
        for word in &mut words {
            *word = read_u64(reader)?;
        }
        let [device, number, size, ms, mn, cs, cn] = words;
        let time = |seconds: u64, nanoseconds: u64| (seconds.cast_signed(), nanoseconds.cast_signed());
        Ok(Self { device, number, size, modified: time(ms, mn), changed: time(cs, cn) })
    }
}

/// What cannot change any more without its stamp changing: what was changed before this second, on this file system.
#[derive(Debug, Clone, Copy)]
pub(super) struct Settled {
    pub(super) before: i64,
    pub(super) device: u64,
}

impl Settled {
    /// Writes everything of a directory's file system to the disk (syncfs(2)). What was changed less than so many seconds before is not
    /// settled.
    pub(super) fn now(root: &Path, seconds: i64) -> std::io::Result<Self> {
        let before = Utc::now().timestamp() - seconds;
        let folder = File::open(root)?;
        rustix::fs::syncfs(&folder)?;
        Ok(Self { before, device: folder.metadata()?.dev() })
    }

    pub(super) fn has(&self, stamp: &Stamp) -> bool {
        stamp.changed.0 < self.before && stamp.device == self.device
    }
}

/// Reads a number.
pub(super) fn read_u64(reader: &mut impl Read) -> std::io::Result<u64> {
    let mut bytes = [0; 8];
    reader.read_exact(&mut bytes)?;
    Ok(u64::from_be_bytes(bytes))
}
