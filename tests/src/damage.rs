//! What a power loss leaves of files that were written last: shorter than they were, empty, or not there.
//!
//! A machine's tree is changed from outside, so that nothing on the machine notices, also while it is switched off.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use berth_testbed::Machine;

/// What becomes of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Damage {
    /// Its second half is gone.
    Truncated,
    /// All that it held is gone.
    Emptied,
    /// It is gone itself, and so is all of the store path that it is in.
    Gone,
}

impl Damage {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Truncated, Self::Emptied, Self::Gone];
}

/// Damages a file of a machine's store and returns the store path that it is in.
///
/// # Errors
/// If it is not a file of the store, or cannot be damaged.
pub fn damage(machine: &Machine, file: &str, how: Damage) -> Result<String> {
    let name = file.strip_prefix("/nix/store/").and_then(|rest| rest.split('/').next());
    let path = format!("/nix/store/{}", name.context("a file of the store")?);
    let (whole, file) = (machine.file(&path), machine.file(file));
    let found = fs::symlink_metadata(&file).with_context(|| file.display().to_string())?;
    ensure!(found.is_file(), "{} is no file", file.display());
    match how {
        Damage::Gone if whole.is_dir() => fs::remove_dir_all(&whole)?,
        Damage::Gone => fs::remove_file(&whole)?,
        Damage::Truncated => File::options().write(true).open(&file)?.set_len(found.len() / 2)?,
        Damage::Emptied => File::options().write(true).open(&file)?.set_len(0)?,
    }
    Ok(path)
}

/// The paths of a machine's store.
///
/// # Errors
/// If it cannot be read.
pub fn store_paths(machine: &Machine) -> Result<Vec<String>> {
    let folder = machine.file("/nix/store");
    if !folder.is_dir() {
        return Ok(Vec::new());
    }
    let names = fs::read_dir(folder)?.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()));
    let names: Vec<String> = names.collect::<Result<_>>()?;
    let paths = names.into_iter().filter(|name| !name.starts_with('.') && !name.ends_with(".lock"));
    Ok(paths.map(|name| format!("/nix/store/{name}")).collect())
}

/// A file of a store path, as far as it has any.
pub fn file_of(machine: &Machine, path: &str) -> Option<String> {
    let root = machine.file(path);
    first_file(&root).map(|file| match file.strip_prefix(&root) {
        Ok(rest) if rest.as_os_str().is_empty() => path.to_owned(),
        Ok(rest) => format!("{path}/{}", rest.display()),
        Err(_) => path.to_owned(),
    })
}

fn first_file(path: &Path) -> Option<PathBuf> {
    let found = fs::symlink_metadata(path).ok()?;
    if found.is_file() {
        return Some(path.to_owned());
    }
    if !found.is_dir() {
        return None;
    }
    let mut entries: Vec<PathBuf> = fs::read_dir(path).ok()?.flatten().map(|entry| entry.path()).collect();
    entries.sort();
    entries.iter().find_map(|entry| first_file(entry))
}
