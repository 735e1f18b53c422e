//! Refusals as problem details (RFC 9457, `application/problem+json`).

use std::fmt;
use std::ops::{Deref, DerefMut};

use actix_web::http::{StatusCode, header};
use actix_web::{HttpResponse, ResponseError};
use berth_contract::problem::PREFIX;
use berth_domain::Invalid;
use berth_domain::invalid::FieldError;
use berth_engine::StepError;
use berth_engine::buckets::SharedBucket;
use berth_engine::conditions::CheckError;
use berth_engine::error::BUCKET_SHARED;
use berth_engine::rollouts::SelectError;
use berth_store::StoreError;

/// Why a request was refused: the contract's problem, as a response.
#[derive(Debug, Clone, PartialEq)]
pub struct Problem(Box<berth_contract::Problem>);

impl Problem {
    /// A problem of a kind; `code` is the last part of its `type`.
    pub fn new(status: StatusCode, code: &str, title: &str, detail: impl Into<String>) -> Self {
        Self(Box::new(berth_contract::Problem {
            kind: format!("{PREFIX}{code}"),
            title: title.into(),
            status: status.as_u16(),
            detail: detail.into(),
            errors: Vec::new(),
            operation: None,
            retry_after: None,
        }))
    }

    /// Something that the request names does not exist, or must not be known to exist.
    pub fn not_found(what: &str, name: impl fmt::Display) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not-found", "Not found", format!("there is no {what} “{name}”"))
    }

    /// The token does not open this.
    pub fn forbidden(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, "forbidden", "Not allowed", detail)
    }

    /// The request cannot be read at all.
    pub fn bad_request(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "bad-request", "Bad request", detail)
    }

    /// The request collides with what is there.
    pub fn conflict(code: &str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, code, "Conflict", detail)
    }

    /// What the request expects to find is not there.
    pub fn precondition_failed(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::PRECONDITION_FAILED, "changed-meanwhile", "Changed meanwhile", detail)
    }

    /// The daemon cannot serve this now, but soon.
    pub fn stopping() -> Self {
        let detail = "the daemon is starting or stopping";
        let mut problem = Self::new(StatusCode::SERVICE_UNAVAILABLE, "stopping", "Not ready", detail);
        problem.retry_after = Some(5);
        problem
    }

    /// The daemon's own failure. What happened goes to the log, not to the client.
    pub fn internal(error: impl fmt::Display) -> Self {
        tracing::error!(%error, "a request failed");
        let detail = "the daemon failed; its log says why";
        let mut problem = Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "Internal error", detail);
        problem.retry_after = Some(5);
        problem
    }

    /// A copy of a tenant would share buckets with it; each setting that names one is told.
    pub fn shared_buckets(shared: &[SharedBucket]) -> Self {
        let detail: Vec<String> = shared.iter().map(SharedBucket::message).collect();
        let mut problem = Self::conflict(BUCKET_SHARED, detail.join("; "));
        problem.errors = shared
            .iter()
            .map(|one| FieldError {
                field: format!("/services/{}{}", one.service, one.setting),
                rule: BUCKET_SHARED.into(),
                message: format!("names the bucket {} of {}", one.bucket, one.owner),
            })
            .collect();
        problem
    }

    /// An operation has not ended yet, and its outcome is wanted.
    pub fn unfinished(operation: uuid::Uuid) -> Self {
        let detail = "the operation has not ended yet; follow its events";
        Self::conflict("operation-unfinished", detail).with_operation(operation)
    }

    fn with_operation(mut self, operation: uuid::Uuid) -> Self {
        self.operation = Some(operation);
        self
    }
}

impl Deref for Problem {
    type Target = berth_contract::Problem;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl DerefMut for Problem {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.0
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl std::error::Error for Problem {}

impl ResponseError for Problem {
    fn status_code(&self) -> StatusCode {
        StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    fn error_response(&self) -> HttpResponse {
        let mut response = HttpResponse::build(self.status_code());
        response.content_type("application/problem+json");
        if let Some(seconds) = self.retry_after {
            response.insert_header((header::RETRY_AFTER, seconds));
        }
        if self.status == StatusCode::UNAUTHORIZED.as_u16() {
            response.insert_header((header::WWW_AUTHENTICATE, "Bearer realm=\"berth\""));
        }
        response.body(serde_json::to_string(&*self.0).unwrap_or_default())
    }
}

impl From<Invalid> for Problem {
    fn from(invalid: Invalid) -> Self {
        let mut problem =
            Self::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid", "Invalid request", invalid.to_string());
        problem.errors = invalid.errors().to_vec();
        problem
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        let detail = error.to_string();
        match error {
            StoreError::NotFound { what, name } => Self::not_found(what, name),
            StoreError::Exists { .. } => Self::conflict("exists", detail),
            StoreError::DomainTaken { .. } => Self::conflict("domain-taken", detail),
            StoreError::MachineTaken { .. } => Self::conflict("machine-taken", detail),
            StoreError::MachineLent { .. } => Self::conflict("machine-lent", detail),
            StoreError::NoSnapshot { .. } => Self::conflict("no-snapshot", detail),
            StoreError::MachineHoldsData { .. } => Self::conflict("machine-holds-data", detail),
            StoreError::MachineInUse { .. } => Self::conflict("machine-in-use", detail),
            StoreError::TenantDeployed { .. } => Self::conflict("tenant-deployed", detail),
            StoreError::NoSuchMachine { .. } => {
                Invalid::one("/machine", "exists", "names a machine that is not registered").into()
            }
            StoreError::VersionMismatch { .. } => Self::precondition_failed(detail),
            StoreError::OperationRunning { operation } => {
                Self::conflict("operation-running", detail).with_operation(operation)
            }
            StoreError::Finished { operation, .. } => {
                Self::conflict("operation-finished", detail).with_operation(operation)
            }
            StoreError::StateLeased { .. } => {
                let mut problem = Self::conflict("state-leased", detail);
                problem.retry_after = Some(5);
                problem
            }
            StoreError::StateLeaseLost { .. } => Self::conflict("state-lease-lost", detail),
            StoreError::RolloutFinished { .. } => Self::conflict("rollout-finished", detail),
            StoreError::RolloutChanged => Self::conflict("rollout-changed", detail),
            StoreError::VaultInUse { operation } | StoreError::RepositoryInUse { operation } => {
                Self::conflict("operation-running", detail).with_operation(operation)
            }
            StoreError::NotDeployed { .. } => Self::conflict("not-deployed", detail),
            StoreError::InvalidCursor => {
                Invalid::one("/after", "cursor", "must be the `next` of an earlier page of this list").into()
            }
            other => Self::internal(other),
        }
    }
}

impl From<CheckError> for Problem {
    fn from(error: CheckError) -> Self {
        match error {
            CheckError::Store(error) => error.into(),
            CheckError::Daemon(error) => error.into(),
        }
    }
}

impl From<SelectError> for Problem {
    fn from(error: SelectError) -> Self {
        match error {
            SelectError::Invalid(invalid) => invalid.into(),
            SelectError::Store(error) => error.into(),
        }
    }
}

impl From<StepError> for Problem {
    fn from(error: StepError) -> Self {
        match error {
            StepError::Failed(failure) => {
                let status = StatusCode::SERVICE_UNAVAILABLE;
                let mut problem = Self::new(status, failure.code, "Not possible now", failure.message);
                problem.retry_after = failure.retryable.then_some(5);
                problem
            }
            StepError::Cancelled | StepError::Stopping | StepError::LeaseLost => Self::stopping(),
        }
    }
}
