//! The examples of the RFCs.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use berth_sign::{Jwk, JwsError, SigningKey, verify_embedded};

/// RFC 8037, appendix A.1.
const SEED: [u8; 32] = [
    0x9d, 0x61, 0xb1, 0x9d, 0xef, 0xfd, 0x5a, 0x60, 0xba, 0x84, 0x4a, 0xf4, 0x92, 0xec, 0x2c, 0xc4, 0x44,
    0x49, 0xc5, 0x69, 0x7b, 0x32, 0x69, 0x19, 0x70, 0x3b, 0xac, 0x03, 0x1c, 0xae, 0x7f, 0x60,
];

#[test]
fn a_public_key_and_its_thumbprint_are_those_of_rfc_8037() {
    let public = SigningKey::from_seed(&SEED).public();
    assert_eq!(Jwk::of(&public).x, "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo");
    assert_eq!(public.id().as_str(), "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
}

/// RFC 8037, appendix A.4, whose header has only `alg`: the bytes that are signed are the RFC's, so the signature is.
#[test]
fn a_signature_is_the_one_of_rfc_8037() {
    use ed25519_dalek::Signer as _;
    const MESSAGE: &str = "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc";
    const SIGNATURE: &str =
        "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg";
    let signed = ed25519_dalek::SigningKey::from_bytes(&SEED).sign(MESSAGE.as_bytes());
    assert_eq!(URL_SAFE_NO_PAD.encode(signed.to_bytes()), SIGNATURE);
    // A header without `typ` and a key is none for us, however well it is signed.
    let jws = format!("{MESSAGE}.{SIGNATURE}");
    assert!(matches!(verify_embedded(&jws, "t"), Err(JwsError::Type { .. })));
}
