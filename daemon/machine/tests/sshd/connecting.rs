//! Connecting, and every reason why it does not succeed.

use std::net::{SocketAddr, TcpListener};
use std::time::{Duration, Instant};

use berth_machine::{Connector, ConnectorOptions, MachineError};
use futures_util::future::join_all;
use tokio_util::sync::CancellationToken;

use crate::server::{Server, keygen, machine, never, processes_about};

#[tokio::test]
async fn a_machine_is_connected_to_once_however_often_and_by_how_many_it_is_asked_for() {
    let Some(server) = Server::start() else { return };
    let connector = server.connector();
    let spec = server.machine();
    let never = never();
    let all = (0..8).map(|_| connector.connect(&spec, &never));
    for session in join_all(all).await {
        session.unwrap();
    }
    let began = Instant::now();
    for _ in 0..20 {
        connector.clone().connect(&spec, &never).await.unwrap();
    }
    assert!(began.elapsed() < Duration::from_millis(200), "sharing took {:?}", began.elapsed());
    assert_eq!(server.authenticated(), 1);
    connector.try_anew(&spec, &never).await.unwrap();
    assert_eq!(server.authenticated(), 2, "a new connection must be a new one");
}

#[tokio::test]
async fn a_new_connection_agrees_on_keys_quickly_where_the_machine_lets_it() {
    // What was agreed on is only in a talkative log; its lines get into what sessions say as well.
    let Some(server) = Server::start_with("LogLevel DEBUG1\n") else { return };
    server.connector().try_anew(&server.machine(), &never()).await.unwrap();
    assert!(server.log().contains("kex: algorithm: curve25519-sha256"), "{}", server.log());
    // One that insists on another way is entered nevertheless.
    let insists = "LogLevel DEBUG1\nKexAlgorithms sntrup761x25519-sha512@openssh.com\n";
    let Some(strict) = Server::start_with(insists) else { return };
    strict.connector().try_anew(&strict.machine(), &never()).await.unwrap();
    assert!(strict.log().contains("kex: algorithm: sntrup761x25519-sha512"), "{}", strict.log());
}

#[tokio::test]
async fn a_closed_port_is_unreachable_in_sshs_own_words() {
    let Some(server) = Server::start() else { return };
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let error = server.connector().connect(&machine(address, &server.host_key), &never()).await.unwrap_err();
    let MachineError::Unreachable { machine, reason } = &error else { panic!("{error}") };
    assert_eq!(machine.as_str(), "vm1");
    assert_eq!(*reason, format!("connect to host 127.0.0.1 port {}: Connection refused", address.port()));
    assert!(error.is_transient());
}

#[tokio::test]
async fn an_address_that_never_answers_is_given_up_in_time() {
    let Some(server) = Server::start() else { return };
    // RFC 5737: nobody has this address.
    let nowhere: SocketAddr = "192.0.2.1:22".parse().unwrap();
    // Accepts, and never says a word.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    for address in [nowhere, silent.local_addr().unwrap()] {
        let options = ConnectorOptions { connect_timeout: Duration::from_secs(2), ..server.options() };
        let began = Instant::now();
        let connector = Connector::new(options).unwrap();
        let error = connector.connect(&machine(address, &server.host_key), &never()).await.unwrap_err();
        assert!(matches!(error, MachineError::Unreachable { .. }), "{error}");
        assert!(began.elapsed() < Duration::from_secs(4), "{:?}", began.elapsed());
    }
}

#[tokio::test]
async fn a_machine_that_shows_another_host_key_is_refused_with_both_fingerprints() {
    let Some(server) = Server::start() else { return };
    let registered = keygen(&server.folder().join("other"), "ed25519");
    let spec = machine(server.address, &registered);
    let connector = server.connector();
    // A connection that was opened with the right key must not serve the one with the wrong key.
    connector.connect(&server.machine(), &never()).await.unwrap();
    let error = connector.connect(&spec, &never()).await.unwrap_err();
    let MachineError::WrongHostKey { expected, shown, .. } = &error else { panic!("{error}") };
    assert_eq!(*expected, spec.host_key.fingerprint());
    assert_eq!(*shown, Some(server.machine().host_key.fingerprint()));
    assert!(!error.is_transient());
    assert!(matches!(connector.try_anew(&spec, &never()).await, Err(MachineError::WrongHostKey { .. })));
}

#[tokio::test]
async fn a_machine_that_has_no_host_key_of_the_registered_type_is_refused() {
    let Some(server) = Server::start_at("127.0.0.1", "ecdsa") else { return };
    let registered = keygen(&server.folder().join("other"), "ed25519");
    let error =
        server.connector().connect(&machine(server.address, &registered), &never()).await.unwrap_err();
    assert!(matches!(error, MachineError::WrongHostKey { .. }), "{error}");
    server.connector().connect(&server.machine(), &never()).await.unwrap();
}

#[tokio::test]
async fn a_key_that_the_machine_does_not_know_is_refused_as_such() {
    let Some(server) = Server::start() else { return };
    let stranger = server.folder().join("stranger");
    keygen(&stranger, "ed25519");
    let options = ConnectorOptions { identity_file: stranger, ..server.options() };
    let error = Connector::new(options).unwrap().connect(&server.machine(), &never()).await.unwrap_err();
    let MachineError::AuthRefused { user, reason, .. } = &error else { panic!("{error}") };
    assert_eq!(user, server.machine().user.as_str());
    assert!(reason.contains("Permission denied (publickey)"), "{reason}");
}

#[tokio::test]
async fn a_missing_key_file_is_named_before_anything_is_tried() {
    let error = Connector::new(ConnectorOptions::with_identity("/no/such/key")).unwrap_err();
    assert!(matches!(&error, MachineError::Io { what, .. } if what.contains("/no/such/key")), "{error}");
}

#[tokio::test]
async fn a_cancelled_attempt_ends_at_once_and_leaves_no_process() {
    let Some(server) = Server::start() else { return };
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let runtime_dir = server.folder().parent().unwrap().join(format!("berth-cancel-{}", std::process::id()));
    let options = ConnectorOptions { runtime_dir: Some(runtime_dir.clone()), ..server.options() };
    let connector = Connector::new(options).unwrap();
    let cancel = CancellationToken::new();
    let spec = machine(silent.local_addr().unwrap(), &server.host_key);
    let (outcome, ()) = tokio::join!(connector.connect(&spec, &cancel), async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        assert!(!processes_about(runtime_dir.to_str().unwrap()).is_empty(), "ssh is not even running");
        cancel.cancel();
    });
    assert!(matches!(outcome, Err(MachineError::Cancelled)));
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert!(processes_about(runtime_dir.to_str().unwrap()).is_empty());
    std::fs::remove_dir_all(&runtime_dir).unwrap();
}

#[tokio::test]
async fn connections_end_with_the_last_connector() {
    let Some(server) = Server::start() else { return };
    let (connector, session) = server.session().await;
    let folder = session.nix_ssh_opts().strip_prefix("-F ").map(std::path::PathBuf::from).unwrap();
    let folder = folder.parent().unwrap().to_owned();
    drop(connector);
    assert!(folder.exists(), "the session still needs it");
    tokio::task::spawn_blocking(move || drop(session)).await.unwrap();
    assert!(!folder.exists());
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert!(processes_about(folder.to_str().unwrap()).is_empty());
}
