//! What the failures of nix and of machines mean to a client. Codes are listed on the documentation's page
//! “Problems”.

use berth_machine::MachineError;
use berth_nix::{NixError, RebuildError};
use berth_protocol::FailureCode;

use crate::error::{AGENT_FAILED, DRIVER_MISSING, Failure, MACHINE_BUSY, NO_SUCH_SYSTEM, StepError};

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
                Self::Failed(Box::new(Failure { code, message, derivation, log, retryable: false }))
            }
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
            MachineError::AgentMissing { .. } => "agent-missing",
            MachineError::AgentProtocol { .. } | MachineError::AgentGarbled { .. } => "agent-protocol",
            MachineError::Failed { failure, .. } => match failure.code {
                FailureCode::NoSuchSystem => NO_SUCH_SYSTEM,
                FailureCode::Busy => MACHINE_BUSY,
                FailureCode::BadCall | FailureCode::Program | FailureCode::Io => AGENT_FAILED,
            },
            MachineError::RuntimeDir { .. } | MachineError::Io { .. } => "internal",
        };
        let retryable = error.is_transient();
        Self::Failed(Box::new(Failure { code, message: error.to_string(), retryable, ..Failure::default() }))
    }
}
