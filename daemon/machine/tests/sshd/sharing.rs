//! Commands over a connection that is open: whoever holds it is asked, and `ssh` is started only where nobody can be.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use berth_machine::{Connector, ConnectorOptions, Session, StorePath};
use berth_nix::{Destination, Nix, NixError, NixOptions, Run};
use berth_protocol::{Answer, Request};

use crate::agents::{self, HELLO};
use crate::server::{Server, never};

const LIMIT: Duration = Duration::from_secs(10);

/// An `ssh` that notes what it is started for.
struct Noted {
    program: PathBuf,
    notes: PathBuf,
}

impl Noted {
    fn below(folder: &Path) -> Self {
        let (program, notes) = (folder.join("noted-ssh"), folder.join("notes"));
        let text = format!("#!/bin/sh\necho \"$*\" >> '{}'\nexec ssh \"$@\"\n", notes.display());
        fs::write(&program, text).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        Self { program, notes }
    }

    /// How often it was started for an agent.
    fn agents(&self) -> usize {
        fs::read_to_string(&self.notes).unwrap_or_default().matches("bin/berth-agent").count()
    }

    async fn session(&self, server: &Server) -> (Connector, Session) {
        let options = ConnectorOptions { ssh: self.program.clone(), ..server.options() };
        let connector = Connector::new(options).unwrap();
        let session = connector.connect(&server.machine(), &never()).await.unwrap();
        (connector, session)
    }
}

/// An agent that answers one question.
fn answering() -> Option<StorePath> {
    agents::script(&[HELLO, "read call", r#"echo '{"id":1,"done":{"logs":[]}}'"#, "cat > /dev/null"])
}

#[tokio::test]
async fn an_agent_is_started_over_the_open_connection_without_ssh() {
    let Some(server) = Server::start() else { return };
    let Some(path) = answering() else { return };
    let folder = tempfile::tempdir().unwrap();
    let noted = Noted::below(folder.path());
    let (_connector, session) = noted.session(&server).await;
    let mut agent = session.agent(&path, &never()).await.unwrap();
    let answer = agent.call(Request::Facts, LIMIT, &never(), |_| {}).await.unwrap();
    assert_eq!(answer, Answer::Logs(Vec::new()));
    assert_eq!((noted.agents(), server.authenticated()), (0, 1));
}

#[tokio::test]
async fn ssh_is_started_where_the_connection_has_ended() {
    let Some(server) = Server::start() else { return };
    let Some(path) = answering() else { return };
    let folder = tempfile::tempdir().unwrap();
    let noted = Noted::below(folder.path());
    let (connector, session) = noted.session(&server).await;
    connector.close(&server.machine()).await.unwrap();
    let mut agent = session.agent(&path, &never()).await.unwrap();
    agent.call(Request::Facts, LIMIT, &never(), |_| {}).await.unwrap();
    assert_eq!((noted.agents(), server.authenticated()), (1, 2));
}

#[tokio::test]
async fn ssh_is_started_where_the_machine_allows_no_more_over_one_connection() {
    let Some(server) = Server::start_with("MaxSessions 2\n") else { return };
    let Some(path) = answering() else { return };
    let folder = tempfile::tempdir().unwrap();
    let noted = Noted::below(folder.path());
    let (_connector, session) = noted.session(&server).await;
    let mut agents = Vec::new();
    for _ in 0..3 {
        agents.push(session.agent(&path, &never()).await.unwrap());
    }
    for agent in &mut agents {
        agent.call(Request::Facts, LIMIT, &never(), |_| {}).await.unwrap();
    }
    assert_eq!((noted.agents(), server.authenticated()), (1, 2), "{}", server.log());
}

#[tokio::test]
async fn nix_copies_over_the_open_connection_without_ssh() {
    let Some(server) = Server::start() else { return };
    let Some(path) = agents::script(&["exit 0"]) else { return };
    let (connector, session) = server.session().await;
    let (nix, bounds) = (Nix::new(NixOptions::default()), Run::within(LIMIT));
    let (url, socket) = (session.store_url(), session.socket());
    // With these, `ssh` gets nowhere.
    let to = Destination { url: &url, ssh_options: Some("-F none -p 1"), socket: Some(&socket) };
    let paths = [path.as_str().parse().unwrap()];
    nix.copy(&paths, to, &bounds, |_| {}).await.unwrap();
    assert_eq!(server.authenticated(), 1);
    connector.close(&server.machine()).await.unwrap();
    let error = nix.copy(&paths, to, &bounds, |_| {}).await.unwrap_err();
    assert!(matches!(&error, NixError::CopyFailed { message } if message.contains("vm1")), "{error}");
    let options = session.nix_ssh_opts();
    let to = Destination { ssh_options: Some(&options), ..to };
    nix.copy(&paths, to, &bounds, |_| {}).await.unwrap();
    assert_eq!(server.authenticated(), 2);
}
