//! What the failures of nix and of machines mean to a client. Codes are listed on the documentation's page
//! “Problems”.

use berth_machine::MachineError;
use berth_nix::{NixError, RebuildError};
use berth_protocol::FailureCode;

use crate::error::{
    AGENT_FAILED, DATA_NEWER, DRIVER_MISSING, FENCED, Failure, MACHINE_BUSY, NO_SUCH_SYSTEM, NOT_QUIET,
    REVERTED, REVERTED_BY_TIMER, StepError,
};

impl From<NixError> for StepError {
    fn from(error: NixError) -> Self {
        let message = error.to_string();
        match error {
            NixError::Cancelled => Self::Cancelled,
            NixError::BuildFailed { derivation, log, message } => {
                let message = match &derivation {
                    Some(derivation) => format!("building {derivation} failed"),
                    None => message,
                };
                let code = "build-failed";
                Self::Failed(Box::new(Failure { code, message, derivation, log, ..Failure::default() }))
            }
            NixError::NoBuilder { .. } => Self::transient("no-builder", message),
            NixError::EvaluationFailed { .. } => Self::failed("evaluation-failed", message),
            NixError::CopyFailed { .. } => Self::transient("copy-failed", message),
            NixError::Timeout { .. } => Self::transient("timeout", message),
            NixError::NotFound { .. } | NixError::Unsupported { .. } => Self::failed("nix-missing", message),
            NixError::Io { .. } | NixError::CommandFailed { .. } => Self::transient("nix-failed", message),
            NixError::UnexpectedOutput { .. } | NixError::BadArgument { .. } => {
                Self::failed("nix-failed", message)
            }
        }
    }
}

impl From<RebuildError> for StepError {
    fn from(error: RebuildError) -> Self {
        match error {
            RebuildError::Run(error) => error.into(),
            missing => Self::failed(DRIVER_MISSING, missing.to_string()),
        }
    }
}

impl From<MachineError> for StepError {
    fn from(error: MachineError) -> Self {
        let code = match &error {
            MachineError::Cancelled => return Self::Cancelled,
            MachineError::Unreachable { .. } => "machine-unreachable",
            MachineError::WrongHostKey { .. } => "wrong-host-key",
            MachineError::AuthRefused { .. } => "authentication-refused",
            MachineError::Timeout { .. } => "timeout",
            MachineError::Lost { .. } => "connection-lost",
            MachineError::ForwardRefused { .. } => "forward-refused",
            MachineError::AgentMissing { .. } => "agent-missing",
            MachineError::AgentProtocol { .. } | MachineError::AgentGarbled { .. } => "agent-protocol",
            MachineError::Failed { failure, .. } => match failure.code {
                FailureCode::NoSuchSystem => NO_SUCH_SYSTEM,
                FailureCode::Busy => MACHINE_BUSY,
                FailureCode::Reverted => REVERTED,
                FailureCode::RevertedByTimer => REVERTED_BY_TIMER,
                FailureCode::Fenced => FENCED,
                FailureCode::DataNewer => DATA_NEWER,
                FailureCode::StateMismatch => "state-mismatch",
                FailureCode::NotQuiet => NOT_QUIET,
                FailureCode::BadCall | FailureCode::Program | FailureCode::Io => AGENT_FAILED,
            },
            MachineError::RuntimeDir { .. } | MachineError::Io { .. } => "internal",
        };
        if error.is_transient() {
            Self::transient(code, error.to_string())
        } else {
            Self::failed(code, error.to_string())
        }
    }
}
