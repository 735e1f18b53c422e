//! What can go wrong. No message repeats anything of a key that is secret.

use std::path::PathBuf;

/// A key cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The file cannot be read or written.
    #[error("the key {path} cannot be {what}: {source}")]
    Io {
        /// Which file.
        path: PathBuf,
        /// `read` or `written`.
        what: &'static str,
        /// Why.
        source: std::io::Error,
    },
    /// Others than its user may read the secret key.
    #[error("the key {path} is open to others (mode {mode:04o}); it must be 0600")]
    Open {
        /// Which file.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// The file holds no key that is understood.
    #[error("{path}: {reason}")]
    File {
        /// Which file.
        path: PathBuf,
        /// Why.
        reason: Box<KeyError>,
    },
    /// This is no Ed25519 key in PKCS#8 PEM (RFC 8410).
    #[error("this is no Ed25519 key in PKCS#8 PEM")]
    BadPrivate,
    /// This is no public key.
    #[error("this is no public Ed25519 key: {0}")]
    BadPublic(&'static str),
    /// A public key does not have the thumbprint that it is called by.
    #[error("the key is called {named}, and its thumbprint is {real}")]
    Misnamed {
        /// What it is called.
        named: String,
        /// What it should be called.
        real: String,
    },
    /// No random bytes can be had.
    #[error("no random bytes can be had")]
    Random,
}

/// A signature that does not hold.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JwsError {
    /// It is no compact JWS: three parts in Base64url, the first of which is a JSON object.
    #[error("this is no compact JWS: {0}")]
    Malformed(&'static str),
    /// Another algorithm, or `none`.
    #[error("the algorithm is {0:?} and must be EdDSA")]
    Algorithm(String),
    /// It was signed for something else.
    #[error("this is signed as {found:?}, and {wanted:?} is needed")]
    Type {
        /// What is needed.
        wanted: String,
        /// What it is.
        found: String,
    },
    /// The header demands something that is not understood.
    #[error("the header demands something that is not understood (crit)")]
    Critical,
    /// The header's key is missing or wrong.
    #[error("the header’s key cannot be used: {0}")]
    Key(String),
    /// The signature names another key.
    #[error("this is signed with the key {found}, and not with {wanted}")]
    OtherKey {
        /// Which key was asked for.
        wanted: String,
        /// Which one it names.
        found: String,
    },
    /// The signature does not fit what is signed.
    #[error("the signature does not fit what is signed")]
    Signature,
    /// What is signed is not what its type says.
    #[error("what is signed cannot be read: {0}")]
    Payload(String),
}
