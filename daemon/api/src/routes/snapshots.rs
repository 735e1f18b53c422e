//! `/v1/tenants/{name}/snapshots` and `/restore`: tenants' state, kept and brought back.

use actix_web::web::{Data, Json, Path};
use actix_web::{HttpRequest, HttpResponse, delete, get, post};
use berth_contract::{NewRestore, NewSnapshot, Page};
use berth_domain::backup::keep::newest_whole;
use berth_domain::{Operation, OperationKind, Permission, Snapshot, SnapshotId, TenantName};
use berth_store::{StoreError, TenantRecord};
use chrono::{SubsecRound, Utc};
use utoipa_actix_web::service_config::ServiceConfig;

use crate::auth::Caller;
use crate::body::{Body, named};
use crate::idempotency::{IdempotencyKey, Once};
use crate::openapi::Refusals;
use crate::paging::{Paging, page};
use crate::problem::Problem;
use crate::query::Query;
use crate::state::Api;

pub(super) fn routes(config: &mut ServiceConfig<'_>) {
    config.service(create).service(list).service(show).service(forget).service(restore);
}

/// Copies a tenant's state into its vault: databases, directories and what else its services keep. Most of it is copied while
/// the services go on; each is stopped only while the rest of its own state is copied. The answer names the operation to
/// follow; once it has succeeded, its id is the snapshot's.
#[utoipa::path(
    operation_id = "snapshotTenant", tag = "Snapshots", request_body = NewSnapshot,
    params(("name" = String, Path), IdempotencyKey),
    responses((status = 202, body = Operation, headers(("Location" = String))), Refusals),
    security(("bearer" = ["tenant:write"]))
)]
#[post("/tenants/{name}/snapshots")]
async fn create(
    caller: Caller,
    api: Data<Api>,
    request: HttpRequest,
    name: Path<String>,
    body: Body<NewSnapshot>,
) -> Result<HttpResponse, Problem> {
    let name: TenantName = named("tenant", &name)?;
    caller.require(Permission::WriteTenant(&name))?;
    let _nothing_to_say = body.value?;
    let once = Once::read(&caller, &request, &body.bytes)?;
    if let Some(earlier) = once.earlier(&api).await? {
        return Ok(earlier);
    }
    let operation = operation(&api, &caller, name, OperationKind::Snapshot).await?;
    once.accept(&api, &operation, async |kept| api.engine.submit(&operation, kept).await).await
}

/// The snapshots of a tenant, newest first.
#[utoipa::path(operation_id = "listSnapshots", tag = "Snapshots", params(("name" = String, Path), Paging), responses((status = 200, body = Page<Snapshot>), Refusals), security(("bearer" = ["tenant:read"])))]
#[get("/tenants/{name}/snapshots")]
async fn list(
    caller: Caller,
    api: Data<Api>,
    name: Path<String>,
    paging: Query<Paging>,
) -> Result<Json<Page<Snapshot>>, Problem> {
    let name: TenantName = named("tenant", &name)?;
    caller.require(Permission::ReadTenant(&name))?;
    let limit = paging.limit()?;
    let found = api.store().list_snapshots(&name, paging.after.as_deref(), limit).await?;
    Ok(Json(page(found, |snapshot| snapshot)))
}

/// One snapshot; 404 where it was never finished.
#[utoipa::path(operation_id = "getSnapshot", tag = "Snapshots", params(("name" = String, Path), ("id" = uuid::Uuid, Path)), responses((status = 200, body = Snapshot), Refusals), security(("bearer" = ["tenant:read"])))]
#[get("/tenants/{name}/snapshots/{id}")]
async fn show(
    caller: Caller,
    api: Data<Api>,
    path: Path<(String, String)>,
) -> Result<Json<Snapshot>, Problem> {
    let name: TenantName = named("tenant", &path.0)?;
    caller.require(Permission::ReadTenant(&name))?;
    Ok(Json(known(&caller, &api, &name, named("snapshot", &path.1)?).await?))
}

/// Removes a snapshot from a tenant's vault, and what nothing else there needs; beside it what the tenant's backup plan lets go. The
/// newest whole snapshot stays (409). The answer names the operation to follow.
#[utoipa::path(
    operation_id = "deleteSnapshot", tag = "Snapshots", params(("name" = String, Path), ("id" = uuid::Uuid, Path), IdempotencyKey),
    responses((status = 202, body = Operation, headers(("Location" = String))), Refusals),
    security(("bearer" = ["operator"]))
)]
#[delete("/tenants/{name}/snapshots/{id}")]
async fn forget(
    caller: Caller,
    api: Data<Api>,
    request: HttpRequest,
    path: Path<(String, String)>,
) -> Result<HttpResponse, Problem> {
    caller.require(Permission::Operate)?;
    let name: TenantName = named("tenant", &path.0)?;
    let once = Once::read(&caller, &request, &[])?;
    if let Some(earlier) = once.earlier(&api).await? {
        return Ok(earlier);
    }
    let id: SnapshotId = named("snapshot", &path.1)?;
    let missing = || StoreError::NotFound { what: "snapshot", name: id.to_string() };
    let tenant = api.store().tenant(&name).await?;
    // What a former tenant of that name left is in no vault of this one.
    let vault = api.store().vault(&name).await?.ok_or_else(missing)?;
    let known = api.store().snapshots_in(vault.id).await?;
    if !known.iter().any(|snapshot| snapshot.id == id) {
        return Err(missing().into());
    }
    if newest_whole(&known).is_some_and(|newest| newest.id == id) {
        let detail = "the newest whole snapshot of a tenant is never removed; make another one first";
        return Err(Problem::conflict("newest-snapshot", detail));
    }
    let (machine, by) = (tenant.spec.machine, caller.token.name.clone());
    let operation =
        Operation::queued(name, machine, OperationKind::Prune, false, by, Utc::now().trunc_subsecs(3));
    let operation = Operation { snapshot: Some(id), ..operation };
    once.accept(&api, &operation, async |kept| api.engine.submit(&operation, kept).await).await
}

/// Puts a snapshot in place of the state of a tenant, or of another one: `into`, whose state then is a copy. All of the
/// snapshot is brought back, or the machine keeps what it has. A copy whose settings name a bucket of the original's is refused
/// (409 `bucket-shared`). The answer names the operation to follow.
#[utoipa::path(
    operation_id = "restoreTenant", tag = "Snapshots", request_body = NewRestore,
    params(("name" = String, Path), IdempotencyKey),
    responses((status = 202, body = Operation, headers(("Location" = String))), Refusals),
    security(("bearer" = ["tenant:write"]))
)]
#[post("/tenants/{name}/restore")]
async fn restore(
    caller: Caller,
    api: Data<Api>,
    request: HttpRequest,
    name: Path<String>,
    body: Body<NewRestore>,
) -> Result<HttpResponse, Problem> {
    let name: TenantName = named("tenant", &name)?;
    caller.require(Permission::WriteTenant(&name))?;
    let wanted = body.value?;
    let target = wanted.into.unwrap_or_else(|| name.clone());
    caller.require(Permission::WriteTenant(&target))?;
    let once = Once::read(&caller, &request, &body.bytes)?;
    if let Some(earlier) = once.earlier(&api).await? {
        return Ok(earlier);
    }
    let snapshot = readable(&caller, &api, &name, wanted.snapshot).await?;
    let operation = operation(&api, &caller, target, OperationKind::Restore).await?;
    let shared = api.engine.shared_buckets(&snapshot, &operation.tenant).await?;
    if !shared.is_empty() {
        return Err(Problem::shared_buckets(&shared));
    }
    let operation = Operation { snapshot: Some(snapshot.id), ..operation };
    once.accept(&api, &operation, async |kept| api.engine.submit(&operation, kept).await).await
}

/// An operation on what a tenant is deployed with.
pub(super) async fn operation(
    api: &Api,
    caller: &Caller,
    name: TenantName,
    kind: OperationKind,
) -> Result<Operation, Problem> {
    operation_on(caller, &api.store().tenant(&name).await?, kind)
}

/// The same where the tenant was read already.
pub(super) fn operation_on(
    caller: &Caller,
    tenant: &TenantRecord,
    kind: OperationKind,
) -> Result<Operation, Problem> {
    let name = tenant.spec.name.clone();
    if tenant.deployed_revision.is_none() {
        return Err(StoreError::NotDeployed { tenant: name }.into());
    }
    let (machine, by) = (tenant.spec.machine.clone(), caller.token.name.clone());
    Ok(Operation::queued(name, machine, kind, false, by, Utc::now().trunc_subsecs(3)))
}

/// A snapshot of the tenant that can be brought back. One that a former tenant of that name left is an administrator's matter.
pub(super) async fn readable(
    caller: &Caller,
    api: &Api,
    name: &TenantName,
    id: SnapshotId,
) -> Result<Snapshot, Problem> {
    let snapshot = known(caller, api, name, id).await?;
    if snapshot.forgetting {
        return Err(Problem::conflict("snapshot-gone", "this snapshot is being removed"));
    }
    Ok(snapshot)
}

/// The same, also while it is being removed.
async fn known(caller: &Caller, api: &Api, name: &TenantName, id: SnapshotId) -> Result<Snapshot, Problem> {
    let missing = || StoreError::NotFound { what: "snapshot", name: id.to_string() };
    let (snapshot, vault) = api.store().snapshot(id).await?;
    let own = api.store().vault(name).await?.is_some_and(|own| own.id == vault.id);
    let may = own || caller.require(Permission::Administer).is_ok();
    if may && snapshot.tenant == *name { Ok(snapshot) } else { Err(missing().into()) }
}
