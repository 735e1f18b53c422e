//! Something to back up, and whether it came back.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

use crate::server::noise;

/// What a tree holds at a path: a file's mode and content, or where a link leads.
type Found = (PathBuf, Option<(u32, Vec<u8>)>, Option<PathBuf>);

/// Makes a tree of about so many bytes in a folder, different for each seed.
pub fn make(folder: &Path, seed: u64, bytes: usize) {
    for part in 0..4 {
        let inner = folder.join(format!("part {part}/deep er"));
        fs::create_dir_all(&inner).unwrap();
        let large = noise(seed * 100 + part, bytes / 4);
        fs::write(inner.join(format!("large-{seed}")), large).unwrap();
        let small = inner.join("ein Brief.txt");
        fs::write(&small, format!("letter {part} of {seed}\n").repeat(100)).unwrap();
        fs::set_permissions(&small, fs::Permissions::from_mode(0o640)).unwrap();
    }
    fs::write(folder.join("empty"), "").unwrap();
    let _ = symlink("part 0/deep er", folder.join("link"));
}

/// Everything in a folder, in the order of names.
pub fn read(folder: &Path) -> Vec<Found> {
    let mut found = Vec::new();
    collect(folder, folder, &mut found);
    found.sort();
    found
}

fn collect(root: &Path, folder: &Path, found: &mut Vec<Found>) {
    for entry in fs::read_dir(folder).unwrap().flatten() {
        let (path, kind) = (entry.path(), entry.file_type().unwrap());
        let name = path.strip_prefix(root).unwrap().to_owned();
        if kind.is_symlink() {
            found.push((name, None, Some(fs::read_link(&path).unwrap())));
        } else if kind.is_file() {
            let mode = entry.metadata().unwrap().permissions().mode();
            found.push((name, Some((mode, fs::read(&path).unwrap())), None));
        } else {
            found.push((name, None, None));
            if kind.is_dir() {
                collect(root, &path, found);
            }
        }
    }
}
