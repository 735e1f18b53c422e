//! Single requests: what is sent, what is sent again, and what each way to fail is called.

use std::time::{Duration, Instant};

use berth_client::{Client, ClientError, DeleteTenant, Deleted, Put};
use berth_domain::{TenantDraft, TenantName};
use serde_json::json;

use crate::server::{Reply, Server, quick};
use crate::watching::operation;

fn acme() -> TenantName {
    "acme".parse().unwrap()
}

fn tenant(version: i64) -> serde_json::Value {
    json!({
        "spec": {"name": "acme", "domain": "acme.example", "contact_email": "a@acme.example", "machine": "vm1"},
        "version": version, "urls": {"gitea": "http://git.acme.example"}, "deployed_revision": null,
        "created_at": "2026-11-20T10:00:00Z", "updated_at": "2026-11-20T10:00:00Z"
    })
}

fn draft() -> TenantDraft {
    serde_json::from_value(tenant(1)["spec"].clone()).unwrap()
}

#[tokio::test]
async fn a_request_carries_the_token_and_a_post_a_key_of_its_own() {
    let server = Server::start(vec![Reply::json(201, &tenant(1))]).await;
    let client = server.client();
    client.create_tenant(&draft()).await.unwrap();
    client.create_tenant(&draft()).await.unwrap();
    let requests = server.requests();
    assert_eq!(requests[0].line, "POST /v1/tenants");
    assert_eq!(requests[0].headers["authorization"], "Bearer berth_test");
    assert_eq!(requests[0].headers["content-type"], "application/json");
    let keys: Vec<_> = requests.iter().map(|request| request.headers["idempotency-key"].clone()).collect();
    assert_ne!(keys[0], keys[1], "two intents have two keys");
    let sent: TenantDraft = serde_json::from_str(&requests[0].body).unwrap();
    assert_eq!(sent, draft());
}

#[tokio::test]
async fn a_post_whose_answer_is_lost_is_sent_again_with_the_same_key() {
    let replies = vec![Reply::HangUp, Reply::Stall(String::new()), Reply::json(202, &operation("queued", 1))];
    let server = Server::start(replies).await;
    let operation = server.client().deploy(&acme()).await.unwrap();
    assert_eq!(operation.tenant, acme());
    let requests = server.requests();
    assert_eq!(requests.len(), 3);
    assert!(requests.iter().all(|request| request.line == "POST /v1/tenants/acme/deployments"));
    let key = &requests[0].headers["idempotency-key"];
    assert!(requests.iter().all(|request| &request.headers["idempotency-key"] == key));
}

#[tokio::test]
async fn what_the_daemon_would_not_recognise_is_not_sent_twice() {
    let server = Server::start(vec![Reply::HangUp]).await;
    let client = server.client();
    let put = client.put_tenant(&acme(), &draft(), Some(3)).await.unwrap_err();
    assert!(matches!(put, ClientError::Interrupted { .. }), "{put}");
    client.delete_tenant(&acme(), DeleteTenant::default()).await.unwrap_err();
    assert_eq!(server.requests().len(), 2);
}

#[tokio::test]
async fn a_refusal_comes_with_every_broken_rule_and_is_not_repeated() {
    let errors = json!({"errors": [{"field": "/domain", "rule": "domain", "message": "must be a domain"}]});
    let server = Server::start(vec![Reply::problem(422, "invalid", &errors)]).await;
    let error = server.client().create_tenant(&draft()).await.unwrap_err();
    assert!(error.is_refusal("invalid"));
    assert_eq!(error.problem().unwrap().errors[0].field, "/domain");
    assert_eq!(server.requests().len(), 1);
}

#[tokio::test]
async fn a_busy_daemon_is_asked_again_when_it_says_so_but_not_if_that_is_long() {
    let busy = Reply::problem(429, "too-many-requests", &json!({"retry_after": 0}));
    let server = Server::start(vec![busy, Reply::json(200, &tenant(1))]).await;
    assert_eq!(server.client().tenant(&acme()).await.unwrap().version, 1);

    let long = Reply::problem(429, "too-many-requests", &json!({"retry_after": 3600}));
    let server = Server::start(vec![long]).await;
    assert!(server.client().tenant(&acme()).await.unwrap_err().is_refusal("too-many-requests"));
    assert_eq!(server.requests().len(), 1);
}

#[tokio::test]
async fn a_daemon_that_does_not_run_is_unreachable_and_one_that_does_not_answer_times_out() {
    let client = Client::with_options("http://127.0.0.1:1", "t".into(), quick()).unwrap();
    let error = client.provider().await.unwrap_err();
    let ClientError::Unreachable { reason, .. } = &error else { panic!("{error}") };
    assert!(reason.contains("refused"), "{reason}");

    let server = Server::start(vec![Reply::Stall(String::new())]).await;
    let started = Instant::now();
    let error = server.client().provider().await.unwrap_err();
    assert!(matches!(error, ClientError::Timeout { .. }), "{error}");
    assert!(started.elapsed() < Duration::from_secs(5));
    assert_eq!(server.requests().len(), 3, "reading may be tried again");
}

#[tokio::test]
async fn what_is_no_berth_daemon_is_told_from_one_that_refuses() {
    for reply in [Reply::json(200, &json!({"hello": 1})), Reply::json(404, &json!("nothing here"))] {
        let error = Server::start(vec![reply]).await.client().provider().await.unwrap_err();
        assert!(matches!(error, ClientError::Garbled { .. }), "{error}");
    }
}

#[tokio::test]
async fn lists_are_read_to_their_last_page() {
    let page = |next: Option<&str>| Reply::json(200, &json!({"items": [tenant(1)], "next": next}));
    let server = Server::start(vec![page(Some("a b")), page(None)]).await;
    assert_eq!(server.client().tenants().await.unwrap().len(), 2);
    let lines: Vec<_> = server.requests().into_iter().map(|request| request.line).collect();
    assert_eq!(lines, ["GET /v1/tenants?limit=200", "GET /v1/tenants?limit=200&after=a+b"]);
}

#[tokio::test]
async fn a_change_names_the_version_that_it_is_based_on() {
    let server = Server::start(vec![Reply::json(200, &tenant(4)), Reply::json(201, &tenant(1))]).await;
    let client = server.client();
    let changed = client.put_tenant(&acme(), &draft(), Some(3)).await.unwrap();
    assert!(matches!(changed, Put::Updated(tenant) if tenant.version == 4));
    assert!(matches!(client.put_tenant(&acme(), &draft(), None).await.unwrap(), Put::Created(_)));
    let requests = server.requests();
    assert_eq!(requests[0].headers["if-match"], "\"3\"");
    assert!(!requests[1].headers.contains_key("if-match"));
}

#[tokio::test]
async fn deleting_says_whether_the_tenant_is_gone_or_an_operation_takes_it_off() {
    let gone = Reply::Bytes("HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n".to_owned());
    let server = Server::start(vec![gone, Reply::json(202, &operation("queued", 1))]).await;
    let client = server.client();
    let how = DeleteTenant { wipe: true, abandon: false };
    assert_eq!(client.delete_tenant(&acme(), how).await.unwrap(), Deleted::Gone);
    let deleted = client.delete_tenant(&acme(), how).await.unwrap();
    assert!(matches!(deleted, Deleted::Operation(_)));
    assert_eq!(server.requests()[0].line, "DELETE /v1/tenants/acme?data=wipe&abandon=false");
}
