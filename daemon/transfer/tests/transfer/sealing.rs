//! What is sealed.

use berth_seal::{Keys, SealError, seal_to};
use berth_transfer::{Purpose, Sealed};

use crate::support::{OFFER, OTHER, sealed};

#[test]
fn what_is_sealed_opens_with_its_keys_for_its_purpose_and_in_its_offer_only() {
    let keys = Keys::generate();
    let sealed = Sealed::to(&keys.recipient(), OFFER, Purpose::Secrets, b"hunter2\0").unwrap();
    assert_eq!(sealed.open(&keys, OFFER, Purpose::Secrets).unwrap().as_slice(), b"hunter2\0");
    let misplaced = [
        sealed.open(&keys, OTHER, Purpose::Secrets),
        sealed.open(&keys, OFFER, Purpose::Tenant),
        sealed.open(&keys, OFFER, Purpose::VaultKey),
    ];
    for error in misplaced {
        assert!(matches!(error, Err(SealError::Misplaced(_))));
    }
    let other = sealed.open(&Keys::generate(), OFFER, Purpose::Secrets);
    assert!(matches!(other, Err(SealError::Open(_))));
}

#[test]
fn what_was_sealed_for_no_offer_at_all_is_not_opened_for_one() {
    let keys = Keys::generate();
    let file = seal_to(&keys.recipient(), b"hunter2").unwrap();
    let text = serde_json::to_string(&base64(&file)).unwrap();
    let sealed: Sealed = serde_json::from_str(&text).unwrap();
    assert!(matches!(sealed.open(&keys, OFFER, Purpose::Tenant), Err(SealError::Misplaced(_))));
}

#[test]
fn nothing_in_clear_can_stand_where_something_is_sealed() {
    let clear = base64(b"hunter2");
    for text in ["hunter2", "", clear.as_str()] {
        let error = serde_json::from_value::<Sealed>(text.into()).unwrap_err().to_string();
        assert!(!error.contains("hunter2") && error.contains("sealed"), "{error}");
    }
    let good = sealed(Purpose::Tenant);
    let text = serde_json::to_string(&good).unwrap();
    assert_eq!(serde_json::from_str::<Sealed>(&text).unwrap(), good);
}

#[test]
fn nothing_is_sealed_to_what_is_no_recipient() {
    let error = Sealed::to("age1nobody", OFFER, Purpose::Tenant, b"hunter2").unwrap_err();
    assert!(matches!(error, SealError::BadRecipient { .. }));
}

fn base64(bytes: &[u8]) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(bytes)
}
