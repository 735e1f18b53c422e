//! Signing, and what is refused.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use berth_sign::countersign::COUNTERSIGNATURE;
use berth_sign::{Countersignature, JwsError, verify, verify_embedded};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::key;

const TYP: &str = "berth-test+jws";

/// A JWS with another header, and a signature that fits it: only its maker can do that.
fn signed_with_header(change: impl FnOnce(&mut Value)) -> String {
    let key = key(7);
    let jws = key.sign(b"payload", TYP);
    let mut parts = jws.split('.');
    let header = URL_SAFE_NO_PAD.decode(parts.next().unwrap()).unwrap();
    let mut header: Value = serde_json::from_slice(&header).unwrap();
    change(&mut header);
    raw(header.to_string().as_bytes(), b"payload")
}

fn raw(header: &[u8], payload: &[u8]) -> String {
    use ed25519_dalek::Signer as _;
    let message = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(payload));
    let signature = ed25519_dalek::SigningKey::from_bytes(&[7; 32]).sign(message.as_bytes()).to_bytes();
    format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature))
}

#[test]
fn what_is_signed_is_read_back_with_its_key_and_with_no_other() {
    let jws = key(7).sign(b"payload", TYP);
    assert_eq!(verify(&jws, TYP, &key(7).public()).unwrap(), b"payload");
    assert_eq!(verify_embedded(&jws, TYP).unwrap().key, key(7).public());
    assert!(matches!(verify(&jws, TYP, &key(8).public()), Err(JwsError::OtherKey { .. })));
}

#[test]
fn a_header_that_is_signed_and_wrong_is_refused() {
    assert!(verify_embedded(&signed_with_header(|_| ()), TYP).is_ok());
    let refused = |change: fn(&mut Value)| verify_embedded(&signed_with_header(change), TYP).unwrap_err();
    for alg in ["none", "HS256", "ES256", "eddsa", "Ed25519"] {
        let jws = signed_with_header(|header| header["alg"] = alg.into());
        assert_eq!(verify_embedded(&jws, TYP).unwrap_err(), JwsError::Algorithm(alg.to_owned()));
    }
    assert!(matches!(refused(|header| header["typ"] = "other".into()), JwsError::Type { .. }));
    assert!(matches!(
        refused(|header| drop(header.as_object_mut().unwrap().remove("typ"))),
        JwsError::Type { .. }
    ));
    assert_eq!(refused(|header| header["crit"] = json!(["b64"])), JwsError::Critical);
    assert_eq!(refused(|header| header["crit"] = Value::Null), JwsError::Critical);
    assert!(matches!(refused(|header| header["kid"] = "x".into()), JwsError::Key(_)));
    assert!(matches!(refused(|header| header["jwk"]["crv"] = "X25519".into()), JwsError::Key(_)));
    assert!(matches!(
        refused(|header| drop(header.as_object_mut().unwrap().remove("jwk"))),
        JwsError::Key(_)
    ));
}

#[test]
fn a_key_of_small_order_with_which_every_text_would_be_signed_is_refused() {
    let mut one = [0; 32];
    one[0] = 1;
    assert!(berth_sign::PublicKey::from_bytes(&one).is_err());
}

#[test]
fn a_header_member_that_is_there_twice_is_refused() {
    let jws = key(7).sign(b"payload", TYP);
    let header = String::from_utf8(URL_SAFE_NO_PAD.decode(jws.split('.').next().unwrap()).unwrap()).unwrap();
    let twice = header.replacen('{', r#"{"alg":"none","#, 1);
    assert!(matches!(verify_embedded(&raw(twice.as_bytes(), b"payload"), TYP), Err(JwsError::Malformed(_))));
}

#[test]
fn a_key_that_was_put_in_place_of_the_real_one_does_not_fit() {
    let (mine, foreign) = (key(7).sign(b"payload", TYP), key(8).sign(b"payload", TYP));
    let parts = |jws: &str| jws.split('.').map(str::to_owned).collect::<Vec<_>>();
    let (mine, foreign) = (parts(&mine), parts(&foreign));
    let mixed = format!("{}.{}.{}", foreign[0], mine[1], mine[2]);
    assert_eq!(verify_embedded(&mixed, TYP).unwrap_err(), JwsError::Signature);
}

#[test]
fn every_letter_that_changes_is_noticed() {
    let jws = key(7).sign(b"payload", TYP);
    for at in 0..jws.len() {
        for letter in [b'A', b'B', b'.', b'=', b'!'] {
            let mut changed = jws.clone().into_bytes();
            if changed[at] == letter {
                continue;
            }
            changed[at] = letter;
            let changed = String::from_utf8(changed).unwrap();
            assert!(verify_embedded(&changed, TYP).is_err(), "{at} {}", letter as char);
        }
    }
}

#[test]
fn a_countersignature_says_what_was_seen_and_by_whom() {
    let seen = Countersignature {
        manifest_sha256: [0xab; 32].into(),
        role: "target".to_owned(),
        at: "2026-11-26T01:18:38Z".parse().unwrap(),
    };
    let jws = seen.sign(&key(9));
    assert_eq!(Countersignature::verify(&jws).unwrap(), (seen, key(9).public()));
    assert!(matches!(verify_embedded(&jws, TYP), Err(JwsError::Type { .. })));
    let other = key(9).sign(br#"{"manifest_sha256":"AB","role":"x","at":"now"}"#, COUNTERSIGNATURE);
    assert!(matches!(Countersignature::verify(&other), Err(JwsError::Payload(_))));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_payload_comes_back(payload in proptest::collection::vec(any::<u8>(), 0..300), seed in any::<[u8; 32]>()) {
        let key = berth_sign::SigningKey::from_seed(&seed);
        let jws = key.sign(&payload, TYP);
        prop_assert_eq!(verify(&jws, TYP, &key.public()).unwrap(), payload);
    }

    #[test]
    fn nothing_that_is_no_signature_is_one(text in ".{0,200}") {
        prop_assert!(verify_embedded(&text, TYP).is_err());
    }
}
