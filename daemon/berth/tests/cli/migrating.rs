//! `berth ticket …`, `berth migrate` and `berth migration`: what is asked of the daemon, and that a ticket stays a secret.

use berth_seal::Keys;
use berth_sign::SigningKey;
use berth_transfer::{Ticket, Url, new_token};
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};

use crate::server::{ID, Reply, Server, operation, problem};
use crate::terminal::run_typing;
use crate::{Ran, berth, run, run_with_input};

const CODE: &str = "K7QF-2M9X";

/// A ticket as a provider issues it.
fn ticket() -> String {
    let key = SigningKey::from_seed(&[1; 32]);
    let ticket = Ticket {
        offer: ID.parse().unwrap(),
        url: Url::parse("https://b.example").unwrap(),
        token: new_token().unwrap(),
        recipient: Keys::generate().recipient(),
        identity: key.public(),
        expires_at: "2100-01-01T00:00:00Z".parse().unwrap(),
    };
    ticket.issue(&key).expose_secret().to_owned()
}

fn arrival(phase: &str, more: &Value) -> Value {
    let mut arrival = json!({
        "id": ID, "machine": "vm1", "issued_by": "admin", "created_at": "2026-11-20T10:00:00Z",
        "expires_at": "2100-01-01T00:00:00Z", "phase": phase
    });
    if phase != "offered" {
        arrival["code"] = CODE.into();
        arrival["source"] = json!({
            "provider": "Harbour", "key": "thumbprint-of-harbour", "tenant": "acme", "domain": "acme.example",
            "services": {"gitea": null, "mastodon": 5}
        });
    }
    for (key, value) in more.as_object().into_iter().flatten() {
        arrival[key] = value.clone();
    }
    arrival
}

fn departure(phase: &str, more: &Value) -> Value {
    let mut departure = json!({
        "id": ID, "operation": ID, "tenant": "acme", "target": "https://b.example/", "target_key": "thumbprint-of-b", "trusted": false,
        "code": CODE, "phase": phase
    });
    for (key, value) in more.as_object().into_iter().flatten() {
        departure[key] = value.clone();
    }
    departure
}

fn sent(server: &Server, route: &str) -> Vec<Value> {
    let requests = server.requests().into_iter().filter(|request| request.route == route);
    requests.map(|request| serde_json::from_str(&request.body).unwrap()).collect()
}

fn issuing(ticket: &str) -> Server {
    let issued = json!({"info": arrival("offered", &json!({})), "ticket": ticket});
    Server::start(vec![("POST /v1/tickets", vec![Reply::Json(201, issued)])])
}

fn claimed(more: &Value) -> Server {
    Server::start(vec![
        (&format!("GET /v1/tickets/{ID}"), vec![Reply::Json(200, arrival("claimed", more))]),
        (&format!("POST /v1/tickets/{ID}/accept"), vec![Reply::Json(202, operation("queued"))]),
    ])
}

fn leaving() -> Server {
    Server::start(vec![
        ("POST /v1/tenants/acme/migration", vec![Reply::Json(202, operation("queued"))]),
        ("GET /v1/tenants/acme/migration", vec![Reply::Json(200, departure("offered", &json!({})))]),
    ])
}

#[test]
fn an_issued_ticket_stands_alone_on_standard_output() {
    let server = issuing("berth-ticket-secret");
    let line = ["ticket", "issue", "vm1", "--tenant", "acme2", "--plan", "small", "--service", "gitea"];
    let line = [&line[..], &["--service", "mastodon", "--max-bytes", "20GiB", "--expires-in", "7d"]].concat();
    let ran = run(berth(&server, &line));
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(0), "berth-ticket-secret\n"), "{}", ran.stderr);
    assert!(ran.stderr.contains(ID) && !ran.stderr.contains("secret\n"), "{}", ran.stderr);
    assert!(!ran.stderr.contains("berth-ticket-"), "{}", ran.stderr);
    let wanted = json!({
        "machine": "vm1", "tenant": "acme2", "plan": "small", "services": ["gitea", "mastodon"],
        "max_bytes": 21_474_836_480_u64, "expires_in_seconds": 604_800
    });
    assert_eq!(sent(&server, "POST /v1/tickets"), [wanted]);
    let ran = run(berth(&server, &["--json", "ticket", "issue", "vm1"]));
    assert_eq!(ran.json()["ticket"], "berth-ticket-secret");
    assert_eq!(sent(&server, "POST /v1/tickets")[1], json!({"machine": "vm1"}));
}

#[test]
fn what_no_ticket_can_be_like_is_refused_before_anything_is_asked() {
    let server = issuing("x");
    for bad in [
        &["--max-bytes", "much"][..],
        &["--max-bytes", "0"],
        &["--max-bytes", "-1"],
        &["--expires-in", "soon"],
        &["--expires-in", "0"],
        &["--service", "Gitea!"],
        &["--tenant", "-"],
    ] {
        let ran = run(berth(&server, &[&["ticket", "issue", "vm1"], bad].concat()));
        assert_eq!(ran.code, Some(2), "{bad:?}: {}", ran.stderr);
    }
    assert_eq!(run(berth(&server, &["ticket", "show", "no-id"])).code, Some(2));
    assert_eq!(run(berth(&server, &["ticket", "issue"])).code, Some(2));
    assert!(server.requests().is_empty());
}

#[test]
fn tickets_say_how_they_stand() {
    let tickets = [
        arrival("offered", &json!({})),
        arrival("offered", &json!({"expires_at": "2026-11-21T10:00:00Z"})),
        arrival("failed", &json!({"revoked_at": "2026-11-21T10:00:00Z"})),
        arrival("claimed", &json!({})),
    ];
    let server = Server::start(vec![("GET /v1/tickets", vec![Reply::Json(200, json!({"items": tickets}))])]);
    let ran = run(berth(&server, &["ticket", "list"]));
    let lines: Vec<_> = ran.stdout.lines().collect();
    assert_eq!(lines.len(), 5, "{}", ran.stdout);
    for (line, word) in lines[1..].iter().zip(["offered", "expired", "revoked", "claimed"]) {
        assert!(line.contains(word), "{word}: {line}");
    }
    assert!(lines[4].contains("acme") && lines[4].contains("Harbour"), "{}", lines[4]);
    assert_eq!(run(berth(&server, &["--json", "ticket", "list"])).json().as_array().unwrap().len(), 4);
    let mut revoked = arrival("failed", &json!({"revoked_at": "2026-11-21T10:00:00Z"}));
    revoked["source"] = Value::Null;
    let server = Server::start(vec![(&format!("GET /v1/tickets/{ID}"), vec![Reply::Json(200, revoked)])]);
    let ran = run(berth(&server, &["ticket", "show", ID]));
    assert!(ran.stdout.contains("revoked: nobody has handed the ticket in"), "{}", ran.stdout);
}

#[test]
fn a_ticket_shows_who_comes_and_nothing_of_it_draws_on_the_terminal() {
    let obstacle = json!({"code": "domain-taken", "message": "another has it\u{1b}[2J", "field": "/domain"});
    let server = claimed(&json!({"obstacles": [obstacle], "message": "a\u{1b}[31mb"}));
    let ran = run(berth(&server, &["ticket", "show", ID]));
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    for said in
        ["Harbour, key thumbprint-of-harbour", "acme (acme.example)", "gitea, mastodon", CODE, "domain-taken"]
    {
        assert!(ran.stdout.contains(said), "{said}: {}", ran.stdout);
    }
    assert!(!ran.stdout.contains('\u{1b}'), "{}", ran.stdout);
}

#[test]
fn a_tenant_is_accepted_with_the_code_that_the_source_shows() {
    let server = claimed(&json!({}));
    let ran = run(berth(&server, &["ticket", "accept", ID, "--code", "k7qf 2m9x"]));
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert!(ran.stdout.contains(&format!("berth watch {ID}")), "{}", ran.stdout);
    assert_eq!(sent(&server, &format!("POST /v1/tickets/{ID}/accept")), [json!({"code": "k7qf 2m9x"})]);
}

#[test]
fn a_tenant_is_accepted_with_settings_that_are_to_differ() {
    let server = claimed(&json!({}));
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("services.json");
    let patch = json!({"gitea": {"object_storage": {"bucket": "new", "secret_key": "hunter2"}}});
    std::fs::write(&file, patch.to_string()).unwrap();
    let accept = |file: &str| {
        run(berth(&server, &["ticket", "accept", ID, "--code", "K7QF-2M9X", "--services", file]))
    };
    let ran = accept(file.to_str().unwrap());
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert!(!ran.stdout.contains("hunter2") && !ran.stderr.contains("hunter2"));
    let expected = json!({"code": "K7QF-2M9X", "services": patch});
    assert_eq!(sent(&server, &format!("POST /v1/tickets/{ID}/accept")), [expected]);

    std::fs::write(&file, "[\"hunter2\"]").unwrap();
    let ran = accept(file.to_str().unwrap());
    assert_ne!(ran.code, Some(0));
    assert!(ran.stderr.contains("--services") && !ran.stderr.contains("hunter2"), "{}", ran.stderr);
}

#[test]
fn where_nobody_can_be_asked_a_tenant_is_accepted_by_nobody() {
    let server = claimed(&json!({}));
    let ran = run(berth(&server, &["ticket", "accept", ID]));
    assert_eq!(ran.code, Some(2));
    assert!(ran.stderr.contains("--code"), "{}", ran.stderr);
    assert!(server.requests().is_empty());
}

#[test]
fn whoever_is_at_the_terminal_sees_who_comes_and_types_the_code() {
    let server = claimed(&json!({}));
    let accept = || berth(&server, &["ticket", "accept", ID]);
    let ran = run_typing(accept(), "the source shows", "k7qf2m9x\n");
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    for said in ["Harbour", "acme (acme.example)", CODE] {
        assert!(ran.stderr.contains(said), "{said}: {}", ran.stderr);
    }
    assert_eq!(sent(&server, &format!("POST /v1/tickets/{ID}/accept")), [json!({"code": "k7qf2m9x"})]);
    for wrong in ["K7QF-2M9Y\n", "\n", "yes\n", "\u{4}"] {
        let ran = run_typing(accept(), "the source shows", wrong);
        assert_ne!(ran.code, Some(0), "{wrong:?}: {}", ran.stderr);
    }
    assert_eq!(server.asked(&format!("POST /v1/tickets/{ID}/accept")), 1);
}

#[test]
fn a_tenant_that_cannot_come_is_not_asked_about() {
    let obstacle = json!({"code": "domain-taken", "message": "another tenant has it", "field": "/domain"});
    let server = claimed(&json!({"obstacles": [obstacle]}));
    let ran = run_typing(berth(&server, &["ticket", "accept", ID]), "another tenant has it", "");
    assert_eq!(ran.code, Some(1));
    assert!(ran.stderr.contains("cannot come yet"), "{}", ran.stderr);
    let offered = Reply::Json(200, arrival("offered", &json!({})));
    let server = Server::start(vec![(&format!("GET /v1/tickets/{ID}"), vec![offered])]);
    let ran = run_typing(berth(&server, &["ticket", "accept", ID]), "nobody has handed", "");
    assert_eq!(ran.code, Some(1));
}

#[test]
fn a_revoked_ticket_is_named_and_one_that_has_moved_a_tenant_is_not_revoked() {
    let handed_over = problem(409, "handed-over", &json!({}));
    let gone = Reply::Json(204, Value::Null);
    let server = Server::start(vec![(&format!("DELETE /v1/tickets/{ID}"), vec![gone, handed_over])]);
    let revoke = || run(berth(&server, &["--json", "ticket", "revoke", ID]));
    assert_eq!(revoke().json(), json!({"revoked": ID}));
    let ran = revoke();
    assert_eq!((ran.code, &ran.json()["error"]["code"]), (Some(1), &json!("handed-over")));
    assert!(ran.stderr.contains("--undo"), "{}", ran.stderr);
}

/// A tenant leaves, and the code is told, but nothing of the ticket.
fn left(server: &Server, ran: &Ran, ticket: &str) {
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert!(ran.stderr.contains(CODE) && ran.stderr.contains("https://b.example"), "{}", ran.stderr);
    assert!(ran.stdout.contains(&format!("berth watch {ID}")), "{}", ran.stdout);
    for shown in [&ran.stdout, &ran.stderr] {
        assert!(!shown.contains(&ticket[20..60]), "{shown}");
    }
    let sent = sent(server, "POST /v1/tenants/acme/migration");
    let text = sent[0]["ticket"].as_str().unwrap();
    assert_eq!(text.split_whitespace().collect::<String>(), ticket);
}

#[test]
fn a_ticket_comes_from_a_file_or_from_standard_input_and_the_code_is_told_at_once() {
    let ticket = ticket();
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), format!("{ticket}\n")).unwrap();
    let server = leaving();
    let line = ["migrate", "acme", "--ticket-file", file.path().to_str().unwrap()];
    left(&server, &run(berth(&server, &line)), &ticket);
    let server = leaving();
    let ran = run_with_input(berth(&server, &["migrate", "acme", "--ticket-file", "-"]), &ticket);
    left(&server, &ran, &ticket);
}

#[test]
fn a_ticket_that_is_pasted_into_the_terminal_is_not_shown_also_in_several_lines() {
    let ticket = ticket();
    let (first, rest) = ticket.split_at(76);
    let server = leaving();
    let migrate = berth(&server, &["migrate", "acme"]);
    let ran = run_typing(migrate, "Ticket of the new provider", &format!("{first}\n{rest}\n"));
    left(&server, &ran, &ticket);
    assert!(!ran.stderr.contains(&rest[..20]), "{}", ran.stderr);
}

#[test]
fn a_tenant_goes_back_without_a_ticket_and_without_a_code() {
    let route = "POST /v1/tenants/acme/migration/undo";
    let no_way = problem(409, "no-way-back", &json!({}));
    let server = Server::start(vec![(route, vec![Reply::Json(202, operation("queued")), no_way])]);
    let back = || run(berth(&server, &["migrate", "acme", "--undo"]));
    let ran = back();
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert!(!ran.stderr.contains("code"), "nobody asks for one: {}", ran.stderr);
    let ran = back();
    assert_eq!(ran.code, Some(1));
    assert!(ran.stderr.contains("with a ticket of its old provider"), "{}", ran.stderr);
    for more in [&["--rehearse"][..], &["--ticket-file", "-"]] {
        let ran = run(berth(&server, &[&["migrate", "acme", "--undo"], more].concat()));
        assert_eq!(ran.code, Some(2), "{more:?}");
    }
    assert_eq!(server.requests().len(), 2);
}

#[test]
fn what_is_no_ticket_is_sent_nowhere() {
    let server = leaving();
    let ran = run(berth(&server, &["migrate", "acme"]));
    assert_eq!(ran.code, Some(2));
    assert!(ran.stderr.contains("--ticket-file"), "{}", ran.stderr);
    let whole = ticket();
    for (text, why) in [
        ("", "no ticket"),
        ("AGE-SECRET-KEY-1", "no ticket"),
        (&whole[..whole.len() - 9], "the end of the ticket is missing"),
        (&whole.replacen("ey", "ez", 1), "changed on its way"),
    ] {
        let ran = run_with_input(berth(&server, &["migrate", "acme", "--ticket-file", "-"]), text);
        assert_eq!(ran.code, Some(1), "{text}");
        assert!(ran.stderr.contains(why), "{text}: {}", ran.stderr);
        assert!(text.is_empty() || !ran.stderr.contains(text), "{}", ran.stderr);
    }
    let ran = run(berth(&server, &["migrate", "acme", "--ticket-file", "/nonexistent/ticket"]));
    assert!(ran.code == Some(1) && ran.stderr.contains("/nonexistent/ticket"), "{}", ran.stderr);
    assert!(server.requests().is_empty());
}

#[test]
fn a_ticket_that_the_daemon_refuses_is_explained() {
    let errors =
        json!({"errors": [{"field": "/ticket", "rule": "ticket-expired", "message": "ask for a new one"}]});
    let refused = problem(422, "invalid", &errors);
    let server = Server::start(vec![("POST /v1/tenants/acme/migration", vec![refused])]);
    let ran = run_with_input(berth(&server, &["migrate", "acme", "--ticket-file", "-"]), &ticket());
    assert_eq!(ran.code, Some(1));
    assert!(ran.stderr.contains("/ticket  ask for a new one"), "{}", ran.stderr);
}

#[test]
fn a_migration_says_what_is_waited_for_and_where_requests_go() {
    let more = json!({
        "address": "192.0.2.20", "stopped_at": "2026-11-20T10:00:00Z", "handed_over_at": "2026-11-20T10:00:05Z",
        "served_at": "2026-11-20T10:00:09Z", "manifest": "a.b.c", "countersignature": "d.e.f",
        "kept_until": "2026-12-20T10:00:05Z"
    });
    let live = departure("live", &more);
    let claimed = departure("claimed", &json!({"address": "192.0.2.20"}));
    let replies = [&claimed, &live, &live].map(|departure| Reply::Json(200, departure.clone()));
    let server = Server::start(vec![("GET /v1/tenants/acme/migration", replies.to_vec())]);
    let show = |line: &[&str]| run(berth(&server, &[&["migration", "acme"], line].concat()));
    let ran = show(&[]);
    assert!(ran.stdout.contains("has to accept") && ran.stdout.contains(CODE), "{}", ran.stdout);
    assert!(!ran.stdout.contains("192.0.2.20"), "nothing is forwarded yet: {}", ran.stdout);
    let ran = show(&[]);
    assert!(ran.stdout.contains("forwards to") && ran.stdout.contains("192.0.2.20"), "{}", ran.stdout);
    assert!(ran.stdout.contains("--proof"), "{}", ran.stdout);
    assert!(ran.stdout.contains("kept here until"), "{}", ran.stdout);
    assert_eq!(show(&["--json"]).json(), live);
}

#[test]
fn the_proof_is_written_once_both_have_signed_and_no_other_is_written_over() {
    let early = departure("receiving", &json!({}));
    let live = departure("live", &json!({"manifest": "a.b.c", "countersignature": "d.e.f"}));
    let replies = [&early, &live].map(|departure| Reply::Json(200, departure.clone()));
    let arrival = arrival("live", &json!({"manifest": "a.b.c", "countersignature": "d.e.f"}));
    let server = Server::start(vec![
        ("GET /v1/tenants/acme/migration", replies.to_vec()),
        (&format!("GET /v1/tickets/{ID}"), vec![Reply::Json(200, arrival)]),
    ]);
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("proof");
    let write = |line: &[&str]| run(berth(&server, &[line, &["--proof", out.to_str().unwrap()]].concat()));
    let ran = write(&["migration", "acme"]);
    assert_eq!(ran.code, Some(1));
    assert!(ran.stderr.contains("no proof yet") && !out.exists(), "{}", ran.stderr);
    // Both providers have the same, and the same may be written again.
    for line in [&["migration", "acme"][..], &["ticket", "show", ID]] {
        let ran = write(line);
        assert_eq!(ran.code, Some(0), "{}", ran.stderr);
        assert!(ran.stderr.contains("berth migration verify"), "{}", ran.stderr);
        assert_eq!(std::fs::read_to_string(out.join("manifest.jws")).unwrap(), "a.b.c\n");
        assert_eq!(std::fs::read_to_string(out.join("countersignature.jws")).unwrap(), "d.e.f\n");
    }
    std::fs::write(out.join("manifest.jws"), "of another\n").unwrap();
    let ran = write(&["migration", "acme"]);
    assert!(ran.code == Some(1) && ran.stderr.contains("manifest.jws"), "{}", ran.stderr);
    assert_eq!(std::fs::read_to_string(out.join("manifest.jws")).unwrap(), "of another\n");
}
