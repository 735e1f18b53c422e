//! Previews, and folders that are taken back.

use std::path::Path;

use serde_json::{Value, json};

use crate::server::{ID, Reply, Server, end, event, operation, problem};
use crate::{Ran, berth, run};

fn preview() -> Value {
    json!({
        "revision": "ab".repeat(32), "deployed_revision": null, "system": "/nix/store/new", "deployed_system": null,
        "files": [{"path": "tenant.nix", "diff": "--- a\n+++ b\n@@ -1 +1 @@\n-x\n+y\n"}],
        "closure": {"bytes_before": 0, "bytes_after": 5, "packages": [{"name": "nginx", "before": [], "after": ["1.26"], "bytes": 5}]},
        "machine": null,
        "missing": [{"part": "machine", "code": "machine-unreachable", "message": "vm1 cannot be reached"}]
    })
}

fn previewing(status: &str) -> Server {
    Server::start(vec![
        ("POST /v1/tenants/acme/preview", vec![Reply::Json(202, operation("queued"))]),
        (
            &format!("GET /v1/operations/{ID}/events"),
            vec![Reply::Stream(format!(
                "{}{}",
                event(1, "finished", &json!({"status": status})),
                end(status)
            ))],
        ),
        (&format!("GET /v1/operations/{ID}/preview"), vec![Reply::Json(200, preview())]),
    ])
}

#[test]
fn a_preview_is_one_document_for_programs_and_a_diff_for_people() {
    let server = previewing("succeeded");
    let ran = run(berth(&server, &["--json", "preview", "acme"]));
    assert_eq!((ran.code, ran.json()), (Some(0), preview()), "{}", ran.stderr);
    let ran = run(berth(&server, &["preview", "acme"]));
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    for words in ["@@ -1 +1 @@\n-x\n+y\n", "nginx    –       1.26   +5 B", "unknown: vm1 cannot be reached"]
    {
        assert!(ran.stdout.contains(words), "{words}: {}", ran.stdout);
    }
    assert!(!ran.stdout.contains('\u{1b}'), "no colours where there is no terminal");
    assert!(server.requests()[0].body.is_empty(), "the stored tenant");
}

#[test]
fn a_preview_that_fails_says_so_and_shows_no_preview() {
    let server = previewing("failed");
    let ran = run(berth(&server, &["--json", "preview", "acme"]));
    assert_eq!((ran.code, &ran.json()["status"]), (Some(5), &json!("failed")));
    let ran = run(berth(&server, &["preview", "acme"]));
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(5), ""));
}

const TENANT: &str = r#"{ berth.tenant = { name = "acme"; domain = "acme.example"; contact_email = "a@acme.example";
    ssh_keys = [ ]; services.gitea = { enable = true; app_name = "Old"; smtp = { host = "h"; password = 3; }; }; }; }
"#;
const MACHINE: &str = r#"{ berth.machine = { name = "vm1"; address = "192.0.2.10"; system = "x86_64-linux"; tls = "none"; }; }"#;
const FLAKE: &str = "{\n    inputs.berth.url = \"path:/new\";\n    outputs = berth: berth;\n}\n";

/// A daemon that has the tenant above, and answers a `PUT` so.
fn daemon(put: Reply) -> Server {
    let files = json!({"revision": "ab".repeat(32), "files": {"flake.nix": FLAKE, "tenant.nix": TENANT, "machine.nix": MACHINE}});
    let secret = json!({"properties": {"password": {"writeOnly": true}}});
    let service = json!({"name": "gitea", "entry": {
        "title": "Gitea", "summary": "", "homepage": "", "subdomain": "git", "memory_mib": 1, "disk_mib": 1,
        "sources": [], "fixed": {}, "groups": [], "settings": {"properties": {"smtp": secret}}
    }});
    Server::start(vec![
        ("GET /v1/tenants/acme", vec![Reply::Json(200, crate::server::tenant(7, "Old"))]),
        ("GET /v1/tenants/acme/configuration", vec![Reply::Json(200, files)]),
        ("GET /v1/services", vec![Reply::Json(200, json!({"items": [service]}))]),
        ("PUT /v1/tenants/acme", vec![put]),
    ])
}

fn accepting() -> Server {
    daemon(Reply::Json(200, crate::server::tenant(8, "New")))
}

fn folder(tenant: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    write("tenant.nix", tenant);
    write("machine.nix", MACHINE);
    // As an older revision has it.
    write("flake.nix", &FLAKE.replace("/new", "/old"));
    write("notes.txt", "x");
    folder
}

fn adopt(server: &Server, folder: &Path, more: &[&str]) -> Option<Ran> {
    if std::process::Command::new("nix").arg("--version").output().is_err() {
        assert!(
            std::env::var_os("BERTH_TEST_WITHOUT_NIX").is_some_and(|value| value == "1"),
            "this needs nix"
        );
        return None;
    }
    let words = [&["--json", "adopt", folder.to_str().unwrap()], more].concat();
    let mut command = berth(server, &words);
    command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
    Some(run(command))
}

fn puts(server: &Server) -> Vec<crate::server::Request> {
    server.requests().into_iter().filter(|request| request.route.starts_with("PUT")).collect()
}

#[test]
fn an_edited_folder_is_put_on_top_of_the_version_that_it_was_compared_with_and_keeps_its_secrets() {
    let server = accepting();
    let folder = folder(&TENANT.replace("\"Old\"", "\"New\""));
    let Some(ran) = adopt(&server, folder.path(), &[]) else { return };
    assert_eq!(ran.code, Some(0), "{} {}", ran.stdout, ran.stderr);
    let report = ran.json();
    assert_eq!(report["adopted"], true);
    assert_eq!(
        report["changes"],
        json!([{"attribute": "berth.tenant.services.gitea.app_name", "daemon": "Old", "folder": "New"}])
    );
    assert_eq!(report["passed_over"], json!(["notes.txt"]));
    let puts = puts(&server);
    assert!(puts[0].head.contains("if-match: \"7\""), "{}", puts[0].head);
    let sent: Value = serde_json::from_str(&puts[0].body).unwrap();
    assert_eq!(sent["machine"], "vm1");
    assert_eq!(sent["services"]["gitea"], json!({"app_name": "New", "enable": true, "smtp": {"host": "h"}}));
    // The differences are seen before anything is changed.
    assert!(ran.stderr.contains("berth.tenant.services.gitea.app_name"), "{}", ran.stderr);
}

#[test]
fn a_dry_run_only_has_it_checked() {
    let server = accepting();
    let Some(ran) = adopt(&server, folder(&TENANT.replace("Old", "New")).path(), &["--dry-run"]) else {
        return;
    };
    assert_eq!((ran.code, &ran.json()["adopted"]), (Some(0), &json!(false)), "{}", ran.stderr);
    assert!(
        puts(&server)[0].head.starts_with("put /v1/tenants/acme?dry_run=true"),
        "{}",
        puts(&server)[0].head
    );
}

#[test]
fn what_is_no_specification_is_named_and_nothing_is_put() {
    let inside = |text: &str| TENANT.replace("domain = \"acme.example\"", text);
    for (tenant, attribute, why) in [
        (inside("domain = builtins.readFile /etc/passwd"), "berth.tenant.domain", "forbidden"),
        (inside("domain = let x = x; in x"), "berth.tenant.domain", "infinite recursion"),
        (inside("domain = import ./more.nix"), "berth.tenant.domain", "forbidden"),
        (inside("domain = x: x"), "berth.tenant.domain", "a function"),
        (
            inside(
                "domain = builtins.readFile (derivation { name = \"x\"; system = \"x86_64-linux\"; builder = \"/bin/sh\"; })",
            ),
            "berth.tenant.domain",
            "",
        ),
        (
            format!("{{ lib, ... }}: {}", inside("domain = lib.mkForce \"x\"")),
            "berth.tenant.domain",
            "argument “lib”",
        ),
        (TENANT.replacen('{', "{ services.nginx.enable = true;", 1), "services.nginx.enable", "not part of"),
        (
            TENANT.replace("password = 3", "password = \"hunter2hunter2\""),
            "berth.tenant.services.gitea.smtp.password",
            "secret",
        ),
        (TENANT.replace("{ berth", "{ ; berth"), "", "syntax error"),
        ("{ }".to_owned(), "berth.tenant.name", "nowhere"),
        (format!("{{ berth.tenant.name = \"{}\"; }}", "x".repeat(200_000)), "berth.tenant.name", "1 to 63"),
    ] {
        let server = accepting();
        let Some(ran) = adopt(&server, folder(&tenant).path(), &[]) else { return };
        assert_eq!(ran.code, Some(1), "{attribute}: {} {}", ran.stdout, ran.stderr);
        let report = ran.json();
        let obstacle = &report["obstacles"][0];
        assert_eq!(
            (&obstacle["file"], &obstacle["attribute"]),
            (&json!("tenant.nix"), &json!(attribute)),
            "{report}"
        );
        assert!(obstacle["message"].as_str().unwrap().contains(why), "{report}");
        assert_eq!((&report["adopted"], puts(&server).len()), (&json!(false), 0), "{attribute}");
        for secret in ["root:", "hunter2"] {
            assert!(
                !ran.stdout.contains(secret) && !ran.stderr.contains(secret),
                "{} {}",
                ran.stdout,
                ran.stderr
            );
        }
    }
}

#[test]
fn what_the_daemon_refuses_is_told_as_attributes() {
    let errors = json!({"errors": [{"field": "/services/gitea/app_name", "rule": "maxLength", "message": "is too long"}]});
    let server = daemon(problem(422, "invalid", &errors));
    let Some(ran) = adopt(&server, folder(&TENANT.replace("Old", "Long")).path(), &[]) else { return };
    assert_eq!(ran.code, Some(1));
    let expected = json!([{"file": "tenant.nix", "attribute": "berth.tenant.services.gitea.app_name", "message": "is too long"}]);
    assert_eq!(ran.json()["obstacles"], expected);
}

#[test]
fn edits_of_the_machine_and_the_flake_have_no_place_in_a_tenant() {
    let server = accepting();
    let folder = folder(TENANT);
    std::fs::write(folder.path().join("machine.nix"), MACHINE.replace("192.0.2.10", "192.0.2.99")).unwrap();
    std::fs::write(folder.path().join("flake.nix"), "{ outputs = _: { }; }\n").unwrap();
    let Some(ran) = adopt(&server, folder.path(), &[]) else { return };
    let report = ran.json();
    let named: Vec<_> =
        report["obstacles"].as_array().unwrap().iter().map(|it| it["attribute"].clone()).collect();
    assert_eq!((ran.code, named), (Some(1), vec![json!(""), json!("berth.machine.address")]), "{report}");
    assert!(puts(&server).is_empty());
}
