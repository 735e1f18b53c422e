//! One file's record: what tells that it is still the one that was read, and its sum.

use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use berth_delta::{read_path, write_path};

use crate::state::stamp::Stamp;

/// A SHA-256.
pub(in super::super) type Sum = [u8; 32];

/// What is known of a file.
pub(super) struct Kept {
    pub(super) path: PathBuf,
    pub(super) stamp: Stamp,
    pub(super) sum: Sum,
}

/// Reads one.
pub(super) fn read(reader: &mut impl Read) -> std::io::Result<Kept> {
    let (path, stamp, mut sum) = (read_path(reader)?, Stamp::read(reader)?, [0; 32]);
    reader.read_exact(&mut sum)?;
    Ok(Kept { path, stamp, sum })
}

/// Writes one; not of a path that is longer than Linux has any.
pub(super) fn write(writer: &mut impl Write, path: &Path, stamp: &Stamp, sum: &Sum) -> std::io::Result<()> {
    if write_path(writer, path)? {
        stamp.write(writer)?;
        writer.write_all(sum)?;
    }
    Ok(())
}
