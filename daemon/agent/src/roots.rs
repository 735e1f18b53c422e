//! Store paths that the way back needs, kept from being collected as garbage.

use std::fmt::Display;
use std::fs::File;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use crate::collector;
use crate::failure::{Result, io};
use crate::places::ROOTS;

/// Keeps the store paths that these files and folders are in, until [`release`], whatever happens to the machine. `work` is
/// what they are kept for.
pub(crate) fn keep<'a>(
    work: impl Display,
    paths: impl IntoIterator<Item = (&'a str, &'a Path)>,
) -> Result<()> {
    let kept = paths.into_iter().filter_map(|(name, path)| Some((name, store_path(path)?)));
    let kept: Vec<_> = kept.collect();
    let _seen = collector::keep_off(kept.iter().map(|(_, path)| path.as_path()))
        .map_err(io("cannot keep the garbage collector from what is needed"))?;
    for (name, path) in kept {
        let link = link(&work, name);
        let put = || {
            std::fs::create_dir_all(ROOTS)?;
            let new = link.with_extension("new");
            let _ = std::fs::remove_file(&new);
            symlink(&path, &new)?;
            std::fs::rename(&new, &link)
        };
        put().map_err(io(format!("cannot write {}", link.display())))?;
    }
    // All of them in one go: each would be a write to the disk of its own.
    let kept = || std::fs::create_dir_all(ROOTS).and_then(|()| File::open(ROOTS)?.sync_all());
    kept().map_err(io(format!("cannot write {ROOTS}")))
}

/// Lets go of what [`keep`] kept.
pub(crate) fn release(work: impl Display) {
    let entries = std::fs::read_dir(ROOTS).into_iter().flatten().flatten();
    let prefix = format!("{work}-");
    for entry in entries.filter(|entry| entry.file_name().to_string_lossy().starts_with(&prefix)) {
        // A link too many keeps a path too long, and is gone with the next.
        let _ = std::fs::remove_file(entry.path());
    }
}

fn link(work: &impl Display, name: &str) -> PathBuf {
    Path::new(ROOTS).join(format!("{work}-{name}"))
}

/// The path directly below `/nix/store` that a file is in; nothing for one that is not in the store.
fn store_path(path: &Path) -> Option<PathBuf> {
    let first = path.strip_prefix("/nix/store").ok()?.components().next()?;
    Some(Path::new("/nix/store").join(first))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_is_the_whole_store_path() {
        let path = |text: &str| store_path(Path::new(text)).map(|path| path.display().to_string());
        assert_eq!(path("/nix/store/abc-x/bin/y").as_deref(), Some("/nix/store/abc-x"));
        assert_eq!(path("/nix/store/abc-x").as_deref(), Some("/nix/store/abc-x"));
        assert_eq!(path("/usr/bin/berth-agent"), None);
    }
}
