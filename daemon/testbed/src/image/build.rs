//! Builds an image: debootstrap, our files on top, then everything out that a machine does not need.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::units::UNITS;
use super::{mirror, recipe, units};
use crate::command::Call;
use crate::error::{Context, Result};
use crate::mounts::remove_tree;

/// Builds in `partial` and renames to `target`. The caller holds the lock.
pub(super) async fn build(
    partial: &Path,
    target: &Path,
    timeout: Duration,
    on_line: &mut (dyn FnMut(&str) + Send),
) -> Result<()> {
    if partial.exists() {
        on_line("removing a machine image that was not finished");
        remove_tree(partial)?;
    }
    let tree = Partial(partial.to_owned());
    fs::create_dir(&tree.0).context(|| format!("cannot create {}", tree.0.display()))?;
    on_line("building the machine image; this happens once and takes about a minute");
    debootstrap(&tree.0)?.stream(timeout, on_line).await?;
    on_line("finishing the machine image");
    finish(&tree.0)?;
    fs::rename(&tree.0, target).context(|| format!("cannot rename {}", tree.0.display()))?;
    on_line("the machine image is ready");
    Ok(())
}

/// A tree in the making; goes away with all that debootstrap mounted in it, unless it was renamed.
struct Partial(PathBuf);

impl Drop for Partial {
    fn drop(&mut self) {
        if let Err(error) = remove_tree(&self.0) {
            tracing::warn!("{error}");
        }
    }
}

fn debootstrap(tree: &Path) -> Result<Call> {
    let packages: Vec<&str> = recipe::packages().collect();
    let mut arguments: Vec<std::ffi::OsString> = vec![
        "--variant=minbase".into(),
        format!("--include={}", packages.join(",")).into(),
        recipe::SUITE.into(),
        tree.into(),
    ];
    arguments.extend(mirror::of_this_host().map(Into::into));
    Ok(Call::new("debootstrap", arguments)?.env("DEBIAN_FRONTEND", "noninteractive").env("LC_ALL", "C.UTF-8"))
}

fn finish(tree: &Path) -> Result<()> {
    for unit in recipe::disabled_units() {
        units::disable(tree, unit)?;
    }
    for name in recipe::removed_units() {
        units::remove_all(tree, name)?;
    }
    for path in recipe::removed_paths() {
        remove(&tree.join(path))?;
    }
    for file in recipe::files() {
        write(&tree.join(file.path()), file.contents())?;
    }
    for unit in recipe::ENABLED_UNITS {
        let wants = tree.join(UNITS).join("multi-user.target.wants");
        link(&Path::new("/").join(UNITS).join(unit), &wants.join(unit))?;
    }
    Ok(())
}

pub(super) fn list(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(folder).and_then(|entries| {
        entries.map(|entry| entry.map(|entry| entry.path())).collect::<std::io::Result<Vec<_>>>()
    });
    entries.context(|| format!("cannot list {}", folder.display()))
}

pub(super) fn remove(path: &Path) -> Result<()> {
    let removed = match fs::symlink_metadata(path) {
        Ok(found) if found.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    };
    removed.context(|| format!("cannot remove {}", path.display()))
}

fn write(path: &Path, contents: &[u8]) -> Result<()> {
    let written = || {
        fs::create_dir_all(path.parent().unwrap_or(path))?;
        fs::write(path, contents)?;
        fs::set_permissions(path, fs::Permissions::from_mode(0o644))
    };
    written().context(|| format!("cannot write {}", path.display()))
}

pub(super) fn link(target: &Path, path: &Path) -> Result<()> {
    remove(path)?;
    let linked = || {
        fs::create_dir_all(path.parent().unwrap_or(path))?;
        symlink(target, path)
    };
    linked().context(|| format!("cannot link {}", path.display()))
}
