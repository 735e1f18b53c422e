//! What is secret is in no message and no debug output.

use berth_sign::SigningKey;
use berth_transfer::{Statement as _, Target, Ticket, TransferError, View};
use secrecy::ExposeSecret as _;
use serde_json::json;

use crate::server::{Reply, Request, Server};
use crate::support::{claim, manifest, parse, target_key, ticket, view};

fn token_of(request: &Request) -> String {
    request.headers["authorization"].trim_start_matches("Bearer ").to_owned()
}

/// Everything that an error tells, with all that lies behind it.
fn all_of(error: &TransferError) -> String {
    let mut text = format!("{error} {error:?} {error:#?}");
    let mut source = std::error::Error::source(error);
    while let Some(inner) = source {
        text.push_str(&inner.to_string());
        source = inner.source();
    }
    text
}

#[test]
fn neither_a_ticket_nor_its_target_shows_the_token() {
    let ticket = ticket("https://b.example");
    let target = Target::new(&ticket).unwrap();
    let shown = format!("{ticket:?} {ticket:#?} {target:?} {target:#?} {:?}", ticket.issue(&target_key()));
    assert!(!shown.contains(ticket.token.expose_secret()));
    assert!(shown.contains("b.example") && shown.contains(&ticket.offer.to_string()));
}

#[test]
fn no_error_about_a_ticket_repeats_anything_of_it() {
    let good = ticket("https://b.example");
    let text = good.issue(&target_key()).expose_secret().to_owned();
    for at in 0..text.len() {
        let mut bad = text.clone();
        bad.replace_range(at..=at, if &bad[at..=at] == "x" { "y" } else { "x" });
        let error = parse(&bad).unwrap_err();
        let shown = format!("{error} {error:?}");
        // What is secret is in the payload, behind the header; so many characters in a row are no chance.
        let part =
            text.as_bytes()[300..].windows(8).any(|part| shown.contains(std::str::from_utf8(part).unwrap()));
        assert!(!part, "{shown}");
    }
}

#[test]
fn a_ticket_whose_token_is_no_token_is_refused_without_repeating_it() {
    let mut bad: Ticket = ticket("https://b.example");
    bad.token = "hunter2".into();
    let error = parse(bad.issue(&target_key()).expose_secret()).unwrap_err();
    assert!(!format!("{error} {error:?}").contains("hunter2"));
    bad.token = "hunter2\n".into();
    let error = Target::new(&bad).unwrap_err();
    assert!(!all_of(&error).contains("hunter2"));
}

#[test]
fn what_is_sealed_is_not_shown_at_length() {
    let shown = format!("{:?} {:?}", claim(), manifest());
    let text = serde_json::to_value(claim()).unwrap()["tenant"].to_string();
    assert!(shown.contains("Sealed(") && !shown.contains(&text[1..40]));
}

#[tokio::test]
async fn a_target_that_repeats_the_token_does_not_bring_it_into_an_error() {
    let replies: [fn(&Request) -> Reply; 8] = [
        |request| Reply::problem(403, &json!({"type": token_of(request), "detail": token_of(request)})),
        |request| Reply::problem(403, &json!({"title": format!("{0}{0}", token_of(request))})),
        |request| Reply::problem(503, &json!({"detail": format!("no {}", token_of(request))})),
        |request| Reply::new(404, "", token_of(request).as_bytes()),
        |request| Reply::jose(&token_of(request)),
        |request| Reply::jose(&target_key().sign(b"{}", &token_of(request))),
        |request| {
            let mut content = serde_json::to_value(view(request.nonce())).unwrap();
            content["phase"] = json!(token_of(request));
            Reply::jose(&target_key().sign(content.to_string().as_bytes(), View::TYP))
        },
        |request| Reply::new(302, &format!("location: /{}\r\n", token_of(request)), b""),
    ];
    for (at, reply) in replies.into_iter().enumerate() {
        let server = Server::start(reply).await;
        let error = server.target().view().await.unwrap_err();
        assert!(!all_of(&error).contains(server.ticket.token.expose_secret()), "{at}: {error}");
    }
}

#[tokio::test]
async fn an_error_on_the_way_does_not_show_the_token_either() {
    let mut ticket = ticket("http://127.0.0.1:1");
    ticket.identity = SigningKey::from_seed(&[5; 32]).public();
    let error = Target::new(&ticket).unwrap().view().await.unwrap_err();
    assert!(!all_of(&error).contains(ticket.token.expose_secret()));
    let server = Server::start(|request| Reply::jose(&view(request.nonce()).sign(&target_key()))).await;
    let mut other = server.ticket.clone();
    other.identity = ticket.identity;
    let error = Target::new(&other).unwrap().view().await.unwrap_err();
    assert!(matches!(error, TransferError::Forged(_)));
    assert!(!all_of(&error).contains(other.token.expose_secret()));
}
