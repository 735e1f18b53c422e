//! The key that seals what customers give in confidence: where it is kept, and which one counts.
//!
//! The database notes which key it is sealed to, so there is never a doubt: a key that waits to be used counts from the
//! moment on at which everything is sealed to it, and the one before it no more.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use berth_seal::Keys;
use berth_store::Store;
use secrecy::{ExposeSecret as _, SecretString};

use crate::data_dir::{rename, write_private};

/// The name of the systemd credential that holds the key, for those who keep it apart from the data folder
/// (`LoadCredential=`, systemd.exec(5)).
const CREDENTIAL: &str = "berth-secrets-key";

/// The key's file in the data folder.
const FILE: &str = "secrets.key";

/// Where a new key waits, next to it, until everything is sealed to it.
const NEXT: &str = "secrets.key.next";

/// Where the key is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Keep {
    /// In the data folder, where the daemon may write it.
    Folder(PathBuf),
    /// In a file that is somebody else's to write, such as a credential: with one identity, or several.
    Elsewhere(PathBuf),
}

impl Keep {
    /// The credential where there is one, otherwise the data folder.
    pub fn of(data_dir: &Path) -> Self {
        let credentials = std::env::var_os("CREDENTIALS_DIRECTORY").map(PathBuf::from);
        let credential = credentials.map(|folder| folder.join(CREDENTIAL)).filter(|file| file.exists());
        credential.map_or_else(|| Self::Folder(data_dir.to_owned()), Self::Elsewhere)
    }

    /// The file of the key.
    pub fn file(&self) -> PathBuf {
        match self {
            Self::Folder(folder) => folder.join(FILE),
            Self::Elsewhere(file) => file.clone(),
        }
    }

    /// Every key that is kept; none where there is no file in the folder yet.
    ///
    /// # Errors
    /// What is there is no key, or cannot be read.
    pub fn keys(&self) -> anyhow::Result<Vec<Keys>> {
        let file = self.file();
        match self {
            Self::Folder(_) if !file.exists() => Ok(Vec::new()),
            _ => read(&file),
        }
    }

    /// The key that waits.
    ///
    /// # Errors
    /// As [`Keep::keys`].
    pub fn next(&self) -> anyhow::Result<Option<Keys>> {
        let Self::Folder(folder) = self else { return Ok(None) };
        let file = folder.join(NEXT);
        let keys = if file.exists() { read(&file)?.pop() } else { None };
        Ok(keys)
    }

    /// Has a key wait.
    ///
    /// # Errors
    /// The folder cannot be written.
    pub fn prepare(&self, keys: &Keys) -> anyhow::Result<()> {
        let Self::Folder(folder) = self else { return Ok(()) };
        Ok(write_private(&folder.join(NEXT), text(keys).expose_secret().as_bytes())?)
    }

    /// Puts the key that waits in place of the one before it, which nothing is sealed to any more.
    ///
    /// # Errors
    /// The folder cannot be written.
    pub fn adopt(&self) -> anyhow::Result<()> {
        let Self::Folder(folder) = self else { return Ok(()) };
        Ok(rename(&folder.join(NEXT), &folder.join(FILE))?)
    }
}

/// Reads the keys of a file; at least one.
///
/// # Errors
/// It cannot be read, or holds no age identity.
pub fn read(file: &Path) -> anyhow::Result<Vec<Keys>> {
    let text = std::fs::read_to_string(file).map(SecretString::from);
    let text = text.with_context(|| format!("cannot read {}", file.display()))?;
    Keys::read_all(&text).with_context(|| format!("{}", file.display()))
}

/// The key that the database is sealed to. Where neither a key nor a database was ever used, it is made.
///
/// # Errors
/// There is no such key, or it cannot be read or written.
pub async fn ensure(store: &Store, data_dir: &Path) -> anyhow::Result<Keys> {
    let keep = Keep::of(data_dir);
    let mut keys = keep.keys()?;
    let noted = match store.sealed_to().await? {
        Some(noted) => noted,
        None => {
            if keys.is_empty() {
                keys.push(make(&keep)?);
            }
            store.note_sealed_to(&keys[0].recipient()).await?
        }
    };
    if let Some(next) = keep.next()?.filter(|next| next.recipient() == noted) {
        // Whoever sealed everything to it was stopped before this last step.
        keep.adopt()?;
        tracing::info!(recipient = %noted, "put the new key of the secrets in its place");
        return Ok(next);
    }
    match keys.into_iter().find(|keys| keys.recipient() == noted) {
        Some(keys) => Ok(keys),
        None => bail!(
            "the database is sealed to {noted}, which is not the key in {}: put that key there",
            keep.file().display()
        ),
    }
}

fn make(keep: &Keep) -> anyhow::Result<Keys> {
    let keys = Keys::generate();
    write_private(&keep.file(), text(&keys).expose_secret().as_bytes())?;
    Ok(keys)
}

fn text(keys: &Keys) -> SecretString {
    SecretString::from(format!("{}\n", keys.identity().expose_secret()))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use berth_store::{DatabaseUrl, Reseal, StoreOptions};

    use super::*;

    async fn store(folder: &Path) -> Store {
        let store = Store::open(&DatabaseUrl::sqlite(folder.join("berth.db")), StoreOptions::default()).await;
        let store = store.unwrap();
        store.migrate().await.unwrap();
        store
    }

    #[tokio::test]
    async fn the_key_is_made_once_and_a_broken_lost_or_foreign_one_is_not_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let (store, file) = (store(folder.path()).await, folder.path().join(FILE));
        let first = ensure(&store, folder.path()).await.unwrap().recipient();
        assert_eq!(ensure(&store, folder.path()).await.unwrap().recipient(), first);
        for text in ["broken", text(&Keys::generate()).expose_secret()] {
            std::fs::write(&file, text).unwrap();
            assert!(ensure(&store, folder.path()).await.is_err());
            assert_eq!(std::fs::read_to_string(&file).unwrap(), text);
        }
        std::fs::remove_file(&file).unwrap();
        let lost = ensure(&store, folder.path()).await.err().unwrap().to_string();
        assert!(lost.contains(&first) && lost.contains("secrets.key"), "{lost}");
        assert!(!file.exists());
    }

    #[tokio::test]
    async fn a_key_that_waits_counts_once_the_database_is_sealed_to_it() {
        let folder = tempfile::tempdir().unwrap();
        let (store, keep) = (store(folder.path()).await, Keep::Folder(folder.path().to_owned()));
        let first = ensure(&store, folder.path()).await.unwrap().recipient();
        let next = Keys::generate();
        keep.prepare(&next).unwrap();
        assert_eq!(ensure(&store, folder.path()).await.unwrap().recipient(), first);
        let reseal: Reseal = Arc::new(|_, _| Err("there is nothing".to_owned()));
        store.reseal(Some(&first), &next.recipient(), reseal).await.unwrap();
        assert_eq!(ensure(&store, folder.path()).await.unwrap().recipient(), next.recipient());
        assert_eq!(keep.keys().unwrap()[0].recipient(), next.recipient());
        assert!(keep.next().unwrap().is_none());
    }
}
