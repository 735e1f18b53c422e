//! `/v1/bundles`: bundles that somebody brings here, and tenants that are made of them.

use std::time::Duration;

use actix_web::web::{Data, Json, Path, Payload};
use actix_web::{HttpRequest, HttpResponse, delete, get, post, put};
use berth_contract::{NewBundle, NewImport, Page};
use berth_domain::{
    BundleAbout, BundleId, BundleStatus, IncomingBundle, Operation, OperationKind, Permission, TakenIn,
};
use berth_engine::bundles::{Order, SpoolError};
use berth_protocol::GivenSecret;
use chrono::{SubsecRound, Utc};
use futures_util::StreamExt as _;
use secrecy::SecretString;
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_actix_web::service_config::ServiceConfig;

use crate::arrival::{examine_bundle, make, refused, unused};
use crate::auth::Caller;
use crate::body::{Body, named};
use crate::idempotency::{IdempotencyKey, Once};
use crate::openapi::Refusals;
use crate::problem::Problem;
use crate::query::Query;
use crate::state::Api;

/// How long the next piece of a bundle is waited for.
const PATIENCE: Duration = Duration::from_secs(60);

pub(super) fn routes(config: &mut ServiceConfig<'_>) {
    config.service(announce).service(list).service(show).service(send).service(remove).service(import);
}

/// A bundle, as docs/src/bundle-format.md describes it.
#[derive(utoipa::ToSchema)]
#[schema(value_type = String, format = Binary)]
struct Content(#[allow(dead_code)] Vec<u8>);

/// Where what is sent belongs.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
struct Place {
    /// How many bytes of the bundle are here already: what is sent follows them. 0 when absent.
    from: Option<u64>,
}

/// Announces a bundle under an id of the caller's making (a new UUID). It is refused where the daemon has no room for it (507).
#[utoipa::path(
    operation_id = "announceBundle", tag = "Bundles", request_body = NewBundle, params(("id" = uuid::Uuid, Path)),
    responses((status = 200, body = IncomingBundle), (status = 507, description = "The daemon's disk has no room for it"), Refusals),
    security(("bearer" = ["operator"]))
)]
#[put("/bundles/{id}")]
async fn announce(
    caller: Caller,
    api: Data<Api>,
    id: Path<String>,
    body: Body<NewBundle>,
) -> Result<Json<IncomingBundle>, Problem> {
    caller.require(Permission::Operate)?;
    let id: BundleId = named("bundle", &id)?;
    let (by, now) = (caller.token.name.clone(), Utc::now().trunc_subsecs(3));
    Ok(Json(api.engine.spool().announce(id, body.value?.size, by, now).map_err(problem)?))
}

/// The bundles that are here, the newest first.
#[utoipa::path(operation_id = "listBundles", tag = "Bundles", responses((status = 200, body = Page<IncomingBundle>), Refusals), security(("bearer" = ["operator"])))]
#[get("/bundles")]
async fn list(caller: Caller, api: Data<Api>) -> Result<Json<Page<IncomingBundle>>, Problem> {
    caller.require(Permission::Operate)?;
    Ok(Json(Page { items: api.engine.spool().bundles().map_err(problem)?, next: None }))
}

/// A bundle: how much of it is here, whether it is whole, and what it says of itself.
#[utoipa::path(operation_id = "getBundleBrought", tag = "Bundles", params(("id" = uuid::Uuid, Path)), responses((status = 200, body = IncomingBundle), Refusals), security(("bearer" = ["operator"])))]
#[get("/bundles/{id}")]
async fn show(caller: Caller, api: Data<Api>, id: Path<String>) -> Result<Json<IncomingBundle>, Problem> {
    caller.require(Permission::Operate)?;
    Ok(Json(known(&api, named("bundle", &id)?)?))
}

/// Sends a bundle, or what follows the first `from` bytes of it. What is here stays here, however the request ends, and it goes
/// on there: `received` says where. Once all of it is here, it is compared with what is signed.
#[utoipa::path(
    operation_id = "sendBundle", tag = "Bundles", request_body(content = Content, content_type = "application/x-tar"),
    params(("id" = uuid::Uuid, Path), Place),
    responses((status = 200, body = IncomingBundle), (status = 507, description = "The daemon's disk has no room for it"), Refusals),
    security(("bearer" = ["operator"]))
)]
#[put("/bundles/{id}/content")]
async fn send(
    caller: Caller,
    api: Data<Api>,
    id: Path<String>,
    place: Query<Place>,
    mut payload: Payload,
) -> Result<Json<IncomingBundle>, Problem> {
    caller.require(Permission::Operate)?;
    let id: BundleId = named("bundle", &id)?;
    let mut arriving = api.engine.spool().take(id, place.from.unwrap_or(0)).map_err(problem)?;
    let broken = |why: &str| Problem::bad_request(format!("the bundle did not come to its end: {why}"));
    let outcome = loop {
        match tokio::time::timeout(PATIENCE, payload.next()).await {
            Err(_) => break Err(broken("nothing came for a minute")),
            Ok(None) => break Ok(()),
            Ok(Some(Err(error))) => break Err(broken(&error.to_string())),
            Ok(Some(Ok(bytes))) => arriving.write(&bytes).await.map_err(problem)?,
        }
    };
    // What came is kept also where more should have come.
    arriving.end().await.map_err(problem)?;
    outcome?;
    Ok(Json(known(&api, id)?))
}

/// Removes a bundle. A tenant that was made of it stays.
#[utoipa::path(operation_id = "removeBundle", tag = "Bundles", params(("id" = uuid::Uuid, Path)), responses((status = 204), Refusals), security(("bearer" = ["operator"])))]
#[delete("/bundles/{id}")]
async fn remove(caller: Caller, api: Data<Api>, id: Path<String>) -> Result<HttpResponse, Problem> {
    caller.require(Permission::Operate)?;
    api.engine.spool().remove(named("bundle", &id)?).map_err(problem)?;
    Ok(HttpResponse::NoContent().finish())
}

/// Makes a tenant of a bundle that is whole. Everything that is in the way is told at once, and then nothing is changed. The answer
/// names the operation to follow. At its end the tenant is in `standby`, or with `go_live` is served: a bundle is a copy, and
/// nobody can see from it whether the old provider serves the tenant still.
#[utoipa::path(
    operation_id = "importBundle", tag = "Bundles", request_body = NewImport,
    params(("id" = uuid::Uuid, Path), IdempotencyKey),
    responses((status = 202, body = Operation, headers(("Location" = String))), Refusals),
    security(("bearer" = ["operator"]))
)]
#[post("/bundles/{id}/import")]
async fn import(
    caller: Caller,
    api: Data<Api>,
    request: HttpRequest,
    id: Path<String>,
    body: Body<NewImport>,
) -> Result<HttpResponse, Problem> {
    caller.require(Permission::Operate)?;
    let once = Once::read(&caller, &request, &body.bytes)?;
    if let Some(earlier) = once.earlier(&api).await? {
        return Ok(earlier);
    }
    let wanted = body.value?;
    let bundle = known(&api, named("bundle", &id)?)?;
    let about = whole(&bundle)?;
    accepted(about, &wanted)?;
    let earlier = api.engine.spool().taken_in(&about.manifest_sha256).map_err(problem)?;
    if let Some(earlier) = &earlier {
        unused(&api, earlier, "bundle-used", "bundle").await?;
    }
    let unpacked = examine_bundle(&api, earlier.map(|it| it.operation), about, &wanted).await?;
    let spec = unpacked.spec.filter(|_| unpacked.obstacles.is_empty());
    let spec = spec.ok_or_else(|| refused(&unpacked.obstacles))?;
    let now = Utc::now().trunc_subsecs(3);
    let (name, machine, by) = (spec.name.clone(), spec.machine.clone(), caller.token.name.clone());
    let operation = Operation::queued(name, machine, OperationKind::TakeIn, false, by, now);
    let spool = api.engine.spool();
    let secrets = Order::seal(operation.id, api.engine.keys(), &list_of(wanted.secrets)?)?;
    let order = Order { bundle: bundle.id, go_live: wanted.go_live, secrets };
    spool.keep_order(operation.id, &order).map_err(problem)?;
    let taken_in = TakenIn { tenant: spec.name.clone(), operation: operation.id };
    let note = || spool.note_taken_in(bundle.id, taken_in.clone()).map_err(problem);
    if unpacked.own.is_none() {
        // Before there is a tenant, so that one whose import is interrupted here is known by it.
        note()?;
    }
    let answer = make(&api, &once, &operation, &spec, unpacked.own).await?;
    if unpacked.own.is_some() {
        note()?;
    }
    Ok(answer)
}

/// A bundle as it stands. One that is all here, and that nobody compares, is compared from now on: the daemon that did may have
/// ended.
fn known(api: &Api, id: BundleId) -> Result<IncomingBundle, Problem> {
    let bundle = api.engine.spool().bundle(id).map_err(problem)?;
    if bundle.status == BundleStatus::Verifying {
        api.engine.examine_bundle(id);
    }
    Ok(bundle)
}

/// What a bundle says of itself, if it can be believed.
fn whole(bundle: &IncomingBundle) -> Result<&BundleAbout, Problem> {
    if let Some(refusal) = &bundle.refusal {
        return Err(Problem::conflict(&refusal.code, &refusal.message));
    }
    bundle.about.as_ref().ok_or_else(|| {
        let detail = format!("the bundle is not verified yet: it is {}", bundle.status);
        Problem::conflict("bundle-unverified", detail)
    })
}

/// Whether its signer is trusted, or was accepted by name.
fn accepted(about: &BundleAbout, wanted: &NewImport) -> Result<(), Problem> {
    let accepted = wanted.accept_signer.as_deref();
    // Whoever names a key means that one.
    if accepted == Some(about.signer.as_str()) || (about.trusted && accepted.is_none()) {
        return Ok(());
    }
    let detail = format!(
        "the bundle is signed by “{}” with the key {}, which is not one that this provider trusts; if that is known to be theirs, accept it by its thumbprint (accept_signer)",
        about.provider, about.signer
    );
    Err(Problem::conflict("signer-not-trusted", detail))
}

/// The secrets as the machine's agent takes them.
fn list_of(secrets: Vec<berth_contract::BroughtSecret>) -> Result<SecretString, Problem> {
    let secrets: Vec<GivenSecret> = secrets
        .into_iter()
        .map(|secret| GivenSecret {
            service: secret.service,
            name: secret.name,
            value: SecretString::from(secret.value).into(),
        })
        .collect();
    serde_json::to_string(&secrets).map(SecretString::from).map_err(Problem::internal)
}

fn problem(error: SpoolError) -> Problem {
    let detail = error.to_string();
    match error {
        SpoolError::NotFound => {
            Problem::new(actix_web::http::StatusCode::NOT_FOUND, "not-found", "Not found", detail)
        }
        SpoolError::NoSpace { .. } => {
            let status = actix_web::http::StatusCode::INSUFFICIENT_STORAGE;
            Problem::new(status, "no-space", "No space", detail)
        }
        SpoolError::Exists => Problem::conflict("exists", detail),
        SpoolError::Offset { .. } => Problem::conflict("bundle-offset", detail),
        SpoolError::Busy => Problem::conflict("bundle-busy", detail),
        SpoolError::TooLong { .. } => {
            let status = actix_web::http::StatusCode::PAYLOAD_TOO_LARGE;
            Problem::new(status, "too-large", "Too large", detail)
        }
        SpoolError::Size => {
            berth_domain::Invalid::one("/size", "range", "must be between 1 byte and 64 TiB").into()
        }
        SpoolError::Folder(_) | SpoolError::Json(_) => Problem::internal(detail),
    }
}
