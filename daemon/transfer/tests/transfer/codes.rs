//! The code that people compare.

use berth_sign::SigningKey;
use berth_transfer::{same_code, short_code};
use proptest::prelude::*;
use uuid::Uuid;

use crate::support::{OFFER, OTHER, source_key, stranger, target_key};

#[test]
fn the_code_is_what_another_program_makes_of_the_same() {
    // SHA-256 over "berth transfer code v1", a zero byte, the offer's 16 bytes and both keys' 32; its first 40 bits.
    // Made with Python's hashlib and the arithmetic of RFC 8032, section 6.
    let (target, source) = (target_key().public(), source_key().public());
    assert_eq!(short_code(OFFER, false, &target, &source), "3F13-X9FD");
    assert_eq!(short_code(OFFER, false, &source, &target), "Q9N6-QVJG");
}

#[test]
fn the_code_differs_where_the_offer_or_either_key_does() {
    let (target, source) = (target_key().public(), source_key().public());
    let code = short_code(OFFER, false, &target, &source);
    let others = [
        short_code(OTHER, false, &target, &source),
        short_code(OFFER, true, &target, &source),
        short_code(OFFER, false, &stranger(), &source),
        short_code(OFFER, false, &target, &stranger()),
    ];
    for other in others {
        assert!(!same_code(&code, &other), "{code} {other}");
    }
}

#[test]
fn a_code_is_the_same_however_it_is_written() {
    for written in ["3F13-X9FD", "3f13x9fd", " 3f 13 – x9 fd\n", "3FI3-X9FD", "3fl3-x9fd", "3-f-1-3-x-9-f-d"]
    {
        assert!(same_code("3F13-X9FD", written), "{written}");
        assert!(same_code(written, "3F13-X9FD"), "{written}");
    }
    assert!(same_code("0000-0000", "oOoO-0o0O"));
}

#[test]
fn what_is_no_code_is_the_same_as_nothing_not_even_itself() {
    for none in ["", "-", "3F13-X9F", "3F13-X9FDD", "3F13-X9FU", "3F13_X9FD", "3F13-X9Fé", "3F13-X9FÐ"] {
        assert!(!same_code(none, none), "{none}");
        assert!(!same_code(none, "3F13-X9FD"), "{none}");
    }
}

proptest! {
    #[test]
    fn every_code_has_the_form_of_one_and_is_read_back(offer in any::<u128>(), seed in any::<[u8; 32]>()) {
        let source = SigningKey::from_seed(&seed).public();
        let code = short_code(Uuid::from_u128(offer), false, &target_key().public(), &source);
        prop_assert!(code.len() == 9 && code.as_bytes()[4] == b'-');
        prop_assert!(same_code(&code, &code.to_lowercase().replace('-', " ")));
        prop_assert!(!same_code(&code, &code[..8]));
    }
}
