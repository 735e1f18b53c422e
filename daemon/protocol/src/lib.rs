//! The JSON lines that the daemon and `berth-agent` exchange over the standard streams of one SSH connection.
//!
//! The agent greets first: one [`Hello`] line. Then each line from the daemon is a [`Call`], and the agent answers it
//! with any number of [`Reply::Note`] lines and exactly one [`Reply::Done`] or [`Reply::Failed`], all carrying the
//! call's id. Calls are answered in the order in which they came. The agent ends when its standard input ends; what
//! it started on the machine (an activation, a capture) goes on in a systemd unit of its own and is found again by its
//! operation's id. No line is longer than [`MAX_LINE`] bytes.

use berth_domain::ServiceName;
use berth_domain::machine::MachineFacts;
use berth_domain::manifest::Probe;
use berth_domain::preview::MachineChange;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

pub mod activation;
pub mod nixops4;
pub mod secret;
pub mod state;
pub mod store_path;
pub mod tenant_file;

pub use activation::{
    Activation, ActivationOutcome, Claim, Deadline, Outcome, Reverted, RevertedBy, SwitchAction,
};
pub use secret::{GivenSecret, SecretText};
pub use state::{
    Capture, Captured, DatabaseFingerprint, DirectoryFingerprint, Fingerprint, Follower, Pass, Replica,
    Replicate, Repository, RestorePart, RestoredAhead, SecretsPart, ServiceCapture, ServiceFingerprint,
    Transfer, TransferPhase,
};
pub use store_path::{InvalidStorePath, StorePath};
pub use tenant_file::{GivenSetting, TenantFile, TenantFileError};

/// The protocol's version; daemon and agent must agree on it.
pub const PROTOCOL: u32 = 9;

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
    /// Switch to a system. A dead-man timer is started first: it puts the committed system back unless
    /// [`Request::Commit`] comes in time. Idempotent by operation: an activation that runs is followed, one that has
    /// ended is reported again, and one that was reverted is refused with [`FailureCode::Reverted`]. Answered by
    /// [`Answer::Activation`]; the switcher's own lines come as notes.
    Activate {
        /// Who asks.
        #[serde(flatten)]
        claim: Claim,
        /// The system's store path.
        system: String,
        /// How to switch.
        action: SwitchAction,
        /// When the machine stops waiting for the commit.
        deadline: Deadline,
    },
    /// Is all that a system needs on the disk as Nix registered it? It is looked at only where the machine was started anew
    /// since the last look, or `always`. Answered by [`Answer::Store`].
    CheckStore {
        /// The system's store path.
        system: String,
        /// Whether there is reason to look in any case.
        always: bool,
    },
    /// Wait longer for the commit: at least so many seconds from now. Answered by [`Answer::Outcome`].
    Extend {
        /// Who asks.
        #[serde(flatten)]
        claim: Claim,
        /// The seconds.
        seconds: u64,
    },
    /// Put the machine back on the system that was committed before. Idempotent; without a record of such an
    /// operation, a machine that runs another system than the committed one is put back on it. Answered by
    /// [`Answer::Outcome`]; the switcher's own lines come as notes.
    Revert {
        /// Who asks.
        #[serde(flatten)]
        claim: Claim,
        /// The system that others than the agent were switching to and may not have finished: the machine is switched back
        /// whatever it says that it runs.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        from: Option<String>,
    },
    /// What became of an operation's activation? Answered by [`Answer::Outcome`].
    Outcome {
        /// The operation.
        operation: Uuid,
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
        /// Who asks.
        #[serde(flatten)]
        claim: Claim,
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
    /// Make a system the one that boots: the profile, then the boot entry, then the dead-man timer is stopped. Refused
    /// with [`FailureCode::Reverted`] where the machine was put back meanwhile. Answered by [`Answer::Committed`].
    Commit {
        /// Who asks.
        #[serde(flatten)]
        claim: Claim,
        /// The system's store path.
        system: String,
        /// How many generations of the profile to keep; older ones go, but never what runs, has booted or was
        /// committed before.
        keep_generations: u32,
    },
    /// Start the machine anew, once for this operation: whoever asks again hears whether it has been. Answered by
    /// [`Answer::Reboot`] before the machine goes down.
    Reboot {
        /// Who asks.
        #[serde(flatten)]
        claim: Claim,
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
        /// Who asks.
        #[serde(flatten)]
        claim: Claim,
        /// The system whose state contract is obeyed.
        system: String,
    },
    /// Copy the state that `system`'s manifest lists to a repository, a restic snapshot for each service. It goes on in a unit
    /// of its own when the connection is lost. Idempotent by operation and pass: the same request asked again follows it, or
    /// is told how it ended, where it ended well; services that failed are then tried anew. Whatever ends it, services that it
    /// stopped serve again, but for those of a [`Pass::Final`] that ended. Answered by [`Answer::Captured`].
    Capture {
        /// Who asks.
        #[serde(flatten)]
        claim: Claim,
        /// The system whose state contract is obeyed.
        system: String,
        /// Where the snapshots go. One that is not there yet is made.
        repository: Repository,
        /// What it does to the services.
        pass: Pass,
        /// The services; all without it.
        services: Option<Vec<ServiceName>>,
        /// A tag of every snapshot that it makes: letters, digits and `.:_-`.
        tag: String,
        /// Who follows what changes from pass to pass.
        #[serde(default)]
        follower: Follower,
        /// Which databases are told by what changes in them, where somebody follows.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        replicate: Option<Replicate>,
        /// How long it may take, in seconds.
        limit_seconds: u64,
    },
    /// Wait longer until the services serve again that a [`Pass::Final`] of this operation left quiet: at least so many seconds
    /// from now. Answered by [`Answer::KeptQuiet`], which proves that they were quiet all the time; by
    /// [`FailureCode::NotQuiet`] where they were not.
    KeepQuiet {
        /// Who asks.
        #[serde(flatten)]
        claim: Claim,
        /// The seconds.
        seconds: u64,
    },
    /// Have the services serve again that a [`Pass::Final`] of this operation left quiet. Captures of
    /// it that are still under way are ended. Idempotent. Answered by [`Answer::Resumed`].
    Resume {
        /// Who asks.
        #[serde(flatten)]
        claim: Claim,
        /// Whether the next pass goes through everything, and does not go on from what these have sent.
        anew: bool,
    },
    /// Bring snapshots back: all of them, or the machine is as it was. Refused before anything is touched where a snapshot does
    /// not fit `system`'s manifest ([`FailureCode::StateMismatch`]) or its data is newer ([`FailureCode::DataNewer`]). It goes
    /// on when the connection is lost. Idempotent by operation: the same request asked again follows it, or is told that it
    /// succeeded; one that failed is tried anew. Answered by [`Answer::Restored`].
    Restore {
        /// Who asks.
        #[serde(flatten)]
        claim: Claim,
        /// The system whose state contract is obeyed.
        system: String,
        /// Where the snapshots are.
        repository: Repository,
        /// The snapshots.
        parts: Vec<RestorePart>,
        /// Whose secrets come back with them, in place of those that are not the same.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        secrets: Option<SecretsPart>,
        /// Whether files that [`Request::RestoreAhead`] has brought are kept where they look as they did when they were
        /// captured, by size and time of change. Whether they are, the caller has to find out.
        reuse: bool,
        /// How long it may take, in seconds.
        limit_seconds: u64,
    },
    /// Restore the newest snapshot of each service's directories beside what is there, over what an earlier request of this
    /// kind has brought: only what is not the same is written. Exchanges nothing and stops nothing; what it brings is of use
    /// to a [`Request::Restore`] of this operation, or to the next request of this kind. It goes on when the connection is
    /// lost, and is followed by whoever asks meanwhile. Answered by [`Answer::RestoredAhead`].
    RestoreAhead {
        /// Who asks.
        #[serde(flatten)]
        claim: Claim,
        /// The system whose state contract is obeyed.
        system: String,
        /// Where the snapshots are.
        repository: Repository,
        /// How long it may take, in seconds.
        limit_seconds: u64,
    },
    /// The secrets that `system`'s services made of chance, and whose loss would cost something. Answered by
    /// [`Answer::Secrets`].
    SecretsOf {
        /// Who asks.
        #[serde(flatten)]
        claim: Claim,
        /// The system whose manifest lists them.
        system: String,
    },
    /// Take over such secrets, in place of those that this machine made or would make. To be asked before the first switch to
    /// `system`: services that run already read theirs again only when they are started anew. All are checked before any is
    /// written. Answered by [`Answer::Prepared`].
    AdoptSecrets {
        /// Who asks.
        #[serde(flatten)]
        claim: Claim,
        /// The system whose manifest lists them.
        system: String,
        /// The secrets.
        secrets: Vec<GivenSecret>,
    },
    /// Read all files, so that a fingerprint reads only those that have changed since. The services may go on meanwhile. It ends
    /// with the connection. Answered by [`Answer::Summed`].
    SumAhead {
        /// Who asks.
        #[serde(flatten)]
        claim: Claim,
        /// The system whose state contract lists them.
        system: String,
    },
    /// What tells this state from another? Stops nothing; to be asked while the services are quiet. It ends with the
    /// connection. Answered by [`Answer::Fingerprint`].
    Fingerprint {
        /// Who asks.
        #[serde(flatten)]
        claim: Claim,
        /// The system whose state contract is obeyed.
        system: String,
    },
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
    /// How far the state of a service is on its way.
    Transfer(Transfer),
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
    /// To [`Request::CheckStore`].
    Store(StoreCheck),
    /// To [`Request::Outcome`], [`Request::Extend`] and [`Request::Revert`].
    Outcome(Outcome),
    /// To [`Request::Probe`].
    Health(Health),
    /// To [`Request::Commit`].
    Committed {
        /// The profile's generation that now points at the system.
        generation: u64,
        /// Whether anything had to be written.
        changed: bool,
    },
    /// To [`Request::Reboot`].
    Reboot {
        /// Whether the machine was started anew since the operation asked for the first time.
        done: bool,
    },
    /// To [`Request::Logs`].
    Logs(Vec<UnitLog>),
    /// To [`Request::Wipe`].
    Wiped {
        /// What was removed, in words such as `database gitea`.
        removed: Vec<String>,
    },
    /// To [`Request::Capture`].
    Captured(Capture),
    /// To [`Request::KeepQuiet`].
    KeptQuiet,
    /// To [`Request::Resume`].
    Resumed {
        /// Units that did not come up.
        not_started: Vec<String>,
    },
    /// To [`Request::Restore`].
    Restored,
    /// To [`Request::RestoreAhead`]; null where this machine's restic writes no snapshot over an older one (before 0.17).
    RestoredAhead(Option<RestoredAhead>),
    /// To [`Request::SecretsOf`].
    Secrets(Vec<GivenSecret>),
    /// To [`Request::SumAhead`].
    Summed,
    /// To [`Request::Fingerprint`].
    Fingerprint(Box<Fingerprint>),
}

/// What was found of the paths that a system needs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoreCheck {
    /// Those that Nix calls valid, and that are not on the disk as they were registered.
    pub damaged: Vec<StorePath>,
    /// Some were found before and have been sent again since; what reads them may not have noticed.
    pub was_damaged: bool,
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
    /// Where something is not well: the units of the machine that have failed and that the manifest does not name. What it names
    /// may only wait for one of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub also_failed: Vec<String>,
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
    /// The certificate that was shown, DER in Base64; only where any will do and so has to be the machine's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate: Option<String>,
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
    /// The operation's activation was reverted; it cannot go on.
    Reverted,
    /// The same, by the dead-man timer: no commit came in time.
    RevertedByTimer,
    /// The machine has seen a higher fencing number: another worker has taken over.
    Fenced,
    /// A service's data was written by a newer version than the system's.
    DataNewer,
    /// A snapshot does not hold what the system's manifest lists.
    StateMismatch,
    /// Services that should have been quiet are not, or were not all the time.
    NotQuiet,
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
        let moved = Transfer {
            phase: TransferPhase::Backup,
            service: "web".parse().unwrap(),
            bytes_done: 1,
            bytes_expected: 2,
            files_done: 3,
            files_expected: 4,
        };
        let note = Response { id: 7, reply: Reply::Note(Note::Transfer(moved)) };
        insta::assert_snapshot!(serde_json::to_string(&note).unwrap(), @r#"{"id":7,"note":{"transfer":{"phase":"backup","service":"web","bytes_done":1,"bytes_expected":2,"files_done":3,"files_expected":4}}}"#);
        let again: Response =
            serde_json::from_str(r#"{"id":1,"failed":{"code":"busy","message":"m"}}"#).unwrap();
        assert!(matches!(again.reply, Reply::Failed(Failure { code: FailureCode::Busy, .. })));
    }
}
