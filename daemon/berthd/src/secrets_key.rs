//! The key that seals what customers give in confidence.

use std::path::{Path, PathBuf};

use anyhow::Context;
use berth_seal::Keys;
use secrecy::{ExposeSecret as _, SecretString};

use crate::data_dir::write_private;

/// The name of the systemd credential that holds the key, for those who keep it apart from the data folder
/// (`LoadCredential=`, systemd.exec(5)).
const CREDENTIAL: &str = "berth-secrets-key";

/// The key's file in the data folder.
const FILE: &str = "secrets.key";

/// Reads the key: from the credential where there is one, otherwise from the data folder, where it is made once.
///
/// # Errors
/// What is there is no key, or cannot be read or written.
pub fn ensure(data_dir: &Path) -> anyhow::Result<Keys> {
    let credential =
        std::env::var_os("CREDENTIALS_DIRECTORY").map(|folder| PathBuf::from(folder).join(CREDENTIAL));
    let file = credential.filter(|file| file.exists()).unwrap_or_else(|| data_dir.join(FILE));
    if !file.exists() {
        let keys = Keys::generate();
        write_private(&file, keys.identity().expose_secret().as_bytes())?;
        return Ok(keys);
    }
    let text = std::fs::read_to_string(&file).map(SecretString::from);
    let text = text.with_context(|| format!("cannot read {}", file.display()))?;
    Keys::read(&text).with_context(|| format!("{}", file.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_is_made_once_and_a_broken_one_is_not_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let first = ensure(folder.path()).unwrap().identity();
        let second = ensure(folder.path()).unwrap().identity();
        assert_eq!(first.expose_secret(), second.expose_secret());
        std::fs::write(folder.path().join(FILE), "broken").unwrap();
        assert!(ensure(folder.path()).is_err());
        assert_eq!(std::fs::read_to_string(folder.path().join(FILE)).unwrap(), "broken");
    }
}
