//! Statements: each is what it is, of whom it is, about what it is, and nothing else.

use std::fmt::Debug;

use berth_domain::{Address, CopyTimes, Progress, progress::Unit};
use berth_sign::{Countersignature, JwsError, SigningKey};
use berth_transfer::view::TARGET;
use berth_transfer::{
    Abort, Claim, Entrance, HandOver, Manifest, Obstacle, Phase, Purpose, Statement, StatementError, View,
};
use serde_json::{Value, json};

use crate::support::{
    OFFER, OTHER, abort, claim, hand_over, manifest, noon, sealed, source_key, stranger, target_key, view,
};

/// A view in which everything is said that can be.
fn whole_view() -> View {
    let obstacle = Obstacle {
        code: "service-unknown".to_owned(),
        message: "there is no lemmy here".to_owned(),
        field: Some("/services/lemmy".to_owned()),
    };
    View {
        phase: Phase::Receiving,
        code: Some("3F13-X9FD".to_owned()),
        tenant: Some("acme".parse().unwrap()),
        address: Some("192.0.2.7".parse::<Address>().unwrap()),
        obstacles: vec![obstacle],
        message: Some("waiting for the state".to_owned()),
        progress: Some(Progress::of(1, 2, Unit::Bytes)),
        vault: Some(Entrance {
            path: format!("/v1/transfers/{OFFER}/vault/v/"),
            key: sealed(Purpose::VaultKey),
        }),
        countersignature: Some("a.b.c".to_owned()),
        ..view("nonce")
    }
}

fn holds<S: Statement + PartialEq + Debug>(statement: &S) {
    let (key, jws) = (source_key(), statement.sign(&source_key()));
    assert_eq!(S::verify(&jws, &key.public(), OFFER).unwrap(), *statement);
    let other_key = S::verify(&jws, &stranger(), OFFER).unwrap_err();
    assert!(matches!(other_key, StatementError::Signature(JwsError::OtherKey { .. })), "{other_key}");
    let other_offer = S::verify(&jws, &key.public(), OTHER).unwrap_err();
    assert_eq!(other_offer, StatementError::OtherOffer { wanted: OTHER, found: OFFER });
}

#[test]
fn a_statement_is_of_its_key_and_about_its_offer_and_of_and_about_no_other() {
    holds(&claim());
    holds(&manifest());
    holds(&hand_over());
    holds(&abort());
    holds(&view("nonce"));
    holds(&whole_view());
}

#[test]
fn a_statement_of_one_kind_is_none_of_another() {
    let key = source_key();
    let all = [
        (Claim::TYP, claim().sign(&key)),
        (Manifest::TYP, manifest().sign(&key)),
        (HandOver::TYP, hand_over().sign(&key)),
        (Abort::TYP, abort().sign(&key)),
        (View::TYP, view("nonce").sign(&key)),
    ];
    for (typ, jws) in &all {
        let public = key.public();
        let read = [
            (Claim::TYP, Claim::verify(jws, &public, OFFER).err()),
            (Claim::TYP, Claim::verify_first(jws, OFFER).err()),
            (Manifest::TYP, Manifest::verify(jws, &public, OFFER).err()),
            (HandOver::TYP, HandOver::verify(jws, &public, OFFER).err()),
            (Abort::TYP, Abort::verify(jws, &public, OFFER).err()),
            (View::TYP, View::verify(jws, &public, OFFER).err()),
        ];
        for (wanted, error) in read {
            let (found, wanted) = ((*typ).to_owned(), wanted.to_owned());
            let expected =
                (wanted != found).then_some(StatementError::Signature(JwsError::Type { wanted, found }));
            assert_eq!(error, expected, "{typ}");
        }
    }
}

#[test]
fn a_statement_with_any_one_character_altered_is_refused() {
    let (key, good) = (source_key().public(), hand_over().sign(&source_key()));
    for at in 0..good.len() {
        for other in ["A", "g", "-", "_", ".", "0", " "] {
            let mut bad = good.clone();
            bad.replace_range(at..=at, other);
            assert_eq!(HandOver::verify(&bad, &key, OFFER).is_ok(), bad == good, "{at} {other}");
        }
        assert!(HandOver::verify(&good[..at], &key, OFFER).is_err(), "{at}");
    }
}

#[test]
fn the_first_claim_tells_the_key_of_its_source() {
    let claim = claim();
    let (read, key) = Claim::verify_first(&claim.sign(&source_key()), OFFER).unwrap();
    assert_eq!((read, key), (claim.clone(), source_key().public()));
    let other = Claim::verify_first(&claim.sign(&source_key()), OTHER).unwrap_err();
    assert_eq!(other, StatementError::OtherOffer { wanted: OTHER, found: OFFER });
}

#[test]
fn a_move_says_nothing_of_rehearsals_so_that_older_targets_take_it_and_refuse_the_others() {
    let said = |statement: Value| statement.get("rehearsal").cloned();
    assert_eq!(said(json!(claim())), None);
    assert_eq!(said(json!(manifest())), None);
    let rehearsal = Claim { rehearsal: true, ..claim() };
    assert_eq!(said(json!(rehearsal)), Some(json!(true)));
    holds(&rehearsal);
    let copied = CopyTimes { last_ms: 7, ..CopyTimes::default() };
    let rehearsal = Manifest { rehearsal: Some(copied), ..manifest() };
    holds(&rehearsal);
    let mut more = json!(rehearsal);
    more["rehearsal"]["only_if"] = json!("it is Monday");
    assert!(serde_json::from_value::<Manifest>(more).is_err());
    // A target that knows none says nothing of them either.
    let mut older = json!(view("nonce"));
    for name in ["rehearses", "rehearsal"] {
        older.as_object_mut().unwrap().remove(name);
    }
    assert_eq!(serde_json::from_value::<View>(older).unwrap().rehearses, None);
}

/// The same JSON with a field more: once for every object in it.
fn with_one_field_more(value: &Value) -> Vec<Value> {
    let mut all = Vec::new();
    if let Value::Object(fields) = value {
        let mut more = fields.clone();
        more.insert("only-if".to_owned(), json!("it is Monday"));
        all.push(Value::Object(more));
    }
    let places: Vec<Value> = match value {
        Value::Object(fields) => fields.keys().map(|name| json!(name)).collect(),
        Value::Array(items) => (0..items.len()).map(|at| json!(at)).collect(),
        _ => Vec::new(),
    };
    for place in places {
        let inner = |value: &mut Value, new: Value| match &place {
            Value::String(name) => value[name.as_str()] = new,
            at => value[usize::try_from(at.as_u64().unwrap()).unwrap()] = new,
        };
        let old = match &place {
            Value::String(name) => &value[name.as_str()],
            at => &value[usize::try_from(at.as_u64().unwrap()).unwrap()],
        };
        for new in with_one_field_more(old) {
            let mut changed = value.clone();
            inner(&mut changed, new);
            all.push(changed);
        }
    }
    all
}

/// What comes of a statement in which each object has a field more, in turn.
fn read_with_more<S: Statement>(statement: &S) -> Vec<Result<S, StatementError>> {
    let key = source_key();
    let read = |content: Value| S::verify(&signed::<S>(&key, &content), &key.public(), OFFER);
    with_one_field_more(&serde_json::to_value(statement).unwrap()).into_iter().map(read).collect()
}

fn signed<S: Statement>(key: &SigningKey, content: &Value) -> String {
    key.sign(content.to_string().as_bytes(), S::TYP)
}

fn is_refused<S: Statement>(statement: &S, objects: usize) {
    let read = read_with_more(statement);
    assert_eq!(read.len(), objects, "{}", S::TYP);
    for (at, result) in read.into_iter().enumerate() {
        assert!(matches!(result, Err(StatementError::Content { .. })), "{} {at}", S::TYP);
    }
}

#[test]
fn what_the_source_says_beyond_what_is_understood_is_not_passed_over_wherever_it_stands() {
    is_refused(&claim(), 4);
    // The manifest, its services, a service, its fingerprint, databases, one, its tables and sequences, directories, one.
    is_refused(&manifest(), 10);
    is_refused(&hand_over(), 1);
    is_refused(&abort(), 1);
}

#[test]
fn a_view_may_tell_more_than_is_understood() {
    let whole = whole_view();
    let read = read_with_more(&whole);
    assert_eq!(read.len(), 4, "the view, an obstacle, the progress, the entrance");
    for view in read {
        assert_eq!(view.unwrap(), whole);
    }
}

#[test]
fn a_fingerprint_that_lacks_something_is_none() {
    let mut content = serde_json::to_value(manifest()).unwrap();
    let fingerprint = content["services"]["gitea"]["fingerprint"].as_object_mut().unwrap();
    assert!(fingerprint.remove("directories").is_some());
    refused::<Manifest>(&content, "directories");
}

fn refused<S: Statement>(content: &Value, why: &str) {
    let key = source_key();
    let error = S::verify(&signed::<S>(&key, content), &key.public(), OFFER).map(drop).unwrap_err();
    let StatementError::Content { reason, .. } = &error else { panic!("{error}") };
    assert!(reason.contains(why), "{reason}");
}

#[test]
fn what_becomes_an_argument_or_an_address_is_read_as_that_and_as_nothing_else() {
    for id in ["latest", "--password-command=reboot", "", "A".repeat(64).as_str(), "a".repeat(8).as_str()] {
        let mut content = serde_json::to_value(manifest()).unwrap();
        content["services"]["gitea"]["snapshot"] = json!(id);
        refused::<Manifest>(&content, "64 hexadecimal digits");
    }
    let mut content = serde_json::to_value(claim()).unwrap();
    content["recipient"] = json!("age1nobody");
    refused::<Claim>(&content, "age recipient");
    for (field, value) in [("address", json!("b.example; reboot")), ("tenant", json!("../acme"))] {
        let mut content = serde_json::to_value(whole_view()).unwrap();
        content[field] = value;
        refused::<View>(&content, "must be");
    }
}

#[test]
fn the_answer_to_an_earlier_request_is_none() {
    let (key, jws) = (target_key(), view("first").sign(&target_key()));
    assert_eq!(View::answer(&jws, &key.public(), OFFER, "first").unwrap(), view("first"));
    for nonce in ["second", "", "first "] {
        let error = View::answer(&jws, &key.public(), OFFER, nonce).unwrap_err();
        assert_eq!(error, StatementError::OtherNonce, "{nonce}");
    }
}

#[test]
fn what_a_stranger_writes_into_a_header_is_not_repeated() {
    let huge = "x".repeat(100_000);
    let jws = source_key().sign(b"{}", &huge);
    let error = Abort::verify(&jws, &source_key().public(), OFFER).unwrap_err();
    assert!(error.to_string().len() < 200 && format!("{error:?}").len() < 300, "{error}");
}

#[test]
fn a_receipt_counts_if_it_is_the_targets_and_of_this_manifest() {
    let sum = Manifest::sum(&manifest().sign(&source_key()));
    let receipt = Countersignature { manifest_sha256: sum, role: TARGET.to_owned(), at: noon() };
    let target = target_key().public();
    let read = |receipt: &Countersignature, key: &SigningKey| {
        let view = View { countersignature: Some(receipt.sign(key)), ..view("nonce") };
        view.receipt(&sum, &target)
    };
    assert_eq!(read(&receipt, &target_key()).unwrap(), Some(receipt.clone()));
    assert_eq!(view("nonce").receipt(&sum, &target).unwrap(), None);
    let of_the_source = read(&receipt, &source_key()).unwrap_err();
    assert!(matches!(of_the_source, StatementError::Signature(JwsError::OtherKey { .. })));
    let of_another = Countersignature { manifest_sha256: Manifest::sum("another"), ..receipt.clone() };
    let as_another = Countersignature { role: "owner".to_owned(), ..receipt };
    for other in [of_another, as_another] {
        assert_eq!(read(&other, &target_key()).unwrap_err(), StatementError::OtherManifest);
    }
}

#[test]
fn phases_are_called_as_the_protocol_says() {
    let all = [
        (Phase::Offered, "offered"),
        (Phase::Claimed, "claimed"),
        (Phase::Preparing, "preparing"),
        (Phase::Receiving, "receiving"),
        (Phase::Restoring, "restoring"),
        (Phase::Ready, "ready"),
        (Phase::GoingLive, "going-live"),
        (Phase::Live, "live"),
        (Phase::Failed, "failed"),
    ];
    for (phase, word) in all {
        assert_eq!(serde_json::to_value(phase).unwrap(), json!(word));
        assert_eq!(phase.is_final(), ["live", "failed"].contains(&word));
    }
}
