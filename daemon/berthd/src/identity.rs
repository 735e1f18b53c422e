//! The key with which the daemon logs in on machines.

use std::path::{Path, PathBuf};

use anyhow::Context;
use ssh_key::rand_core::OsRng;
use ssh_key::{Algorithm, LineEnding, PrivateKey};

use crate::data_dir::{self, write_private};

/// The daemon's SSH identity.
#[derive(Debug, Clone)]
pub struct Identity {
    /// The private key's file.
    pub file: PathBuf,
    /// The public key, as a line of `authorized_keys`.
    pub public_key: String,
}

/// Reads the identity, or makes one: Ed25519, without a passphrase.
///
/// # Errors
/// The folder cannot be written, or what is there is no key.
pub fn ensure(data_dir: &Path) -> anyhow::Result<Identity> {
    let folder = data_dir.join("ssh");
    data_dir::create(&folder)?;
    let file = folder.join("id_ed25519");
    if !file.exists() {
        let mut key = PrivateKey::random(&mut OsRng, Algorithm::Ed25519)?;
        key.set_comment("berth");
        write_private(&file, key.to_openssh(LineEnding::LF)?.as_bytes())?;
    }
    let key = PrivateKey::read_openssh_file(&file)
        .with_context(|| format!("{} is no SSH key without a passphrase", file.display()))?;
    let public_key = key.public_key().to_openssh()?;
    write_private(&folder.join("id_ed25519.pub"), format!("{public_key}\n").as_bytes())?;
    Ok(Identity { file, public_key })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_identity_is_made_once_and_a_broken_one_is_not_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let first = ensure(folder.path()).unwrap();
        assert!(first.public_key.starts_with("ssh-ed25519 "));
        assert_eq!(ensure(folder.path()).unwrap().public_key, first.public_key);
        std::fs::write(&first.file, "broken").unwrap();
        assert!(ensure(folder.path()).is_err());
        assert_eq!(std::fs::read_to_string(&first.file).unwrap(), "broken");
    }
}
