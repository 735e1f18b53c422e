//! Folders that go with who made them.

use std::path::{Path, PathBuf};

use berth_domain::revision::Files;

use crate::error::StepError;

/// A folder of its own, removed in the end.
pub(super) struct Folder(PathBuf);

impl Folder {
    /// The folder with nothing but these files in it.
    pub(super) fn with(folder: PathBuf, files: &Files) -> Result<Self, StepError> {
        let failed = |error: std::io::Error| {
            StepError::failed("internal", format!("cannot write to {}: {error}", folder.display()))
        };
        // What a killed predecessor left may be half-written.
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(&folder).map_err(failed)?;
        for (name, text) in files {
            let file = folder.join(name);
            if let Some(inner) = file.parent() {
                std::fs::create_dir_all(inner).map_err(failed)?;
            }
            std::fs::write(file, text).map_err(failed)?;
        }
        Ok(Self(folder))
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flake_lies_in_a_folder_of_its_own_that_goes_with_it() {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join("a");
        let files = Files::from([("flake.nix".to_owned(), "{ }".to_owned())]);
        let flake = Folder::with(place.clone(), &files).unwrap();
        std::fs::write(place.join("stale"), "x").unwrap();
        std::mem::forget(flake);
        let again = Folder::with(place.clone(), &files).unwrap();
        assert!(!place.join("stale").exists() && place.join("flake.nix").exists());
        drop(again);
        assert!(!place.exists());
    }
}
