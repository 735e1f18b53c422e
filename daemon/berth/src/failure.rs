//! How a command fails: what is said, what to do about it, and the exit code.

use std::process::ExitCode;

use berth_client::ClientError;
use berth_domain::operation::OperationError;
use berth_domain::{Operation, OperationId, OperationStatus, Rollout, RolloutId, RolloutStatus, TenantName};
use serde_json::{Value, json};

use crate::advice;
use crate::commands::rollout;

/// Why a command did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The API refused, or could not be asked.
    #[error("{0}")]
    Client(#[from] ClientError),
    /// The operation ended otherwise than well. It was shown already.
    #[error("{}", describe(.0))]
    Operation(Box<Operation>),
    /// The rollout ended otherwise than well.
    #[error("{}", describe_rollout(.0))]
    Rollout(Box<Rollout>),
    /// A check found something. It was shown already.
    #[error("not everything of {tenant} is as it should be")]
    Unsound {
        /// The tenant.
        tenant: TenantName,
    },
    /// Watching was interrupted; the rollout goes on.
    #[error("no longer watching; the rollout goes on")]
    DetachedRollout(RolloutId),
    /// Watching was interrupted; the operation goes on.
    #[error("no longer watching; the operation goes on")]
    Detached(OperationId),
    /// The user ended the demo.
    #[error("interrupted; everything was put away")]
    Interrupted,
    /// The user had no answer to a question.
    #[error("interrupted; nothing was changed")]
    Unanswered,
    /// What was given on the command line does not fit together.
    #[error("{0}")]
    Usage(String),
    /// Machines cannot be had on this host.
    #[error("{what}")]
    NoMachines {
        /// What could not be had.
        what: String,
        /// What to do about it.
        advice: String,
        /// What this host lacks.
        missing: Vec<String>,
    },
    /// A folder that cannot be taken back. Why was shown already.
    #[error("nothing was taken back: {0} of the folder’s parts cannot be")]
    NotAdopted(usize),
    /// A bundle that is not whole. What is wrong with it was shown already.
    #[error("the bundle is not whole: {0} of its parts are not as they were signed")]
    NotWhole(u64),
    /// A bundle that is whole, and signed by somebody else. It was shown already.
    #[error("the bundle is not signed with a trusted key")]
    ForeignSigner,
    /// A migration's proof that does not hold. Why was shown already.
    #[error("what the two signatures say does not hold")]
    NotProven,
    /// Some of the demo's services did not answer as they should. What they said was shown already.
    #[error("not every service answered as it should: {0}")]
    Visits(String),
    /// Something on this side failed.
    #[error("{what}")]
    Local {
        /// What.
        what: String,
        /// What to do about it, if anything.
        advice: Option<String>,
    },
}

/// The crate's result.
pub type Result<T> = std::result::Result<T, Failure>;

impl Failure {
    /// A failure on this side.
    pub fn local(what: impl Into<String>) -> Self {
        Self::Local { what: what.into(), advice: None }
    }

    /// A failure on this side that the user can do something about.
    pub fn advised(what: impl Into<String>, advice: impl Into<String>) -> Self {
        Self::Local { what: what.into(), advice: Some(advice.into()) }
    }

    /// What failed on this side, in its own words.
    pub fn local_error(error: impl std::error::Error) -> Self {
        Self::local(error.to_string())
    }

    /// The number that `berth --help` explains.
    pub fn code(&self) -> u8 {
        match self {
            Self::Client(error) if error.is_absence() => 4,
            Self::Client(_) | Self::Visits(_) | Self::NotAdopted(_) | Self::Local { .. } => 1,
            Self::NotWhole(_) | Self::ForeignSigner | Self::NotProven => 1,
            Self::Usage(_) => 2,
            Self::NoMachines { .. } => 3,
            Self::Operation(operation) if operation.status == OperationStatus::Cancelled => 6,
            Self::Rollout(rollout) if rollout.status == RolloutStatus::Aborted => 6,
            Self::Operation(_) | Self::Rollout(_) | Self::Unsound { .. } => 5,
            Self::Detached(_) | Self::DetachedRollout(_) | Self::Interrupted | Self::Unanswered => 130,
        }
    }

    /// The same for the system.
    pub fn exit_code(&self) -> ExitCode {
        ExitCode::from(self.code())
    }

    /// What to do about it.
    pub fn advice(&self) -> Option<String> {
        match self {
            Self::Client(error) => advice::for_client(error),
            Self::Detached(id) => {
                Some(format!("berth watch {id} shows it again\nberth operation cancel {id} ends it"))
            }
            Self::DetachedRollout(id) => {
                Some(format!("berth rollout watch {id} shows it again\nberth rollout abort {id} ends it"))
            }
            Self::Rollout(rollout) => Some(format!("berth rollout show {} has it all", rollout.id)),
            Self::NoMachines { advice, .. } => Some(advice.clone()),
            Self::Local { advice, .. } => advice.clone(),
            Self::Operation(operation) => advice::for_operation(operation),
            Self::Visits(_)
            | Self::NotAdopted(_)
            | Self::NotWhole(_)
            | Self::ForeignSigner
            | Self::NotProven
            | Self::Interrupted
            | Self::Unanswered
            | Self::Usage(_)
            | Self::Unsound { .. } => None,
        }
    }

    /// Whether the result that says it all was written already.
    pub fn was_shown(&self) -> bool {
        matches!(
            self,
            Self::Operation(_)
                | Self::Rollout(_)
                | Self::Unsound { .. }
                | Self::Visits(_)
                | Self::NotAdopted(_)
                | Self::NotWhole(_)
                | Self::ForeignSigner
                | Self::NotProven
        )
    }

    /// The same for programs.
    pub fn json(&self) -> Value {
        let code = match self {
            Self::Client(ClientError::Refused(problem)) => problem.code(),
            Self::Client(error) if error.is_absence() => "unreachable",
            Self::Client(_) => "client",
            Self::Operation(_) => "operation",
            Self::Rollout(_) => "rollout",
            Self::Unsound { .. } => "unsound",
            Self::Visits(_) => "visits",
            Self::NotAdopted(_) => "not-adopted",
            Self::NotWhole(_) => "not-whole",
            Self::ForeignSigner => "foreign-signer",
            Self::NotProven => "not-proven",
            Self::Detached(_) | Self::DetachedRollout(_) | Self::Interrupted | Self::Unanswered => {
                "interrupted"
            }
            Self::Usage(_) => "usage",
            Self::NoMachines { .. } => "no-machines",
            Self::Local { .. } => "local",
        };
        let problem = match self {
            Self::Client(error) => error.problem(),
            _ => None,
        };
        let mut error = json!({"code": code, "message": self.to_string()});
        if let Some(advice) = self.advice() {
            error["advice"] = advice.into();
        }
        if let Some(problem) = problem {
            error["problem"] = json!(problem);
        }
        if let Self::NoMachines { missing, .. } = self {
            error["missing"] = json!(missing);
        }
        json!({ "error": error })
    }
}

fn describe_rollout(rollout: &Rollout) -> String {
    let summary = rollout::summary(rollout);
    rollout.error.as_ref().map_or(summary.clone(), |error| format!("{summary}: {}", error.message))
}

fn describe(operation: &Operation) -> String {
    let kind = operation.kind;
    match &operation.error {
        _ if operation.status == OperationStatus::Cancelled => {
            format!("the {kind} of {} was cancelled", operation.tenant)
        }
        Some(OperationError { message, step: Some(step), .. }) => {
            format!("the {kind} of {} failed at the step “{step}”: {message}", operation.tenant)
        }
        Some(OperationError { message, .. }) => {
            format!("the {kind} of {} failed: {message}", operation.tenant)
        }
        None => format!("the {kind} of {} ended as {}", operation.tenant, operation.status),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn operation(status: OperationStatus) -> Failure {
        let kind = berth_domain::OperationKind::Deploy;
        let (tenant, machine) = ("acme".parse().unwrap(), "vm1".parse().unwrap());
        let now = chrono::DateTime::UNIX_EPOCH;
        let mut operation = Operation::queued(tenant, machine, kind, false, "admin".into(), now);
        operation.status = status;
        Failure::Operation(Box::new(operation))
    }

    #[test]
    fn every_failure_has_the_exit_code_that_the_help_promises() {
        let absent = ClientError::Unreachable { url: "u".into(), reason: "r".into() };
        assert_eq!(Failure::from(absent).code(), 4);
        assert_eq!(Failure::from(ClientError::BadToken).code(), 1);
        assert_eq!(operation(OperationStatus::Failed).code(), 5);
        assert_eq!(operation(OperationStatus::Cancelled).code(), 6);
        assert_eq!(Failure::Detached(OperationId::nil()).code(), 130);
        assert_eq!(Failure::local("x").code(), 1);
    }

    #[test]
    fn a_detached_watch_says_how_to_cancel() {
        let advice = Failure::Detached(OperationId::nil()).advice().unwrap();
        assert!(advice.contains("berth operation cancel 00000000"), "{advice}");
    }

    #[test]
    fn a_refusal_reaches_a_program_whole() {
        let problem = serde_json::from_value(json!({
            "type": "urn:berth:problem:invalid", "title": "Invalid request", "status": 422, "detail": "d",
            "errors": [{"field": "/domain", "rule": "domain", "message": "m"}]
        }));
        let failure = Failure::from(ClientError::Refused(Box::new(problem.unwrap())));
        let json = failure.json();
        assert_eq!(json["error"]["code"], "invalid");
        assert_eq!(json["error"]["problem"]["errors"][0]["field"], "/domain");
    }
}
