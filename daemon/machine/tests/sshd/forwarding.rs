//! Ports that lead from a machine to the daemon.

use std::net::{Ipv4Addr, SocketAddr};

use berth_machine::MachineError;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::server::{Server, never, processes_about, signal};

/// Answers each connection with what it sent, once; returns where it listens.
async fn echo() -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut text = [0; 5];
            if stream.read_exact(&mut text).await.is_ok() {
                let _ = stream.write_all(&text).await;
            }
        }
    });
    address
}

/// What comes back through a port of this host, which is the machine too.
async fn said(port: u16) -> std::io::Result<String> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await?;
    stream.write_all(b"hello").await?;
    let mut text = String::new();
    stream.read_to_string(&mut text).await?;
    Ok(text)
}

#[tokio::test]
async fn a_port_of_the_machine_leads_to_the_daemon_until_it_is_closed_or_dropped() {
    let Some(server) = Server::start() else { return };
    let (_connector, session) = server.session().await;
    let local = echo().await;
    let forward = session.forward_to(local, &never()).await.unwrap();
    let port = forward.port();
    assert_ne!(port, local.port());
    for _ in 0..3 {
        assert_eq!(said(port).await.unwrap(), "hello");
    }
    let another = session.forward_to(echo().await, &never()).await.unwrap();
    assert_ne!(another.port(), port);
    forward.close().await.unwrap();
    assert!(said(port).await.is_err(), "it is closed");
    let dropped = another.port();
    assert_eq!(said(dropped).await.unwrap(), "hello");
    drop(another);
    assert!(said(dropped).await.is_err(), "it is closed when nobody has it any more");
    // One that is opened anew right away is not closed by the one before.
    let again = session.forward_to(local, &never()).await.unwrap();
    assert_eq!(said(again.port()).await.unwrap(), "hello");
    assert_eq!(server.authenticated(), 1, "everything goes over one connection");
}

#[tokio::test]
async fn a_forwarded_port_ends_with_its_connection_and_closing_it_then_is_no_error() {
    let Some(server) = Server::start() else { return };
    let (_connector, session) = server.session().await;
    let forward = session.forward_to(echo().await, &never()).await.unwrap();
    let port = forward.port();
    assert_eq!(said(port).await.unwrap(), "hello");
    let files = session.nix_ssh_opts().replace("-F ", "");
    processes_about(&files).into_iter().for_each(|pid| signal(pid, "KILL"));
    tokio::time::sleep(std::time::Duration::from_millis(500)).await;
    assert!(said(port).await.is_err(), "nobody listens any more");
    forward.close().await.unwrap();
    let error = session.forward_to(echo().await, &never()).await.unwrap_err();
    assert!(matches!(error, MachineError::ForwardRefused { .. }), "{error}");
}

#[tokio::test]
async fn a_machine_that_forwards_no_ports_says_so() {
    let Some(server) = Server::start_with("AllowTcpForwarding no\n") else { return };
    let (_connector, session) = server.session().await;
    let error = session.forward_to(echo().await, &never()).await.unwrap_err();
    assert!(
        matches!(&error, MachineError::ForwardRefused { machine, .. } if machine.as_str() == "vm1"),
        "{error}"
    );
}
