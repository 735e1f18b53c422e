//! What can be done over a connection to a machine.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use berth_domain::MachineSpec;
use berth_protocol::StorePath;
use berth_remote::Running;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::agent::Agent;
use crate::connector::{Shared, or_cancelled};
use crate::error::MachineError;
use crate::forward::Forward;
use crate::ssh::{Endpoint, command, diagnosis};

/// How long a quick question to the machine may take.
const QUICK: Duration = Duration::from_secs(30);

/// An authenticated connection to a machine. Dropping it leaves the connection open for the next session.
#[derive(Debug)]
pub struct Session {
    shared: Arc<Shared>,
    endpoint: Arc<Endpoint>,
}

impl Session {
    pub(crate) fn new(shared: Arc<Shared>, endpoint: Arc<Endpoint>) -> Self {
        Self { shared, endpoint }
    }

    /// The machine.
    pub fn machine(&self) -> &MachineSpec {
        &self.endpoint.machine
    }

    /// The URL of the machine's store. The host in it is the machine's name, which only the
    /// configuration in [`Session::nix_ssh_opts`] resolves; so IPv6 addresses and ports need no notation in it.
    pub fn store_url(&self) -> String {
        format!("ssh-ng://{}", self.destination())
    }

    /// Where whoever holds this connection can be asked to start commands.
    pub fn socket(&self) -> PathBuf {
        self.endpoint.socket()
    }

    /// The value of `NIX_SSHOPTS` with which [`Session::store_url`] goes over this very connection, or, should it
    /// have ended, over another one with the same key and the same pinned host key.
    pub fn nix_ssh_opts(&self) -> String {
        format!("-F {}", self.endpoint.config().display())
    }

    /// The machine as `ssh` takes it, `user@machine`, for programs that call `ssh` themselves; to be used with
    /// [`Session::ssh_opts`].
    pub fn destination(&self) -> String {
        format!("{}@{}", self.machine().user.as_str(), self.machine().name)
    }

    /// The options with which `ssh` goes over this very connection even where a program adds options of its own behind
    /// them: of two that say the same, `ssh` obeys the first.
    pub fn ssh_opts(&self) -> String {
        let socket = self.endpoint.socket();
        format!("{} -o ControlMaster=no -o ControlPath={}", self.nix_ssh_opts(), socket.display())
    }

    /// Starts the agent that stands at a store path of the machine.
    ///
    /// # Errors
    /// [`MachineError::AgentMissing`] where the path is not there, [`MachineError::AgentProtocol`] for an agent of
    /// another version, and what keeps a connection from being made.
    pub async fn agent(&self, path: &StorePath, cancel: &CancellationToken) -> Result<Agent, MachineError> {
        let program = format!("{path}/bin/berth-agent");
        let words = ["exec", &program];
        let start = async {
            let ssh = || command::ssh(&self.shared.options.ssh, &self.endpoint, &[], &words);
            let running = Running::over(&self.endpoint.socket(), &words, ssh).await;
            let running = running.map_err(MachineError::io("cannot run ssh"))?;
            Agent::greet(running, Arc::clone(&self.endpoint), path).await
        };
        or_cancelled(cancel, self.within(QUICK, "starting the agent", start)).await
    }

    /// Whether a store path exists on the machine. (Nix lets nothing appear there before it is complete.)
    ///
    /// # Errors
    /// [`MachineError::Lost`] and what keeps a connection from being made.
    pub async fn has_path(&self, path: &StorePath, cancel: &CancellationToken) -> Result<bool, MachineError> {
        let mut command =
            command::ssh(&self.shared.options.ssh, &self.endpoint, &[], &["test", "-e", path.as_str()]);
        command.stderr(Stdio::piped());
        let ask = async {
            let output = command.output().await.map_err(MachineError::io("cannot run ssh"))?;
            match output.status.code() {
                Some(0) => Ok(true),
                Some(1) => Ok(false),
                _ => Err(diagnosis::of_connecting(self.machine(), &String::from_utf8_lossy(&output.stderr))),
            }
        };
        or_cancelled(cancel, self.within(QUICK, "looking for a store path", ask)).await
    }

    /// Has a port of the machine's loopback device lead to an address of the daemon's own, as long as the connection lasts.
    ///
    /// # Errors
    /// [`MachineError::ForwardRefused`] where the machine's SSH server does not allow it or the connection has ended,
    /// [`MachineError::Timeout`] where nobody answers.
    pub async fn forward_to(
        &self,
        local: SocketAddr,
        cancel: &CancellationToken,
    ) -> Result<Forward, MachineError> {
        let open = Forward::open(Arc::clone(&self.shared), Arc::clone(&self.endpoint), local);
        or_cancelled(cancel, self.within(QUICK, "forwarding a port", open)).await
    }

    async fn within<T>(
        &self,
        limit: Duration,
        what: &str,
        work: impl Future<Output = Result<T, MachineError>>,
    ) -> Result<T, MachineError> {
        let late = |_| MachineError::Timeout {
            machine: self.machine().name.clone(),
            what: what.into(),
            after: limit,
        };
        timeout(limit, work).await.map_err(late)?
    }
}
