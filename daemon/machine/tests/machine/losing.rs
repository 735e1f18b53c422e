//! Connections that are lost while the machine is being switched: nothing changes for the machine.

use std::time::{Duration, Instant};

use berth_machine::MachineError;
use berth_protocol::{ActivationOutcome, Request};
use serde_json::json;
use uuid::Uuid;

use crate::bench::{Bench, activate, ask, never};
use crate::systems::{SWITCH, system};

#[tokio::test]
async fn a_switch_goes_on_when_the_network_is_cut_and_is_found_again_by_its_operation() {
    let Some(bench) = Bench::set_up("cut").await else { return };
    let path = system("cut", &format!("sleep 3\necho still here\n{SWITCH}"), json!({}));
    bench.copy(&path);
    let operation = Uuid::now_v7();
    let mut agent = bench.agent().await;
    let cut = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        bench.machine.cut_network().await.unwrap();
        Instant::now()
    };
    let (told, cut) = tokio::join!(ask(&mut agent, activate(operation, &path)), cut);
    assert!(matches!(told.answer, Err(MachineError::Lost { .. })), "{:?}", told.answer);
    assert!(cut.elapsed() < Duration::from_secs(15), "noticed after {:?}", cut.elapsed());
    assert_eq!(told.lines, ["switching: test"]);

    bench.machine.heal_network().await.unwrap();
    let session = bench.connector.connect(&bench.spec(), &never()).await.unwrap();
    let mut agent = session.agent(&bench.agent_path, &never()).await.unwrap();
    let told = ask(&mut agent, activate(operation, &path)).await;
    assert_eq!(told.lines, ["switching: test", "still here"]);
    assert_eq!(told.activation().outcome, ActivationOutcome::Done);
    assert_eq!(bench.run(&["cat", "/var/lib/switched"]).await, "test", "it ran once");
}

#[tokio::test]
async fn a_switch_that_stops_the_ssh_server_and_ends_every_connection_still_ends_well() {
    let Some(bench) = Bench::set_up("sshd").await else { return };
    let script = format!(
        "systemctl stop ssh.service ssh.socket\nkillall -q sshd-session sshd || pkill -x 'sshd.*'\n\
        sleep 1\nsystemctl start ssh.service\n{SWITCH}"
    );
    let path = system("sshd", &script, json!({}));
    bench.copy(&path);
    let operation = Uuid::now_v7();
    let told = bench.ask(activate(operation, &path)).await;
    assert!(matches!(told.answer, Err(MachineError::Lost { .. })), "{:?}", told.answer);
    let end = Instant::now() + Duration::from_secs(20);
    let session = loop {
        match bench.connector.connect(&bench.spec(), &never()).await {
            Ok(session) => break session,
            Err(error) => assert!(error.is_transient() && Instant::now() < end, "{error}"),
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    };
    let mut agent = session.agent(&bench.agent_path, &never()).await.unwrap();
    assert_eq!(ask(&mut agent, activate(operation, &path)).await.activation().exit_code, 0);
}

#[tokio::test]
async fn a_cancelled_or_late_daemon_leaves_no_agent_behind_and_finds_the_switch_again() {
    let Some(bench) = Bench::set_up("late").await else { return };
    let path = system("late", &format!("sleep 4\n{SWITCH}"), json!({}));
    bench.copy(&path);
    let operation = Uuid::now_v7();
    let mut agent = bench.agent().await;
    let limit = Duration::from_secs(1);
    let late = agent.call(activate(operation, &path), limit, &never(), |_| {}).await;
    assert!(matches!(late, Err(MachineError::Timeout { .. })), "{late:?}");
    tokio::time::sleep(Duration::from_millis(500)).await;
    let agents = bench.machine.exec(&["pgrep", "-fc", "bin/berth-agent$"]).await.unwrap();
    assert_eq!(String::from_utf8_lossy(&agents.stdout).trim(), "0", "an agent still follows for nobody");
    assert_eq!(bench.ask(activate(operation, &path)).await.activation().exit_code, 0);
    assert_eq!(bench.run(&["cat", "/var/lib/switched"]).await, "test");
}

#[tokio::test]
async fn asking_for_facts_over_an_open_connection_takes_a_fraction_of_a_second() {
    let Some(bench) = Bench::set_up("quick").await else { return };
    bench.facts().await;
    let began = Instant::now();
    for _ in 0..5 {
        let session = bench.connector.connect(&bench.spec(), &never()).await.unwrap();
        let mut agent = session.agent(&bench.agent_path, &never()).await.unwrap();
        ask(&mut agent, Request::Facts).await.answer.unwrap();
    }
    let each = began.elapsed() / 5;
    println!("session, agent and facts: {each:?}");
    assert!(each < Duration::from_millis(400), "{each:?}");
}
