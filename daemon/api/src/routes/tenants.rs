//! `/v1/tenants`: customers' units, and their configurations.

use actix_web::http::header;
use actix_web::web::{Data, Json, Path};
use actix_web::{HttpRequest, HttpResponse, delete, get, post, put};
use berth_contract::{Page, Tenant};
use berth_domain::{Operation, OperationKind, Permission, TenantDraft, TenantName, TenantSpec};
use berth_store::{StoreError, TenantRecord};
use chrono::{SubsecRound, Utc};
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};
use utoipa_actix_web::service_config::ServiceConfig;

use crate::auth::Caller;
use crate::body::{Body, named};
use crate::etag::{self, Expectation};
use crate::idempotency::{IdempotencyKey, Once};
use crate::openapi::Refusals;
use crate::paging::Paging;
use crate::problem::Problem;
use crate::query::Query;
use crate::reply::Reply;
use crate::state::Api;
use crate::tenant::{may_change, new_record, place, specified, specified_as, view, views};

pub(super) fn routes(config: &mut ServiceConfig<'_>) {
    config.service(create).service(list).service(show).service(put).service(delete);
}

/// Creates a tenant. It is deployed by a request of its own.
#[utoipa::path(
    operation_id = "createTenant", tag = "Tenants", request_body = TenantDraft,
    params(IdempotencyKey),
    responses((status = 201, body = Tenant, headers(("Location" = String), ("ETag" = String))), Refusals),
    security(("bearer" = ["operator"]))
)]
#[post("/tenants")]
async fn create(
    caller: Caller,
    api: Data<Api>,
    request: HttpRequest,
    body: Body<TenantDraft>,
) -> Result<HttpResponse, Problem> {
    caller.require(Permission::Operate)?;
    let once = Once::read(&caller, &request, &body.bytes)?;
    if let Some(earlier) = once.earlier(&api).await? {
        return Ok(earlier);
    }
    let spec = specified(&api, body.value?, None).await?;
    create_as(&api, &once, spec).await
}

async fn create_as(api: &Api, once: &Once<'_>, spec: TenantSpec) -> Result<HttpResponse, Problem> {
    let record = new_record(spec, Utc::now().trunc_subsecs(3));
    let reply = created(api, &record).await?;
    let kept = once.record(&reply)?;
    let outcome = api.store().create_tenant(&record.spec, record.created_at, kept.as_ref()).await;
    once.answer(api, &reply, outcome).await
}

async fn created(api: &Api, record: &TenantRecord) -> Result<Reply, Problem> {
    let reply = Reply::created(place(&record.spec.name), &view(api, record.clone()).await?)?;
    Ok(reply.tagged(etag::of(record.version)))
}

/// The tenants, by name; a token of one tenant sees that one.
#[utoipa::path(operation_id = "listTenants", tag = "Tenants", params(Paging), responses((status = 200, body = Page<Tenant>), Refusals), security(("bearer" = ["authenticated"])))]
#[get("/tenants")]
async fn list(caller: Caller, api: Data<Api>, paging: Query<Paging>) -> Result<Json<Page<Tenant>>, Problem> {
    caller.require(Permission::Authenticated)?;
    let limit = paging.limit()?;
    if let Some(own) = caller.confined_to() {
        let items = match api.store().tenant(own).await {
            Ok(record) => vec![view(&api, record).await?],
            Err(StoreError::NotFound { .. }) => Vec::new(),
            Err(error) => return Err(error.into()),
        };
        return Ok(Json(Page { items, next: None }));
    }
    let found = api.store().list_tenants(paging.after.as_deref(), limit).await?;
    let (items, next) = (views(&api, found.items).await?, found.next.map(String::from));
    Ok(Json(Page { items, next }))
}

/// One tenant. Its `ETag` is what `If-Match` takes when it is changed.
#[utoipa::path(operation_id = "getTenant", tag = "Tenants", params(("name" = String, Path)), responses((status = 200, body = Tenant, headers(("ETag" = String))), Refusals), security(("bearer" = ["tenant:read"])))]
#[get("/tenants/{name}")]
async fn show(caller: Caller, api: Data<Api>, name: Path<String>) -> Result<HttpResponse, Problem> {
    let name: TenantName = named("tenant", &name)?;
    caller.require(Permission::ReadTenant(&name))?;
    found(&api, api.store().tenant(&name).await?).await
}

/// How a tenant is put.
#[derive(Debug, Clone, Copy, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields, default)]
struct Putting {
    /// Only check it: the answer is the same, and nothing is stored.
    dry_run: bool,
}

/// Creates a tenant or changes it. The same content again changes nothing. Other content needs `If-Match` with the
/// `ETag` that was read: without it the answer is 409, and 412 where somebody else changed it meanwhile.
///
/// A token of the tenant itself may change its services, keys and contact; creating it, and changing its machine,
/// domain, plan and mode, is the operator's.
#[utoipa::path(
    operation_id = "putTenant", tag = "Tenants", request_body = TenantDraft,
    params(("name" = String, Path), Putting, ("If-Match" = Option<String>, Header, description = "The ETag that was read")),
    responses(
        (status = 200, body = Tenant, headers(("ETag" = String))),
        (status = 201, body = Tenant, headers(("ETag" = String), ("Location" = String))),
        Refusals
    ),
    security(("bearer" = ["tenant:write"]))
)]
#[put("/tenants/{name}")]
async fn put(
    caller: Caller,
    api: Data<Api>,
    request: HttpRequest,
    name: Path<String>,
    how: Query<Putting>,
    body: Body<TenantDraft>,
) -> Result<HttpResponse, Problem> {
    let name: TenantName = named("tenant", &name)?;
    caller.require(Permission::WriteTenant(&name))?;
    let expectation = etag::expectation(&request)?;
    let stored = match api.store().tenant(&name).await {
        Ok(stored) => Some(stored),
        Err(StoreError::NotFound { .. }) => None,
        Err(error) => return Err(error.into()),
    };
    let spec = specified_as(&api, &name, body.value?, stored.as_ref().map(|stored| &stored.spec)).await?;
    match stored {
        Some(stored) => change(&caller, &api, stored, spec, expectation, how.dry_run).await,
        None if expectation == Expectation::None => {
            caller.require(Permission::Operate)?;
            if how.dry_run {
                api.store().check_new_tenant(&spec).await?;
                let made = new_record(spec, Utc::now().trunc_subsecs(3));
                return Ok(created(&api, &made).await?.response());
            }
            let once = Once::read(&caller, &request, &body.bytes)?;
            create_as(&api, &once, spec).await
        }
        None => Err(Problem::precondition_failed("there is no such tenant any more")),
    }
}

async fn change(
    caller: &Caller,
    api: &Api,
    stored: TenantRecord,
    spec: TenantSpec,
    expectation: Expectation,
    dry_run: bool,
) -> Result<HttpResponse, Problem> {
    may_change(caller, &stored.spec, &spec)?;
    if let Expectation::Version(version) = expectation
        && version != stored.version
    {
        return Err(StoreError::VersionMismatch { current: stored.version }.into());
    }
    if stored.spec == spec {
        return found(api, stored).await;
    }
    if stored.deployed_revision.is_some() {
        api.offer.check_fixed(&stored.spec, &spec)?;
    }
    if expectation == Expectation::None {
        let detail = format!(
            "the tenant “{}” exists with other content; read it and repeat its ETag in If-Match to change it",
            spec.name
        );
        return Err(Problem::conflict("exists", detail));
    }
    if dry_run {
        api.store().check_changed_tenant(&spec).await?;
        return found(api, TenantRecord { spec, ..stored }).await;
    }
    // The version that was compared is the one to be replaced: whoever came in between makes this fail.
    let changed = api.store().update_tenant(&spec, Some(stored.version), Utc::now().trunc_subsecs(3)).await?;
    found(api, changed).await
}

/// How a tenant is to go.
#[derive(Debug, Clone, Copy, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields, default)]
struct Deletion {
    /// What becomes of its data on the machine: `keep` (the default) or `wipe`.
    #[param(inline)]
    data: DataFate,
    /// Only forgets it, for a machine that is gone: nothing is done there.
    abandon: bool,
}

/// What becomes of a tenant's data.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum DataFate {
    /// It stays on the machine, which takes no other tenant until then.
    #[default]
    Keep,
    /// It is removed.
    Wipe,
}

/// Takes a tenant off its machine and forgets it: an operation, unless it never was deployed.
#[utoipa::path(
    operation_id = "deleteTenant", tag = "Tenants", params(("name" = String, Path), Deletion),
    responses(
        (status = 202, body = Operation, headers(("Location" = String))),
        (status = 204, description = "It never was deployed, or was abandoned; it is gone"),
        Refusals
    ),
    security(("bearer" = ["operator"]))
)]
#[delete("/tenants/{name}")]
async fn delete(
    caller: Caller,
    api: Data<Api>,
    request: HttpRequest,
    name: Path<String>,
    how: Query<Deletion>,
) -> Result<HttpResponse, Problem> {
    caller.require(Permission::Operate)?;
    let name: TenantName = named("tenant", &name)?;
    let once = Once::read(&caller, &request, &[])?;
    if let Some(earlier) = once.earlier(&api).await? {
        return Ok(earlier);
    }
    if how.abandon {
        return abandon(&api, &name).await;
    }
    match api.store().delete_undeployed_tenant(&name).await {
        Ok(()) => return Ok(HttpResponse::NoContent().finish()),
        Err(StoreError::TenantDeployed { .. }) => {}
        Err(error) => return Err(error.into()),
    }
    let machine = api.store().tenant(&name).await?.spec.machine;
    let wipe = how.data == DataFate::Wipe;
    let by = caller.token.name.clone();
    let operation =
        Operation::queued(name, machine, OperationKind::Destroy, wipe, by, Utc::now().trunc_subsecs(3));
    once.accept(&api, &operation, async |kept| api.engine.submit(&operation, kept).await).await
}

/// Forgets a tenant whose machine is gone. The machine is remembered as holding its data.
async fn abandon(api: &Api, name: &TenantName) -> Result<HttpResponse, Problem> {
    let machine = api.store().abandon_tenant(name).await?;
    tracing::warn!(tenant = %name, %machine, "abandoned: nothing was done on its machine");
    Ok(HttpResponse::NoContent().finish())
}

async fn found(api: &Api, record: TenantRecord) -> Result<HttpResponse, Problem> {
    let tag = etag::of(record.version);
    Ok(HttpResponse::Ok().insert_header((header::ETAG, tag)).json(view(api, record).await?))
}
