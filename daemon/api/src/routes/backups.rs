//! `/v1/tenants/{name}/backups`: the plan by which a tenant's snapshots are made and kept, and how they stand.

use actix_web::http::{StatusCode, header};
use actix_web::web::{Data, Path};
use actix_web::{HttpRequest, HttpResponse, delete, get, put};
use berth_contract::TenantBackups;
use berth_domain::{BackupDraft, BackupPlan, Invalid, Permission, TenantName};
use berth_store::backups::NextDue;
use berth_store::{BackupRecord, StoreError, TenantRecord};
use chrono::{SubsecRound as _, Utc};
use utoipa_actix_web::service_config::ServiceConfig;

use crate::auth::Caller;
use crate::body::{Body, named};
use crate::etag::{self, Expectation};
use crate::openapi::Refusals;
use crate::problem::Problem;
use crate::state::Api;

pub(super) fn routes(config: &mut ServiceConfig<'_>) {
    config.service(show).service(put).service(delete);
}

/// A tenant's backup plan and how its backups stand; 404 where it has none. Its `ETag` is what `If-Match` takes when it is
/// changed.
#[utoipa::path(operation_id = "getBackups", tag = "Backups", params(("name" = String, Path)), responses((status = 200, body = TenantBackups, headers(("ETag" = String))), Refusals), security(("bearer" = ["tenant:read"])))]
#[get("/tenants/{name}/backups")]
async fn show(caller: Caller, api: Data<Api>, name: Path<String>) -> Result<HttpResponse, Problem> {
    let name: TenantName = named("tenant", &name)?;
    caller.require(Permission::ReadTenant(&name))?;
    let tenant = api.store().tenant(&name).await?;
    Ok(answer(StatusCode::OK, &tenant, api.store().backup_plan(&name).await?))
}

/// Gives a tenant a backup plan or changes it. The same plan again changes nothing. Another one needs `If-Match` with the
/// `ETag` that was read: without it the answer is 409, and 412 where somebody else changed it meanwhile.
#[utoipa::path(
    operation_id = "putBackups", tag = "Backups", request_body = BackupDraft,
    params(("name" = String, Path), ("If-Match" = Option<String>, Header, description = "The ETag that was read")),
    responses(
        (status = 200, body = TenantBackups, headers(("ETag" = String))),
        (status = 201, body = TenantBackups, headers(("ETag" = String))),
        Refusals
    ),
    security(("bearer" = ["operator"]))
)]
#[put("/tenants/{name}/backups")]
async fn put(
    caller: Caller,
    api: Data<Api>,
    request: HttpRequest,
    name: Path<String>,
    body: Body<BackupDraft>,
) -> Result<HttpResponse, Problem> {
    caller.require(Permission::Operate)?;
    let name: TenantName = named("tenant", &name)?;
    let expectation = etag::expectation(&request)?;
    let plan = BackupPlan::try_from(body.value?)?;
    check_drill(&api, &plan).await?;
    let tenant = api.store().tenant(&name).await?;
    let now = Utc::now().trunc_subsecs(3);
    let next = || NextDue::after(&plan, &name, now);
    let stored = match api.store().backup_plan(&name).await {
        Ok(stored) => stored,
        Err(StoreError::NotFound { .. }) if expectation == Expectation::None => {
            let made = api.store().create_backup_plan(&name, &plan, next(), now).await?;
            return Ok(answer(StatusCode::CREATED, &tenant, made));
        }
        Err(StoreError::NotFound { .. }) => {
            return Err(Problem::precondition_failed("there is no such plan any more"));
        }
        Err(error) => return Err(error.into()),
    };
    check_version(&stored, expectation)?;
    if stored.backups.plan == plan {
        return Ok(answer(StatusCode::OK, &tenant, stored));
    }
    if expectation == Expectation::None {
        let detail = format!(
            "the tenant “{name}” has another backup plan; read it and repeat its ETag in If-Match to change it"
        );
        return Err(Problem::conflict("exists", detail));
    }
    let (before, mut next) = (&stored.backups, next());
    if before.plan.schedule == plan.schedule {
        next.snapshot = before.due_at;
    }
    let schedule = |plan: &BackupPlan| plan.drill.as_ref().map(|drill| drill.schedule.clone());
    if schedule(&before.plan) == schedule(&plan) {
        next.drill = before.drill_due_at.or(next.drill);
    }
    let changed = api.store().update_backup_plan(&name, &plan, next, stored.version, now).await?;
    Ok(answer(StatusCode::OK, &tenant, changed))
}

/// Ends a tenant's backup plan. Its snapshots stay as they are. With `If-Match`, only the version that was read.
#[utoipa::path(
    operation_id = "deleteBackups", tag = "Backups",
    params(("name" = String, Path), ("If-Match" = Option<String>, Header, description = "The ETag that was read")),
    responses((status = 204, description = "There is no plan any more"), Refusals),
    security(("bearer" = ["operator"]))
)]
#[delete("/tenants/{name}/backups")]
async fn delete(
    caller: Caller,
    api: Data<Api>,
    request: HttpRequest,
    name: Path<String>,
) -> Result<HttpResponse, Problem> {
    caller.require(Permission::Operate)?;
    let name: TenantName = named("tenant", &name)?;
    let expected = match etag::expectation(&request)? {
        Expectation::Version(version) => Some(version),
        Expectation::None | Expectation::Exists => None,
    };
    api.store().delete_backup_plan(&name, expected).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// The machine of a plan's drills may be anybody's at the moment, but it has to be known.
async fn check_drill(api: &Api, plan: &BackupPlan) -> Result<(), Problem> {
    let Some(drill) = &plan.drill else { return Ok(()) };
    match api.store().machine(&drill.machine).await {
        Ok(_) => Ok(()),
        Err(StoreError::NotFound { .. }) => {
            Err(Invalid::one("/drill/machine", "exists", "names a machine that is not registered").into())
        }
        Err(error) => Err(error.into()),
    }
}

fn check_version(stored: &BackupRecord, expectation: Expectation) -> Result<(), Problem> {
    match expectation {
        Expectation::Version(version) if version != stored.version => {
            Err(StoreError::VersionMismatch { current: stored.version }.into())
        }
        _ => Ok(()),
    }
}

fn answer(status: StatusCode, tenant: &TenantRecord, record: BackupRecord) -> HttpResponse {
    let tag = etag::of(record.version);
    HttpResponse::build(status).insert_header((header::ETAG, tag)).json(view(tenant, record))
}

fn view(tenant: &TenantRecord, record: BackupRecord) -> TenantBackups {
    let (now, pause) = (Utc::now(), tenant.backups_rest());
    let BackupRecord { backups, version, created_at, updated_at, .. } = record;
    let drill_overdue_since = backups.drill_overdue_since(pause, now);
    TenantBackups {
        next_due_at: pause.is_none().then_some(backups.due_at),
        overdue_since: backups.overdue_since(pause, now),
        findings: backups.findings(pause, now),
        paused: pause,
        plan: backups.plan.into(),
        version,
        last_whole: backups.last_whole,
        failure: backups.failure,
        prune_failure: backups.prune_failure,
        next_drill_at: backups.drill_due_at.filter(|_| pause.is_none()),
        drill_overdue_since,
        last_drill: backups.last_drill,
        drill_failure: backups.drill_failure,
        created_at,
        updated_at,
    }
}
