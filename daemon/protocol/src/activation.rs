//! Switching, reverting and committing: who asks, how long the machine waits, and what became of it.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Who asks for a change of the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claim {
    /// The operation.
    pub operation: Uuid,
    /// The number under which its worker holds it. A machine refuses a lower one than it has seen, so that a worker
    /// whose operation was taken over changes nothing any more.
    pub fence: u64,
}

/// How long a machine waits for the commit before it puts the previous system back by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deadline {
    /// How long the switch itself may take, in seconds.
    pub switch_seconds: u64,
    /// How long the commit may take to come after the switch has ended, in seconds.
    pub commit_seconds: u64,
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

/// How an activation ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Activation {
    /// `switch-to-configuration`'s exit code.
    pub exit_code: i32,
    /// What the code means.
    pub outcome: ActivationOutcome,
    /// Units that are failed now, among those of the system; not looked for where the switch succeeded.
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

/// What became of an operation's activation, as the machine knows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum Outcome {
    /// The machine knows of none.
    Unknown,
    /// The switch goes on.
    Switching,
    /// The switch was killed before it ended; the dead-man timer waits.
    Killed,
    /// The switch has ended; the dead-man timer waits for the commit.
    Switched {
        /// `switch-to-configuration`'s exit code.
        exit_code: i32,
    },
    /// The system was committed.
    Committed {
        /// The profile's generation.
        generation: u64,
    },
    /// The previous system was put back.
    Reverted(Reverted),
    /// The switcher was not started, so nothing was changed.
    NeverSwitched {
        /// Why.
        message: String,
    },
}

/// How the previous system was put back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reverted {
    /// What put it back.
    pub by: RevertedBy,
    /// The system that the machine was put back on. Nothing where there was none before: then the services of the new one were
    /// stopped.
    pub to: Option<String>,
    /// What went wrong on the way back, if anything did, such as units that do not come up.
    pub problem: Option<String>,
}

/// What puts a previous system back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RevertedBy {
    /// The dead-man timer, because no commit came in time.
    Timer,
    /// [`Request::Revert`](crate::Request::Revert).
    Request,
    /// A boot of the machine, which runs the committed system.
    Reboot,
    /// Another operation, which switched the machine to a system of its own.
    Operation,
}
