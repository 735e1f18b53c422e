//! `/v1/operations`: long-running jobs.

use std::str::FromStr;

use actix_web::web::{Data, Json, Path};
use actix_web::{HttpRequest, HttpResponse, get, post};
use berth_contract::{NewCancellation, Page};
use berth_domain::{Invalid, Operation, OperationId, OperationStatus, Permission, TenantName};
use berth_store::{OperationFilter, StoreError};
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_actix_web::service_config::ServiceConfig;

use crate::auth::Caller;
use crate::body::Body;
use crate::idempotency::{IdempotencyKey, Once};
use crate::openapi::Refusals;
use crate::paging::{self, MAX_LIMIT, page};
use crate::problem::Problem;
use crate::query::Query;
use crate::reply::Reply;
use crate::state::{Api, location};

pub(super) fn routes(config: &mut ServiceConfig<'_>) {
    config.service(list).service(show).service(cancel);
}

/// Which operations.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
struct Filter {
    /// Only this tenant's.
    tenant: Option<String>,
    /// Only those that stand there.
    #[param(value_type = Option<OperationStatus>)]
    status: Option<String>,
    /// How many at the most: 1 to 200, 50 when absent.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<u32>,
    /// The `next` of the page before.
    after: Option<String>,
}

impl Filter {
    fn read(&self) -> Result<OperationFilter, Problem> {
        let mut invalid = Invalid::default();
        let tenant =
            self.tenant.as_deref().and_then(|name| invalid.take("/tenant", TenantName::from_str(name)));
        let status = self.status.as_deref().and_then(|word| {
            let status = OperationStatus::from_word(word);
            if status.is_none() {
                invalid.push("/status", "one-of", "must be queued, running, succeeded, failed or cancelled");
            }
            status
        });
        Ok(invalid.or(OperationFilter { tenant, status })?)
    }
}

/// Operations, newest first; a token of one tenant sees that one's.
#[utoipa::path(operation_id = "listOperations", tag = "Operations", params(Filter), responses((status = 200, body = Page<Operation>), Refusals), security(("bearer" = ["authenticated"])))]
#[get("/operations")]
async fn list(
    caller: Caller,
    api: Data<Api>,
    wanted: Query<Filter>,
) -> Result<Json<Page<Operation>>, Problem> {
    caller.require(Permission::Authenticated)?;
    let mut filter = wanted.read()?;
    let limit = paging::limit(wanted.limit, MAX_LIMIT)?;
    if let Some(own) = caller.confined_to() {
        if filter.tenant.as_ref().is_some_and(|wanted| wanted != own) {
            return Ok(Json(Page { items: Vec::new(), next: None }));
        }
        filter.tenant = Some(own.clone());
    }
    let found = api.store().list_operations(&filter, wanted.after.as_deref(), limit).await?;
    Ok(Json(page(found, |operation| operation)))
}

/// One operation with its steps.
#[utoipa::path(operation_id = "getOperation", tag = "Operations", params(("id" = uuid::Uuid, Path)), responses((status = 200, body = Operation), Refusals), security(("bearer" = ["tenant:read"])))]
#[get("/operations/{id}")]
async fn show(caller: Caller, api: Data<Api>, id: Path<String>) -> Result<Json<Operation>, Problem> {
    Ok(Json(readable(&caller, &api, &id).await?))
}

/// Asks an operation to stop. It ends as `cancelled` at the next point at which that is safe, and leaves the machine
/// on the system that it had before.
#[utoipa::path(
    operation_id = "cancelOperation", tag = "Operations", request_body = NewCancellation,
    params(
        ("id" = uuid::Uuid, Path),
        IdempotencyKey
    ),
    responses((status = 202, body = Operation, headers(("Location" = String))), Refusals),
    security(("bearer" = ["tenant:write"]))
)]
#[post("/operations/{id}/cancel")]
async fn cancel(
    caller: Caller,
    api: Data<Api>,
    request: HttpRequest,
    id: Path<String>,
    body: Body<NewCancellation>,
) -> Result<HttpResponse, Problem> {
    let mut operation = readable(&caller, &api, &id).await?;
    caller.require(Permission::WriteTenant(&operation.tenant))?;
    body.value?;
    let once = Once::read(&caller, &request, &body.bytes)?;
    if let Some(earlier) = once.earlier(&api).await? {
        return Ok(earlier);
    }
    operation.cancel_requested = true;
    let reply = Reply::accepted(location(&operation), &operation)?;
    let kept = once.record(&reply)?;
    let outcome = api.engine.cancel(operation.id, &caller.token.name, kept.as_ref()).await;
    once.answer(&api, &reply, outcome).await
}

/// The operation, if there is one and the caller may read its tenant. Others' operations are not known to exist.
pub(super) async fn readable(caller: &Caller, api: &Api, id: &str) -> Result<Operation, Problem> {
    let unknown = || Problem::not_found("operation", id);
    let parsed = OperationId::try_parse(id).map_err(|_| unknown())?;
    match api.store().operation(parsed).await {
        Ok(operation) if caller.scope().allows(Permission::ReadTenant(&operation.tenant)) => Ok(operation),
        Ok(_) | Err(StoreError::NotFound { .. }) => Err(unknown()),
        Err(error) => Err(error.into()),
    }
}
