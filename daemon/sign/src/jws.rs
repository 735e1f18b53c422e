//! Compact JWS (RFC 7515, section 7.1) with `alg` EdDSA (RFC 8037, section 3.1), as this program writes it and alone
//! reads it:
//!
//! - the header holds `alg`, `typ`, `kid` (the key's thumbprint) and `jwk` (the public key);
//! - `alg` must be `EdDSA`, and `typ` what the reader expects; `crit` is refused, as nothing is understood that could
//!   stand in it; members that are not known are ignored, as the RFC wants;
//! - Base64url must be written in the one right way, so that no two texts are the same signature;
//! - `kid` must be the thumbprint of `jwk`.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

use crate::error::JwsError;
use crate::jwk::Jwk;
use crate::key::{PublicKey, SigningKey};

/// The longest JWS that is read, in bytes.
pub const MAX_JWS: usize = 4 * 1024 * 1024;

const ALGORITHM: &str = "EdDSA";

/// What was signed, and with which key. Whether that key counts is for the caller to say: [`crate::TrustedKeys`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signed {
    /// What was signed.
    pub payload: Vec<u8>,
    /// The key.
    pub key: PublicKey,
}

#[derive(Serialize)]
struct NewHeader<'a> {
    alg: &'a str,
    typ: &'a str,
    kid: &'a str,
    jwk: Jwk,
}

#[derive(Deserialize)]
struct Header {
    alg: Option<String>,
    typ: Option<String>,
    kid: Option<String>,
    jwk: Option<Jwk>,
    // `null` as well is a demand that is not understood.
    #[serde(default, deserialize_with = "present")]
    crit: bool,
}

fn present<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    serde::de::IgnoredAny::deserialize(deserializer).map(|_| true)
}

/// The three parts of a JWS, taken from their Base64url.
struct Parts<'a> {
    header: Header,
    payload: Vec<u8>,
    signature: [u8; 64],
    /// What the signature is of: the first two parts as they stand.
    message: &'a str,
}

pub(crate) fn sign(key: &SigningKey, payload: &[u8], typ: &str) -> String {
    let public = key.public();
    let id = public.id();
    let header = NewHeader { alg: ALGORITHM, typ, kid: id.as_str(), jwk: Jwk::of(&public) }.encoded();
    let mut jws = format!("{header}.{}", URL_SAFE_NO_PAD.encode(payload));
    let signature = key.raw(jws.as_bytes());
    jws.push('.');
    URL_SAFE_NO_PAD.encode_string(signature, &mut jws);
    jws
}

impl NewHeader<'_> {
    fn encoded(&self) -> String {
        // Texts only: this cannot fail, and an empty header would be refused by every reader.
        URL_SAFE_NO_PAD.encode(serde_json::to_vec(self).unwrap_or_default())
    }
}

/// What was signed with this key.
///
/// # Errors
/// [`JwsError`]; [`JwsError::OtherKey`] where the header names another key.
pub fn verify(jws: &str, typ: &str, key: &PublicKey) -> Result<Vec<u8>, JwsError> {
    let signed = verify_embedded(jws, typ)?;
    if signed.key == *key {
        Ok(signed.payload)
    } else {
        Err(JwsError::OtherKey { wanted: key.id().to_string(), found: signed.key.id().to_string() })
    }
}

/// What was signed with the key that the header brings along: proves that it is whole, and not who it is from.
///
/// # Errors
/// [`JwsError`]
pub fn verify_embedded(jws: &str, typ: &str) -> Result<Signed, JwsError> {
    let parts = Parts::of(jws)?;
    let key = parts.header.judge(typ)?;
    if key.fits(parts.message.as_bytes(), &parts.signature) {
        Ok(Signed { payload: parts.payload, key })
    } else {
        Err(JwsError::Signature)
    }
}

impl<'a> Parts<'a> {
    fn of(jws: &'a str) -> Result<Self, JwsError> {
        if jws.len() > MAX_JWS {
            return Err(JwsError::Malformed("it is too long"));
        }
        let (message, signature) = jws.rsplit_once('.').ok_or(JwsError::Malformed("a part is missing"))?;
        let (header, payload) = message.split_once('.').ok_or(JwsError::Malformed("a part is missing"))?;
        let signature = <[u8; 64]>::try_from(decode(signature)?)
            .map_err(|_| JwsError::Malformed("a signature is 64 bytes"))?;
        let header = serde_json::from_slice(&decode(header)?)
            .map_err(|_| JwsError::Malformed("the header is no JSON object as it should be"))?;
        Ok(Self { header, payload: decode(payload)?, signature, message })
    }
}

fn decode(part: &str) -> Result<Vec<u8>, JwsError> {
    URL_SAFE_NO_PAD.decode(part).map_err(|_| JwsError::Malformed("a part is not in Base64url"))
}

impl Header {
    /// The header's key, if everything else in it is right.
    fn judge(self, typ: &str) -> Result<PublicKey, JwsError> {
        if self.crit {
            return Err(JwsError::Critical);
        }
        if self.alg.as_deref() != Some(ALGORITHM) {
            return Err(JwsError::Algorithm(self.alg.unwrap_or_default()));
        }
        if self.typ.as_deref() != Some(typ) {
            let found = self.typ.unwrap_or_default();
            return Err(JwsError::Type { wanted: typ.to_owned(), found });
        }
        let jwk = self.jwk.ok_or_else(|| JwsError::Key("it is missing".to_owned()))?;
        let key = jwk.key().map_err(|error| JwsError::Key(error.to_string()))?;
        match self.kid {
            Some(kid) if kid == key.id().as_str() => Ok(key),
            _ => Err(JwsError::Key("kid is not its thumbprint".to_owned())),
        }
    }
}
