//! Failures: what is said, and the exit code that the help promises.

use serde_json::json;

use crate::server::{Reply, Server, problem};
use crate::{bare, berth, run};

#[test]
fn a_refusal_lists_every_broken_rule() {
    let errors = json!({"errors": [
        {"field": "/domain", "rule": "domain", "message": "must be a domain"},
        {"field": "/services/gitea/app_name", "rule": "type", "message": "must be text"}
    ]});
    let server = Server::start(vec![("POST /v1/machines", vec![problem(422, "invalid", &errors)])]);
    let line = ["machine", "add", "vm1", "--address", "x", "--host-key", "k"];
    let ran = run(berth(&server, &line));
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(1), ""));
    let lines: Vec<_> = ran.stderr.lines().collect();
    assert_eq!(
        lines,
        ["error: A title", "  /domain  must be a domain", "  /services/gitea/app_name  must be text"]
    );
    let ran = run(berth(&server, &[&line[..], &["--json"]].concat()));
    assert_eq!(ran.code, Some(1));
    assert_eq!(ran.json()["error"]["code"], "invalid");
    assert_eq!(ran.json()["error"]["problem"]["errors"], errors["errors"]);
}

#[test]
fn an_operation_in_the_way_is_named_with_what_to_do() {
    let running = problem(409, "operation-running", &json!({"operation": crate::server::ID}));
    let server = Server::start(vec![("POST /v1/tenants/acme/deployments", vec![running])]);
    let ran = run(berth(&server, &["deploy", "acme"]));
    assert_eq!(ran.code, Some(1));
    assert!(
        ran.stderr.contains(&format!("→ wait for it: berth watch {}\n", crate::server::ID)),
        "{}",
        ran.stderr
    );
}

#[test]
fn a_daemon_that_does_not_run_is_exit_code_4() {
    let mut command = bare(&["--url", "http://127.0.0.1:1", "tenant", "list"]);
    command.env("BERTH_TOKEN", "t");
    let ran = run(command);
    assert_eq!(ran.code, Some(4), "{}", ran.stderr);
    assert!(
        ran.stderr.contains("cannot be reached") && ran.stderr.contains("berthd serve"),
        "{}",
        ran.stderr
    );
}

#[test]
fn without_a_token_nothing_is_sent() {
    let server = Server::start(vec![("GET /v1/tenants", vec![Reply::Json(200, json!({"items": []}))])]);
    let ran = run(bare(&["--url", &server.url, "tenant", "list"]));
    assert_eq!(ran.code, Some(1));
    assert!(ran.stderr.contains("--token-file"), "{}", ran.stderr);
    let ran = run(bare(&["--url", &server.url, "--token-file", "/nonexistent/token", "tenant", "list"]));
    assert!(ran.stderr.contains("/nonexistent/token"), "{}", ran.stderr);
    assert!(server.requests().is_empty());
}

#[test]
fn a_token_file_is_read_and_its_last_line_break_is_no_part_of_it() {
    let server = Server::start(vec![("GET /v1/tenants", vec![Reply::Json(200, json!({"items": []}))])]);
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "berth_of_a_file\n").unwrap();
    let ran =
        run(bare(&["--url", &server.url, "--token-file", file.path().to_str().unwrap(), "tenant", "list"]));
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert!(server.requests()[0].head.contains("authorization: bearer berth_of_a_file\r\n"));
}

#[test]
fn a_wrong_command_line_is_exit_code_2() {
    for line in
        [&["tenant", "create", "acme"][..], &["frobnicate"], &["demo", "--exit", "--keep"], &["deploy", "A!"]]
    {
        assert_eq!(run(bare(line)).code, Some(2), "{line:?}");
    }
    assert_eq!(run(bare(&["--help"])).code, Some(0));
}
