//! Tickets: what they go through, and what must not come of it.

use berth_sign::SigningKey;
use berth_transfer::ticket::{PREFIX, TICKET};
use berth_transfer::{Statement as _, Ticket, TicketError, new_token, token_fits, token_hash};
use chrono::TimeDelta;
use proptest::prelude::*;
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};

use crate::support::{claim, noon, parse, target_key, ticket};

fn text() -> String {
    ticket("https://b.example").issue(&target_key()).expose_secret().to_owned()
}

fn same(one: &Ticket, other: &Ticket) -> bool {
    one.token.expose_secret() == other.token.expose_secret()
        && (one.offer, &one.url, &one.recipient) == (other.offer, &other.url, &other.recipient)
        && (one.identity, one.expires_at) == (other.identity, other.expires_at)
}

/// The content of a good ticket, to be changed and signed all the same.
fn content() -> Value {
    let good = ticket("https://b.example");
    json!({
        "version": 1, "offer": good.offer, "url": "https://b.example/", "token": good.token.expose_secret(),
        "recipient": good.recipient, "expires_at": "2026-11-26T12:00:00Z"
    })
}

fn signed(content: &Value) -> String {
    format!("{PREFIX}{}", target_key().sign(content.to_string().as_bytes(), TICKET))
}

fn error_of(field: &str, value: Value) -> TicketError {
    let mut content = content();
    content[field] = value;
    parse(&signed(&content)).unwrap_err()
}

/// What mails, chats and people do to a text: lines of a width, each quoted, and something around it.
fn mangled(text: &str, width: usize, (mark, end): (&str, &str), (before, after): (&str, &str)) -> String {
    let lines: Vec<String> = text
        .as_bytes()
        .chunks(width)
        .map(|line| format!("{mark}{}{end}", String::from_utf8_lossy(line)))
        .collect();
    format!("{before}{}{after}", lines.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn a_ticket_comes_through_mails_as_it_was(
        width in 1_usize..120,
        line in prop::sample::select(vec![
            ("", "\n"), ("> ", "\r\n"), (">> > ", "\n"), ("\t", " \n"), ("", "\u{200b}"), ("\u{a0}", "\u{ad}\n"),
        ]),
        around in prop::sample::select(vec![
            ("", ""), ("\"", "\""), ("\n  ‘", "’ \n"), ("“", "”\r\n"), ("<", ">"), ("> `", "`"), ("\u{feff}", "\n"),
        ]),
        path in "(/[a-z0-9]{1,20}){0,4}",
        seed in any::<[u8; 32]>(),
        seconds in 0_i64..4_000_000_000,
    ) {
        let key = SigningKey::from_seed(&seed);
        let mut ticket = ticket(&format!("https://b.example:8443{path}"));
        ticket.identity = key.public();
        ticket.expires_at = chrono::DateTime::from_timestamp(seconds, 0).unwrap();
        let text = mangled(ticket.issue(&key).expose_secret(), width, line, around);
        prop_assert!(same(&parse(&text).unwrap(), &ticket));
    }

    #[test]
    fn what_is_no_ticket_is_refused_without_a_panic(text in any::<String>(), rest in "[A-Za-z0-9_.-]{0,200}") {
        prop_assert!(parse(&text).is_err());
        let begun = format!("{PREFIX}{rest}");
        prop_assert!(parse(&begun).is_err());
    }
}

#[test]
fn a_ticket_with_any_one_character_altered_is_refused() {
    let good = text();
    assert!(good.is_ascii());
    for at in 0..good.len() {
        for other in (0..=127_u8).filter(|other| *other != good.as_bytes()[at]) {
            let mut bytes = good.clone().into_bytes();
            bytes[at] = other;
            let bad = String::from_utf8(bytes).unwrap();
            let error = parse(&bad).expect_err(&format!("byte {at} made {other}"));
            let expected =
                matches!(error, TicketError::NotATicket | TicketError::Incomplete | TicketError::Damaged);
            assert!(expected, "byte {at} made {other}: {error}");
        }
    }
}

#[test]
fn a_ticket_of_which_a_character_is_missing_doubled_or_swapped_is_refused() {
    let good = text();
    for at in 0..good.len() {
        let mut missing = good.clone();
        missing.remove(at);
        let mut doubled = good.clone();
        doubled.insert(at, char::from(good.as_bytes()[at]));
        for bad in [missing, doubled] {
            assert!(parse(&bad).is_err(), "{at}");
        }
        let mut bytes = good.clone().into_bytes();
        if at > 0 && bytes[at - 1] != bytes[at] {
            bytes.swap(at - 1, at);
            assert!(parse(&String::from_utf8(bytes).unwrap()).is_err(), "{at}");
        }
    }
}

#[test]
fn a_ticket_that_was_cut_off_is_called_so_wherever_it_was_cut() {
    let good = text();
    for at in PREFIX.len()..good.len() {
        assert_eq!(parse(&good[..at]).unwrap_err(), TicketError::Incomplete, "{at}");
    }
    for at in 0..PREFIX.len() {
        assert_eq!(parse(&good[..at]).unwrap_err(), TicketError::NotATicket, "{at}");
    }
    for at in 1..good.len() {
        assert!(parse(&good[at..]).is_err(), "{at}");
    }
}

#[test]
fn two_tickets_are_not_one_and_none_of_their_parts_can_be_mixed() {
    let (one, other) = (text(), text());
    assert!(parse(&format!("{one}\n{other}")).is_err());
    let parts = |text: &str| -> Vec<String> { text.split('.').map(str::to_owned).collect() };
    let (one, other) = (parts(&one), parts(&other));
    assert!(parse(&format!("{}.{}.{}", one[0], other[1], one[2])).is_err());
    assert!(parse(&format!("{}.{}.{}", one[0], one[1], other[2])).is_err());
    assert!(parse(&one.join(".")).is_ok());
}

#[test]
fn another_signed_text_is_no_ticket() {
    let jws = claim().sign(&target_key());
    assert_eq!(parse(&format!("{PREFIX}{jws}")).unwrap_err(), TicketError::NotATicket);
    assert_eq!(parse(text().strip_prefix(PREFIX).unwrap()).unwrap_err(), TicketError::NotATicket);
}

#[test]
fn a_text_of_any_length_is_refused_at_once() {
    let long = format!("{PREFIX}{}", "a".repeat(50 << 20));
    assert_eq!(parse(&long).unwrap_err(), TicketError::NotATicket);
    assert_eq!(parse(&"> ".repeat(10 << 20)).unwrap_err(), TicketError::NotATicket);
}

#[test]
fn a_newer_ticket_is_refused_with_its_version_whatever_else_is_in_it() {
    assert!(parse(&signed(&content())).is_ok());
    let newer = json!({"version": 2, "offers": ["more"]});
    assert_eq!(parse(&signed(&newer)).unwrap_err(), TicketError::Version { found: 2 });
    assert_eq!(error_of("version", json!(0)), TicketError::Version { found: 0 });
}

#[test]
fn a_whole_ticket_with_a_field_that_is_wrong_unknown_or_missing_is_refused() {
    let fields = [
        ("offer", json!("1")),
        ("url", json!("b.example")),
        ("token", json!("short")),
        ("token", json!(["a list"])),
        ("token", json!(format!("{}\n", "A".repeat(43)))),
        ("expires_at", json!("2026-11-26T12:00:00.5Z")),
        ("expires_at", json!("2026-11-26T13:00:00+01:00")),
        ("only_on_mondays", json!(true)),
    ];
    for (field, value) in fields {
        let error = error_of(field, value);
        assert!(matches!(error, TicketError::Content(_)), "{field}: {error}");
    }
    assert_eq!(error_of("recipient", json!("age1nobody")), TicketError::Recipient);
    for field in ["version", "offer", "url", "token", "recipient", "expires_at"] {
        let mut content = content();
        content.as_object_mut().unwrap().remove(field);
        assert!(matches!(parse(&signed(&content)).unwrap_err(), TicketError::Content(_)), "{field}");
    }
}

#[test]
fn a_ticket_can_be_used_until_its_time_and_not_at_it() {
    let ticket = ticket("https://b.example");
    let second = TimeDelta::seconds(1);
    assert_eq!(ticket.check_time(noon() - second), Ok(()));
    for late in [noon(), noon() + second] {
        assert_eq!(ticket.check_time(late), Err(TicketError::Expired { at: noon() }));
    }
}

#[test]
fn the_key_that_a_ticket_is_signed_with_is_the_one_that_it_names() {
    let ticket = ticket("https://b.example");
    let other = SigningKey::from_seed(&[9; 32]);
    let read = parse(ticket.issue(&other).expose_secret()).unwrap();
    assert_eq!(read.identity, other.public());
}

#[test]
fn a_token_is_known_by_its_sum_and_no_two_are_the_same() {
    let (one, other) = (new_token().unwrap(), new_token().unwrap());
    assert_eq!(one.expose_secret().len(), 43);
    assert_ne!(one.expose_secret(), other.expose_secret());
    assert!(token_fits(&one, &token_hash(&one)));
    assert!(!token_fits(&other, &token_hash(&one)));
    assert!(!token_fits(&String::new().into(), &token_hash(&one)));
}
