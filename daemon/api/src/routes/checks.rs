//! `/v1/tenants/{name}/check`: whether a tenant's machine still is what was committed.

use actix_web::web::{Data, Path};
use actix_web::{HttpRequest, HttpResponse, post};
use berth_contract::NewCheck;
use berth_domain::{Condition, OperationStatus, Permission, TenantName};
use berth_store::{OperationFilter, StoreError};
use utoipa_actix_web::service_config::ServiceConfig;

use crate::auth::Caller;
use crate::body::{Body, named};
use crate::idempotency::{IdempotencyKey, Once};
use crate::openapi::Refusals;
use crate::problem::Problem;
use crate::reply::Reply;
use crate::state::Api;
use crate::tenant;

pub(super) fn routes(config: &mut ServiceConfig<'_>) {
    config.service(check);
}

/// Looks now whether a tenant's machine runs and boots what was committed, whether its services are healthy, and what else
/// is not as it should be; the tenant keeps it as `condition`. What is wrong with its backups is told as well. Nothing is corrected. A machine that cannot be asked is a
/// finding as well.
#[utoipa::path(
    operation_id = "checkTenant", tag = "Tenants", request_body = NewCheck,
    params(("name" = String, Path), IdempotencyKey),
    responses((status = 200, body = Condition), Refusals),
    security(("bearer" = ["tenant:write"]))
)]
#[post("/tenants/{name}/check")]
async fn check(
    caller: Caller,
    api: Data<Api>,
    request: HttpRequest,
    name: Path<String>,
    body: Body<NewCheck>,
) -> Result<HttpResponse, Problem> {
    let name: TenantName = named("tenant", &name)?;
    caller.require(Permission::WriteTenant(&name))?;
    body.value?;
    let once = Once::read(&caller, &request, &body.bytes)?;
    if let Some(earlier) = once.earlier(&api).await? {
        return Ok(earlier);
    }
    let tenant = api.store().tenant(&name).await?;
    refuse_while_it_is_worked_on(&api, &name).await?;
    let condition = api.engine.examine(&tenant).await?;
    let plan = api.store().backup_plans(std::slice::from_ref(&name)).await?.pop();
    // What is known of backups is no part of what is kept: it holds whenever it is asked for.
    let told = tenant::condition(&tenant, plan.as_ref(), Some(condition.clone()));
    let reply = Reply::done(&told)?;
    let kept = once.record(&reply)?;
    let outcome = api.engine.keep_condition(&tenant, &condition, kept.as_ref()).await;
    once.answer(&api, &reply, outcome).await
}

/// A machine in the middle of a switch is not as it should be, and that means nothing.
async fn refuse_while_it_is_worked_on(api: &Api, name: &TenantName) -> Result<(), Problem> {
    for status in [OperationStatus::Running, OperationStatus::Queued] {
        let filter = OperationFilter { tenant: Some(name.clone()), status: Some(status) };
        if let Some(operation) = api.store().list_operations(&filter, None, 1).await?.items.first() {
            return Err(StoreError::OperationRunning { operation: operation.id }.into());
        }
    }
    Ok(())
}
