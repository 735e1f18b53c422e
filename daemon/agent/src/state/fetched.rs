//! One file of a snapshot, which comes from another provider.

use std::path::{Path, PathBuf};

use berth_delta::{Snapshot, is_plain};

use super::restic::Restic;
use crate::failure::{Result, io};
use crate::places::CAPTURE;

/// Copies the file of a pass's folder that has this ending into a folder that is nobody else's, which is made anew; nothing where the
/// snapshot has none, or what is none.
pub(super) fn fetched(
    restic: &Restic<'_>,
    snapshot: &Snapshot,
    is_it: impl Fn(&Path) -> bool,
    folder: &Path,
) -> Result<Option<PathBuf>> {
    let is_it = |path: &&String| {
        let path = Path::new(path.as_str());
        path.starts_with(CAPTURE) && is_plain(path) && is_it(path)
    };
    let Some(path) = snapshot.paths.iter().find(is_it) else { return Ok(None) };
    let _ = std::fs::remove_dir_all(folder);
    std::fs::create_dir_all(folder).map_err(io(format!("cannot make {}", folder.display())))?;
    restic.restore((&snapshot.id, path), &folder.to_string_lossy(), false, &mut |_| {})?;
    let file = folder.join(path.strip_prefix('/').unwrap_or(path));
    // A pipe would keep whoever opens it waiting, and a device might do anything.
    let found = file.symlink_metadata().map_err(io(format!("cannot look at {}", file.display())))?;
    Ok(found.is_file().then_some(file))
}
