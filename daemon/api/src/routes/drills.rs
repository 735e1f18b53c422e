//! `/v1/tenants/{name}/drills`: snapshots tried out on machines that are free, and what that found.

use actix_web::web::{Data, Json, Path};
use actix_web::{HttpRequest, HttpResponse, get, post};
use berth_contract::{NewDrill, Page};
use berth_domain::{Drill, Operation, OperationId, OperationKind, Permission, TenantName};
use berth_store::StoreError;
use utoipa_actix_web::service_config::ServiceConfig;

use super::snapshots::{operation, readable};
use crate::auth::Caller;
use crate::body::{Body, named};
use crate::idempotency::{IdempotencyKey, Once};
use crate::openapi::Refusals;
use crate::paging::{Paging, page};
use crate::problem::Problem;
use crate::query::Query;
use crate::state::Api;

pub(super) fn routes(config: &mut ServiceConfig<'_>) {
    config.service(create).service(list).service(show);
}

/// Tries a tenant's newest whole snapshot out, or the one that is named: on a machine that is free, which is lent for it, and
/// behind a fence that lets nothing out. The machine is empty again afterwards, however it ends. The tenant itself goes on, and
/// other operations on it may take place meanwhile. The answer names the operation to follow; its id is the drill's.
#[utoipa::path(
    operation_id = "drillTenant", tag = "Drills", request_body = NewDrill,
    params(("name" = String, Path), IdempotencyKey),
    responses((status = 202, body = Operation, headers(("Location" = String))), Refusals),
    security(("bearer" = ["operator"]))
)]
#[post("/tenants/{name}/drills")]
async fn create(
    caller: Caller,
    api: Data<Api>,
    request: HttpRequest,
    name: Path<String>,
    body: Body<NewDrill>,
) -> Result<HttpResponse, Problem> {
    caller.require(Permission::Operate)?;
    let name: TenantName = named("tenant", &name)?;
    let once = Once::read(&caller, &request, &body.bytes)?;
    if let Some(earlier) = once.earlier(&api).await? {
        return Ok(earlier);
    }
    let wanted = body.value?;
    let operation = operation(&api, &caller, name.clone(), OperationKind::Drill).await?;
    let snapshot = match wanted.snapshot {
        Some(id) => readable(&caller, &api, &name, id).await?,
        None => api.store().newest_whole_snapshot(&name).await?,
    };
    let operation = Operation { machine: wanted.machine, snapshot: Some(snapshot.id), ..operation };
    once.accept(&api, &operation, async |kept| api.engine.submit_drill(&operation, &snapshot, kept).await)
        .await
}

/// The drills of a tenant, newest first.
#[utoipa::path(operation_id = "listDrills", tag = "Drills", params(("name" = String, Path), Paging), responses((status = 200, body = Page<Drill>), Refusals), security(("bearer" = ["tenant:read"])))]
#[get("/tenants/{name}/drills")]
async fn list(
    caller: Caller,
    api: Data<Api>,
    name: Path<String>,
    paging: Query<Paging>,
) -> Result<Json<Page<Drill>>, Problem> {
    let name: TenantName = named("tenant", &name)?;
    caller.require(Permission::ReadTenant(&name))?;
    let limit = paging.limit()?;
    let found = api.store().list_drills(&name, paging.after.as_deref(), limit).await?;
    Ok(Json(page(found, |drill| drill)))
}

/// One drill: what it found, or has found so far.
#[utoipa::path(operation_id = "getDrill", tag = "Drills", params(("name" = String, Path), ("id" = uuid::Uuid, Path)), responses((status = 200, body = Drill), Refusals), security(("bearer" = ["tenant:read"])))]
#[get("/tenants/{name}/drills/{id}")]
async fn show(caller: Caller, api: Data<Api>, path: Path<(String, String)>) -> Result<Json<Drill>, Problem> {
    let name: TenantName = named("tenant", &path.0)?;
    caller.require(Permission::ReadTenant(&name))?;
    let id: OperationId = named("drill", &path.1)?;
    let drill = api.store().drill(id).await?.drill;
    if drill.tenant != name {
        return Err(StoreError::NotFound { what: "drill", name: id.to_string() }.into());
    }
    Ok(Json(drill))
}
