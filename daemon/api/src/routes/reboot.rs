//! `/v1/tenants/{name}/reboot`: starting a tenant's machine anew.

use actix_web::web::{Data, Path};
use actix_web::{HttpRequest, HttpResponse, post};
use berth_contract::NewReboot;
use berth_domain::{Invalid, Operation, OperationKind, Permission, TenantName, TenantSpec, Timestamp};
use chrono::SecondsFormat;
use utoipa_actix_web::service_config::ServiceConfig;

use super::snapshots::operation_on;
use crate::auth::Caller;
use crate::body::{Body, named};
use crate::idempotency::{IdempotencyKey, Once};
use crate::openapi::Refusals;
use crate::problem::Problem;
use crate::state::Api;

pub(super) fn routes(config: &mut ServiceConfig<'_>) {
    config.service(create);
}

/// Starts a tenant's machine anew, waits until it is back with what was committed, and has every service asked. With
/// `in_window`, only within the tenant's maintenance window: outside of it the request is refused, and `Retry-After` says when
/// the next one begins. The answer names the operation to follow.
#[utoipa::path(
    operation_id = "rebootTenant", tag = "Deployments", request_body = NewReboot,
    params(
        ("name" = String, Path),
        IdempotencyKey
    ),
    responses((status = 202, body = Operation, headers(("Location" = String))), Refusals),
    security(("bearer" = ["tenant:write"]))
)]
#[post("/tenants/{name}/reboot")]
async fn create(
    caller: Caller,
    api: Data<Api>,
    request: HttpRequest,
    name: Path<String>,
    body: Body<NewReboot>,
) -> Result<HttpResponse, Problem> {
    let name: TenantName = named("tenant", &name)?;
    caller.require(Permission::WriteTenant(&name))?;
    let wanted = body.value?;
    let once = Once::read(&caller, &request, &body.bytes)?;
    if let Some(earlier) = once.earlier(&api).await? {
        return Ok(earlier);
    }
    let tenant = api.store().tenant(&name).await?;
    let operation = operation_on(&caller, &tenant, OperationKind::Reboot)?;
    if wanted.in_window {
        within_the_window(&tenant.spec, operation.created_at)?;
    }
    once.accept(&api, &operation, async |kept| api.engine.submit(&operation, kept).await).await
}

fn within_the_window(tenant: &TenantSpec, now: Timestamp) -> Result<(), Problem> {
    let Some(window) = &tenant.maintenance_window else {
        let rule = "can only be asked for where the tenant has a maintenance_window";
        return Err(Invalid::one("/in_window", "window", rule).into());
    };
    if window.is_open(now) {
        return Ok(());
    }
    let next = window.next(now);
    let detail = format!(
        "the maintenance window is from {} to {} UTC; it opens at {}",
        window.from,
        window.to,
        next.to_rfc3339_opts(SecondsFormat::Secs, true)
    );
    let mut problem = Problem::conflict("outside-window", detail);
    problem.retry_after = u64::try_from((next - now).num_seconds() + 1).ok();
    Err(problem)
}
