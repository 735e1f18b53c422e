//! `/v1/tenants/{name}/rollback`: bringing an earlier revision back.

use actix_web::web::{Data, Path};
use actix_web::{HttpRequest, HttpResponse, post};
use berth_contract::NewRollback;
use berth_domain::{Operation, OperationKind, Permission, RevisionId, TenantName, TenantSpec};
use berth_store::TenantRecord;
use chrono::{SubsecRound, Utc};
use utoipa_actix_web::service_config::ServiceConfig;

use crate::auth::Caller;
use crate::body::{Body, named};
use crate::idempotency::{IdempotencyKey, Once};
use crate::openapi::Refusals;
use crate::problem::Problem;
use crate::state::Api;
use crate::tenant::may_change;

pub(super) fn routes(config: &mut ServiceConfig<'_>) {
    config.service(create);
}

/// Brings an earlier revision of a tenant back onto its machine: the one that was deployed before, unless the request names
/// another. The tenant is specified as it was then, from the answer on; its data stays as it is. The answer names the
/// operation to follow.
#[utoipa::path(
    operation_id = "rollBackTenant", tag = "Deployments", request_body = NewRollback,
    params(
        ("name" = String, Path),
        IdempotencyKey
    ),
    responses((status = 202, body = Operation, headers(("Location" = String))), Refusals),
    security(("bearer" = ["tenant:write"]))
)]
#[post("/tenants/{name}/rollback")]
async fn create(
    caller: Caller,
    api: Data<Api>,
    request: HttpRequest,
    name: Path<String>,
    body: Body<NewRollback>,
) -> Result<HttpResponse, Problem> {
    let name: TenantName = named("tenant", &name)?;
    caller.require(Permission::WriteTenant(&name))?;
    let wanted = body.value?;
    let once = Once::read(&caller, &request, &body.bytes)?;
    if let Some(earlier) = once.earlier(&api).await? {
        return Ok(earlier);
    }
    let tenant = api.store().tenant(&name).await?;
    let revision = target(&api, &tenant, wanted.to_revision).await?;
    let spec = specified_then(&caller, &api, &tenant, &revision).await?;
    let (machine, by) = (spec.machine.clone(), caller.token.name.clone());
    let now = Utc::now().trunc_subsecs(3);
    let operation = Operation::queued(name, machine, OperationKind::Rollback, false, by, now);
    let operation = Operation { revision: Some(revision), ..operation };
    once.accept(&api, &operation, async |kept| {
        api.engine.submit_rollback(&operation, &spec, tenant.version, kept).await
    })
    .await
}

async fn target(api: &Api, tenant: &TenantRecord, wanted: Option<RevisionId>) -> Result<RevisionId, Problem> {
    let none = || {
        let detail = format!("no other revision of “{}” was deployed before", tenant.spec.name);
        Problem::conflict("no-earlier-revision", detail)
    };
    let deployed = tenant.deployed_revision.as_ref().ok_or_else(none)?;
    match wanted {
        Some(revision) => Ok(revision),
        None => api.store().revision_before(&tenant.spec.name, deployed).await?.ok_or_else(none),
    }
}

/// What the tenant was then, held against what it may be now.
async fn specified_then(
    caller: &Caller,
    api: &Api,
    tenant: &TenantRecord,
    revision: &RevisionId,
) -> Result<TenantSpec, Problem> {
    let spec = api.store().revision(&tenant.spec.name, revision).await?.spec;
    may_change(caller, &tenant.spec, &spec)?;
    api.offer.check_fixed(&tenant.spec, &spec)?;
    Ok(spec)
}
