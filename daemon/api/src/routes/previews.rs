//! `/v1/tenants/{name}/preview`: what a deployment would change, without changing anything.

use actix_web::web::{Data, Json, Path};
use actix_web::{HttpRequest, HttpResponse, get, post};
use berth_domain::{Operation, OperationKind, Permission, Preview, TenantDraft, TenantName, TenantSpec};
use berth_store::TenantRecord;
use chrono::{SubsecRound, Utc};
use utoipa_actix_web::service_config::ServiceConfig;

use super::operations::readable;
use crate::auth::Caller;
use crate::body::{Body, named};
use crate::idempotency::{IdempotencyKey, Once};
use crate::openapi::Refusals;
use crate::problem::Problem;
use crate::state::Api;
use crate::tenant::{may_change, specified_as};

pub(super) fn routes(config: &mut ServiceConfig<'_>) {
    config.service(create).service(show);
}

/// Finds out what a deployment would change: of the tenant as `PUT` would make it, or, without a body, as it is
/// specified now. What `PUT` would refuse is refused. Nothing is changed: neither the tenant nor its machine.
///
/// It is evaluated and built for that, so the answer names an operation (`preview`) to follow, whose outcome is then at
/// `GET /v1/operations/{id}/preview`. `POST …/deployments` with `dry_run` is the same without a body.
#[utoipa::path(
    operation_id = "previewTenant", tag = "Deployments", request_body = Option<TenantDraft>,
    params(("name" = String, Path), IdempotencyKey),
    responses((status = 202, body = Operation, headers(("Location" = String))), Refusals),
    security(("bearer" = ["tenant:write"]))
)]
#[post("/tenants/{name}/preview")]
async fn create(
    caller: Caller,
    api: Data<Api>,
    request: HttpRequest,
    name: Path<String>,
    body: Body<TenantDraft>,
) -> Result<HttpResponse, Problem> {
    let name: TenantName = named("tenant", &name)?;
    caller.require(Permission::WriteTenant(&name))?;
    let once = Once::read(&caller, &request, &body.bytes)?;
    if let Some(earlier) = once.earlier(&api).await? {
        return Ok(earlier);
    }
    let stored = api.store().tenant(&name).await?;
    let spec = match body.unless_empty()? {
        Some(draft) => drafted(&caller, &api, draft, &stored).await?,
        None => stored.spec,
    };
    submit(&caller, &api, &once, &spec).await
}

/// What `PUT` would make of a draft.
async fn drafted(
    caller: &Caller,
    api: &Api,
    draft: TenantDraft,
    stored: &TenantRecord,
) -> Result<TenantSpec, Problem> {
    let spec = specified_as(api, &stored.spec.name, draft, Some(&stored.spec)).await?;
    may_change(caller, &stored.spec, &spec)?;
    if stored.deployed_revision.is_some() {
        api.offer.check_fixed(&stored.spec, &spec)?;
    }
    Ok(spec)
}

/// Has the engine find out what deploying `spec` would change.
pub(super) async fn submit(
    caller: &Caller,
    api: &Api,
    once: &Once<'_>,
    spec: &TenantSpec,
) -> Result<HttpResponse, Problem> {
    let (tenant, machine, by) = (spec.name.clone(), spec.machine.clone(), caller.token.name.clone());
    let now = Utc::now().trunc_subsecs(3);
    let operation = Operation::queued(tenant, machine, OperationKind::Preview, false, by, now);
    once.accept(api, &operation, async |kept| api.engine.submit_preview(&operation, spec, kept).await).await
}

/// What a preview found: 409 until it has ended, 404 where it found nothing. The newest 20 of each tenant are kept.
#[utoipa::path(operation_id = "getPreview", tag = "Operations", params(("id" = uuid::Uuid, Path)), responses((status = 200, body = Preview), Refusals), security(("bearer" = ["tenant:read"])))]
#[get("/operations/{id}/preview")]
async fn show(caller: Caller, api: Data<Api>, id: Path<String>) -> Result<Json<Preview>, Problem> {
    let operation = readable(&caller, &api, &id).await?;
    if operation.kind == OperationKind::Preview && !operation.status.is_final() {
        return Err(Problem::unfinished(operation.id));
    }
    Ok(Json(api.store().preview(operation.id).await?))
}
