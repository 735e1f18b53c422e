//! Connections that end in the middle: never a hang, and the next one is as good as the first.

use std::time::{Duration, Instant};

use berth_machine::{Agent, Connector, MachineError, Session, StorePath};
use berth_protocol::Request;

use crate::agents::{self, HELLO};
use crate::server::{Server, never, processes_about, signal};

/// Longer than a dead connection takes to be noticed.
const LIMIT: Duration = Duration::from_secs(60);

/// An agent that greets and never answers.
fn mute() -> Option<StorePath> {
    agents::script(&[HELLO, "exec sleep 300"])
}

async fn asking(server: &Server, path: &StorePath) -> (Connector, Session, Agent) {
    let (connector, session) = server.session().await;
    let agent = session.agent(path, &never()).await.unwrap();
    (connector, session, agent)
}

/// Asks, does `harm` meanwhile, and expects the connection to be lost within `within`.
async fn loses(agent: &mut Agent, harm: impl FnOnce(), within: Duration) -> String {
    let never = never();
    let harm = async {
        tokio::time::sleep(Duration::from_millis(200)).await;
        harm();
        Instant::now()
    };
    let (outcome, harmed) = tokio::join!(agent.call(Request::Facts, LIMIT, &never, |_| {}), harm);
    let took = harmed.elapsed();
    match outcome {
        Err(MachineError::Lost { reason, .. }) if took < within => reason,
        outcome => panic!("{outcome:?} after {took:?}"),
    }
}

#[tokio::test]
async fn a_connection_whose_ssh_is_killed_is_lost_at_once_and_made_anew() {
    let Some(server) = Server::start() else { return };
    let Some(path) = mute() else { return };
    let (connector, session, mut agent) = asking(&server, &path).await;
    let files = session.nix_ssh_opts().replace("-F ", "");
    let every_ssh = || processes_about(&files).into_iter().for_each(|pid| signal(pid, "KILL"));
    loses(&mut agent, every_ssh, Duration::from_secs(2)).await;
    let session = connector.connect(&server.machine(), &never()).await.unwrap();
    session.agent(&path, &never()).await.unwrap();
    assert_eq!(server.authenticated(), 2);
}

#[tokio::test]
async fn a_connection_that_the_machine_ends_is_lost_at_once() {
    let Some(server) = Server::start() else { return };
    let Some(path) = mute() else { return };
    let (_connector, _session, mut agent) = asking(&server, &path).await;
    let every_connection = || server.connections().into_iter().for_each(|pid| signal(pid, "KILL"));
    // OpenSSH 9.2 says nothing about it in the background; others may.
    let reason = loses(&mut agent, every_connection, Duration::from_secs(2)).await;
    assert!(reason == "the SSH connection ended" || reason.contains("closed"), "{reason}");
}

#[tokio::test]
async fn a_machine_that_falls_silent_is_noticed_within_fifteen_seconds() {
    let Some(server) = Server::start() else { return };
    let Some(path) = mute() else { return };
    let (_connector, _session, mut agent) = asking(&server, &path).await;
    let freeze = || server.connections().into_iter().for_each(|pid| signal(pid, "STOP"));
    let reason = loses(&mut agent, freeze, Duration::from_secs(15)).await;
    assert!(reason.contains("not responding"), "{reason}");
}

#[tokio::test]
async fn a_session_whose_connection_ended_meanwhile_still_starts_agents_under_the_same_pinning() {
    let Some(server) = Server::start() else { return };
    let Some(path) = mute() else { return };
    let (connector, session) = server.session().await;
    connector.close(&server.machine()).await.unwrap();
    session.agent(&path, &never()).await.unwrap();
    assert_eq!(server.authenticated(), 2);
    drop(server);
    let error = session.agent(&path, &never()).await.unwrap_err();
    assert!(matches!(error, MachineError::Lost { .. }), "{error}");
}
