//! Backup plans.

use serde_json::{Value, json};

use crate::server::{ID, Reply, Server, problem};
use crate::{berth, run};

fn backups(version: i64, more: &Value) -> Value {
    let mut body = json!({
        "plan": {
            "schedule": "30 3 * * *", "timezone": "Europe/Berlin", "jitter_minutes": 30, "grace_minutes": 60,
            "keep": {"last": 3, "daily": 7, "weekly": 0, "monthly": 0, "also_by_hand": false}
        },
        "version": version, "next_due_at": "2026-11-27T02:41:00Z", "findings": [],
        "last_whole": {"snapshot": ID, "at": "2026-11-26T02:41:00Z"},
        "created_at": "2026-11-20T10:00:00Z", "updated_at": "2026-11-20T10:00:00Z"
    });
    for (key, value) in more.as_object().unwrap() {
        body[key] = value.clone();
    }
    body
}

const ROUTE: &str = "GET /v1/tenants/acme/backups";

#[test]
fn what_is_wrong_with_backups_is_shown_and_fails() {
    let server = Server::start(vec![(ROUTE, vec![Reply::Json(200, backups(1, &json!({})))])]);
    let ran = run(berth(&server, &["backups", "show", "acme"]));
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert!(
        ran.stdout.contains("30 3 * * * Europe/Berlin") && ran.stdout.contains("3 last, 7 daily"),
        "{}",
        ran.stdout
    );
    let failure = json!({
        "operation": ID, "at": "2026-11-27T02:41:00Z", "code": "machine-unreachable", "message": "no route to host"
    });
    let finding = json!({"kind": "backup-failed", "message": "no route to host"});
    let wrong = backups(1, &json!({"failure": failure, "findings": [finding]}));
    let server = Server::start(vec![(ROUTE, vec![Reply::Json(200, wrong.clone())])]);
    let ran = run(berth(&server, &["backups", "show", "acme"]));
    assert_eq!(ran.code, Some(5));
    assert!(ran.stdout.contains("machine-unreachable: no route to host"), "{}", ran.stdout);
    let ran = run(berth(&server, &["--json", "backups", "show", "acme"]));
    assert_eq!(ran.code, Some(5));
    assert!(ran.stdout.contains("\"backup-failed\""), "{}", ran.stdout);
}

#[test]
fn what_is_not_named_of_a_plan_stays_as_it_is() {
    let put = "PUT /v1/tenants/acme/backups";
    let stale = problem(412, "changed-meanwhile", &json!({}));
    let server = Server::start(vec![
        (ROUTE, vec![Reply::Json(200, backups(3, &json!({}))), Reply::Json(200, backups(4, &json!({})))]),
        (put, vec![stale, Reply::Json(200, backups(5, &json!({})))]),
    ]);
    let line = ["backups", "set", "acme", "--schedule", "0 4 * * *", "--keep-monthly", "12"];
    let ran = run(berth(&server, &line));
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    let requests = server.requests();
    let puts: Vec<_> = requests.iter().filter(|request| request.route == put).collect();
    assert!(puts[0].head.contains("if-match: \"3\"") && puts[1].head.contains("if-match: \"4\""));
    let sent: Value = serde_json::from_str(&puts[1].body).unwrap();
    assert_eq!(
        sent,
        json!({
            "schedule": "0 4 * * *", "timezone": "Europe/Berlin", "jitter_minutes": 30, "grace_minutes": 60,
            "keep": {"last": 3, "daily": 7, "weekly": 0, "monthly": 12, "also_by_hand": false}
        })
    );
}

#[test]
fn a_first_plan_needs_to_say_when_and_leaves_the_rest_to_the_daemon() {
    let put = "PUT /v1/tenants/acme/backups";
    let server = Server::start(vec![(put, vec![Reply::Json(201, backups(1, &json!({})))])]);
    let ran = run(berth(&server, &["backups", "set", "acme", "--keep-last", "3"]));
    assert_eq!(ran.code, Some(2), "{}", ran.stderr);
    assert_eq!(server.asked(put), 0);
    let ran = run(berth(&server, &["backups", "set", "acme", "--schedule", "30 3 * * *"]));
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    let requests = server.requests();
    let sent = requests.iter().find(|request| request.route == put).unwrap();
    assert_eq!(serde_json::from_str::<Value>(&sent.body).unwrap(), json!({"schedule": "30 3 * * *"}));
    assert!(!sent.head.contains("if-match"));
}

#[test]
fn a_plan_is_ended_and_a_snapshot_removed_only_when_somebody_agrees() {
    let routes = [
        ("DELETE /v1/tenants/acme/backups", 204),
        ("DELETE /v1/tenants/acme/snapshots/019a9f5e-5c00-7000-8000-000000000001", 202),
    ];
    let reply = |status| vec![Reply::Json(status, crate::server::operation("queued"))];
    let server = Server::start(routes.map(|(route, status)| (route, reply(status))).into());
    let ran = run(berth(&server, &["backups", "off", "acme"]));
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    let ran = run(berth(&server, &["snapshot", "delete", "acme", ID]));
    assert_eq!(ran.code, Some(2), "{}", ran.stderr);
    assert_eq!(server.asked(routes[1].0), 0);
    let ran = run(berth(&server, &["snapshot", "delete", "acme", ID, "--yes"]));
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert_eq!(server.asked(routes[1].0), 1);
}
