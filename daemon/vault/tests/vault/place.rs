//! The places that every promise is tried on.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use berth_garage::Garage;
use berth_vault::{FolderStorage, S3Storage, Storage};
use tempfile::TempDir;

/// A place that is empty at first, and gone with this value.
pub enum Place {
    Folder(TempDir),
    S3(Box<Garage>),
}

impl Place {
    pub fn folder() -> Self {
        Self::Folder(tempfile::tempdir().unwrap())
    }

    /// A folder, and S3 where there is a Garage.
    pub async fn every() -> Vec<Self> {
        let mut places = vec![Self::folder()];
        places.extend(Garage::start().await.map(|garage| Self::S3(Box::new(garage))));
        places
    }

    pub async fn storage(&self) -> Arc<dyn Storage> {
        match self {
            Self::Folder(folder) => Arc::new(FolderStorage::open(folder.path()).await.unwrap()),
            Self::S3(garage) => Arc::new(S3Storage::new(&garage.config()).unwrap()),
        }
    }

    /// How restic reaches a repository without the vault.
    pub fn directly(&self, repository: &str) -> (String, Vec<(&'static str, String)>) {
        match self {
            Self::Folder(folder) => (folder.path().join(repository).display().to_string(), Vec::new()),
            Self::S3(garage) => garage.directly(repository),
        }
    }

    /// Every file below the folder, but not on S3.
    pub fn files(&self) -> Option<Vec<PathBuf>> {
        match self {
            Self::Folder(folder) => Some(files(folder.path())),
            Self::S3(_) => None,
        }
    }
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap().flatten() {
        if entry.file_type().unwrap().is_dir() {
            found.extend(files(&entry.path()));
        } else {
            found.push(entry.path());
        }
    }
    found
}
