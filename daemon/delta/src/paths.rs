//! Paths, as they are written down, and as they are trusted.

use std::ffi::OsString;
use std::io::{ErrorKind, Read, Write};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Component, Path, PathBuf};

/// The longest path that is written down; Linux has none that is longer (PATH_MAX).
const MAX_PATH: usize = 4096;

/// Whether a path is written plainly, from the root on; what is not is not trusted.
pub fn is_plain(path: &Path) -> bool {
    path.is_absolute()
        && path.components().skip(1).all(|part| matches!(part, Component::Normal(_)))
        // `components` passes over `//` and `/./`.
        && path.components().collect::<PathBuf>().as_os_str() == path.as_os_str()
}

/// Writes a path, its length before it (four bytes, most significant first); whether it could be, as it is no longer than Linux has
/// any.
///
/// # Errors
/// The writer fails.
pub fn write_path(writer: &mut impl Write, path: &Path) -> std::io::Result<bool> {
    let path = path.as_os_str().as_bytes();
    let Some(length) = u32::try_from(path.len()).ok().filter(|_| path.len() <= MAX_PATH) else {
        return Ok(false);
    };
    writer.write_all(&length.to_be_bytes())?;
    writer.write_all(path)?;
    Ok(true)
}

/// Reads one.
///
/// # Errors
/// The reader fails or ends, or there is no path that long.
pub fn read_path(reader: &mut impl Read) -> std::io::Result<PathBuf> {
    let mut length = [0; 4];
    reader.read_exact(&mut length)?;
    let length = u32::from_be_bytes(length) as usize;
    if length > MAX_PATH {
        return Err(ErrorKind::InvalidData.into());
    }
    let mut path = vec![0; length];
    reader.read_exact(&mut path)?;
    Ok(OsString::from_vec(path).into())
}
