//! The token of an offer: who holds it speaks for the tenant that is to be moved.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use berth_sign::{Sha256Hex, SigningKey};
use secrecy::zeroize::Zeroizing;
use secrecy::{ExposeSecret as _, SecretString};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;
use uuid::Uuid;

/// The random bytes of a token.
const BYTES: usize = 32;

/// The `typ` of what is signed to make a token of it. It is never shown to anybody.
const OWN_TOKEN: &str = "berth-own-token";

/// No random bytes can be had.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no random bytes can be had")]
pub struct NoRandom;

/// A new token: 32 random bytes in Base64url.
///
/// # Errors
/// [`NoRandom`]
pub fn new_token() -> Result<SecretString, NoRandom> {
    random_text::<BYTES>().map(|text| SecretString::from(text.as_str()))
}

/// The token of a ticket that may have to be said again just as it was, without being kept: the SHA-256 of what only this key
/// can sign about the offer, which is the same each time (Ed25519, RFC 8032).
pub fn own_token(key: &SigningKey, offer: Uuid) -> SecretString {
    let signed = Zeroizing::new(key.sign(offer.as_bytes(), OWN_TOKEN));
    let sum = Zeroizing::new(<[u8; BYTES]>::from(Sha256::digest(signed.as_bytes())));
    SecretString::from(URL_SAFE_NO_PAD.encode(*sum))
}

/// What the target keeps of a token. Who reads the sum does not have the token: 256 random bits cannot be guessed, so it
/// needs neither salt nor a slow function.
pub fn token_hash(token: &SecretString) -> Sha256Hex {
    <[u8; 32]>::from(Sha256::digest(token.expose_secret())).into()
}

/// Whether a token is the one whose sum was kept. Takes as long whether it is or not.
pub fn token_fits(token: &SecretString, kept: &Sha256Hex) -> bool {
    token_hash(token).as_bytes().ct_eq(kept.as_bytes()).into()
}

/// Whether a text may be a token: its 43 characters also fit into a header as they stand.
pub(crate) fn is_token(text: &str) -> bool {
    URL_SAFE_NO_PAD.decode(text).map(Zeroizing::new).is_ok_and(|bytes| bytes.len() == BYTES)
}

/// So many random bytes in Base64url.
pub(crate) fn random_text<const N: usize>() -> Result<Zeroizing<String>, NoRandom> {
    let mut bytes = Zeroizing::new([0; N]);
    getrandom::fill(bytes.as_mut()).map_err(|_| NoRandom)?;
    Ok(Zeroizing::new(URL_SAFE_NO_PAD.encode(*bytes)))
}
