//! Why a step ended badly.

use berth_domain::StepName;
use berth_domain::operation::OperationError;
use berth_store::StoreError;

/// The code of a failure where the machine has no such system, or one that no manifest describes.
pub const NO_SUCH_SYSTEM: &str = "no-such-system";

/// The code of a failure where something else changes the machine.
pub const MACHINE_BUSY: &str = "machine-busy";

/// The code of a failure that the machine's agent told of.
pub const AGENT_FAILED: &str = "agent-failed";

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
}

impl StepError {
    /// A failure with nothing but words.
    pub fn failed(code: &'static str, message: impl Into<String>) -> Self {
        Self::Failed(Box::new(Failure { code, message: message.into(), ..Failure::default() }))
    }

    /// A failure that may pass by itself.
    pub fn transient(code: &'static str, message: impl Into<String>) -> Self {
        Self::Failed(Box::new(Failure {
            code,
            message: message.into(),
            retryable: true,
            ..Failure::default()
        }))
    }

    /// Whether what a machine was asked for may still go on there: it did not say that it failed.
    pub(crate) fn leaves_it_open(&self) -> bool {
        match self {
            Self::Cancelled | Self::Stopping => true,
            Self::Failed(failure) => {
                let over = [
                    NO_SUCH_SYSTEM,
                    MACHINE_BUSY,
                    AGENT_FAILED,
                    REBUILD_FAILED,
                    OTHER_SYSTEM,
                    NIXOPS4_FAILED,
                ];
                !over.contains(&failure.code)
            }
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

impl From<StoreError> for StepError {
    fn from(error: StoreError) -> Self {
        Self::transient("database", format!("the daemon's database failed: {error}"))
    }
}
