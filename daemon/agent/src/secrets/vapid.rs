//! VAPID key pairs, by which a server proves to push services who it is (RFC 8292).

use base64::Engine as _;
use base64::engine::general_purpose::{URL_SAFE, URL_SAFE_NO_PAD};
use p256::SecretKey;
use p256::elliptic_curve::sec1::ToEncodedPoint as _;
use secrecy::zeroize::Zeroizing;
use secrecy::{ExposeSecret as _, SecretString};

use super::generate::random;

/// The private half: 32 bytes in Base64 for URLs.
pub(super) fn private() -> std::io::Result<SecretString> {
    loop {
        // All but one in 2^32 numbers of that length are keys of the curve.
        if let Ok(key) = SecretKey::from_slice(&random(32)?) {
            let bytes = Zeroizing::new(key.to_bytes());
            return Ok(SecretString::from(URL_SAFE.encode(&**bytes)));
        }
    }
}

/// The public half that belongs to a private one: the uncompressed point in Base64 for URLs.
pub(super) fn public(private: &SecretString) -> std::io::Result<SecretString> {
    let invalid = || std::io::Error::new(std::io::ErrorKind::InvalidData, "its private half is no P-256 key");
    let text = private.expose_secret().trim().trim_end_matches('=');
    let bytes = Zeroizing::new(URL_SAFE_NO_PAD.decode(text).map_err(|_| invalid())?);
    let key = SecretKey::from_slice(&bytes).map_err(|_| invalid())?;
    Ok(SecretString::from(URL_SAFE.encode(key.public_key().to_encoded_point(false))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_public_half_is_the_one_that_others_compute() {
        // The key of RFC 7515, appendix A.3: d, and the point of x and y.
        let d = SecretString::from("jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI");
        let x = URL_SAFE_NO_PAD.decode("f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU").unwrap();
        let y = URL_SAFE_NO_PAD.decode("x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0").unwrap();
        let point: Vec<u8> = [vec![4], x, y].concat();
        assert_eq!(public(&d).unwrap().expose_secret(), URL_SAFE.encode(point));
    }

    #[test]
    fn a_new_private_half_has_a_public_one() {
        let key = private().unwrap();
        assert_eq!(key.expose_secret().len(), 44);
        assert_eq!(public(&key).unwrap().expose_secret().len(), 88);
        assert!(public(&SecretString::from("nonsense")).is_err());
    }
}
