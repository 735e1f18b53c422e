//! `/v1/tenants/{name}/export` and `/v1/operations/{id}/bundle`: everything that a tenant owns, in one file to be kept.

use actix_files::NamedFile;
use actix_web::http::header::{ContentDisposition, DispositionParam, DispositionType};
use actix_web::web::{Data, Path};
use actix_web::{HttpRequest, HttpResponse, get, post};
use berth_contract::NewExport;
use berth_domain::{Invalid, Operation, OperationKind, Permission, TenantName};
use berth_store::StoreError;
use utoipa_actix_web::service_config::ServiceConfig;

use super::snapshots::{operation, readable};
use crate::auth::Caller;
use crate::body::{Body, named};
use crate::idempotency::{IdempotencyKey, Once};
use crate::openapi::Refusals;
use crate::problem::Problem;
use crate::state::Api;

pub(super) fn routes(config: &mut ServiceConfig<'_>) {
    config.service(create).service(download);
}

/// A bundle, as docs/src/bundle-format.md describes it.
#[derive(utoipa::ToSchema)]
#[schema(value_type = String, format = Binary)]
struct Bundle(#[allow(dead_code)] Vec<u8>);

/// Makes a bundle of everything that a tenant owns: plain dumps of its databases, its files, its configuration, and, where a
/// recipient is named, its secrets, sealed to that. The answer names the operation to follow; once it has succeeded,
/// `GET /v1/operations/{id}/bundle` gives the file.
#[utoipa::path(
    operation_id = "exportTenant", tag = "Snapshots", request_body = NewExport,
    params(("name" = String, Path), IdempotencyKey),
    responses((status = 202, body = Operation, headers(("Location" = String))), Refusals),
    security(("bearer" = ["tenant:write"]))
)]
#[post("/tenants/{name}/export")]
async fn create(
    caller: Caller,
    api: Data<Api>,
    request: HttpRequest,
    name: Path<String>,
    body: Body<NewExport>,
) -> Result<HttpResponse, Problem> {
    let name: TenantName = named("tenant", &name)?;
    caller.require(Permission::WriteTenant(&name))?;
    let wanted = body.value?;
    check_recipient(wanted.recipient.as_deref())?;
    let once = Once::read(&caller, &request, &body.bytes)?;
    if let Some(earlier) = once.earlier(&api).await? {
        return Ok(earlier);
    }
    if let Some(snapshot) = wanted.snapshot {
        readable(&caller, &api, &name, snapshot).await?;
    }
    let operation = operation(&api, &caller, name, OperationKind::Export).await?;
    let snapshot = wanted.snapshot.or(operation.snapshot);
    let operation = Operation { snapshot, recipient: wanted.recipient, ..operation };
    once.accept(&api, &operation, async |kept| api.engine.submit(&operation, kept).await).await
}

/// The bundle that an export made: 409 until it has ended, 404 where it failed and once it was removed, a week after it was
/// made. Ranges are served, so that a download can be resumed. It holds everything, so that reading the tenant is not enough.
#[utoipa::path(
    operation_id = "getBundle", tag = "Snapshots", params(("id" = uuid::Uuid, Path)),
    responses((status = 200, body = Bundle, content_type = "application/x-tar"), Refusals),
    security(("bearer" = ["tenant:write"]))
)]
#[get("/operations/{id}/bundle")]
async fn download(
    caller: Caller,
    api: Data<Api>,
    request: HttpRequest,
    id: Path<String>,
) -> Result<HttpResponse, Problem> {
    let missing = || StoreError::NotFound { what: "bundle", name: id.to_string() };
    let operation = api.store().operation(named("operation", &id)?).await?;
    if caller.require(Permission::ReadTenant(&operation.tenant)).is_err() {
        return Err(missing().into());
    }
    caller.require(Permission::WriteTenant(&operation.tenant))?;
    if operation.kind != OperationKind::Export {
        return Err(missing().into());
    }
    if !operation.status.is_final() {
        return Err(Problem::unfinished(operation.id));
    }
    let file =
        NamedFile::open_async(api.engine.exports().bundle(operation.id)).await.map_err(|_| missing())?;
    let name = format!("{}.berth.tar", operation.tenant);
    let disposition = ContentDisposition {
        disposition: DispositionType::Attachment,
        parameters: vec![DispositionParam::Filename(name)],
    };
    Ok(file.set_content_type(mime_tar()).set_content_disposition(disposition).into_response(&request))
}

fn mime_tar() -> mime::Mime {
    "application/x-tar".parse().unwrap_or(mime::APPLICATION_OCTET_STREAM)
}

fn check_recipient(recipient: Option<&str>) -> Result<(), Problem> {
    let Some(recipient) = recipient else { return Ok(()) };
    berth_seal::check_recipient(recipient)
        .map_err(|error| Invalid::one("/recipient", "age-recipient", error.to_string()).into())
}
