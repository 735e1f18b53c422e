//! `/v1/tenants/{name}/nixops4-state`: what NixOps4 knows of a tenant's resources.

use actix_web::http::StatusCode;
use actix_web::web::{Data, Json, Path};
use actix_web::{HttpRequest, HttpResponse, delete, get, post, put};
use berth_contract::Page;
use berth_contract::nixops4::{
    KeptStateChange, NewStateChange, NewStateLease, Nixops4State, StateChangeInfo, StateLease,
};
use berth_domain::{Invalid, Permission, TenantName};
use berth_engine::nixops4_state::{ShownChange, StateChange, StateError};
use serde::Deserialize;
use utoipa::IntoParams;
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
    config.service(read).service(take).service(give_back).service(keep).service(history);
}

/// The lease that a request is made under.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
struct Under {
    /// Its fence. The state comes in clear then, which takes the scope `tenant:write`.
    fence: Option<i64>,
}

/// A tenant's NixOps4 state. Values that may be secrets are left out, unless the request names the fence of its lease.
#[utoipa::path(operation_id = "getNixops4State", tag = "NixOps4", params(("name" = String, Path), Under), responses((status = 200, body = Nixops4State), Refusals), security(("bearer" = ["tenant:read"])))]
#[get("/tenants/{name}/nixops4-state")]
async fn read(
    caller: Caller,
    api: Data<Api>,
    name: Path<String>,
    under: Query<Under>,
) -> Result<Json<Nixops4State>, Problem> {
    let name: TenantName = named("tenant", &name)?;
    caller.require(Permission::ReadTenant(&name))?;
    let shown = api.engine.nixops4_state(&name).await?;
    let lease = shown.lease.map(|lease| StateLease {
        fence: under.fence,
        held_by: lease.held_by,
        expires_at: lease.until,
    });
    let state = match under.fence {
        Some(fence) => {
            caller.require(Permission::WriteTenant(&name))?;
            api.engine.nixops4_state_in_clear(&name, fence).await?
        }
        None => shown.state,
    };
    Ok(Json(Nixops4State { state, serial: shown.serial, lease }))
}

/// Takes the lease of a tenant's NixOps4 state for a minute, or renews it. Only its holder can change the state.
#[utoipa::path(
    operation_id = "leaseNixops4State", tag = "NixOps4", request_body = NewStateLease,
    params(("name" = String, Path)),
    responses((status = 200, body = StateLease), Refusals),
    security(("bearer" = ["tenant:write"]))
)]
#[put("/tenants/{name}/nixops4-state/lease")]
async fn take(
    caller: Caller,
    api: Data<Api>,
    name: Path<String>,
    body: Body<NewStateLease>,
) -> Result<Json<StateLease>, Problem> {
    let name = writable(&caller, &name)?;
    let holder = body.value?.holder;
    if !(8..=100).contains(&holder.len()) || !holder.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(Invalid::one("/holder", "holder", "must be 8 to 100 visible ASCII characters").into());
    }
    // Another token's caller is another holder, whatever it calls itself.
    let holder = format!("{}/{holder}", caller.token.id);
    let lease = api.engine.lease_nixops4_state(&name, &holder, &caller.token.name).await?;
    let record = lease.record;
    Ok(Json(StateLease { fence: Some(lease.fence), held_by: record.held_by, expires_at: record.until }))
}

/// Gives the lease of a tenant's NixOps4 state back. One that somebody else has by now stays theirs.
#[utoipa::path(operation_id = "releaseNixops4State", tag = "NixOps4", params(("name" = String, Path), ("fence" = i64, Path)), responses((status = 204), Refusals), security(("bearer" = ["tenant:write"])))]
#[delete("/tenants/{name}/nixops4-state/lease/{fence}")]
async fn give_back(
    caller: Caller,
    api: Data<Api>,
    place: Path<(String, String)>,
) -> Result<HttpResponse, Problem> {
    let name = writable(&caller, &place.0)?;
    let fence = named("lease", &place.1)?;
    api.store().release_nixops4_state(&name, fence).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// Changes a tenant's NixOps4 state, as RFC 6902 says. Who does not have its lease any more is refused.
#[utoipa::path(
    operation_id = "changeNixops4State", tag = "NixOps4", request_body = NewStateChange,
    params(("name" = String, Path), IdempotencyKey),
    responses((status = 201, body = KeptStateChange, headers(("Location" = String))), Refusals),
    security(("bearer" = ["tenant:write"]))
)]
#[post("/tenants/{name}/nixops4-state/changes")]
async fn keep(
    caller: Caller,
    api: Data<Api>,
    request: HttpRequest,
    name: Path<String>,
    body: Body<NewStateChange>,
) -> Result<HttpResponse, Problem> {
    let name = writable(&caller, &name)?;
    let once = Once::read(&caller, &request, &body.bytes)?;
    if let Some(earlier) = once.earlier(&api).await? {
        return Ok(earlier);
    }
    let NewStateChange { fence, event, nixops_version, patch, sensitive } = body.value?;
    let change = StateChange { event, nixops_version, patch, sensitive };
    let new = api.engine.changed_nixops4_state(&name, fence, &caller.token.name, change).await?;
    let kept = KeptStateChange { serial: new.change.serial };
    let reply = Reply::created(format!("/v1/tenants/{name}/nixops4-state/changes"), &kept)?;
    let record = once.record(&reply)?;
    let outcome = api.store().keep_nixops4_state(&name, &new, record.as_ref()).await;
    once.answer(&api, &reply, outcome).await
}

/// The changes of a tenant's NixOps4 state, newest first, without values that may be secrets. The newest 1000 are kept.
#[utoipa::path(operation_id = "listNixops4Changes", tag = "NixOps4", params(("name" = String, Path), Paging), responses((status = 200, body = Page<StateChangeInfo>), Refusals), security(("bearer" = ["tenant:read"])))]
#[get("/tenants/{name}/nixops4-state/changes")]
async fn history(
    caller: Caller,
    api: Data<Api>,
    name: Path<String>,
    paging: Query<Paging>,
) -> Result<Json<Page<StateChangeInfo>>, Problem> {
    let name: TenantName = named("tenant", &name)?;
    caller.require(Permission::ReadTenant(&name))?;
    let found = api.engine.nixops4_changes(&name, paging.after.as_deref(), paging.limit()?).await?;
    Ok(Json(page(found, view)))
}

fn writable(caller: &Caller, name: &str) -> Result<TenantName, Problem> {
    let name: TenantName = named("tenant", name)?;
    caller.require(Permission::WriteTenant(&name))?;
    Ok(name)
}

fn view(change: ShownChange) -> StateChangeInfo {
    let ShownChange { record, patch } = change;
    StateChangeInfo {
        serial: record.serial,
        at: record.at,
        event: record.event,
        nixops_version: record.nixops_version,
        made_by: record.made_by,
        patch,
    }
}

impl From<StateError> for Problem {
    fn from(error: StateError) -> Self {
        match error {
            StateError::Store(error) => error.into(),
            StateError::Invalid { field, rule, message } => Invalid::one(field, rule, message).into(),
            StateError::Seal(error) => {
                tracing::error!(%error, "a NixOps4 state cannot be opened");
                let detail = "the state cannot be opened with this daemon's key";
                Self::new(StatusCode::INTERNAL_SERVER_ERROR, "state-sealed", "Sealed to another key", detail)
            }
        }
    }
}
