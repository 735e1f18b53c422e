//! Switching to a system.

use std::time::{Duration, Instant};

use berth_protocol::{ActivationOutcome, FailureCode, Request};
use serde_json::json;
use uuid::Uuid;

use crate::bench::{Bench, activate, ask, claim, commit};
use crate::systems::{SWITCH, system};

#[tokio::test]
async fn a_switch_is_followed_line_by_line_and_told_again_to_whoever_asks_again() {
    let Some(bench) = Bench::set_up("follow").await else { return };
    let path =
        system("follow", &format!("echo one\necho two >&2\nsleep 1\nprintf three\n{SWITCH}"), json!({}));
    bench.copy(&path);
    let operation = Uuid::now_v7();
    let first = bench.ask(activate(operation, &path)).await;
    assert_eq!(first.lines, ["switching: test", "one", "two", "three"]);
    let again = bench.ask(activate(operation, &path)).await;
    assert_eq!(again.lines, ["switching: test", "one", "two", "three"]);
    let (first, again) = (first.activation(), again.activation());
    assert_eq!((first.exit_code, first.outcome), (0, ActivationOutcome::Done));
    assert_eq!(first, again);
    assert_eq!(bench.run(&["cat", "/var/lib/switched"]).await, "test", "it ran once");
    assert_eq!(bench.facts().await.running_system, Some(path.to_string()));

    bench.until_no_switches().await;
    let units = bench.own_units().await;
    assert!(
        units.contains(&format!("berth-guard-{operation}.timer ")),
        "the timer waits for the commit: {units}"
    );
}

#[tokio::test]
async fn an_operation_that_switches_to_another_system_switches_anew() {
    let Some(bench) = Bench::set_up("another").await else { return };
    let (one, other) = (system("one", SWITCH, json!({})), system("other", SWITCH, json!({})));
    bench.copy(&one);
    bench.copy(&other);
    let operation = Uuid::now_v7();
    for path in [&one, &other, &one] {
        assert_eq!(bench.ask(activate(operation, path)).await.activation().exit_code, 0);
        assert_eq!(bench.facts().await.running_system, Some(path.to_string()));
    }
}

#[tokio::test]
async fn exit_codes_are_told_apart_and_the_systems_failed_units_named() {
    let Some(bench) = Bench::set_up("codes").await else { return };
    let outcomes = [
        (2, ActivationOutcome::ScriptFailed),
        (4, ActivationOutcome::UnitsFailed),
        (100, ActivationOutcome::NeedsReboot),
        (1, ActivationOutcome::Failed),
    ];
    let breaking = "systemd-run --quiet --unit=web sh -c 'exit 1'\nsystemd-run --quiet --unit=strange sh -c 'exit 1'\n\
        until systemctl is-failed --quiet strange web; do sleep 0.1; done\nexit 4";
    for (code, outcome) in outcomes {
        let script = if code == 4 { breaking.into() } else { format!("exit {code}") };
        let path = system("codes", &script, json!({ "units": ["web.service", "absent.service"] }));
        bench.copy(&path);
        let activation = bench.ask(activate(Uuid::now_v7(), &path)).await.activation();
        assert_eq!((activation.exit_code, activation.outcome), (code, outcome));
        let failed: &[&str] = if code == 4 { &["web.service"] } else { &[] };
        assert_eq!(activation.failed_units, failed);
        let _ = bench.machine.exec(&["systemctl", "reset-failed", "web"]).await.unwrap();
    }
    assert!(bench.facts().await.failed_units.contains(&"strange.service".to_owned()));
}

#[tokio::test]
async fn only_one_operation_changes_a_machine_at_a_time() {
    let Some(bench) = Bench::set_up("busy").await else { return };
    let path = system("busy", &format!("sleep 5\n{SWITCH}"), json!({}));
    bench.copy(&path);
    let operation = Uuid::now_v7();
    let (mut first, mut same) = (bench.agent().await, bench.agent().await);
    let began = Instant::now();
    let others = async {
        tokio::time::sleep(Duration::from_millis(500)).await;
        let another = bench.ask(activate(Uuid::now_v7(), &path)).await.failure();
        assert_eq!(another.code, FailureCode::Busy);
        assert!(another.message.contains(&operation.to_string()), "{another}");
        let commit = bench.ask(commit(Uuid::now_v7(), &path)).await.failure();
        let wipe = Request::Wipe { claim: claim(Uuid::now_v7()), system: path.to_string() };
        let wipe = bench.ask(wipe).await.failure();
        assert_eq!((commit.code, wipe.code), (FailureCode::Busy, FailureCode::Busy));
    };
    let (first, same, ()) = tokio::join!(
        ask(&mut first, activate(operation, &path)),
        ask(&mut same, activate(operation, &path)),
        others
    );
    assert_eq!(first.activation(), same.activation());
    assert!(began.elapsed() < Duration::from_secs(12));
    assert_eq!(
        bench.run(&["cat", "/var/lib/switched"]).await,
        "test",
        "two who ask for the same start it once"
    );
    let after = bench.ask(activate(Uuid::now_v7(), &path)).await.activation();
    assert_eq!(after.exit_code, 0, "the machine is free again");
}

#[tokio::test]
async fn a_switch_that_is_killed_is_a_failure_and_can_be_asked_for_again() {
    let Some(bench) = Bench::set_up("killed").await else { return };
    let path = system("killed", &format!("[ -e /var/lib/again ] || sleep 60\n{SWITCH}"), json!({}));
    bench.copy(&path);
    let operation = Uuid::now_v7();
    let mut agent = bench.agent().await;
    let kill = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        bench.run(&["systemctl", "kill", "--signal=KILL", &format!("berth-activate-{operation}")]).await;
    };
    let (told, ()) = tokio::join!(ask(&mut agent, activate(operation, &path)), kill);
    let failure = told.failure();
    assert_eq!(failure.code, FailureCode::Program);
    assert!(failure.message.contains("killed"), "{failure}");
    bench.run(&["touch", "/var/lib/again"]).await;
    assert_eq!(ask(&mut agent, activate(operation, &path)).await.activation().exit_code, 0);
}

#[tokio::test]
async fn secrets_are_there_before_the_switch_and_their_owners_when_units_start_that_read_them() {
    let Some(bench) = Bench::set_up("secrets").await else { return };
    let secret = json!({ "name": "key", "path": "/var/lib/berth-secrets/web/key", "owner": "webby", "group": "webby",
        "mode": "0400", "generate": { "kind": "hex", "bytes": 32 }, "purpose": "Signs.", "readers": [], "loss": "data" });
    // As a real switcher does: users first, then units that run as them.
    let script = "test -s /var/lib/berth-secrets/web/key || exit 2
id webby >/dev/null 2>&1 || useradd --system webby
systemd-run --quiet --wait --pipe -p User=webby cat /var/lib/berth-secrets/web/key > /run/seen || exit 4";
    let path = system("secrets", script, json!({ "secrets": [secret] }));
    bench.copy(&path);
    let told = bench.ask(activate(Uuid::now_v7(), &path)).await;
    let text = format!("{:?}", told.lines);
    assert_eq!(told.activation().exit_code, 0, "{text}");
    let key = bench.run(&["cat", "/run/seen"]).await;
    assert_eq!(key.len(), 64);
    assert_eq!(
        bench.run(&["stat", "-c", "%U %G %a", "/var/lib/berth-secrets/web/key"]).await,
        "webby webby 400"
    );
    bench.ask(activate(Uuid::now_v7(), &path)).await.activation();
    assert_eq!(bench.run(&["cat", "/run/seen"]).await, key, "an existing secret stays");

    // The way without a daemon, for whoever switches by hand.
    bench.run(&["rm", "/var/lib/berth-secrets/web/key"]).await;
    let agent = format!("{}/bin/berth-agent", bench.agent_path);
    bench.run(&[&agent, "ensure-secrets", path.as_str()]).await;
    assert_eq!(bench.run(&["stat", "-c", "%U %s", "/var/lib/berth-secrets/web/key"]).await, "webby 64");
    let journal = bench.run(&["journalctl", "--no-pager", "--output=cat"]).await;
    assert!(!text.contains(&key) && !journal.contains(&key), "the secret was written somewhere else");
}

#[tokio::test]
async fn what_is_no_system_of_this_machine_is_refused_and_nothing_is_run() {
    let Some(bench) = Bench::set_up("nosystem").await else { return };
    let absent = system("absent", SWITCH, json!({}));
    let failure = bench.ask(activate(Uuid::now_v7(), &absent)).await.failure();
    assert_eq!(failure.code, FailureCode::NoSuchSystem);
    let failure = bench.ask(activate(Uuid::now_v7(), &bench.agent_path)).await.failure();
    assert!(failure.message.contains("switch-to-configuration"), "{failure}");
    assert!(!bench.file("/run/berth").exists() && !bench.file("/var/lib/switched").exists());
}
