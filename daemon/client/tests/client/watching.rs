//! Following an operation: every event once and in order, whatever happens to the connection.

use std::time::Duration;

use berth_client::{ClientError, Update, Watch};
use berth_domain::OperationId;
use serde_json::json;

use crate::server::{Reply, Server};

const ID: &str = "019a9f5e-5c00-7000-8000-000000000001";

pub fn operation(status: &str, last_seq: i64) -> serde_json::Value {
    json!({
        "id": ID, "tenant": "acme", "machine": "vm1", "kind": "deploy", "wipe": false, "status": status,
        "revision": null, "system": null, "steps": [], "cancel_requested": false, "error": null,
        "requested_by": "admin", "created_at": "2026-11-20T10:00:00Z", "started_at": null,
        "finished_at": null, "last_seq": last_seq
    })
}

fn event(seq: i64) -> String {
    let data = json!({
        "operation": ID, "seq": seq, "at": "2026-11-20T10:00:00Z", "kind": "log", "message": format!("line {seq}")
    });
    format!("id: {seq}\nevent: log\ndata: {data}\n\n")
}

fn events(range: std::ops::RangeInclusive<i64>) -> String {
    range.map(event).collect()
}

fn end() -> String {
    format!("event: end\ndata: {}\n\n", operation("succeeded", 9))
}

fn watch(server: &Server, after: i64) -> Watch {
    server.client().watch(ID.parse::<OperationId>().unwrap(), after)
}

/// What a watch yields, in short.
async fn collect(mut watch: Watch) -> Result<Vec<String>, ClientError> {
    let mut seen = Vec::new();
    while let Some(update) = watch.next().await? {
        seen.push(match update {
            Update::Event(event) => event.seq.to_string(),
            Update::Gap { oldest } => format!("gap to {oldest}"),
            Update::Lost { .. } => "lost".to_owned(),
            Update::Ended(operation) => operation.status.to_string(),
        });
    }
    Ok(seen)
}

#[tokio::test]
async fn events_are_yielded_in_order_and_then_the_operation() {
    let text = format!("retry: 10\n\n: heartbeat\n\n{}{}", events(1..=3), end());
    let server = Server::start(vec![Reply::stalled_stream(&text)]).await;
    assert_eq!(collect(watch(&server, 0)).await.unwrap(), ["1", "2", "3", "succeeded"]);
    let request = &server.requests()[0];
    assert_eq!(request.headers["accept"], "text/event-stream");
    assert!(!request.headers.contains_key("last-event-id"));
}

#[tokio::test]
async fn a_lost_connection_goes_on_after_the_last_event_and_doubles_nothing() {
    let cut = &event(3)[..20];
    let replies = vec![
        Reply::stream(&format!("retry: 5\n\n{}{cut}", events(1..=2))),
        Reply::HangUp,
        Reply::stream(&events(2..=5)),
        Reply::stalled_stream(&format!("{}{}", events(6..=6), end())),
    ];
    let server = Server::start(replies).await;
    let seen = collect(watch(&server, 0)).await.unwrap();
    assert_eq!(seen, ["1", "2", "lost", "lost", "3", "4", "5", "lost", "6", "succeeded"]);
    let asked: Vec<_> =
        server.requests().iter().map(|request| request.headers.get("last-event-id").cloned()).collect();
    assert_eq!(asked, [None, Some("2".to_owned()), Some("2".to_owned()), Some("5".to_owned())]);
}

#[tokio::test]
async fn a_silent_stream_is_taken_as_lost() {
    let replies =
        vec![Reply::stalled_stream(&events(1..=1)), Reply::stream(&format!("{}{}", event(2), end()))];
    let server = Server::start(replies).await;
    assert_eq!(collect(watch(&server, 0)).await.unwrap(), ["1", "lost", "2", "succeeded"]);
}

#[tokio::test]
async fn events_that_are_no_longer_kept_are_a_gap_and_not_a_silence() {
    let text = format!("event: gap\ndata: {{\"oldest\": 7}}\n\n{}{}", events(7..=8), end());
    let server = Server::start(vec![Reply::stream(&text)]).await;
    assert_eq!(collect(watch(&server, 2)).await.unwrap(), ["gap to 7", "7", "8", "succeeded"]);
}

#[tokio::test]
async fn a_hole_without_a_gap_is_asked_for_again() {
    let replies =
        vec![Reply::stream(&(event(1) + &event(3))), Reply::stream(&format!("{}{}", events(2..=3), end()))];
    let server = Server::start(replies).await;
    assert_eq!(collect(watch(&server, 0)).await.unwrap(), ["1", "lost", "2", "3", "succeeded"]);
}

#[tokio::test]
async fn who_comes_back_after_the_end_is_told_how_it_ended() {
    let nothing = Reply::Bytes("HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n".to_owned());
    let server = Server::start(vec![nothing, Reply::json(200, &operation("failed", 9))]).await;
    assert_eq!(collect(watch(&server, 9)).await.unwrap(), ["failed"]);
    assert_eq!(server.requests()[1].line, format!("GET /v1/operations/{ID}"));
}

#[tokio::test]
async fn kinds_of_events_that_this_client_does_not_know_are_passed_over() {
    let text = format!("{}id: 2\nevent: sneezed\ndata: {{}}\n\n{}{}", event(1), event(3), end());
    let server = Server::start(vec![Reply::stream(&text)]).await;
    assert_eq!(collect(watch(&server, 0)).await.unwrap(), ["1", "3", "succeeded"]);
}

#[tokio::test]
async fn a_refusal_ends_the_watch_at_once() {
    let server = Server::start(vec![Reply::problem(404, "not-found", &json!({}))]).await;
    let mut watch = watch(&server, 0);
    assert!(watch.next().await.unwrap_err().is_refusal("not-found"));
    assert_eq!(watch.next().await.unwrap(), None);
    assert_eq!(server.requests().len(), 1);
}

#[tokio::test]
async fn a_daemon_that_stays_away_is_given_up_after_a_bounded_number_of_attempts() {
    let server = Server::start(vec![Reply::stream(&events(1..=1)), Reply::HangUp]).await;
    let error = collect(watch(&server, 0)).await.unwrap_err();
    assert!(error.is_absence(), "{error}");
    assert_eq!(server.requests().len(), 4, "the first, and as many as the options allow without progress");
}

#[tokio::test]
async fn dropping_a_wait_loses_no_event() {
    let replies = vec![Reply::stream(&format!("{}{}", events(1..=4), end()))];
    let server = Server::start(replies).await;
    let (mut watch, mut seen, mut patience) = (watch(&server, 0), Vec::new(), Duration::ZERO);
    loop {
        patience += Duration::from_micros(100);
        match tokio::time::timeout(patience, watch.next()).await {
            Ok(Ok(Some(Update::Event(event)))) => seen.push(event.seq),
            Ok(Ok(Some(Update::Ended(_)))) => break,
            Ok(other) => panic!("{other:?}"),
            Err(_) => {}
        }
    }
    assert_eq!(seen, [1, 2, 3, 4]);
}
