//! `/v1/machines`: the hosts that tenants are deployed to.

use actix_web::web::{Data, Json, Path};
use actix_web::{HttpRequest, HttpResponse, delete, get, post};
use berth_contract::{Machine, Page};
use berth_domain::{MachineDraft, MachineName, MachineSpec, Permission};
use berth_store::MachineRecord;
use chrono::{SubsecRound, Utc};
use utoipa_actix_web::service_config::ServiceConfig;

use crate::auth::Caller;
use crate::body::{Body, named};
use crate::idempotency::{IdempotencyKey, Once};
use crate::openapi::Refusals;
use crate::paging::{Paging, page};
use crate::problem::Problem;
use crate::query::Query;
use crate::reply::Reply;
use crate::state::Api;

pub(super) fn routes(config: &mut ServiceConfig<'_>) {
    config.service(create).service(list).service(show).service(delete);
}

/// Registers a machine. Nothing is done to it; the first deployment brings the agent along.
#[utoipa::path(
    operation_id = "createMachine", tag = "Machines", request_body = MachineDraft,
    params(IdempotencyKey),
    responses((status = 201, body = Machine, headers(("Location" = String))), Refusals),
    security(("bearer" = ["operator"]))
)]
#[post("/machines")]
async fn create(
    caller: Caller,
    api: Data<Api>,
    request: HttpRequest,
    body: Body<MachineDraft>,
) -> Result<HttpResponse, Problem> {
    caller.require(Permission::Operate)?;
    let once = Once::read(&caller, &request, &body.bytes)?;
    if let Some(earlier) = once.earlier(&api).await? {
        return Ok(earlier);
    }
    let spec = MachineSpec::try_from(body.value?)?;
    let created_at = Utc::now().trunc_subsecs(3);
    let record =
        MachineRecord { spec, tenant: None, created_at, facts: None, holds_data_of: None, lent_to: None };
    let reply = Reply::created(format!("/v1/machines/{}", record.spec.name), &view(record.clone()))?;
    let kept = once.record(&reply)?;
    let outcome = api.store().create_machine(&record.spec, created_at, kept.as_ref()).await;
    once.answer(&api, &reply, outcome).await
}

/// The registered machines, by name.
#[utoipa::path(operation_id = "listMachines", tag = "Machines", params(Paging), responses((status = 200, body = Page<Machine>), Refusals), security(("bearer" = ["operator"])))]
#[get("/machines")]
async fn list(caller: Caller, api: Data<Api>, paging: Query<Paging>) -> Result<Json<Page<Machine>>, Problem> {
    caller.require(Permission::Operate)?;
    let found = api.store().list_machines(paging.after.as_deref(), paging.limit()?).await?;
    Ok(Json(page(found, view)))
}

/// One machine, with what its agent found out the last time.
#[utoipa::path(operation_id = "getMachine", tag = "Machines", params(("name" = String, Path)), responses((status = 200, body = Machine), Refusals), security(("bearer" = ["operator"])))]
#[get("/machines/{name}")]
async fn show(caller: Caller, api: Data<Api>, name: Path<String>) -> Result<Json<Machine>, Problem> {
    caller.require(Permission::Operate)?;
    let name: MachineName = named("machine", &name)?;
    Ok(Json(view(api.store().machine(&name).await?)))
}

/// Forgets a machine that no tenant is on, and no drill. Nothing is done to the machine.
#[utoipa::path(operation_id = "deleteMachine", tag = "Machines", params(("name" = String, Path)), responses((status = 204), Refusals), security(("bearer" = ["operator"])))]
#[delete("/machines/{name}")]
async fn delete(caller: Caller, api: Data<Api>, name: Path<String>) -> Result<HttpResponse, Problem> {
    caller.require(Permission::Operate)?;
    let name: MachineName = named("machine", &name)?;
    api.store().delete_machine(&name).await?;
    Ok(HttpResponse::NoContent().finish())
}

fn view(record: MachineRecord) -> Machine {
    Machine {
        spec: record.spec.into(),
        tenant: record.tenant,
        facts: record.facts,
        holds_data_of: record.holds_data_of,
        lent_to: record.lent_to,
        created_at: record.created_at,
    }
}
