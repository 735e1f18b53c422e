//! What one daemon tells the other in confidence.
//!
//! What is sealed says which offer it belongs to, and as what. Statements are kept as evidence and shown to others, so
//! what is sealed in them is not hidden: without this, whoever saw it could put it into a transfer of their own, and the
//! target would open it for them.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use berth_seal::{Keys, SealError, seal_to};
use secrecy::zeroize::Zeroizing;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// The line that a file of age begins with (<https://age-encryption.org/v1>).
const BEGINNING: &[u8] = b"age-encryption.org/v1\n";

/// As what something is sealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Purpose {
    /// [`Claim::tenant`](crate::Claim::tenant)
    Tenant,
    /// [`Manifest::secrets`](crate::Manifest::secrets)
    Secrets,
    /// [`Entrance::key`](crate::Entrance::key)
    VaultKey,
    /// [`HandOver::way_back`](crate::HandOver::way_back)
    WayBack,
}

/// A file of age, which stands in JSON as Base64. What is no such file cannot be one of these, so that nothing is sent in
/// clear by mistake.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Sealed(Vec<u8>);

/// This is no file of age in Base64.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("what is sealed must be a file of age in Base64")]
pub struct NotSealed;

impl Sealed {
    /// Seals bytes to an age recipient, for one purpose in one offer.
    ///
    /// # Errors
    /// [`SealError::BadRecipient`], [`SealError::Seal`]
    pub fn to(recipient: &str, offer: Uuid, purpose: Purpose, bytes: &[u8]) -> Result<Self, SealError> {
        let place = purpose.place(offer);
        // Its whole room at once: what grows leaves copies behind.
        let mut content = Zeroizing::new(Vec::with_capacity(place.len() + bytes.len()));
        content.extend_from_slice(place.as_bytes());
        content.extend_from_slice(bytes);
        seal_to(recipient, &content).map(Self)
    }

    /// The file of age.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// What was sealed to these keys, for this purpose in this offer.
    ///
    /// # Errors
    /// [`SealError::Open`]; [`SealError::Misplaced`] where it was sealed for something else.
    pub fn open(&self, keys: &Keys, offer: Uuid, purpose: Purpose) -> Result<Zeroizing<Vec<u8>>, SealError> {
        let content = keys.open_file(&self.0)?;
        let bytes = content.strip_prefix(purpose.place(offer).as_bytes());
        let misplaced = || SealError::Misplaced(format!("of the offer {offer}"));
        bytes.map(|bytes| Zeroizing::new(bytes.to_vec())).ok_or_else(misplaced)
    }
}

impl Purpose {
    /// What the sealed content begins with: a line.
    fn place(self, offer: Uuid) -> String {
        let word = match self {
            Self::Tenant => "tenant",
            Self::Secrets => "secrets",
            Self::VaultKey => "vault-key",
            Self::WayBack => "way-back",
        };
        format!("berth-transfer/v1 {offer} {word}\n")
    }
}

impl TryFrom<String> for Sealed {
    type Error = NotSealed;

    fn try_from(text: String) -> Result<Self, NotSealed> {
        let bytes = STANDARD.decode(text).map_err(|_| NotSealed)?;
        if bytes.starts_with(BEGINNING) { Ok(Self(bytes)) } else { Err(NotSealed) }
    }
}

impl From<Sealed> for String {
    fn from(sealed: Sealed) -> Self {
        STANDARD.encode(sealed.0)
    }
}

impl fmt::Debug for Sealed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sealed({} bytes)", self.0.len())
    }
}
