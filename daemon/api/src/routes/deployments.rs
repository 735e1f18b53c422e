//! `/v1/tenants/{name}/deployments`: bringing a tenant onto its machine.

use actix_web::web::{Data, Path};
use actix_web::{HttpRequest, HttpResponse, post};
use berth_contract::NewDeployment;
use berth_domain::{Operation, OperationKind, Permission, TenantName};
use chrono::{SubsecRound, Utc};
use utoipa_actix_web::service_config::ServiceConfig;

use super::previews;
use crate::auth::Caller;
use crate::body::{Body, named};
use crate::idempotency::{IdempotencyKey, Once};
use crate::openapi::Refusals;
use crate::problem::Problem;
use crate::state::Api;

pub(super) fn routes(config: &mut ServiceConfig<'_>) {
    config.service(create);
}

/// Deploys a tenant as it is specified now. The answer names the operation to follow. With `dry_run`, that one only finds
/// out what would change, as `POST …/preview` does.
#[utoipa::path(
    operation_id = "deployTenant", tag = "Deployments", request_body = NewDeployment,
    params(
        ("name" = String, Path),
        IdempotencyKey
    ),
    responses((status = 202, body = Operation, headers(("Location" = String))), Refusals),
    security(("bearer" = ["tenant:write"]))
)]
#[post("/tenants/{name}/deployments")]
async fn create(
    caller: Caller,
    api: Data<Api>,
    request: HttpRequest,
    name: Path<String>,
    body: Body<NewDeployment>,
) -> Result<HttpResponse, Problem> {
    let name: TenantName = named("tenant", &name)?;
    caller.require(Permission::WriteTenant(&name))?;
    let wanted = body.value?;
    let once = Once::read(&caller, &request, &body.bytes)?;
    if let Some(earlier) = once.earlier(&api).await? {
        return Ok(earlier);
    }
    let spec = api.store().tenant(&name).await?.spec;
    if wanted.dry_run {
        return previews::submit(&caller, &api, &once, &spec).await;
    }
    let machine = spec.machine;
    let by = caller.token.name.clone();
    let operation =
        Operation::queued(name, machine, OperationKind::Deploy, false, by, Utc::now().trunc_subsecs(3));
    once.accept(&api, &operation, async |kept| api.engine.submit(&operation, kept).await).await
}
