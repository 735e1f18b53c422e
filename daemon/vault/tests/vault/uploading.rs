//! Uploads that do not go as they should.

use std::time::{Duration, Instant};

use berth_vault::{Limits, Mode};
use reqwest::{Method, StatusCode};

use crate::place::Place;
use crate::raw::Raw;
use crate::server::{Server, name, noise, path};

/// Large enough that S3 has parts of it already.
const LARGE: usize = 12_000_000;

/// What is sent to learn whether an upload is under way.
const PROBE: &str = "probe";

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_that_is_cut_leaves_nothing_and_can_be_made_again() {
    for place in Place::every().await {
        let server = Server::start(&place).await;
        let client = server.client("acme", Mode::Full, Some(room_for_one()));
        client.create().await;
        let content = noise(6, LARGE);
        let object = path("data", &content);
        let mut raw = Raw::connect(&server, &client).await;
        raw.head("POST", &format!("/vault/acme{object}"), &format!("Content-Length: {LARGE}\r\n")).await;
        raw.send(&content[..LARGE - 1]).await;
        await_reserved(&server).await;
        drop(raw);
        // What it had reserved is free again once the server knows.
        let mut status = client.post(&object, &*content).await;
        for _ in 0..100 {
            if status != StatusCode::INSUFFICIENT_STORAGE {
                break;
            }
            assert_eq!(client.status(Method::HEAD, &object).await, StatusCode::NOT_FOUND);
            tokio::time::sleep(Duration::from_millis(50)).await;
            status = client.post(&object, &*content).await;
        }
        assert_eq!((status, server.usage("acme").await), (StatusCode::OK, LARGE as u64));
        assert!(place.files().is_none_or(|files| files.len() == 1));
    }
}

#[tokio::test]
async fn a_chunked_upload_is_taken_whole_or_not_at_all() {
    let place = Place::folder();
    let server = Server::start(&place).await;
    let client = server.client("acme", Mode::Full, None);
    client.create().await;
    let target = format!("/vault/acme{}", path("data", b"hello, world"));
    let mut raw = Raw::connect(&server, &client).await;
    raw.head("POST", &target, "Transfer-Encoding: chunked\r\n").await;
    raw.send(b"7\r\nhello, \r\n5\r\nworld\r\n").await;
    drop(raw);
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(server.usage("acme").await, 0, "all bytes came, but not the end");
    let mut raw = Raw::connect(&server, &client).await;
    raw.head("POST", &target, "Transfer-Encoding: chunked\r\n").await;
    raw.send(b"7\r\nhello, \r\n5\r\nworld\r\n0\r\n\r\n").await;
    assert_eq!((raw.status().await, server.usage("acme").await), (200, 12));
}

#[tokio::test]
async fn a_client_that_stands_still_is_told_so() {
    let place = Place::folder();
    let limits = Limits { idle: Duration::from_millis(300), ..Limits::default() };
    let server = Server::start_with(&place, limits).await;
    let client = server.client("acme", Mode::Full, None);
    client.create().await;
    let mut raw = Raw::connect(&server, &client).await;
    raw.head("POST", &format!("/vault/acme{}", path("data", b"x")), "Content-Length: 10\r\n").await;
    raw.send(b"so far").await;
    assert_eq!(raw.status().await, 408);
    assert!(place.files().unwrap().is_empty());
}

#[tokio::test]
async fn a_client_that_trickles_is_stopped_as_well() {
    let place = Place::folder();
    let limits = Limits { upload: Duration::from_millis(600), ..Limits::default() };
    let server = Server::start_with(&place, limits).await;
    let client = server.client("acme", Mode::Full, None);
    client.create().await;
    let mut raw = Raw::connect(&server, &client).await;
    raw.head("POST", &format!("/vault/acme{}", path("data", b"x")), "Content-Length: 1000\r\n").await;
    for _ in 0..8 {
        raw.send(b".").await;
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(raw.status().await, 408);
}

#[tokio::test]
async fn a_connection_outlives_an_upload_that_is_refused() {
    let place = Place::folder();
    let server = Server::start(&place).await;
    let client = server.client("acme", Mode::AppendOnly, Some(1_000_000));
    client.create().await;
    let reading = server.client("acme", Mode::ReadOnly, None);
    let content = noise(7, 2_000_000);
    let target = format!("/vault/acme{}", path("data", &content));
    let wrong = format!("/vault/acme{}", path("data", b"x"));
    for (client, target, length, status) in [
        (&client, &target, 2_000_000, 507),
        (&client, &wrong, 900_000, 400),
        (&reading, &target, 900_000, 403),
    ] {
        let mut raw = Raw::connect(&server, client).await;
        raw.head("POST", target, &format!("Content-Length: {length}\r\n")).await;
        raw.send(&content[..length]).await;
        assert_eq!(raw.status().await, status);
        raw.head("GET", "/vault/acme/data/", "").await;
        assert_eq!(raw.status().await, 200, "after {status}");
    }
    assert_eq!(server.usage("acme").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_into_a_repository_that_is_destroyed_meanwhile_leaves_nothing() {
    for place in Place::every().await {
        let server = Server::start(&place).await;
        let client = server.client("acme", Mode::Full, Some(room_for_one()));
        client.create().await;
        let content = noise(8, LARGE);
        let object = path("data", &content);
        let mut raw = Raw::connect(&server, &client).await;
        raw.head("POST", &format!("/vault/acme{object}"), &format!("Content-Length: {LARGE}\r\n")).await;
        raw.send(&content[..LARGE / 2]).await;
        await_reserved(&server).await;
        server.vault.destroy(&name("acme")).await.unwrap();
        raw.send(&content[LARGE / 2..]).await;
        assert_eq!(raw.status().await, 404);
        assert_eq!(client.status(Method::HEAD, &object).await, StatusCode::NOT_FOUND);
        assert_eq!(
            (server.usage("acme").await, server.vault.list_repositories().await.unwrap()),
            (0, vec![])
        );
    }
}

#[tokio::test]
async fn uploads_of_one_tenant_do_not_keep_out_another() {
    let place = Place::folder();
    let limits = Limits { uploads_per_repository: 2, idle: Duration::from_millis(500), ..Limits::default() };
    let server = Server::start_with(&place, limits).await;
    let (acme, bolt) = (server.client("acme", Mode::Full, None), server.client("bolt", Mode::Full, None));
    acme.create().await;
    bolt.create().await;
    let mut standing = Vec::new();
    for _ in 0..2 {
        let mut raw = Raw::connect(&server, &acme).await;
        raw.head("POST", &format!("/vault/acme{}", path("data", b"x")), "Content-Length: 10\r\n").await;
        standing.push(raw);
    }
    tokio::time::sleep(Duration::from_millis(100)).await;
    bolt.add("data", b"pack").await;
    // These wait until the others are told that they stand still.
    let status = acme.post(&path("data", b"pack"), "pack").await;
    assert!([StatusCode::OK, StatusCode::SERVICE_UNAVAILABLE].contains(&status), "{status}");
    acme.add("data", b"another").await;
}

/// A quota for one large upload, beside which a probe does not matter: it may be quicker than what it asks about.
fn room_for_one() -> u64 {
    (LARGE + PROBE.len()) as u64
}

/// Waits until an upload is under way, beside which there is no room for what has a quota of its own size.
async fn await_reserved(server: &Server) {
    let prober = server.client("acme", Mode::Full, Some(PROBE.len() as u64));
    let path = path("snapshots", PROBE.as_bytes());
    let end = Instant::now() + Duration::from_secs(20);
    while prober.post(&path, PROBE).await != StatusCode::INSUFFICIENT_STORAGE {
        assert!(Instant::now() < end, "the upload does not begin");
        assert_eq!(prober.status(Method::DELETE, &path).await, StatusCode::OK);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
