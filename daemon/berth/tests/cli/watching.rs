//! Following an operation: for programs an event per line and the operation last, for people a line per change.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use serde_json::json;

use crate::server::{ID, Reply, Server, end, event, operation, tenant};
use crate::{berth, run};

/// A server of one operation.
fn server(stream: Reply) -> Server {
    let events = format!("/v1/operations/{ID}/events");
    Server::start(vec![
        ("POST /v1/tenants/acme/deployments", vec![Reply::Json(202, operation("queued"))]),
        ("GET /v1/tenants/acme", vec![Reply::Json(200, tenant(1, "A"))]),
        (&format!("GET /v1/operations/{ID}"), vec![Reply::Json(200, operation("running"))]),
        (&format!("GET {events}"), vec![stream]),
    ])
}

fn stream(status: &str) -> String {
    let step = |status: &str| json!({"step": "build", "step_status": status});
    [
        event(1, "accepted", &json!({})),
        event(2, "step_started", &json!({"step": "build"})),
        event(
            3,
            "step_progress",
            &json!({"step": "build", "progress": {"done": 1, "expected": 3, "unit": "builds"}}),
        ),
        event(4, "log", &json!({"step": "build", "message": "cc main.c"})),
        event(5, "step_finished", &step(status)),
        end(status),
    ]
    .concat()
}

#[test]
fn a_program_reads_an_event_per_line_and_the_operation_last() {
    let server = server(Reply::Stream(stream("succeeded")));
    let ran = run(berth(&server, &["--json", "deploy", "acme", "--watch"]));
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    let lines = ran.json_lines();
    let seqs: Vec<_> = lines[..5].iter().map(|event| event["seq"].as_i64().unwrap()).collect();
    assert_eq!(seqs, [1, 2, 3, 4, 5]);
    assert_eq!(lines[5], operation("succeeded"));
    assert_eq!(lines.len(), 6);
}

#[test]
fn a_person_without_a_terminal_reads_a_line_per_change_and_then_where_the_services_are() {
    let server = server(Reply::Stream(stream("succeeded")));
    let ran = run(berth(&server, &["deploy", "acme", "--watch"]));
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    for expected in ["10:00:00  build       message 2", "1 of 3 builds", "cc main.c", "done: message 5"] {
        assert!(ran.stderr.contains(expected), "{expected}: {}", ran.stderr);
    }
    assert_eq!(ran.stdout, "acme is deployed in 2.0 s\ngitea      http://git.acme.example\n");
}

#[test]
fn how_the_operation_ended_is_the_exit_code() {
    let failed = server(Reply::Stream(stream("failed")));
    let ran = run(berth(&failed, &["watch", ID]));
    assert_eq!(ran.code, Some(5));
    for expected in ["failed at the step “build”: the builder failed", "/nix/store/x.drv", "cc: no such file"]
    {
        assert!(ran.stderr.contains(expected), "{expected}: {}", ran.stderr);
    }
    let ran = run(berth(&failed, &["--json", "watch", ID]));
    assert_eq!(ran.code, Some(5));
    assert_eq!(ran.json_lines().last(), Some(&operation("failed")), "the operation is the last line");

    let cancelled = server(Reply::Stream(stream("cancelled")));
    assert_eq!(run(berth(&cancelled, &["watch", ID])).code, Some(6));
}

#[test]
fn interrupting_a_watch_leaves_the_operation_running_and_says_how_to_end_it() {
    let server = server(Reply::Open(event(1, "accepted", &json!({})) + &event(2, "log", &json!({}))));
    let mut child =
        berth(&server, &["watch", ID]).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    // By its first line it follows the operation.
    assert!(lines.next().unwrap().unwrap().contains("message 2"));
    let interrupted = Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(interrupted.success());
    assert_eq!(child.wait().unwrap().code(), Some(130));
    let rest: Vec<_> = lines.map(Result::unwrap).collect();
    assert!(rest.join("\n").contains(&format!("berth operation cancel {ID}")), "{rest:?}");
    assert_eq!(server.asked(&format!("POST /v1/operations/{ID}/cancel")), 0);
}
