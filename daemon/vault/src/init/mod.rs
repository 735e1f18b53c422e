//! A new repository, as `restic init` makes one, made of its password alone.
//!
//! Each call of restic derives the key of the repository from the password, and that takes it half a second and 32 MiB (scrypt,
//! with N = 32,768 and p = 5 on a host of 2026), as people choose what can be guessed. A snapshot or a restore of a tenant is a
//! dozen calls, and during the last of them the services stand still. A vault's password is not guessed, as it is 256 random
//! bits: so its key may be quick to try.
//!
//! Whatever else is random in a repository is derived from the password as well (HKDF, RFC 5869). Made twice, it is the same, so
//! that it does not matter who else makes it, or where somebody who made it was killed.
//!
//! The format is that of restic's design (<https://restic.readthedocs.io/en/stable/100_references.html>, “Repository Format”),
//! version 2.

mod polynomial;
pub(crate) mod sealed;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use hkdf::Hkdf;
use secrecy::zeroize::Zeroizing;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::json;
use sha2::{Digest as _, Sha256};

use crate::name::RepositoryName;
use crate::object::{Key, Kind, Sum};
use crate::storage::{Storage, StorageError};
use sealed::{KEY_BYTES, Keys};

/// The least that scrypt knows: N is 2 to this power.
const LOG_N: u8 = 1;
const R: u32 = 8;
const P: u32 = 1;

/// restic takes no other length.
const SALT_BYTES: usize = 64;

/// What a repository consists of before anything is backed up.
pub(crate) struct New {
    config: Bytes,
    key: Bytes,
}

impl New {
    /// The repository of a password, which must not be one that can be guessed.
    pub(crate) fn of(password: &SecretString) -> Self {
        let chance = Chance::of(password);
        let keys = keys_of(password);
        let config = json!({
            "version": 2,
            "id": Sum::new(chance.bytes("id")).to_string(),
            "chunker_polynomial": format!("{:x}", chance.polynomial()),
        });
        let config = keys.seal(chance.bytes("iv of config"), config.to_string().as_bytes());
        let key = sealed_by(password, &keys, &chance);
        Self { config: config.into(), key: key.into() }
    }

    /// What its key is called.
    pub(crate) fn key_name(&self) -> Key {
        Key::Object(Kind::Keys, Sum::new(Sha256::digest(&self.key).into()))
    }

    /// Keeps it, unless there is one; whether it was kept.
    pub(crate) async fn keep(
        self,
        storage: &dyn Storage,
        repository: &RepositoryName,
    ) -> Result<bool, StorageError> {
        match storage.size(repository, &Key::Config).await {
            Err(StorageError::NotFound) => {}
            there => return there.map(|_| false),
        }
        storage.create(repository).await?;
        let key = self.key_name();
        // The key first: a repository with a config has all that it needs.
        for (name, content) in [(key, self.key), (Key::Config, self.config)] {
            let mut draft = storage.begin(repository, &name).await?;
            draft.write(content).await?;
            draft.keep().await?;
        }
        Ok(true)
    }
}

/// The keys of the repository of a password.
pub(crate) fn keys_of(password: &SecretString) -> Keys {
    Keys::new(Zeroizing::new(Chance::of(password).bytes("keys")))
}

/// The file in `keys/`: the repository's keys, sealed by those that the password opens.
fn sealed_by(password: &SecretString, keys: &Keys, chance: &Chance) -> Vec<u8> {
    let salt = chance.bytes::<SALT_BYTES>("salt");
    let mut opened = Zeroizing::new([0; KEY_BYTES]);
    let params = scrypt::Params::new(LOG_N, R, P, KEY_BYTES).expect("constants within scrypt's bounds");
    scrypt::scrypt(password.expose_secret().as_bytes(), &salt, &params, &mut *opened)
        .expect("a length within scrypt's bounds");
    let plain = Zeroizing::new(
        json!({
            "mac": { "k": BASE64.encode(keys.signature_k()), "r": BASE64.encode(keys.signature_r()) },
            "encrypt": BASE64.encode(keys.encryption()),
        })
        .to_string(),
    );
    let data = Keys::new(opened).seal(chance.bytes("iv of key"), plain.as_bytes());
    let file = json!({
        "hostname": "berth",
        "username": "berth",
        "kdf": "scrypt",
        "N": 1_u32 << LOG_N,
        "r": R,
        "p": P,
        "salt": BASE64.encode(salt),
        "data": BASE64.encode(data),
    });
    file.to_string().into_bytes()
}

/// What is random in one repository.
struct Chance(Hkdf<Sha256>);

impl Chance {
    fn of(password: &SecretString) -> Self {
        Self(Hkdf::new(None, password.expose_secret().as_bytes()))
    }

    fn bytes<const N: usize>(&self, what: &str) -> [u8; N] {
        let mut bytes = [0; N];
        let label = format!("berth vault: {what}");
        self.0.expand(label.as_bytes(), &mut bytes).expect("at the most 8,160 bytes (RFC 5869, section 2.3)");
        bytes
    }

    fn polynomial(&self) -> u64 {
        let mut number = 0_u32;
        polynomial::first_among(|| {
            number += 1;
            u64::from_be_bytes(self.bytes(&format!("polynomial {number}")))
        })
    }
}
