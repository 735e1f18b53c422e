//! Where a ticket may lead.

use berth_transfer::{Target, Ticket, TicketError, TransferError, Url};
use secrecy::ExposeSecret as _;

use crate::support::{parse, target_key, ticket};

const GOOD: [&str; 9] = [
    "https://b.example",
    "https://b.example:8443/berth/",
    "https://192.0.2.1",
    "https://[2001:db8::1]/api",
    "http://localhost:8484",
    "http://127.0.0.1",
    "http://127.9.8.7:1/x",
    "http://[::1]:8484",
    // A number is an address as well (WHATWG URL, “host parsing”).
    "http://2130706433",
];

const BAD: [&str; 15] = [
    "http://b.example",
    "http://192.0.2.1",
    "http://10.0.0.1",
    "http://[2001:db8::1]",
    "http://[::ffff:127.0.0.1]",
    "http://0.0.0.0",
    "http://localhost.b.example",
    "http://127.0.0.1.b.example",
    "http://localhost@b.example",
    "https://user@b.example",
    "https://:hunter2@b.example",
    "https://b.example/?a=hunter2",
    "https://b.example/#hunter2",
    "ftp://b.example",
    "file:///etc/hunter2",
];

#[test]
fn a_ticket_leads_over_tls_or_to_this_machine() {
    for url in GOOD {
        let good = ticket(url);
        assert_eq!(parse(good.issue(&target_key()).expose_secret()).unwrap().url, good.url, "{url}");
        assert!(Target::new(&good).is_ok(), "{url}");
    }
}

#[test]
fn a_ticket_that_leads_elsewhere_is_refused_when_read_and_when_used_and_what_is_secret_in_it_is_not_repeated()
{
    for url in BAD {
        let bad = ticket(url);
        let error = parse(bad.issue(&target_key()).expose_secret()).unwrap_err();
        assert!(matches!(error, TicketError::Url { .. }), "{url}: {error}");
        assert!(!format!("{error} {error:?}").contains("hunter2"), "{url}: {error}");
        assert_eq!(Ticket::check_url(&Url::parse(url).unwrap()), Err(error.clone()), "{url}");
        assert_eq!(Target::new(&bad).unwrap_err(), TransferError::Ticket(error), "{url}");
    }
}
