//! What the source makes of an answer.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use berth_sign::JwsError;
use berth_transfer::{Statement as _, StatementError, Target, TransferError, View};
use serde_json::{Value, json};

use crate::server::{Reply, Request, Server};
use crate::support::{OFFER, OTHER, hand_over, source_key, target_key, ticket, view};

async fn error_of(reply: impl Fn(&Request) -> Reply + Send + 'static) -> TransferError {
    Server::start(reply).await.target().view().await.unwrap_err()
}

#[tokio::test]
async fn an_answer_that_somebody_else_made_or_made_for_something_else_is_called_forged() {
    let error = error_of(|request| Reply::jose(&view(request.nonce()).sign(&source_key()))).await;
    assert!(
        matches!(error, TransferError::Forged(StatementError::Signature(JwsError::OtherKey { .. }))),
        "{error}"
    );
    let error = error_of(|request| {
        let mut jws = view(request.nonce()).sign(&target_key());
        let last = if jws.pop() == Some('A') { 'Q' } else { 'A' };
        jws.push(last);
        Reply::jose(&jws)
    });
    assert_eq!(error.await, TransferError::Forged(StatementError::Signature(JwsError::Signature)));
    let error =
        error_of(|request| Reply::jose(&View { offer: OTHER, ..view(request.nonce()) }.sign(&target_key())));
    let expected = StatementError::OtherOffer { wanted: OFFER, found: OTHER };
    assert_eq!(error.await, TransferError::Forged(expected));
    let error = error_of(|_| Reply::jose(&hand_over().sign(&target_key()))).await;
    assert!(
        matches!(error, TransferError::Forged(StatementError::Signature(JwsError::Type { .. }))),
        "{error}"
    );
    assert!(!error.is_transient());
}

#[tokio::test]
async fn an_answer_that_is_played_back_later_is_refused() {
    let first: Mutex<Option<String>> = Mutex::default();
    let server = Server::start(move |request| {
        let mut first = first.lock().unwrap();
        Reply::jose(first.get_or_insert_with(|| view(request.nonce()).sign(&target_key())))
    });
    let target = server.await.target();
    target.view().await.unwrap();
    let error = target.view().await.unwrap_err();
    assert_eq!(error, TransferError::Forged(StatementError::OtherNonce));
}

#[tokio::test]
async fn a_refusal_comes_with_its_kind_and_its_reason() {
    let problem = json!({
        "type": "urn:berth:problem:conflict", "title": "Conflict", "status": 409, "detail": "somebody\u{7} came first"
    });
    let error = error_of(move |_| Reply::problem(409, &problem)).await;
    let (kind, detail) = ("urn:berth:problem:conflict".to_owned(), "somebody came first".to_owned());
    assert_eq!(error, TransferError::Refused { status: 409, kind, detail });
    assert!(!error.is_transient());
    let bare = error_of(|_| Reply::problem(500, &json!({"title": "Broken"}))).await;
    let (kind, detail) = ("about:blank".to_owned(), "Broken".to_owned());
    assert_eq!(bare, TransferError::Refused { status: 500, kind, detail });
}

#[tokio::test]
async fn a_target_that_is_away_or_has_no_time_may_have_it_later() {
    for status in [429, 502, 503, 504] {
        for reply in [
            |status| Reply::problem(status, &json!({"detail": "later"})),
            |status| Reply::new(status, "content-type: text/html\r\n", b"<h1>later</h1>"),
        ] {
            let error = error_of(move |_| reply(status)).await;
            let TransferError::Unreachable { message } = &error else { panic!("{status}: {error}") };
            assert!(message.contains(&status.to_string()) && error.is_transient(), "{message}");
        }
    }
    let nobody = Target::new(&ticket("http://127.0.0.1:1")).unwrap().view().await.unwrap_err();
    assert!(nobody.is_transient() && nobody.to_string().contains("refused"), "{nobody}");
}

#[tokio::test]
async fn a_connection_that_ends_or_falls_silent_does_so_in_time_and_may_be_tried_again() {
    let head = "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nabc";
    let started = Instant::now();
    for silent in ["", "HTTP/1.1 200 OK\r\n", head] {
        let error = error_of(|_| Reply::Stall(silent.to_owned())).await;
        let message = "no answer came in time".to_owned();
        assert_eq!(error, TransferError::Unreachable { message }, "{silent}");
    }
    assert!(started.elapsed() < Duration::from_secs(10));
    for ended in ["", "HTTP/1.1 200 OK\r\n", head] {
        let error = error_of(|_| Reply::Bytes(ended.as_bytes().to_vec())).await;
        assert!(error.is_transient(), "{ended}: {error}");
    }
}

#[tokio::test]
async fn the_token_is_not_taken_to_where_an_answer_points() {
    for status in [301, 302, 303, 307, 308] {
        let elsewhere = Server::start(Request::answered).await;
        let headers = format!("location: {}v1/transfers/{OFFER}\r\n", elsewhere.ticket.url);
        let server = Server::start(move |_| Reply::new(status, &headers, b"")).await;
        let errors = [
            server.target().view().await.unwrap_err(),
            server.target().hand_over(&hand_over(), &source_key()).await.unwrap_err(),
        ];
        for error in errors {
            assert!(matches!(&error, TransferError::Answer(why) if why.contains("elsewhere")), "{error}");
            assert!(!error.is_transient());
        }
        assert_eq!(server.requests().len(), 2);
        assert!(elsewhere.requests().is_empty(), "{status}");
    }
}

#[tokio::test]
async fn an_answer_without_end_is_not_read_to_its_end() {
    let told = "HTTP/1.1 200 OK\r\ncontent-length: 99999999999\r\n\r\n";
    let untold = "HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n";
    let refusal = "HTTP/1.1 400 X\r\ncontent-type: application/problem+json\r\nconnection: close\r\n\r\n";
    for head in [told, untold, refusal] {
        let server = Server::start(|_| Reply::Flood(head.to_owned())).await;
        let target = Target::new(&server.ticket).unwrap();
        let error = target.view().await.unwrap_err();
        assert!(matches!(&error, TransferError::Answer(why) if why.contains("longer")), "{error}");
    }
}

#[tokio::test]
async fn what_is_no_target_is_told_from_one_that_lies() {
    let replies: [fn(&Request) -> Reply; 9] = [
        |_| Reply::new(200, "content-type: text/html\r\n", b"<h1>Welcome to our hotel</h1>"),
        |_| Reply::new(200, "", b""),
        |_| Reply::new(200, "", b"\xff\xfe"),
        |_| Reply::new(200, "", b"..."),
        |_| Reply::new(204, "", b""),
        |request| Reply::new(201, "", view(request.nonce()).sign(&target_key()).as_bytes()),
        |_| Reply::new(404, "content-type: text/html\r\n", b"<h1>Not found</h1>"),
        |_| Reply::new(404, "content-type: application/problem+json\r\n", b"not JSON"),
        |_| Reply::new(400, "content-type: application/json\r\n", b"{\"detail\": \"no problem\"}"),
    ];
    for (at, reply) in replies.into_iter().enumerate() {
        let error = error_of(reply).await;
        assert!(matches!(error, TransferError::Answer(_)), "{at}: {error}");
    }
}

#[tokio::test]
async fn a_newer_target_that_says_what_is_not_understood_is_called_just_that() {
    let error = error_of(|request| {
        let mut content: Value = serde_json::to_value(view(request.nonce())).unwrap();
        content["phase"] = json!("resting");
        Reply::jose(&target_key().sign(content.to_string().as_bytes(), View::TYP))
    });
    let error = error.await;
    assert!(matches!(&error, TransferError::Answer(why) if why.contains("resting")), "{error}");
}
