//! Whose signatures count.

use std::collections::BTreeMap;
use std::path::Path;

use crate::error::KeyError;
use crate::jwk::{Jwk, JwkSet};
use crate::key::{KeyId, PublicKey};

/// The keys whose signatures count.
#[derive(Debug, Clone, Default)]
pub struct TrustedKeys {
    keys: BTreeMap<KeyId, PublicKey>,
}

impl TrustedKeys {
    /// Nobody's.
    pub fn none() -> Self {
        Self::default()
    }

    /// One more.
    pub fn add(&mut self, key: PublicKey) {
        self.keys.insert(key.id(), key);
    }

    /// Whether this key counts.
    pub fn contains(&self, key: &PublicKey) -> bool {
        self.keys.get(&key.id()) == Some(key)
    }

    /// Whether nobody's does.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// Takes in the keys of a file: a JWK or a JWK Set (RFC 7517), or PEM (`BEGIN PUBLIC KEY`), of which there may be
    /// several.
    ///
    /// # Errors
    /// [`KeyError::Io`], [`KeyError::File`]
    pub fn add_file(&mut self, path: &Path) -> Result<(), KeyError> {
        let text = std::fs::read_to_string(path).map_err(|source| KeyError::Io {
            path: path.to_owned(),
            what: "read",
            source,
        })?;
        let keys = parse(&text)
            .map_err(|reason| KeyError::File { path: path.to_owned(), reason: Box::new(reason) })?;
        keys.into_iter().for_each(|key| self.add(key));
        Ok(())
    }
}

impl FromIterator<PublicKey> for TrustedKeys {
    fn from_iter<I: IntoIterator<Item = PublicKey>>(keys: I) -> Self {
        let mut trusted = Self::none();
        keys.into_iter().for_each(|key| trusted.add(key));
        trusted
    }
}

/// The public keys of a text. At least one.
fn parse(text: &str) -> Result<Vec<PublicKey>, KeyError> {
    let keys = if text.trim_start().starts_with('{') { json(text)? } else { pem(text)? };
    if keys.is_empty() {
        return Err(KeyError::BadPublic("there is no key"));
    }
    Ok(keys)
}

fn json(text: &str) -> Result<Vec<PublicKey>, KeyError> {
    let bad = |_| KeyError::BadPublic("it is no JWK and no JWK Set");
    let keys = match serde_json::from_str::<JwkSet>(text) {
        Ok(set) => set.keys,
        Err(_) => vec![serde_json::from_str::<Jwk>(text).map_err(bad)?],
    };
    keys.iter().map(Jwk::key).collect()
}

fn pem(text: &str) -> Result<Vec<PublicKey>, KeyError> {
    const END: &str = "-----END PUBLIC KEY-----";
    let (blocks, rest) = match text.rsplit_once(END) {
        Some((blocks, rest)) => (blocks, rest),
        None => return Err(KeyError::BadPublic("it is neither JSON nor PEM of a public key")),
    };
    if !rest.trim().is_empty() {
        return Err(KeyError::BadPublic("something follows the last key"));
    }
    blocks.split(END).map(|block| PublicKey::from_pem(&format!("{}{END}\n", block.trim_start()))).collect()
}
