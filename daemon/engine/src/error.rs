//! Why a step ended badly.

use berth_domain::StepName;
use berth_domain::operation::OperationError;
use berth_seal::SealError;
use berth_store::StoreError;

/// The code of a failure where the machine has no such system, or one that no manifest describes.
pub const NO_SUCH_SYSTEM: &str = "no-such-system";

/// The code of a failure where something else changes the machine.
pub const MACHINE_BUSY: &str = "machine-busy";

/// The code of a failure that the machine's agent told of.
pub const AGENT_FAILED: &str = "agent-failed";

/// The code of a failure where the machine was put back on its previous system.
pub const REVERTED: &str = "reverted";

/// The code of a failure where the machine's dead-man timer put its previous system back.
pub const REVERTED_BY_TIMER: &str = "reverted-by-timer";

/// The code of a failure where another worker has taken the operation over.
pub const FENCED: &str = "fenced";

/// The code of a failure where a service's data is newer than the service.
pub const DATA_NEWER: &str = "data-newer";

/// The code of a failure where a machine did not come back from its reboot, or not with what was committed.
pub const REBOOT_FAILED: &str = "reboot-failed";

/// The code of a failure where services could not be captured.
pub const SNAPSHOT_INCOMPLETE: &str = "snapshot-incomplete";

/// The code of a failure where a bucket of a tenant's object store could not be copied, or put back.
pub const BUCKET_FAILED: &str = "bucket-failed";

/// The code of a failure where objects were moved and a new bucket does not have what the old one has.
pub const BUCKET_DIFFERS: &str = "bucket-differs";

/// The code of a refusal where a copy of a tenant would share its bucket.
pub const BUCKET_SHARED: &str = "bucket-shared";

/// The code of a refusal where objects of a bucket are to come back, and the tenant has no bucket for them.
pub const NO_BUCKET: &str = "no-bucket";

/// The code of a failure of the store behind the vault.
pub const VAULT_FAILED: &str = "vault-failed";

/// The code of a failure where what came onto a machine is not what somebody signed.
pub const STATE_DIFFERS: &str = "state-differs";

/// The code of a failure where services that were to be quiet are not, or were not all the time.
pub const NOT_QUIET: &str = "not-quiet";

/// The code of a failure where another provider serves the tenant, or may serve it.
pub const HANDED_OVER: &str = "handed-over";

/// The code of a failure where a secret can be neither sealed nor opened.
pub const SECRET_SEALED: &str = "secret-sealed";

/// The code of a snapshot that was due and could not begin in time.
pub const BACKUP_MISSED: &str = "backup-missed";

/// The code of a failure to remove snapshots from a vault.
pub const PRUNE_FAILED: &str = "prune-failed";

/// The code of a failure where snapshots of a vault are being read, so that nothing can be removed from it.
pub const VAULT_BUSY: &str = berth_store::backups::VAULT_BUSY;

/// The code of a failure where a snapshot is being removed, or is gone.
pub const SNAPSHOT_GONE: &str = "snapshot-gone";

/// The code of a failure where the newest whole snapshot was to be removed.
pub const NEWEST_SNAPSHOT: &str = "newest-snapshot";

/// The code of a drill in which something did not come back.
pub const DRILL_FAILED: &str = "drill-failed";

/// The target of a migration knows no rehearsals.
pub const REHEARSAL_UNKNOWN: &str = "rehearsal-unknown";

/// The services of a copy did not come up that was tried out.
pub const REHEARSAL_FAILED: &str = "rehearsal-failed";

/// The code of a drill that was due and could not begin in time.
pub const DRILL_MISSED: &str = "drill-missed";

/// The code of a failure to make a bundle.
pub const EXPORT_FAILED: &str = "export-failed";

/// The code of a failure where store paths on the machine's disk are not what they were.
pub const STORE_CORRUPTED: &str = "store-corrupted";

/// What is said when something will not be done, or was not: nothing goes on on the machine.
const NOTHING_GOES_ON: [&str; 10] = [
    NO_SUCH_SYSTEM,
    MACHINE_BUSY,
    AGENT_FAILED,
    REVERTED,
    REVERTED_BY_TIMER,
    FENCED,
    DATA_NEWER,
    REBUILD_FAILED,
    OTHER_SYSTEM,
    NIXOPS4_FAILED,
];

/// The code of a failure where the machine's driver cannot work on this host.
pub const DRIVER_MISSING: &str = "driver-missing";

/// The code of a failure of `nixos-rebuild` that ended by itself, so that nothing of it goes on.
pub const REBUILD_FAILED: &str = "rebuild-failed";

/// The code of a failure where a driver came to another system than the one that was evaluated and built.
pub const OTHER_SYSTEM: &str = "other-system";

/// The code of a failure of `nixops4` that ended by itself, so that nothing of it goes on.
pub const NIXOPS4_FAILED: &str = "nixops4-failed";

/// Why a step did not do what it should.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum StepError {
    /// Somebody asked for it.
    #[error("cancelled")]
    Cancelled,
    /// The daemon is stopping; its successor goes on.
    #[error("the daemon is stopping")]
    Stopping,
    /// Another daemon goes on with the operation.
    #[error("another daemon goes on with this operation")]
    LeaseLost,
    /// It failed.
    #[error("{}", .0.message)]
    Failed(Box<Failure>),
}

/// A failure as the client will see it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Failure {
    /// A stable name; the problems page of the documentation lists them.
    pub code: &'static str,
    /// What happened, for a person.
    pub message: String,
    /// The failing derivation.
    pub derivation: Option<String>,
    /// The log lines that belong to it.
    pub log: Vec<String>,
    /// Whether the same request may succeed later without any change.
    pub retryable: bool,
    /// Whether the same step may succeed when it is attempted again after a while, so that the operation need not fail.
    pub transient: bool,
}

impl StepError {
    /// A failure with nothing but words.
    pub fn failed(code: &'static str, message: impl Into<String>) -> Self {
        Self::Failed(Box::new(Failure { code, message: message.into(), ..Failure::default() }))
    }

    /// A failure that may pass by itself: the step is attempted again.
    pub fn transient(code: &'static str, message: impl Into<String>) -> Self {
        Self::Failed(Box::new(Failure {
            code,
            message: message.into(),
            retryable: true,
            transient: true,
            ..Failure::default()
        }))
    }

    /// A failure after which the whole operation may be asked for again, but this step need not be.
    pub fn retryable(code: &'static str, message: impl Into<String>) -> Self {
        let message = message.into();
        Self::Failed(Box::new(Failure { code, message, retryable: true, ..Failure::default() }))
    }

    /// Whether what a machine was asked for may still go on there: it did not say that it failed.
    pub(crate) fn leaves_it_open(&self) -> bool {
        match self {
            Self::Cancelled | Self::Stopping | Self::LeaseLost => true,
            Self::Failed(failure) => !NOTHING_GOES_ON.contains(&failure.code),
        }
    }

    /// Whether the machine could not be asked, and may answer later.
    pub(crate) fn is_out_of_touch(&self) -> bool {
        self.leaves_it_open() && matches!(self, Self::Failed(failure) if failure.retryable)
    }

    /// Whether the machine was asked and could not do it: its disk may be full, or something else changes it.
    pub(crate) fn is_of_the_machine(&self) -> bool {
        matches!(self, Self::Failed(failure) if [AGENT_FAILED, MACHINE_BUSY].contains(&failure.code))
    }

    /// Whether the machine may do later what it could not be asked for, or could not do, now.
    pub(crate) fn may_pass(&self) -> bool {
        self.is_of_the_machine() || self.is_out_of_touch()
    }

    /// The same failure, after which the step is attempted again if the machine may do later what it could not do now.
    pub(crate) fn tried_again(self) -> Self {
        let may_pass = self.may_pass();
        match self {
            Self::Failed(mut failure) if may_pass => {
                (failure.transient, failure.retryable) = (true, true);
                Self::Failed(failure)
            }
            other => other,
        }
    }

    /// The same failure with the log lines that belong to it.
    #[must_use]
    pub fn with_log(self, log: Vec<String>) -> Self {
        match self {
            Self::Failed(mut failure) => {
                failure.log = log;
                Self::Failed(failure)
            }
            other => other,
        }
    }
}

impl Failure {
    /// The failure as the operation keeps it.
    pub fn at(self, step: StepName) -> OperationError {
        OperationError {
            code: self.code.into(),
            message: self.message,
            step: Some(step),
            derivation: self.derivation,
            log: self.log,
            retryable: self.retryable,
        }
    }
}

impl From<SealError> for StepError {
    fn from(error: SealError) -> Self {
        Self::failed(SECRET_SEALED, error.to_string())
    }
}

impl From<StoreError> for StepError {
    fn from(error: StoreError) -> Self {
        if let StoreError::LeaseLost { .. } = error {
            return Self::LeaseLost;
        }
        let message = format!("the daemon's database failed: {error}");
        if error.is_transient() {
            Self::transient("database", message)
        } else {
            Self::retryable("database", message)
        }
    }
}
