//! Requests that come twice, and requests that come at once.

use anyhow::Result;
use berth_tests::daemon::{Daemon, DaemonOptions};
use berth_tests::drafts::{self, tenant};
use berth_tests::raw::Raw;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::databases;

/// A daemon for each database, and an administrator's requests.
fn daemons() -> Result<Vec<(Daemon, Raw)>> {
    let databases = databases::every()?.into_iter();
    databases
        .map(|database| {
            let daemon = Daemon::start(DaemonOptions { database, ..DaemonOptions::default() })?;
            let raw = Raw::with(daemon.url(), &daemon.admin_token()?)?;
            Ok((daemon, raw))
        })
        .collect()
}

fn machine(name: &str) -> Value {
    json!(drafts::absent_machine(name))
}

async fn post(raw: &Raw, path: &str, key: &str, body: &Value) -> Result<berth_tests::raw::Answer> {
    let request = raw.request(Method::POST, path).header("Idempotency-Key", key).json(body);
    raw.answer(request).await
}

#[tokio::test]
async fn a_post_that_is_sent_twice_with_the_same_key_is_done_once_and_answered_the_same() -> Result<()> {
    for (daemon, raw) in daemons()? {
        let posts = [
            ("/v1/machines", machine("vm1")),
            ("/v1/tenants", serde_json::to_value(tenant("acme", "vm1"))?),
            ("/v1/tenants/acme/deployments", json!({})),
        ];
        for (path, body) in &posts {
            let key = Uuid::now_v7().to_string();
            let first = post(&raw, path, &key, body).await?;
            assert!(first.status.is_success(), "{path}: {}", first.body);
            let second = post(&raw, path, &key, body).await?;
            assert_eq!((second.status, second.body), (first.status, first.body), "{path}");
            assert_eq!(second.headers.get("location"), first.headers.get("location"), "{path}");
        }
        let operations = raw.get("/v1/operations").await?.json()?;
        assert_eq!(operations["items"].as_array().unwrap().len(), 1, "{operations}");
        drop(daemon);
    }
    Ok(())
}

#[tokio::test]
async fn a_key_that_comes_again_with_another_body_is_refused() -> Result<()> {
    for (daemon, raw) in daemons()? {
        let first = post(&raw, "/v1/machines", "the-same-key", &machine("vm1")).await?;
        assert_eq!(first.status, StatusCode::CREATED, "{}", first.body);
        let second = post(&raw, "/v1/machines", "the-same-key", &machine("vm2")).await?;
        assert!(second.status.is_client_error(), "{}", second.body);
        second.problem()?;
        let machines = raw.get("/v1/machines").await?.json()?;
        assert_eq!(machines["items"].as_array().unwrap().len(), 1, "{machines}");
        drop(daemon);
    }
    Ok(())
}

#[tokio::test]
async fn of_many_posts_with_one_key_at_the_same_time_one_is_done() -> Result<()> {
    for (daemon, raw) in daemons()? {
        let key = Uuid::now_v7().to_string();
        let body = machine("vm1");
        let posts = (0..16).map(|_| post(&raw, "/v1/machines", &key, &body));
        for answer in futures_util::future::try_join_all(posts).await? {
            // Whoever comes while the first one is being done may be asked to come again.
            assert!(matches!(answer.status.as_u16(), 201 | 409), "{}: {}", answer.status, answer.body);
        }
        let again = post(&raw, "/v1/machines", &key, &body).await?;
        assert_eq!(again.status, StatusCode::CREATED, "{}", again.body);
        drop(daemon);
    }
    Ok(())
}

#[tokio::test]
async fn of_two_writers_one_is_told_that_the_tenant_changed_meanwhile_and_no_update_is_lost() -> Result<()> {
    for (daemon, raw) in daemons()? {
        let client = daemon.client()?;
        post(&raw, "/v1/machines", "machine", &machine("vm1")).await?;
        client.create_tenant(&tenant("acme", "vm1")).await?;
        for round in 0..20 {
            let etag = raw.get("/v1/tenants/acme").await?.headers["etag"].to_str()?.to_owned();
            let put = |writer: &'static str| {
                let mut draft = tenant("acme", "vm1");
                draft.plan = Some(format!("{writer}-{round}"));
                let request =
                    raw.request(Method::PUT, "/v1/tenants/acme").header("If-Match", &etag).json(&draft);
                async move { anyhow::Ok((request.send().await?.status(), draft.plan)) }
            };
            let (one, two) = tokio::try_join!(put("one"), put("two"))?;
            let (won, lost) = if one.0.is_success() { (one, two) } else { (two, one) };
            assert_eq!((won.0, lost.0), (StatusCode::OK, StatusCode::PRECONDITION_FAILED));
            assert_eq!(client.tenant(&"acme".parse().unwrap()).await?.spec.plan, won.1);
        }
        drop(daemon);
    }
    Ok(())
}

#[tokio::test]
async fn only_one_operation_runs_on_a_tenant_at_a_time() -> Result<()> {
    for (daemon, raw) in daemons()? {
        post(&raw, "/v1/machines", "machine", &machine("vm1")).await?;
        daemon.client()?.create_tenant(&tenant("acme", "vm1")).await?;
        let nothing = json!({});
        let posts = (0..8).map(|_| raw.send(Method::POST, "/v1/tenants/acme/deployments", &nothing));
        let answers = futures_util::future::try_join_all(posts).await?;
        let accepted: Vec<_> = answers.iter().filter(|a| a.status == StatusCode::ACCEPTED).collect();
        assert_eq!(accepted.len(), 1, "{answers:#?}");
        let running = accepted[0].json()?["id"].clone();
        for refused in answers.iter().filter(|answer| answer.status != StatusCode::ACCEPTED) {
            let problem = refused.problem()?;
            assert_eq!((refused.status, problem.code()), (StatusCode::CONFLICT, "operation-running"));
            assert_eq!(json!(problem.operation), running);
        }
        drop(daemon);
    }
    Ok(())
}
