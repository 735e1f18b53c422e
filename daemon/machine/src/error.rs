//! What can go wrong between the daemon and a machine.

use std::path::PathBuf;
use std::time::Duration;

use berth_domain::MachineName;
use berth_protocol::Failure;

/// Why a machine could not be reached or did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum MachineError {
    /// No SSH server answers there.
    #[error("machine {machine} cannot be reached: {reason}")]
    Unreachable {
        /// The machine.
        machine: MachineName,
        /// `ssh`'s own words.
        reason: String,
    },
    /// What answers shows another host key than the registered one.
    #[error(
        "machine {machine} did not show its registered host key {expected}{}; \
         either it was reinstalled or somebody else answers at its address",
        .shown.as_ref().map(|shown| format!(" but {shown}")).unwrap_or_default()
    )]
    WrongHostKey {
        /// The machine.
        machine: MachineName,
        /// The registered key's fingerprint.
        expected: String,
        /// The fingerprint of the key that was shown, where `ssh` told it.
        shown: Option<String>,
    },
    /// The machine does not accept the daemon's key.
    #[error("machine {machine} refuses the daemon's SSH key for user {user}: {reason}")]
    AuthRefused {
        /// The machine.
        machine: MachineName,
        /// The user that was asked for.
        user: String,
        /// `ssh`'s own words.
        reason: String,
    },
    /// Something took longer than it may.
    #[error("machine {machine}: {what} took longer than {} s", .after.as_secs_f64())]
    Timeout {
        /// The machine.
        machine: MachineName,
        /// What took so long.
        what: String,
        /// How long was waited.
        after: Duration,
    },
    /// The agent's store path is not on the machine, or cannot run there.
    #[error("machine {machine} cannot start its agent {path}: {reason}")]
    AgentMissing {
        /// The machine.
        machine: MachineName,
        /// The agent's store path.
        path: String,
        /// The remote shell's own words.
        reason: String,
    },
    /// The agent speaks another version of the protocol.
    #[error("machine {machine} runs an agent of protocol {theirs}, but this daemon speaks {ours}")]
    AgentProtocol {
        /// The machine.
        machine: MachineName,
        /// The daemon's version.
        ours: u32,
        /// The agent's version.
        theirs: u32,
    },
    /// Something else than the protocol came.
    #[error("machine {machine} answered what is not the agent's protocol: {problem}")]
    AgentGarbled {
        /// The machine.
        machine: MachineName,
        /// What was wrong with it.
        problem: String,
    },
    /// The agent could not do what was asked.
    #[error("machine {machine}: {failure}")]
    Failed {
        /// The machine.
        machine: MachineName,
        /// The agent's words.
        failure: Failure,
    },
    /// The connection ended in the middle. What was started on the machine goes on there.
    #[error("the connection to machine {machine} was lost: {reason}")]
    Lost {
        /// The machine.
        machine: MachineName,
        /// Why, as far as `ssh` told.
        reason: String,
    },
    /// The machine's SSH server opens no port for the daemon.
    #[error("machine {machine} does not let a port be forwarded (sshd_config: AllowTcpForwarding): {reason}")]
    ForwardRefused {
        /// The machine.
        machine: MachineName,
        /// `ssh`'s own words.
        reason: String,
    },
    /// The caller asked to stop.
    #[error("cancelled")]
    Cancelled,
    /// The folder for sockets cannot be used.
    #[error("{} cannot hold SSH control sockets: {problem}", .path.display())]
    RuntimeDir {
        /// The folder.
        path: PathBuf,
        /// The rule that it breaks.
        problem: &'static str,
    },
    /// Something on the daemon's own side failed.
    #[error("{what}: {source}")]
    Io {
        /// What was tried.
        what: String,
        /// Why it failed.
        source: std::io::Error,
    },
}

impl MachineError {
    /// Whether the same request may succeed later although nobody changes anything.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Unreachable { .. } | Self::Timeout { .. } | Self::Lost { .. })
            || matches!(self, Self::Failed { failure, .. } if failure.code == berth_protocol::FailureCode::Busy)
    }

    /// A failure on the daemon's own side.
    pub(crate) fn io(what: impl Into<String>) -> impl FnOnce(std::io::Error) -> Self {
        move |source| Self::Io { what: what.into(), source }
    }
}
