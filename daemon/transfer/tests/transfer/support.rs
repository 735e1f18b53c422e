//! A target, a source, and what they say.

use std::collections::BTreeMap;

use berth_protocol::state::{DatabaseFingerprint, DirectoryFingerprint, ServiceFingerprint};
use berth_seal::Keys;
use berth_sign::{PublicKey, SigningKey};
use berth_transfer::{
    Abort, Claim, HandOver, Manifest, MovedService, OfferedService, Phase, Purpose, Sealed, Ticket, Url,
    View, new_token,
};
use chrono::{DateTime, Utc};
use secrecy::SecretString;
use uuid::Uuid;

/// The offer that everything is about.
pub const OFFER: Uuid = Uuid::from_u128(0x0193_6f5e_0000_7000_8000_0000_0000_0001);
/// Another one.
pub const OTHER: Uuid = Uuid::from_u128(0x0193_6f5e_0000_7000_8000_0000_0000_0002);

/// The key that the target signs with.
pub fn target_key() -> SigningKey {
    SigningKey::from_seed(&[1; 32])
}

/// The key that the source signs with.
pub fn source_key() -> SigningKey {
    SigningKey::from_seed(&[2; 32])
}

/// The key of neither.
pub fn stranger() -> PublicKey {
    SigningKey::from_seed(&[3; 32]).public()
}

/// An instant in whole seconds.
pub fn noon() -> DateTime<Utc> {
    "2026-11-26T12:00:00Z".parse().unwrap()
}

/// A ticket for a target at this address.
pub fn ticket(url: &str) -> Ticket {
    Ticket {
        offer: OFFER,
        url: Url::parse(url).unwrap(),
        token: new_token().unwrap(),
        recipient: Keys::generate().recipient(),
        identity: target_key().public(),
        expires_at: noon(),
    }
}

/// Reads a ticket's text.
pub fn parse(text: &str) -> Result<Ticket, berth_transfer::TicketError> {
    Ticket::parse(&SecretString::from(text))
}

/// Something that only the target can open.
pub fn sealed(purpose: Purpose) -> Sealed {
    Sealed::to(&Keys::generate().recipient(), OFFER, purpose, b"in confidence").unwrap()
}

pub fn claim() -> Claim {
    let offered = OfferedService { data_version: Some("1.22".into()), bytes: Some(1 << 40) };
    Claim {
        offer: OFFER,
        provider: "A. Provider".to_owned(),
        recipient: Keys::generate().recipient(),
        tenant: sealed(Purpose::Tenant),
        services: BTreeMap::from([
            ("gitea".parse().unwrap(), offered),
            ("lemmy".parse().unwrap(), OfferedService::default()),
        ]),
        rehearsal: false,
    }
}

pub fn manifest() -> Manifest {
    let database = DatabaseFingerprint {
        tables: BTreeMap::from([("public.users".to_owned(), 3)]),
        sequences: BTreeMap::from([
            ("public.users_id".to_owned(), Some(-1)),
            ("public.none".to_owned(), None),
        ]),
        ..DatabaseFingerprint::default()
    };
    let directory = DirectoryFingerprint { files: 2, bytes: u64::MAX, sha256: "c".repeat(64) };
    let moved = MovedService {
        snapshot: "a".repeat(64),
        bytes: 5,
        files: 2,
        databases: vec!["gitea".to_owned()],
        replicated: vec!["gitea".to_owned()],
        data_version: None,
        left_out: vec!["the cache".to_owned()],
        fingerprint: ServiceFingerprint {
            databases: BTreeMap::from([("gitea".to_owned(), database)]),
            directories: BTreeMap::from([("/var/lib/gitea".to_owned(), directory)]),
        },
    };
    Manifest {
        offer: OFFER,
        tenant: "acme".parse().unwrap(),
        taken_at: noon(),
        revision: Some("b".repeat(64).parse().unwrap()),
        services: BTreeMap::from([("gitea".parse().unwrap(), moved)]),
        secrets: sealed(Purpose::Secrets),
        rehearsal: None,
    }
}

pub fn hand_over() -> HandOver {
    HandOver { offer: OFFER, manifest: Manifest::sum("a.b.c"), way_back: None, at: noon() }
}

pub fn abort() -> Abort {
    Abort { offer: OFFER, reason: "the customer stays".to_owned(), at: noon() }
}

pub fn view(nonce: &str) -> View {
    View {
        offer: OFFER,
        nonce: nonce.to_owned(),
        phase: Phase::Claimed,
        code: None,
        tenant: None,
        address: None,
        obstacles: Vec::new(),
        message: None,
        progress: None,
        vault: None,
        ahead: None,
        rehearses: None,
        rehearsal: None,
        follows_changes: None,
        merges_changes: None,
        replicates_databases: None,
        knows_way_back: None,
        countersignature: None,
    }
}
