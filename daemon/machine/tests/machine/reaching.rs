//! Reaching systemd where its own socket does not answer.

use std::time::Duration;

use berth_domain::MachineSpec;
use berth_protocol::{ActivationOutcome, Answer, Deadline, Outcome, Request, Reverted, RevertedBy};
use serde_json::json;
use uuid::Uuid;

use crate::bench::{Bench, activate, activate_until, ask, commit, never};
use crate::systems::{SWITCH, system};

/// As for machines that are deployed to with `--sudo`: systemd's own socket is root's.
#[tokio::test]
async fn whoever_is_not_root_hears_of_units_as_well() {
    let Some(bench) = Bench::set_up("not-root").await else { return };
    bench.run(&["useradd", "--create-home", "ann"]).await;
    bench.run(&["install", "-d", "-o", "ann", "-m", "700", "/home/ann/.ssh"]).await;
    bench.run(&["install", "-o", "ann", "/root/.ssh/authorized_keys", "/home/ann/.ssh/"]).await;
    bench
        .run(&["systemd-run", "--quiet", "--unit=broken", "--property=Type=exec", "sh", "-c", "exit 3"])
        .await;
    bench.run(&["sh", "-c", "until systemctl is-failed --quiet broken; do sleep 0.1; done"]).await;
    let spec = MachineSpec { user: "ann".to_owned().try_into().unwrap(), ..bench.spec() };
    let session = bench.connector.connect(&spec, &never()).await.unwrap();
    let mut agent = session.agent(&bench.agent_path, &never()).await.unwrap();
    match ask(&mut agent, Request::Facts).await.answer.unwrap() {
        Answer::Facts(facts) => assert_eq!(facts.failed_units, ["broken.service"]),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn without_systemds_own_socket_all_goes_over_the_bus_also_the_way_back() {
    let Some(bench) = Bench::set_up("no-socket").await else { return };
    let (old, new) = (system("old", SWITCH, json!({})), system("new", SWITCH, json!({})));
    let hanging = system("hanging", &format!("[ \"$1\" = boot ] || sleep 600\n{SWITCH}"), json!({}));
    for path in [&old, &new, &hanging] {
        bench.copy(path);
    }
    bench.run(&["rm", "/run/systemd/private"]).await;
    for path in [&old, &new] {
        let operation = Uuid::now_v7();
        let activation = bench.ask(activate(operation, path)).await.activation();
        assert_eq!(activation.outcome, ActivationOutcome::Done);
        bench.ask(commit(operation, path)).await.answer.unwrap();
        nothing_is_left(&bench).await;
    }
    // The timer ends a switch that hangs, which takes asking systemd.
    let operation = Uuid::now_v7();
    let deadline = Deadline { switch_seconds: 2, commit_seconds: 1 };
    bench.ask(activate_until(operation, &hanging, deadline)).await.failure();
    let reverted = bench.until(operation, |outcome| matches!(outcome, Outcome::Reverted(_))).await;
    let to = Some(new.to_string());
    assert_eq!(reverted, Outcome::Reverted(Reverted { by: RevertedBy::Timer, to, problem: None }));
    nothing_is_left(&bench).await;
}

/// Waits until no transient unit of ours is left, without asking systemctl, which needs the socket.
async fn nothing_is_left(bench: &Bench) {
    let look = "while ls /run/systemd/transient | grep -q berth-; do sleep 0.1; done";
    bench.run(&["timeout", "20", "sh", "-c", look]).await;
}

/// A switch that brings another systemd has it execute itself anew, and close what it has open.
#[tokio::test]
async fn a_switch_is_followed_while_systemd_executes_itself_anew() {
    let Some(bench) = Bench::set_up("reexec").await else { return };
    let anew = "for turn in 1 2 3 4 5 6 7 8; do systemctl daemon-reexec; sleep 0.3; done";
    let path = system("anew", &format!("[ \"$1\" = boot ] || {{ {anew}; }}\n{SWITCH}"), json!({}));
    bench.copy(&path);
    let operation = Uuid::now_v7();
    let switch = bench.ask(activate(operation, &path));
    let asking = async {
        loop {
            let facts = bench.facts().await;
            tokio::time::sleep(Duration::from_millis(20)).await;
            if facts.running_system.is_some() {
                return;
            }
        }
    };
    let (switch, ()) = tokio::join!(switch, asking);
    assert_eq!(switch.activation().outcome, ActivationOutcome::Done);
    bench.ask(commit(operation, &path)).await.answer.unwrap();
    bench.until_no_own_units().await;
}
