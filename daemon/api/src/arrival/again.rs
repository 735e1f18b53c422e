//! A tenant that is made of what somebody brought, and tries that are made again.

use actix_web::HttpResponse;
use berth_domain::{Mode, Operation, OperationStatus, TakenIn, TenantSpec};
use berth_store::StoreError;

use crate::idempotency::Once;
use crate::problem::Problem;
use crate::state::Api;

/// Whether the tenant that was made of the same is not here.
///
/// # Errors
/// A conflict of this name where it is; or the database failed.
pub(crate) async fn unused(api: &Api, earlier: &TakenIn, code: &str, what: &str) -> Result<(), Problem> {
    let is_here = match api.store().tenant(&earlier.tenant).await {
        Ok(tenant) => tenant.spec.mode != Mode::Standby || came_to_its_end(api, earlier).await?,
        Err(StoreError::NotFound { .. }) => false,
        Err(error) => return Err(error.into()),
    };
    if !is_here {
        return Ok(());
    }
    let detail = format!("the tenant {} was made of this very {what} already", earlier.tenant);
    Err(Problem::conflict(code, detail))
}

/// Whether an import did all that it should.
async fn came_to_its_end(api: &Api, taken_in: &TakenIn) -> Result<bool, Problem> {
    match api.store().operation(taken_in.operation).await {
        Ok(operation) if !operation.status.is_final() => {
            Err(StoreError::OperationRunning { operation: operation.id }.into())
        }
        Ok(operation) => Ok(operation.status == OperationStatus::Succeeded),
        Err(StoreError::NotFound { .. }) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Writes the tenant down, or what becomes of the one that an earlier try left, and submits the operation that makes it.
///
/// # Errors
/// Something came in between; or the database failed.
pub(crate) async fn make(
    api: &Api,
    once: &Once<'_>,
    operation: &Operation,
    spec: &TenantSpec,
    own: Option<i64>,
) -> Result<HttpResponse, Problem> {
    let now = operation.created_at;
    match own {
        None => api.store().create_tenant(spec, now, None).await?,
        Some(version) => api.store().update_tenant(spec, Some(version), now).await?,
    };
    once.accept(api, operation, async |kept| api.engine.submit(operation, kept).await).await
}
