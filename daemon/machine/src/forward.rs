//! A port of the machine's that leads to one of the daemon's, through the SSH connection that is open.
//!
//! The machine opens nothing to the outside and needs no way to the daemon: `ssh` listens on its loopback device only, on a
//! port that the machine chooses, and hands each connection on to the daemon's side (ssh(1), `-O forward` and `-R`).

use std::net::SocketAddr;
use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::connector::Shared;
use crate::error::MachineError;
use crate::ssh::{Endpoint, command, diagnosis};

/// How long the last attempt to close one may take, in which nobody waits properly.
const PARTING: Duration = Duration::from_secs(2);

/// A forwarded port. It ends with [`Forward::close`], when it is dropped, and with the connection; whoever uses it then finds
/// that nobody listens.
///
/// Two of one session that lead to the same address share one port, and end with the first that is closed.
#[derive(Debug)]
pub struct Forward {
    shared: Arc<Shared>,
    endpoint: Arc<Endpoint>,
    port: u16,
    rule: String,
    open: bool,
}

impl Forward {
    pub(crate) async fn open(
        shared: Arc<Shared>,
        endpoint: Arc<Endpoint>,
        local: SocketAddr,
    ) -> Result<Self, MachineError> {
        let rule = format!("127.0.0.1:0:{}", destination(local));
        let mut command = command::ssh(&shared.options.ssh, &endpoint, &["-O", "forward", "-R", &rule], &[]);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let output = command.output().await.map_err(MachineError::io("cannot run ssh"))?;
        let refused =
            |reason: String| MachineError::ForwardRefused { machine: endpoint.machine.name.clone(), reason };
        // OpenSSH's mux.c: the port that the machine chose is all that is printed.
        match String::from_utf8_lossy(&output.stdout).trim().parse() {
            Ok(port) if output.status.success() && port != 0 => {
                Ok(Self { shared, endpoint, port, rule, open: true })
            }
            _ => Err(refused(diagnosis::reason(&String::from_utf8_lossy(&output.stderr)))),
        }
    }

    /// The port on the machine's loopback device, `127.0.0.1`.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Closes the port; connections through it that are open go on.
    ///
    /// # Errors
    /// [`MachineError::Io`] where `ssh` cannot be run. A connection that has ended, and the port with it, is none.
    pub async fn close(mut self) -> Result<(), MachineError> {
        self.open = false;
        let mut command = self.cancel();
        command.status().await.map(drop).map_err(MachineError::io("cannot run ssh"))
    }

    fn cancel(&self) -> tokio::process::Command {
        let options = ["-O", "cancel", "-R", &self.rule];
        command::ssh(&self.shared.options.ssh, &self.endpoint, &options, &[])
    }
}

impl Drop for Forward {
    fn drop(&mut self) {
        if !self.open || !self.endpoint.socket().exists() {
            return;
        }
        // It is waited for, as one that were closed later might be the next one's, which gets the same port.
        let Ok(mut child) = self.cancel().into_std().spawn() else { return };
        let end = Instant::now() + PARTING;
        while Instant::now() < end && matches!(child.try_wait(), Ok(None)) {
            std::thread::sleep(Duration::from_millis(2));
        }
        let _ = child.kill();
        let _ = child.wait();
    }
}

/// An address as `ssh` takes it.
fn destination(local: SocketAddr) -> String {
    match local {
        SocketAddr::V4(address) => address.to_string(),
        SocketAddr::V6(address) => format!("[{}]:{}", address.ip(), address.port()),
    }
}
