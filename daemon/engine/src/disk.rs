//! How much room a folder's disk has for something large.

use std::io;
use std::path::Path;

/// How many bytes are left to others.
const SPARE: u64 = 256 * 1024 * 1024;

/// How many bytes may still come into a folder.
///
/// # Errors
/// There is no such folder.
pub(crate) fn room(folder: &Path) -> io::Result<u64> {
    let found = rustix::fs::statvfs(folder)?;
    Ok(found.f_bavail.saturating_mul(found.f_frsize).saturating_sub(SPARE))
}
