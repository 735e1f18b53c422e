//! Public keys as JSON (RFC 7517; RFC 8037, section 2), and their thumbprints (RFC 7638).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::error::KeyError;
use crate::key::{KeyId, PublicKey};

/// A public key as JSON. What it says was not judged yet: [`Jwk::key`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Jwk {
    /// `OKP`
    pub kty: String,
    /// `Ed25519`
    pub crv: String,
    /// The key's 32 bytes in Base64url.
    pub x: String,
    /// What it is called; only its thumbprint is accepted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kid: Option<String>,
}

/// Several public keys, as a provider publishes them (RFC 7517, section 5).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JwkSet {
    /// The keys.
    pub keys: Vec<Jwk>,
}

impl Jwk {
    /// A key without its name, as a signature's header carries it.
    pub fn of(key: &PublicKey) -> Self {
        let x = URL_SAFE_NO_PAD.encode(key.as_bytes());
        Self { kty: "OKP".to_owned(), crv: "Ed25519".to_owned(), x, kid: None }
    }

    /// The same with its name, as it is published.
    pub fn named(key: &PublicKey) -> Self {
        Self { kid: Some(key.id().to_string()), ..Self::of(key) }
    }

    /// The key.
    ///
    /// # Errors
    /// [`KeyError::BadPublic`], [`KeyError::Misnamed`]
    pub fn key(&self) -> Result<PublicKey, KeyError> {
        if self.kty != "OKP" || self.crv != "Ed25519" {
            return Err(KeyError::BadPublic("it must have kty OKP and crv Ed25519"));
        }
        let bytes = URL_SAFE_NO_PAD.decode(&self.x).ok().and_then(|bytes| <[u8; 32]>::try_from(bytes).ok());
        let bytes = bytes.ok_or(KeyError::BadPublic("x must be 32 bytes in Base64url"))?;
        let key = PublicKey::from_bytes(&bytes)?;
        match &self.kid {
            Some(named) if *named != key.id().as_str() => {
                Err(KeyError::Misnamed { named: named.clone(), real: key.id().to_string() })
            }
            _ => Ok(key),
        }
    }
}

/// The thumbprint: SHA-256 of the required members in the order of their names, in Base64url.
pub(crate) fn thumbprint(key: &PublicKey) -> KeyId {
    let x = URL_SAFE_NO_PAD.encode(key.as_bytes());
    let members = format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{x}"}}"#);
    KeyId::new(URL_SAFE_NO_PAD.encode(Sha256::digest(members)))
}
