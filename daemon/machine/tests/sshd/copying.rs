//! `nix copy` over the session's own connection.

use std::path::Path;
use std::process::Command;

use berth_machine::Session;

use crate::agents;
use crate::server::{Server, never};

/// Copies a path into a store below `root`, through the session's URL and options.
fn copy(session: &Session, path: &str, root: &Path) {
    let remote_store = format!("local?root={}", root.display()).replace('?', "%3f").replace('=', "%3d");
    let mut nix = Command::new("nix");
    nix.args(["--extra-experimental-features", "nix-command", "copy", "--no-check-sigs", "--to"]);
    nix.arg(format!("{}?remote-store={remote_store}", session.store_url())).arg(path);
    let output = nix.env("NIX_SSHOPTS", session.nix_ssh_opts()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(root.join(path.trim_start_matches('/')).join("bin/berth-agent").exists());
}

#[tokio::test]
async fn nix_copies_over_the_connection_that_is_open_already() {
    let Some(server) = Server::start() else { return };
    let Some(path) = agents::script(&["exit 0"]) else { return };
    let (_connector, session) = server.session().await;
    let root = tempfile::tempdir().unwrap();
    copy(&session, path.as_str(), root.path());
    assert_eq!(server.authenticated(), 1);
}

#[tokio::test]
async fn nix_copies_to_an_ipv6_address_with_a_port_and_connects_itself_where_the_connection_has_ended() {
    let Some(server) = Server::start_at("::1", "ed25519") else {
        eprintln!("SKIPPED: this host has no IPv6 or no sshd");
        return;
    };
    let Some(path) = agents::script(&["exit 0"]) else { return };
    let (connector, session) = server.session().await;
    connector.close(&server.machine()).await.unwrap();
    let root = tempfile::tempdir().unwrap();
    copy(&session, path.as_str(), root.path());
    assert_eq!(server.authenticated(), 2);
    session.has_path(&path, &never()).await.unwrap();
}
