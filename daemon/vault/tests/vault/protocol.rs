//! The protocol, request by request.

use berth_vault::Mode;
use reqwest::header::{ACCEPT, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, RANGE};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::place::Place;
use crate::server::{Server, name, noise, path};

const V2: &str = "application/vnd.x.restic.rest.v2";

#[tokio::test(flavor = "multi_thread")]
async fn what_was_added_is_listed_with_its_size_looked_at_and_read() {
    for place in Place::every().await {
        let server = Server::start(&place).await;
        let client = server.client("acme", Mode::Full, None);
        client.create().await;
        client.create().await;
        assert_eq!(client.status(Method::HEAD, "/config").await, StatusCode::NOT_FOUND);
        assert_eq!(client.text("/data/").await, "[]");
        assert_eq!(client.post("/config", "sealed").await, StatusCode::OK);
        assert_eq!(client.text("/config").await, "sealed");
        for kind in ["data", "keys", "locks", "snapshots", "index"] {
            let content = format!("something of {kind}");
            let path = client.add(kind, content.as_bytes()).await;
            let name = path.rsplit('/').next().unwrap().to_owned();
            let first: Value = serde_json::from_str(&client.text(&format!("/{kind}/")).await).unwrap();
            assert_eq!(first, json!([name]));
            let second =
                client.request(Method::GET, &format!("/{kind}/")).header(ACCEPT, V2).send().await.unwrap();
            assert_eq!(second.headers()[CONTENT_TYPE], V2);
            let second: Value = serde_json::from_str(&second.text().await.unwrap()).unwrap();
            assert_eq!(second, json!([{ "name": name, "size": content.len() }]));
            let looked = client.send(Method::HEAD, &path).await;
            assert_eq!(looked.headers()[CONTENT_LENGTH], content.len().to_string().as_str());
            assert_eq!(client.text(&path).await, content);
            assert_eq!(client.status(Method::DELETE, &path).await, StatusCode::OK);
            assert_eq!(client.status(Method::DELETE, &path).await, StatusCode::OK, "no harm in a repetition");
            assert_eq!(client.status(Method::GET, &path).await, StatusCode::NOT_FOUND);
        }
        assert_eq!(server.usage("acme").await, 6);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_part_of_an_object_is_read_as_http_has_it() {
    for place in Place::every().await {
        let server = Server::start(&place).await;
        let client = server.client("acme", Mode::Full, None);
        client.create().await;
        let content = noise(1, 300_000);
        let object = client.add("data", &content).await;
        let read = async |range: &'static str| {
            let answer = client.request(Method::GET, &object).header(RANGE, range).send().await.unwrap();
            let place = answer.headers().get(CONTENT_RANGE).map(|value| value.to_str().unwrap().to_owned());
            (answer.status().as_u16(), place, answer.bytes().await.unwrap().to_vec())
        };
        let part = |place: &str, range: std::ops::Range<usize>| {
            (206, Some(format!("bytes {place}/300000")), content[range].to_vec())
        };
        assert_eq!(read("bytes=0-").await, part("0-299999", 0..300_000));
        assert_eq!(read("bytes=70000-200000").await, part("70000-200000", 70_000..200_001));
        assert_eq!(read("bytes=299999-400000").await, part("299999-299999", 299_999..300_000));
        assert_eq!(read("bytes=-10").await, part("299990-299999", 299_990..300_000));
        let (status, place, _) = read("bytes=300000-").await;
        assert_eq!((status, place.as_deref()), (416, Some("bytes */300000")));
        for passed_over in ["bytes=5-2", "bytes=0-1,3-4", "lines=1-2"] {
            let (status, place, whole) = read(passed_over).await;
            assert_eq!((status, place), (200, None), "{passed_over}");
            assert!(whole == content, "{passed_over}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_object_goes_in_and_out_unchanged() {
    for place in Place::every().await {
        let server = Server::start(&place).await;
        let client = server.client("acme", Mode::Full, None);
        client.create().await;
        // On S3: five parts and a bit.
        let content = noise(2, 27_000_001);
        let object = client.add("data", &content).await;
        let read = client.send(Method::GET, &object).await.bytes().await.unwrap();
        assert!(read[..] == content[..]);
        assert_eq!(server.usage("acme").await, 27_000_001);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repository_that_is_destroyed_is_gone_and_others_stay() {
    for place in Place::every().await {
        let server = Server::start(&place).await;
        let clients = ["acme", "bolt"].map(|name| server.client(name, Mode::Full, None));
        for client in &clients {
            client.create().await;
            client.add("keys", b"key").await;
            client.add("data", b"pack").await;
            assert_eq!(client.status(Method::DELETE, "/").await, StatusCode::FORBIDDEN);
        }
        assert_eq!(server.vault.list_repositories().await.unwrap(), [name("acme"), name("bolt")]);
        server.vault.destroy(&name("acme")).await.unwrap();
        server.vault.destroy(&name("acme")).await.unwrap();
        assert_eq!(server.vault.list_repositories().await.unwrap(), [name("bolt")]);
        assert_eq!((server.usage("acme").await, server.usage("bolt").await), (0, 7));
        assert_eq!(clients[0].text("/keys/").await, "[]");
        assert_eq!(clients[1].text(&path("data", b"pack")).await, "pack");
        clients[0].create().await;
        clients[0].add("keys", b"another").await;
        assert_eq!(server.usage("acme").await, 7);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn usage_is_what_is_there_also_for_a_daemon_that_is_started_again() {
    for place in Place::every().await {
        let server = Server::start(&place).await;
        let client = server.client("acme", Mode::Full, None);
        client.create().await;
        let adding = (0..20_u64).map(|number| noise(number % 4, 1000 + usize::try_from(number % 4).unwrap()));
        let adding = adding.map(|content| {
            let client = &client;
            async move { client.add("data", &content).await }
        });
        let paths = futures_util::future::join_all(adding).await;
        assert_eq!(server.usage("acme").await, 4006, "four objects, each sent five times at once");
        assert_eq!(client.status(Method::DELETE, &paths[3]).await, StatusCode::OK);
        assert_eq!(server.usage("acme").await, 3003);
        let again = Server::start(&place).await;
        assert_eq!(again.usage("acme").await, 3003);
    }
}
