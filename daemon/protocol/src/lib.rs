//! The JSON lines that the daemon and `berth-agent` exchange over the standard streams of one SSH connection.
//!
//! The agent greets first: one [`Hello`] line. Then each line from the daemon is a [`Call`], and the agent answers it
//! with any number of [`Reply::Note`] lines and exactly one [`Reply::Done`] or [`Reply::Failed`], all carrying the
//! call's id. Calls are answered in the order in which they came. The agent ends when its standard input ends; what
//! it started on the machine (an activation) goes on in a systemd unit of its own and is found again by its
//! operation's id. No line is longer than [`MAX_LINE`] bytes.

use berth_domain::machine::MachineFacts;
use berth_domain::manifest::Probe;
use berth_domain::preview::MachineChange;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

pub mod nixops4;
pub mod secret;
pub mod store_path;

pub use secret::{GivenSecret, SecretText};
pub use store_path::{InvalidStorePath, StorePath};

/// The protocol's version; daemon and agent must agree on it.
pub const PROTOCOL: u32 = 1;

/// The longest line, in bytes, that either side accepts.
pub const MAX_LINE: usize = 4 * 1024 * 1024;

/// The agent's first line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// The protocol's version.
    pub protocol: u32,
    /// The agent's own version.
    pub version: String,
}

/// A line from the daemon.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Call {
    /// Chosen by the daemon; repeated in every line that answers it.
    pub id: u64,
    /// What is asked.
    #[serde(flatten)]
    pub request: Request,
}

/// What the daemon can ask.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "op", rename_all = "snake_case")]
pub enum Request {
    /// What is this machine? Answered by [`Answer::Facts`].
    Facts,
    /// Switch to a system. Idempotent by `operation`: an activation that runs is followed, one that has ended is
    /// reported again. Answered by [`Answer::Activation`]; the switcher's own lines come as notes.
    Activate {
        /// The operation that asks.
        operation: Uuid,
        /// The system's store path.
        system: String,
        /// How to switch.
        action: SwitchAction,
    },
    /// What would switching to a system do? Changes nothing. Answered by [`Answer::DryActivation`].
    DryActivate {
        /// The system's store path.
        system: String,
    },
    /// Wait, up to `timeout_seconds`, until nothing switches this machine: neither an agent nor anybody's
    /// `switch-to-configuration`. Answered by [`Answer::Quiet`], or by [`FailureCode::Busy`].
    AwaitQuiet {
        /// How long to wait, in seconds.
        timeout_seconds: u64,
    },
    /// Put a system's secrets in place before it is switched to: those that somebody gave, and those that are generated.
    /// Answered by [`Answer::Prepared`].
    PrepareSecrets {
        /// The system whose manifest lists them.
        system: String,
        /// Those that were given.
        given: Vec<GivenSecret>,
    },
    /// Does the running system serve? Waits up to `timeout_seconds` for units to become active and probes to
    /// succeed, as the manifest of `system` lists them. Answered by [`Answer::Health`].
    Probe {
        /// The system whose manifest is obeyed.
        system: String,
        /// How long to wait for health, in seconds.
        timeout_seconds: u64,
    },
    /// Make a system the one that boots: the profile, then the boot entry. Answered by [`Answer::Committed`].
    Commit {
        /// The system's store path.
        system: String,
    },
    /// The newest journal lines of some units. Answered by [`Answer::Logs`].
    Logs {
        /// The units.
        units: Vec<String>,
        /// How many lines of each.
        lines: u32,
    },
    /// Remove the data that `system`'s manifest lists: stop the services, drop the databases, delete the
    /// directories and secrets. Answered by [`Answer::Wiped`].
    Wipe {
        /// The system whose state contract is obeyed.
        system: String,
    },
}

/// How `switch-to-configuration` is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SwitchAction {
    /// Activate now, and make it the default for the next boot.
    Switch,
    /// Activate now; the next boot is what it was.
    Test,
    /// Only make it the default for the next boot.
    Boot,
    /// Only tell what `test` would do.
    DryActivate,
}

impl SwitchAction {
    /// The word on the command line.
    pub fn word(self) -> &'static str {
        match self {
            Self::Switch => "switch",
            Self::Test => "test",
            Self::Boot => "boot",
            Self::DryActivate => "dry-activate",
        }
    }
}

/// A line from the agent after its greeting.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Response {
    /// The call that is answered.
    pub id: u64,
    /// The answer.
    #[serde(flatten)]
    pub reply: Reply,
}

/// What a response carries.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reply {
    /// Something happened on the way.
    Note(Note),
    /// The call succeeded.
    Done(Answer),
    /// The call failed.
    Failed(Failure),
}

/// Something that happened on the way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Note {
    /// A line that a program wrote.
    Line(String),
    /// So many of so many probes and units are healthy.
    Progress {
        /// How many are.
        done: u64,
        /// How many there are.
        expected: u64,
    },
}

/// What a call that succeeded answers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// To [`Request::Facts`].
    Facts(Box<MachineFacts>),
    /// To [`Request::AwaitQuiet`].
    Quiet,
    /// To [`Request::PrepareSecrets`].
    Prepared,
    /// To [`Request::Activate`].
    Activation(Activation),
    /// To [`Request::DryActivate`].
    DryActivation(Box<MachineChange>),
    /// To [`Request::Probe`].
    Health(Health),
    /// To [`Request::Commit`].
    Committed {
        /// The profile's generation that now points at the system.
        generation: u64,
        /// Whether anything had to be written.
        changed: bool,
    },
    /// To [`Request::Logs`].
    Logs(Vec<UnitLog>),
    /// To [`Request::Wipe`].
    Wiped {
        /// What was removed, in words such as `database gitea`.
        removed: Vec<String>,
    },
}

/// How an activation ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Activation {
    /// `switch-to-configuration`'s exit code.
    pub exit_code: i32,
    /// What the code means.
    pub outcome: ActivationOutcome,
    /// Units that are failed now, among those of the system.
    pub failed_units: Vec<String>,
}

/// What `switch-to-configuration`'s exit code means (nixpkgs, `switch-to-configuration-ng`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ActivationOutcome {
    /// 0: done.
    Done,
    /// 2: the activation script failed.
    ScriptFailed,
    /// 4: units failed to start, restart or reload.
    UnitsFailed,
    /// 100: the init system's interface changed; only a reboot takes it over.
    NeedsReboot,
    /// Any other: the switcher itself failed.
    Failed,
}

impl ActivationOutcome {
    /// What an exit code means.
    pub fn of(exit_code: i32) -> Self {
        match exit_code {
            0 => Self::Done,
            2 => Self::ScriptFailed,
            4 => Self::UnitsFailed,
            100 => Self::NeedsReboot,
            _ => Self::Failed,
        }
    }
}

/// What was found when a system was probed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Health {
    /// Whether every unit is active and every probe succeeded.
    pub healthy: bool,
    /// Each unit that the manifest names.
    pub units: Vec<UnitHealth>,
    /// Each probe that the manifest names.
    pub probes: Vec<ProbeHealth>,
}

/// A unit's state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnitHealth {
    /// The service that it belongs to.
    pub service: String,
    /// The unit's name.
    pub unit: String,
    /// systemd's `ActiveState`, such as `active` or `failed`.
    pub state: String,
    /// Whether that is what it should be.
    pub healthy: bool,
}

/// A probe's outcome.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProbeHealth {
    /// The service that it belongs to.
    pub service: String,
    /// What was asked and expected.
    pub probe: Probe,
    /// The status code that came, if any answer did.
    pub status: Option<u16>,
    /// Whether the answer was the expected one.
    pub healthy: bool,
    /// Why not.
    pub problem: Option<String>,
}

/// A unit's newest journal lines.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnitLog {
    /// The unit's name.
    pub unit: String,
    /// The lines, oldest first.
    pub lines: Vec<String>,
}

/// Why a call failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    /// A stable name.
    pub code: FailureCode,
    /// What happened, for a person.
    pub message: String,
}

/// The kinds of failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureCode {
    /// The line was not a call that this agent understands.
    BadCall,
    /// The named system is not in this machine's store, or has no manifest.
    NoSuchSystem,
    /// Another operation's activation is running on this machine.
    Busy,
    /// A program that the agent needs failed or could not be started.
    Program,
    /// Reading or writing on the machine failed.
    Io,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_look_as_documented() {
        let call =
            Call { id: 7, request: Request::Probe { system: "/nix/store/x".into(), timeout_seconds: 30 } };
        insta::assert_snapshot!(serde_json::to_string(&call).unwrap(), @r#"{"id":7,"op":"probe","system":"/nix/store/x","timeout_seconds":30}"#);
        let note = Response { id: 7, reply: Reply::Note(Note::Progress { done: 1, expected: 3 }) };
        insta::assert_snapshot!(serde_json::to_string(&note).unwrap(), @r#"{"id":7,"note":{"progress":{"done":1,"expected":3}}}"#);
        let done = Response { id: 7, reply: Reply::Done(Answer::Committed { generation: 2, changed: true }) };
        insta::assert_snapshot!(serde_json::to_string(&done).unwrap(), @r#"{"id":7,"done":{"committed":{"generation":2,"changed":true}}}"#);
        let again: Response =
            serde_json::from_str(r#"{"id":1,"failed":{"code":"busy","message":"m"}}"#).unwrap();
        assert!(matches!(again.reply, Reply::Failed(Failure { code: FailureCode::Busy, .. })));
    }
}
