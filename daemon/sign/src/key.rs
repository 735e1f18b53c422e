//! A key that signs, its public half, and what that is called.

use std::fmt;
use std::path::Path;

use ed25519_dalek::pkcs8::spki::{DecodePublicKey as _, EncodePublicKey as _};
use ed25519_dalek::pkcs8::{DecodePrivateKey as _, EncodePrivateKey as _, KeypairBytes};
use ed25519_dalek::{Signer as _, VerifyingKey};
use secrecy::zeroize::Zeroizing;
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};

use crate::error::KeyError;
use crate::{jwk, key_file};

/// A key that signs. It forgets itself when it is dropped, and is shown nowhere.
pub struct SigningKey(ed25519_dalek::SigningKey);

impl SigningKey {
    /// A new key.
    ///
    /// # Errors
    /// [`KeyError::Random`]
    pub fn generate() -> Result<Self, KeyError> {
        let mut seed = Zeroizing::new([0; 32]);
        getrandom::fill(seed.as_mut()).map_err(|_| KeyError::Random)?;
        Ok(Self::from_seed(&seed))
    }

    /// The key of a seed (the private key of RFC 8032, section 5.1.5).
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        Self(ed25519_dalek::SigningKey::from_bytes(seed))
    }

    /// A key as PKCS#8 PEM (RFC 8410), such as `openssl genpkey -algorithm ed25519` writes it.
    ///
    /// # Errors
    /// [`KeyError::BadPrivate`]
    pub fn from_pem(pem: &SecretString) -> Result<Self, KeyError> {
        ed25519_dalek::SigningKey::from_pkcs8_pem(pem.expose_secret())
            .map(Self)
            .map_err(|_| KeyError::BadPrivate)
    }

    /// The key as PKCS#8 PEM, in version 1 (without the public half), which every OpenSSL reads.
    ///
    /// # Errors
    /// [`KeyError::BadPrivate`], which does not happen.
    pub fn to_pem(&self) -> Result<SecretString, KeyError> {
        let bytes = KeypairBytes { secret_key: self.0.to_bytes(), public_key: None };
        let pem = bytes.to_pkcs8_pem(Default::default()).map_err(|_| KeyError::BadPrivate)?;
        Ok(SecretString::from(pem.as_str()))
    }

    /// The key of a file.
    ///
    /// # Errors
    /// [`KeyError::Io`], [`KeyError::Open`] where others may read it, [`KeyError::File`]
    pub fn load(path: &Path) -> Result<Self, KeyError> {
        let pem = key_file::read(path)?;
        Self::from_pem(&pem)
            .map_err(|reason| KeyError::File { path: path.to_owned(), reason: Box::new(reason) })
    }

    /// The key of a file, which is made with a new key where there is none. Of several that do this at once, all get the
    /// same key; after a crash the file is there as a whole or not at all.
    ///
    /// # Errors
    /// As [`SigningKey::load`], and [`KeyError::Random`]
    pub fn load_or_create(path: &Path) -> Result<Self, KeyError> {
        if !key_file::exists(path)? {
            key_file::create(path, &Self::generate()?.to_pem()?)?;
        }
        Self::load(path)
    }

    /// The public half.
    pub fn public(&self) -> PublicKey {
        PublicKey(self.0.verifying_key())
    }

    /// A compact JWS of a payload; see [`crate::jws`].
    pub fn sign(&self, payload: &[u8], typ: &str) -> String {
        crate::jws::sign(self, payload, typ)
    }

    pub(crate) fn raw(&self, message: &[u8]) -> [u8; 64] {
        self.0.sign(message).to_bytes()
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SigningKey").field(&self.public().id()).finish()
    }
}

/// A public key that can be checked against. Points of small order, with which a signature may fit anything, are none.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct PublicKey(VerifyingKey);

impl PublicKey {
    /// The key of its 32 bytes (RFC 8032, section 5.1.2).
    ///
    /// # Errors
    /// [`KeyError::BadPublic`]
    pub fn from_bytes(bytes: &[u8; 32]) -> Result<Self, KeyError> {
        let key = VerifyingKey::from_bytes(bytes).map_err(|_| KeyError::BadPublic("it is no point"))?;
        if key.is_weak() {
            return Err(KeyError::BadPublic("it is a point of small order"));
        }
        // Some points can be written in two ways; a key has one name only.
        if key.to_edwards().compress().as_bytes() != bytes {
            return Err(KeyError::BadPublic("it is not written as it should be"));
        }
        Ok(Self(key))
    }

    /// A key as PEM (`BEGIN PUBLIC KEY`, RFC 8410).
    ///
    /// # Errors
    /// [`KeyError::BadPublic`]
    pub fn from_pem(pem: &str) -> Result<Self, KeyError> {
        let key = VerifyingKey::from_public_key_pem(pem)
            .map_err(|_| KeyError::BadPublic("it is no Ed25519 key in PEM"))?;
        Self::from_bytes(key.as_bytes())
    }

    /// The key as PEM.
    ///
    /// # Errors
    /// [`KeyError::BadPublic`], which does not happen.
    pub fn to_pem(&self) -> Result<String, KeyError> {
        self.0
            .to_public_key_pem(Default::default())
            .map_err(|_| KeyError::BadPublic("it cannot be written as PEM"))
    }

    /// Its 32 bytes.
    pub fn as_bytes(&self) -> &[u8; 32] {
        self.0.as_bytes()
    }

    /// Its name: its thumbprint.
    pub fn id(&self) -> KeyId {
        jwk::thumbprint(self)
    }

    /// Whether a raw signature fits a message; strictly, so that everybody who checks comes to the same.
    pub(crate) fn fits(&self, message: &[u8], signature: &[u8; 64]) -> bool {
        self.0.verify_strict(message, &ed25519_dalek::Signature::from_bytes(signature)).is_ok()
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("PublicKey").field(&self.id()).finish()
    }
}

/// What a key is called: its JWK thumbprint (RFC 7638), 43 letters of Base64url.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct KeyId(String);

impl KeyId {
    pub(crate) fn new(thumbprint: String) -> Self {
        Self(thumbprint)
    }

    /// As text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
