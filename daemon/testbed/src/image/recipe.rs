//! What an image is made of; the files of `image/` in this crate's folder.

use include_dir::{Dir, File, include_dir};
use sha2::{Digest, Sha256};

/// The Debian release: it has Nix 2.26, PostgreSQL 17, Redis 8, nginx 1.26 and restic 0.18.
pub(super) const SUITE: &str = "trixie";

/// Units that are wanted by multi-user.target.
pub(super) const ENABLED_UNITS: &[&str] = &["berth-rehearsal-boot.service"];

/// To be raised when [`super::build`] makes something else of the same files.
const BUILDER_VERSION: &str = "1";

static OVERLAY: Dir<'static> = include_dir!("$CARGO_MANIFEST_DIR/image/overlay");

const PACKAGES: &str = include_str!("../../image/packages");
const DISABLED_UNITS: &str = include_str!("../../image/disabled-units");
const REMOVED_UNITS: &str = include_str!("../../image/removed-units");
const REMOVED_PATHS: &str = include_str!("../../image/removed-paths");

/// The packages besides Debian's essential ones.
pub(super) fn packages() -> impl Iterator<Item = &'static str> {
    entries(PACKAGES)
}

/// The units that are installed by packages, but not to be started.
pub(super) fn disabled_units() -> impl Iterator<Item = &'static str> {
    entries(DISABLED_UNITS)
}

/// The names of units that are taken out; a star at the end stands for any end.
pub(super) fn removed_units() -> impl Iterator<Item = &'static str> {
    entries(REMOVED_UNITS)
}

/// What is removed from the finished tree, relative to its root.
pub(super) fn removed_paths() -> impl Iterator<Item = &'static str> {
    entries(REMOVED_PATHS)
}

/// The files that are put into the tree, by their paths relative to its root, in a fixed order.
pub(super) fn files() -> Vec<&'static File<'static>> {
    let mut files = Vec::new();
    collect(&OVERLAY, &mut files);
    files.sort_by_key(|file| file.path());
    files
}

fn collect(folder: &'static Dir<'static>, files: &mut Vec<&'static File<'static>>) {
    files.extend(folder.files());
    folder.dirs().for_each(|inner| collect(inner, files));
}

fn entries(list: &'static str) -> impl Iterator<Item = &'static str> {
    list.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'))
}

/// Names the recipe: the first 16 hexadecimal digits of a hash over all of it.
pub(super) fn hash() -> String {
    let mut hash = Sha256::new();
    let mut add = |part: &[u8]| {
        hash.update(part.len().to_le_bytes());
        hash.update(part);
    };
    for text in [BUILDER_VERSION, SUITE, std::env::consts::ARCH] {
        add(text.as_bytes());
    }
    for list in [PACKAGES, DISABLED_UNITS, REMOVED_UNITS, REMOVED_PATHS] {
        entries(list).for_each(|entry| add(entry.as_bytes()));
        add(b"");
    }
    ENABLED_UNITS.iter().for_each(|unit| add(unit.as_bytes()));
    for file in files() {
        add(file.path().as_os_str().as_encoded_bytes());
        add(file.contents());
    }
    hash.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_recipe_is_found_whole() {
        assert!(packages().any(|package| package == "nix-bin"));
        assert!(files().iter().any(|file| file.path().ends_with("etc/nix/nix.conf")));
        assert_eq!(hash().len(), 16);
    }

    #[test]
    fn nothing_outside_of_the_tree_is_ever_removed() {
        for path in removed_paths() {
            let clean = path.split('/').all(|part| !matches!(part, "" | "." | ".."));
            assert!(clean, "{path}");
        }
    }

    #[test]
    fn every_enabled_unit_is_among_the_files() {
        for unit in ENABLED_UNITS {
            assert!(files().iter().any(|file| file.path().ends_with(unit)), "{unit}");
        }
    }
}
