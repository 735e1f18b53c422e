//! Bad input: every refusal names the field and the rule, and nothing is stored.

use anyhow::Result;
use berth_tests::daemon::{Daemon, DaemonOptions};
use berth_tests::drafts::{self, tenant};
use berth_tests::raw::Raw;
use reqwest::Method;
use serde_json::{Value, json};

use crate::databases;

/// A good tenant with one thing changed.
fn spoiled(pointer: &str, value: Value) -> Value {
    let mut draft = serde_json::to_value(tenant("bolt", "vm1")).unwrap();
    let (parent, key) = pointer.rsplit_once('/').unwrap();
    draft.pointer_mut(parent).unwrap()[key] = value;
    draft
}

/// Each with the field that the refusal must name.
fn bad_tenants() -> Vec<(&'static str, Value)> {
    let key = "/services/gitea/app_name";
    vec![
        ("/name", spoiled("/name", json!("Not A Label"))),
        ("/name", spoiled("/name", json!("-x"))),
        ("/name", spoiled("/name", json!("x".repeat(64)))),
        ("/domain", spoiled("/domain", json!("no dots"))),
        ("/domain", spoiled("/domain", json!("a..example"))),
        ("/contact_email", spoiled("/contact_email", json!("nobody"))),
        ("/machine", spoiled("/machine", json!("nowhere"))),
        ("/mode", spoiled("/mode", json!("gone"))),
        ("/moved_to", spoiled("/mode", json!("moved"))),
        ("/notice", spoiled("/notice", json!("closed"))),
        ("/ssh_keys/0", spoiled("/ssh_keys", json!(["ssh-rsa nonsense"]))),
        ("/services/fax", spoiled("/services/fax", json!({ "enable": true }))),
        ("/services/gitea/colour", spoiled("/services/gitea/colour", json!("red"))),
        ("/services/gitea/enable", spoiled("/services/gitea/enable", json!("yes"))),
        (key, spoiled(key, json!(7))),
        (key, spoiled(key, json!("two\nlines"))),
        (key, spoiled(key, json!("x".repeat(101)))),
        ("/services/gitea/registration", spoiled("/services/gitea/registration", json!("maybe"))),
        ("/services/gitea/subdomain", spoiled("/services/gitea/subdomain", json!("Not A Label"))),
        ("/colour", spoiled("/colour", json!("red"))),
        (
            "/name",
            json!({ "name": 1, "domain": "a.example", "contact_email": "a@a.example", "machine": "vm1" }),
        ),
    ]
}

#[tokio::test]
async fn every_bad_tenant_is_refused_with_the_field_that_is_wrong_and_nothing_is_stored() -> Result<()> {
    for database in databases::every()? {
        let daemon = Daemon::start(DaemonOptions { database, ..DaemonOptions::default() })?;
        let raw = Raw::with(daemon.url(), &daemon.admin_token()?)?;
        let machine = json!(drafts::absent_machine("vm1"));
        assert_eq!(raw.send(Method::POST, "/v1/machines", &machine).await?.status, 201);
        for (field, body) in bad_tenants() {
            let path = if body["name"].is_string() { "/v1/tenants/bolt" } else { "/v1/tenants/x" };
            for (method, path) in [(Method::POST, "/v1/tenants"), (Method::PUT, path)] {
                let answer = raw.send(method.clone(), path, &body).await?;
                assert!(answer.status.is_client_error(), "{field}, {method} {body}: {}", answer.status);
                let problem = answer.problem()?;
                let named = problem.errors.iter().any(|error| error.field == field);
                assert!(named || (method == Method::PUT && field == "/name"), "{field}: {}", answer.body);
                assert!(
                    problem.errors.iter().all(|error| !error.rule.is_empty() && !error.message.is_empty())
                );
            }
        }
        assert_eq!(raw.get("/v1/tenants").await?.json()?["items"], json!([]));
    }
    Ok(())
}

/// Where a repository might lie, with the field that the refusal must name, and by which rule.
fn bad_places() -> Vec<(&'static str, &'static str, Value)> {
    let s3 = |field: &str, value: Value| {
        let mut place = json!({ "endpoint": "https://s3.example.net", "region": "r", "bucket": "b", "prefix": "p",
            "access_key": "GK1", "secret_key": "of-nobody-else" });
        place[field] = value;
        json!({ "s3": place })
    };
    vec![
        ("/repository/folder", "location", json!({ "folder": "/etc" })),
        ("/repository/folder", "location", json!({ "folder": "a/../b" })),
        ("/repository/s3/endpoint", "location", s3("endpoint", json!("ftp://s3.example.net"))),
        ("/repository/s3/endpoint", "location", s3("endpoint", json!("http://169.254.169.254"))),
        ("/repository/s3/prefix", "location", s3("prefix", json!("a/../b"))),
        ("/repository/s3/region", "required", s3("region", json!(""))),
        ("/repository/s3/bucket", "required", s3("bucket", json!(""))),
        ("/repository/s3/access_key", "required", s3("access_key", json!(""))),
        ("/repository/s3/secret_key", "required", s3("secret_key", json!(""))),
        ("/repository/s3/colour", "unknown-field", s3("colour", json!("red"))),
        ("/repository/s3/region", "type", s3("region", json!(7))),
        ("/repository", "type", json!({ "ftp": "x" })),
        ("/repository", "type", json!("/srv/vaults")),
    ]
}

#[tokio::test]
async fn every_bad_place_of_a_repository_is_refused_with_the_field_that_is_wrong_and_no_secret_is_repeated()
-> Result<()> {
    let folder = tempfile::tempdir()?;
    let config = format!("[vault]\nimport_folder = \"{}\"\n", folder.path().display());
    let daemon = Daemon::start(DaemonOptions { config, ..DaemonOptions::default() })?;
    let raw = Raw::with(daemon.url(), &daemon.admin_token()?)?;
    let good = json!({ "folder": folder.path().join("none") });
    let mut bodies: Vec<_> = bad_places()
        .into_iter()
        .map(|(field, rule, repository)| {
            (field, rule, json!({ "repository": repository, "password": "hunter2" }))
        })
        .collect();
    bodies.push(("/password", "required", json!({ "repository": good, "password": "" })));
    bodies.push(("/password", "required", json!({ "repository": good })));
    bodies.push((
        "/snapshot",
        "type",
        json!({ "repository": good, "password": "hunter2", "snapshot": "newest" }),
    ));
    bodies.push((
        "/machine",
        "type",
        json!({ "repository": good, "password": "hunter2", "machine": "Not A Name" }),
    ));
    bodies.push((
        "/colour",
        "unknown-field",
        json!({ "repository": good, "password": "hunter2", "colour": "red" }),
    ));
    for (field, rule, mut body) in bodies {
        for path in ["/v1/vaults/look", "/v1/vaults/import"] {
            if path.ends_with("import") && body.get("machine").is_none() {
                body["machine"] = json!("vm1");
            }
            let answer = raw.send(Method::POST, path, &body).await?;
            assert!(answer.status.is_client_error(), "{path} {field}: {} {}", answer.status, answer.body);
            let problem = answer.problem()?;
            let fields: Vec<_> =
                problem.errors.iter().map(|it| (it.field.as_str(), it.rule.as_str())).collect();
            assert_eq!(fields, [(field, rule)], "{path} {body}: {}", answer.body);
            assert!(
                !answer.body.contains("of-nobody-else") && !answer.body.contains("hunter2"),
                "{}",
                answer.body
            );
        }
    }
    // One that keeps to all rules, and is not there.
    let body = json!({ "repository": good, "password": "hunter2", "machine": "vm1" });
    for path in ["/v1/vaults/look", "/v1/vaults/import"] {
        let answer = raw.send(Method::POST, path, &body).await?;
        let kind = answer.problem()?.kind;
        assert!(answer.status == 409 && kind.ends_with("repository-missing"), "{path}: {}", answer.body);
    }
    assert_eq!(raw.get("/v1/tenants").await?.json()?["items"], json!([]));
    assert!(!daemon.log().contains("hunter2") && !daemon.log().contains("of-nobody-else"));
    Ok(())
}

#[tokio::test]
async fn bodies_that_are_no_json_or_too_large_or_of_another_type_are_refused() -> Result<()> {
    let daemon = Daemon::start(DaemonOptions::default())?;
    let raw = Raw::with(daemon.url(), &daemon.admin_token()?)?;
    let bodies = [
        ("application/json", "{".to_owned()),
        ("application/json", String::new()),
        ("application/json", "[]".to_owned()),
        ("application/json", "\u{0}".to_owned()),
        ("text/plain", "{}".to_owned()),
        ("application/json", format!("{{\"name\": \"{}\"}}", "x".repeat(2 << 20))),
        ("application/json", "[".repeat(100_000)),
    ];
    for path in ["/v1/tenants", "/v1/machines", "/v1/tokens"] {
        for (kind, body) in &bodies {
            let request = raw.request(Method::POST, path).header("Content-Type", *kind).body(body.clone());
            let answer = raw.answer(request).await?;
            let start: String = body.chars().take(20).collect();
            assert!(answer.status.is_client_error(), "{path}, {kind}, {start}: {}", answer.status);
            answer.problem()?;
        }
    }
    assert_eq!(raw.get("/v1/machines").await?.json()?["items"], json!([]));
    assert_eq!(raw.get("/v1/tokens").await?.json()?["items"].as_array().unwrap().len(), 1);
    Ok(())
}

#[tokio::test]
async fn bad_machines_and_tokens_are_refused_with_the_field_that_is_wrong() -> Result<()> {
    let daemon = Daemon::start(DaemonOptions::default())?;
    let raw = Raw::with(daemon.url(), &daemon.admin_token()?)?;
    let machine = |change: Value| {
        let mut draft = json!(drafts::absent_machine("vm1"));
        draft.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        ("/v1/machines", draft)
    };
    let token = |scope: &str, name: &str| ("/v1/tokens", json!({ "scope": scope, "name": name }));
    let cases = [
        ("/name", machine(json!({ "name": "VM 1" }))),
        ("/address", machine(json!({ "address": "-oProxyCommand=evil" }))),
        ("/port", machine(json!({ "port": 0 }))),
        ("/user", machine(json!({ "user": "-l" }))),
        ("/host_key", machine(json!({ "host_key": "ssh-ed25519 AAAA" }))),
        ("/colour", machine(json!({ "colour": "red" }))),
        ("/scope", token("tenant:acme", "panel")),
        ("/scope", token("root", "panel")),
        ("/name", token("admin", "")),
    ];
    for (field, (path, body)) in cases {
        let answer = raw.send(Method::POST, path, &body).await?;
        assert!(answer.status.is_client_error(), "{body}: {}", answer.status);
        let problem = answer.problem()?;
        assert!(problem.errors.iter().any(|error| error.field == field), "{field}: {}", answer.body);
    }
    assert_eq!(raw.get("/v1/machines").await?.json()?["items"], json!([]));
    Ok(())
}
