//! What is refused, and that nothing comes of it.

use std::sync::Arc;

use berth_vault::{Limits, Mode, S3Config, S3Storage};
use reqwest::header::WWW_AUTHENTICATE;
use reqwest::{Method, StatusCode};

use crate::alone;
use crate::place::Place;
use crate::raw::Raw;
use crate::server::{Server, noise, path};

#[tokio::test(flavor = "multi_thread")]
async fn a_pack_whose_name_is_not_its_sum_is_refused_and_nothing_of_it_is_kept() {
    for place in Place::every().await {
        let server = Server::start(&place).await;
        let client = server.client("acme", Mode::Full, None);
        client.create().await;
        for (kind, bytes) in
            [("data", 12_000_000), ("keys", 100), ("locks", 0), ("snapshots", 9), ("index", 5)]
        {
            let path = path(kind, b"something else");
            assert_eq!(client.post(&path, noise(3, bytes)).await, StatusCode::BAD_REQUEST, "{kind}");
            assert_eq!(client.status(Method::HEAD, &path).await, StatusCode::NOT_FOUND, "{kind}");
        }
        assert_eq!(server.usage("acme").await, 0);
        assert!(place.files().is_none_or(|files| files.is_empty()));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_there_is_never_replaced_in_any_mode() {
    for place in Place::every().await {
        let server = Server::start(&place).await;
        for mode in [Mode::Full, Mode::AppendOnly] {
            let repository = if mode == Mode::Full { "acme" } else { "bolt" };
            let client = server.client(repository, mode, Some(20));
            client.create().await;
            let object = client.add("data", b"the content").await;
            let used = server.usage(repository).await;
            assert_eq!(client.post(&object, "the content").await, StatusCode::OK, "a repetition is no harm");
            assert_eq!(client.post(&object, "other").await, StatusCode::BAD_REQUEST);
            assert_eq!(client.text(&object).await, "the content");
            assert_eq!(server.usage(repository).await, used);
            assert_eq!(client.post("/config", "sealed").await, StatusCode::OK);
            assert_eq!(client.post("/config", "sealed").await, StatusCode::OK);
            assert_eq!(client.post("/config", "other").await, StatusCode::FORBIDDEN);
            assert_eq!(client.text("/config").await, "sealed");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_configs_at_once_one_is_kept() {
    for place in Place::every().await {
        let server = Server::start(&place).await;
        let client = server.client("acme", Mode::Full, None);
        client.create().await;
        let all = (0..8).map(|number| client.post("/config", format!("config {number}")));
        let statuses = futures_util::future::join_all(all).await;
        assert_eq!(statuses.iter().filter(|status| **status == StatusCode::OK).count(), 1, "{statuses:?}");
        assert_eq!(server.usage("acme").await, 8);
    }
}

#[tokio::test]
async fn a_name_that_leads_elsewhere_or_is_no_sum_names_nothing() {
    let place = Place::folder();
    let server = Server::start(&place).await;
    let client = server.client("acme", Mode::Full, None);
    client.create().await;
    let sum = "24".repeat(32);
    let targets = [
        "/vault/acme/data/../../../../etc/passwd".to_owned(),
        "/vault/acme/data/..%2f..%2fconfig".to_owned(),
        "/vault/acme/data/%2e%2e".to_owned(),
        "/vault/acme/../bolt/config".to_owned(),
        "/vault/%2e%2e/config".to_owned(),
        "/vault/../config".to_owned(),
        format!("/vault/acme/../data/{sum}"),
        format!("/vault/acme/.drafts/{sum}"),
        format!("/vault/acme/data/24/{sum}"),
        format!("/vault/acme/data/{sum}0"),
        format!("/vault/acme/data/{sum}/"),
        format!("/vault/acme/data/{sum}%00"),
        format!("/vault/acme/data/{}", "A".repeat(64)),
        format!("/vault/acme/data/{}", "a".repeat(5000)),
        format!("/vault/{}/data/{sum}", "a".repeat(64)),
        format!("/vault/acme/tmp/{sum}"),
    ];
    for target in &targets {
        for method in ["GET", "HEAD", "POST", "DELETE"] {
            let mut raw = Raw::connect(&server, &client).await;
            raw.head(method, target, "Content-Length: 0\r\nConnection: close\r\n").await;
            // An answer to HEAD has a length and no body.
            let status = if method == "HEAD" { raw.status_of_head().await } else { raw.status().await };
            assert!([400, 401, 403, 404, 405].contains(&status), "{method} {target}: {status}");
        }
    }
    assert!(place.files().unwrap().is_empty());
}

#[tokio::test]
async fn who_has_no_valid_token_of_the_repository_learns_nothing() {
    let place = Place::folder();
    let server = Server::start(&place).await;
    let client = server.client("acme", Mode::Full, None);
    client.create().await;
    let object = client.add("data", b"pack").await;
    for (path, token) in
        [(&*object, "vault_0123456789abcdef_x"), ("/", ""), ("/no/such/way", "wrong"), ("/config", "x")]
    {
        let url = format!("{}{path}", client.base);
        let answer = client.http.get(&url).basic_auth("any", Some(token)).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::UNAUTHORIZED, "{path}");
        assert!(answer.headers().contains_key(WWW_AUTHENTICATE));
        let text = answer.text().await.unwrap();
        assert!(token.is_empty() || token == "x" || !text.contains(token), "{text}");
        assert_eq!(client.http.get(&url).send().await.unwrap().status(), StatusCode::UNAUTHORIZED);
        assert_eq!(
            client.http.get(&url).bearer_auth("x").send().await.unwrap().status(),
            StatusCode::UNAUTHORIZED
        );
    }
    let other = server.client("bolt", Mode::Full, None);
    let answer = client.http.get(format!("{}{object}", client.base));
    let answer =
        answer.basic_auth("any", Some(secrecy::ExposeSecret::expose_secret(&other.token))).send().await;
    assert_eq!(answer.unwrap().status(), StatusCode::FORBIDDEN);
    server.tokens.revoke(&client.token);
    assert_eq!(client.status(Method::GET, &object).await, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn each_mode_allows_what_it_says() {
    let place = Place::folder();
    let server = Server::start(&place).await;
    let full = server.client("acme", Mode::Full, None);
    full.create().await;
    full.post("/config", "sealed").await;
    let pack = full.add("data", b"pack").await;
    let (ok, no) = (StatusCode::OK, StatusCode::FORBIDDEN);
    for (mode, adds) in [(Mode::ReadOnly, no), (Mode::AppendOnly, ok)] {
        let client = server.client("acme", mode, None);
        assert_eq!(client.text(&pack).await, "pack");
        let lock = client.add("locks", format!("{mode:?}").as_bytes()).await;
        assert_eq!(client.status(Method::DELETE, &lock).await, ok);
        let content = format!("new in {mode:?}");
        for kind in ["data", "keys", "snapshots", "index"] {
            let path = path(kind, content.as_bytes());
            assert_eq!(client.post(&path, content.as_str()).await, adds, "{mode:?} {kind}");
            assert_eq!(client.status(Method::DELETE, &path).await, no, "{mode:?} {kind}");
        }
        assert_eq!(client.status(Method::DELETE, &pack).await, no);
        assert_eq!(client.status(Method::DELETE, "/config").await, no);
        assert_eq!(client.post("/?create=true", []).await, adds);
    }
    assert_eq!(full.status(Method::DELETE, "/config").await, ok);
    assert_eq!(full.status(Method::PUT, &pack).await, StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(full.post("/", []).await, StatusCode::BAD_REQUEST);
    assert_eq!(full.text(&pack).await, "pack");
}

#[tokio::test]
async fn what_is_too_large_is_refused_before_and_while_it_comes() {
    let place = Place::folder();
    let limits = Limits { object_bytes: 1_000_000, ..Limits::default() };
    let server = Server::start_with(&place, limits).await;
    let client = server.client("acme", Mode::Full, None);
    client.create().await;
    let content = noise(4, 1_000_001);
    assert_eq!(client.post(&path("data", &content), &*content).await, StatusCode::PAYLOAD_TOO_LARGE);
    let pieces =
        content.chunks(10_000).map(|piece| Ok::<_, std::io::Error>(piece.to_vec())).collect::<Vec<_>>();
    let unannounced = reqwest::Body::wrap_stream(futures_util::stream::iter(pieces));
    let answer =
        client.request(Method::POST, &path("data", &content)).body(unannounced).send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::PAYLOAD_TOO_LARGE);
    let lock = noise(5, 70_000);
    assert_eq!(client.post(&path("locks", &lock), lock).await, StatusCode::PAYLOAD_TOO_LARGE);
    client.add("data", &content[1..]).await;
    assert_eq!(server.usage("acme").await, 1_000_000);
}

#[tokio::test]
async fn a_store_that_is_away_fails_requests_and_tells_nothing_of_itself() {
    let endpoint = format!("http://{}", alone::free_address());
    let config = S3Config {
        endpoint: endpoint.clone(),
        region: "garage".into(),
        bucket: "bucket-of-the-provider".into(),
        prefix: String::new(),
        access_key: "GK0".into(),
        secret: "hunter2".into(),
    };
    let server = Server::start_on(Arc::new(S3Storage::new(&config).unwrap()), Limits::default());
    let client = server.client("acme", Mode::Full, Some(1_000));
    let pack = path("data", b"pack");
    let requests = [
        client.request(Method::GET, "/config"),
        client.request(Method::GET, "/data/"),
        client.request(Method::GET, &pack).header("range", "bytes=0-1"),
        client.request(Method::POST, &pack).body("pack"),
        client.request(Method::DELETE, &pack),
    ];
    for request in requests {
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::INTERNAL_SERVER_ERROR);
        assert_eq!(answer.text().await.unwrap(), "the provider's storage fails\n");
    }
    let error = server.vault.list_repositories().await.unwrap_err();
    assert!(!format!("{error} {error:?}").contains("hunter2"));
}
