//! Results: for programs one JSON document on standard output, for people words.

use serde_json::{Value, json};

use crate::server::{Reply, Server, problem, tenant};
use crate::{berth, run, run_with_input};

fn page(items: &[Value]) -> Reply {
    Reply::Json(200, json!({"items": items}))
}

#[test]
fn a_list_is_one_document_for_programs_and_a_table_for_people() {
    let server = Server::start(vec![("GET /v1/tenants", vec![page(&[tenant(1, "A")])])]);
    let ran = run(berth(&server, &["--json", "tenant", "list"]));
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert_eq!(ran.json(), json!([tenant(1, "A")]));
    let ran = run(berth(&server, &["tenant", "list"]));
    assert_eq!(ran.stdout.lines().count(), 2);
    assert!(ran.stdout.starts_with("NAME") && ran.stdout.contains("acme.example"), "{}", ran.stdout);
    assert!(!ran.stdout.contains('\u{1b}'), "no colours where there is no terminal");
}

#[test]
fn a_created_token_stands_alone_on_standard_output() {
    let issued = json!({
        "info": {"id": crate::server::ID, "name": "panel", "scope": "operator", "created_at": "2026-11-20T10:00:00Z",
            "expires_at": null},
        "token": "berth_secret"
    });
    let server = Server::start(vec![("POST /v1/tokens", vec![Reply::Json(201, issued)])]);
    let ran = run(berth(&server, &["token", "create", "panel", "--scope", "operator"]));
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(0), "berth_secret\n"));
    assert!(!ran.stderr.contains("berth_secret"));
    let sent: Value = serde_json::from_str(&server.requests()[0].body).unwrap();
    assert_eq!(sent, json!({"name": "panel", "scope": "operator"}));
}

#[test]
fn a_tenant_comes_from_options_or_from_standard_input() {
    let server = Server::start(vec![("POST /v1/tenants", vec![Reply::Json(201, tenant(1, "A"))])]);
    let line =
        ["tenant", "create", "acme", "--domain", "acme.example", "--contact-email", "ann@acme.example"];
    let line = [&line[..], &["--machine", "vm1", "--service", "gitea:app_name=A"]].concat();
    assert_eq!(run(berth(&server, &line)).code, Some(0));
    let text = tenant(1, "A")["spec"].to_string();
    let ran = run_with_input(berth(&server, &["tenant", "create", "--file", "-"]), &text);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    let sent: Vec<Value> =
        server.requests().iter().map(|request| serde_json::from_str(&request.body).unwrap()).collect();
    assert_eq!(sent, [tenant(1, "A")["spec"].clone(), tenant(1, "A")["spec"].clone()]);
}

#[test]
fn a_setting_is_changed_on_top_of_what_others_changed_meanwhile() {
    let stale = problem(412, "changed-meanwhile", &json!({}));
    let server = Server::start(vec![
        ("GET /v1/tenants/acme", vec![Reply::Json(200, tenant(3, "A")), Reply::Json(200, tenant(4, "A"))]),
        ("PUT /v1/tenants/acme", vec![stale, Reply::Json(200, tenant(5, "B"))]),
    ]);
    let ran = run(berth(&server, &["--json", "tenant", "set", "acme", "gitea.app_name=B"]));
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert_eq!(ran.json()["version"], 5);
    let requests = server.requests();
    let puts: Vec<_> = requests.iter().filter(|request| request.route.starts_with("PUT")).collect();
    assert!(puts[0].head.contains("if-match: \"3\"") && puts[1].head.contains("if-match: \"4\""));
    let sent: Value = serde_json::from_str(&puts[1].body).unwrap();
    assert_eq!(sent["services"]["gitea"]["app_name"], "B");
}

#[test]
fn a_configuration_is_written_into_a_folder() {
    let files = json!({"revision": "ab".repeat(32), "files": {"flake.nix": "{ }\n", "tenant.nix": "{ berth = 1; }\n"}});
    let server = Server::start(vec![("GET /v1/tenants/acme/configuration", vec![Reply::Json(200, files)])]);
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    let ran = run(berth(&server, &["config", "acme", "--out", out.to_str().unwrap()]));
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(0), ""));
    assert_eq!(std::fs::read_to_string(out.join("tenant.nix")).unwrap(), "{ berth = 1; }\n");
}

#[test]
fn deleting_asks_and_where_nobody_can_be_asked_deletes_nothing() {
    let server = Server::start(vec![("DELETE /v1/tenants/acme", vec![Reply::Json(204, json!(null))])]);
    let ran = run(berth(&server, &["tenant", "delete", "acme"]));
    assert_eq!(ran.code, Some(2), "{}", ran.stderr);
    assert!(server.requests().is_empty());
    let ran = run(berth(&server, &["--json", "tenant", "delete", "acme", "--yes"]));
    assert_eq!((ran.code, ran.json()), (Some(0), json!({"deleted": "acme"})));
}
