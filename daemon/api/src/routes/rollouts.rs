//! `/v1/rollouts`: the same change to many tenants, in waves.

use actix_web::web::{Data, Json, Path};
use actix_web::{HttpRequest, HttpResponse, get, post};
use berth_contract::{NewAbortion, NewWish, Page};
use berth_domain::{Permission, Rollout, RolloutDraft, RolloutEvent, RolloutId, RolloutSpec};
use berth_engine::rollouts::Wish;
use chrono::Utc;
use utoipa_actix_web::service_config::ServiceConfig;

use super::events::{From, MAX_LIMIT, next, wants_stream};
use crate::auth::Caller;
use crate::body::{Body, named};
use crate::idempotency::{IdempotencyKey, Once};
use crate::openapi::Refusals;
use crate::paging::{self, Paging, page};
use crate::problem::Problem;
use crate::query::Query;
use crate::reply::Reply;
use crate::sse::{self, Cursor};
use crate::state::Api;

pub(super) fn routes(config: &mut ServiceConfig<'_>) {
    config
        .service(create)
        .service(list)
        .service(show)
        .service(pause)
        .service(resume)
        .service(abort)
        .service(events);
}

/// Deploys many tenants, wave by wave: a wave begins when the one before it has gone well. With `platform`, they are
/// brought to another platform; this is how a new nixpkgs reaches tenants.
///
/// Which tenants these are is decided now: those that come later are not among them.
#[utoipa::path(
    operation_id = "createRollout", tag = "Rollouts", request_body = RolloutDraft,
    params(IdempotencyKey),
    responses((status = 202, body = Rollout, headers(("Location" = String))), Refusals),
    security(("bearer" = ["operator"]))
)]
#[post("/rollouts")]
async fn create(
    caller: Caller,
    api: Data<Api>,
    request: HttpRequest,
    body: Body<RolloutDraft>,
) -> Result<HttpResponse, Problem> {
    caller.require(Permission::Operate)?;
    let once = Once::read(&caller, &request, &body.bytes)?;
    if let Some(earlier) = once.earlier(&api).await? {
        return Ok(earlier);
    }
    let spec = RolloutSpec::try_from(body.value?)?;
    let rollout = api.engine.plan_rollout(spec, &caller.token.name, Utc::now()).await?;
    let reply = Reply::accepted(place(&rollout), &rollout)?;
    let kept = once.record(&reply)?;
    let outcome = api.engine.submit_rollout(&rollout, kept.as_ref()).await;
    once.answer(&api, &reply, outcome).await
}

/// Rollouts, newest first, without their tenants.
#[utoipa::path(operation_id = "listRollouts", tag = "Rollouts", params(Paging), responses((status = 200, body = Page<Rollout>), Refusals), security(("bearer" = ["operator"])))]
#[get("/rollouts")]
async fn list(caller: Caller, api: Data<Api>, paging: Query<Paging>) -> Result<Json<Page<Rollout>>, Problem> {
    caller.require(Permission::Operate)?;
    let found = api.store().list_rollouts(paging.after.as_deref(), paging.limit()?).await?;
    Ok(Json(page(found, |rollout| rollout)))
}

/// One rollout: its waves, and where each tenant stands.
#[utoipa::path(operation_id = "getRollout", tag = "Rollouts", params(("id" = uuid::Uuid, Path)), responses((status = 200, body = Rollout), Refusals), security(("bearer" = ["operator"])))]
#[get("/rollouts/{id}")]
async fn show(caller: Caller, api: Data<Api>, id: Path<String>) -> Result<Json<Rollout>, Problem> {
    Ok(Json(found(&caller, &api, &id).await?))
}

/// Begins no further deployment until it is resumed. Those that run end by themselves.
#[utoipa::path(
    operation_id = "pauseRollout", tag = "Rollouts", request_body = NewWish,
    params(("id" = uuid::Uuid, Path), IdempotencyKey),
    responses((status = 202, body = Rollout, headers(("Location" = String))), Refusals),
    security(("bearer" = ["operator"]))
)]
#[post("/rollouts/{id}/pause")]
async fn pause(
    caller: Caller,
    api: Data<Api>,
    request: HttpRequest,
    id: Path<String>,
    body: Body<NewWish>,
) -> Result<HttpResponse, Problem> {
    wish(&caller, &api, &request, &id, body, |_| Wish::Pause).await
}

/// Goes on with a rollout that was paused.
#[utoipa::path(
    operation_id = "resumeRollout", tag = "Rollouts", request_body = NewWish,
    params(("id" = uuid::Uuid, Path), IdempotencyKey),
    responses((status = 202, body = Rollout, headers(("Location" = String))), Refusals),
    security(("bearer" = ["operator"]))
)]
#[post("/rollouts/{id}/resume")]
async fn resume(
    caller: Caller,
    api: Data<Api>,
    request: HttpRequest,
    id: Path<String>,
    body: Body<NewWish>,
) -> Result<HttpResponse, Problem> {
    wish(&caller, &api, &request, &id, body, |_| Wish::Resume).await
}

/// Ends a rollout: it begins nothing any more, and is over once what runs has ended. What was deployed stays so.
#[utoipa::path(
    operation_id = "abortRollout", tag = "Rollouts", request_body = NewAbortion,
    params(("id" = uuid::Uuid, Path), IdempotencyKey),
    responses((status = 202, body = Rollout, headers(("Location" = String))), Refusals),
    security(("bearer" = ["operator"]))
)]
#[post("/rollouts/{id}/abort")]
async fn abort(
    caller: Caller,
    api: Data<Api>,
    request: HttpRequest,
    id: Path<String>,
    body: Body<NewAbortion>,
) -> Result<HttpResponse, Problem> {
    let wished = |body: NewAbortion| Wish::Abort { cancel_operations: body.cancel_operations };
    wish(&caller, &api, &request, &id, body, wished).await
}

/// What a rollout reports, as what an operation reports: a page of JSON, or with `Accept: text/event-stream` a stream from
/// the start or after `Last-Event-ID`, live until the rollout ends. A last `end` event carries the rollout.
#[utoipa::path(
    operation_id = "listRolloutEvents", tag = "Rollouts",
    params(
        ("id" = uuid::Uuid, Path), From,
        ("Last-Event-ID" = Option<i64>, Header, description = "The number of the last event that is known")
    ),
    responses(
        (status = 200, content((Page<RolloutEvent> = "application/json"), (String = "text/event-stream"))),
        (status = 204, description = "The rollout has ended and every event was seen; do not reconnect"),
        Refusals
    ),
    security(("bearer" = ["operator"]))
)]
#[get("/rollouts/{id}/events")]
async fn events(
    caller: Caller,
    api: Data<Api>,
    request: HttpRequest,
    id: Path<String>,
    from: Query<From>,
) -> Result<HttpResponse, Problem> {
    let rollout = found(&caller, &api, &id).await?;
    let limit = paging::limit(from.limit, MAX_LIMIT)?;
    let cursor = Cursor::read(&request, from.after, rollout.last_seq)?;
    if wants_stream(&request) {
        return Ok(sse::stream_of_rollout(api, &rollout, cursor));
    }
    let page = api.store().rollout_events(rollout.id, cursor.after, limit).await?;
    let next = next(page.events.last().map(|last| last.seq), page.last_seq);
    Ok(HttpResponse::Ok().json(Page { items: page.events, next }))
}

async fn wish<T>(
    caller: &Caller,
    api: &Api,
    request: &HttpRequest,
    id: &str,
    body: Body<T>,
    wished: impl FnOnce(T) -> Wish,
) -> Result<HttpResponse, Problem> {
    let rollout = found(caller, api, id).await?;
    let wish = wished(body.value?);
    let once = Once::read(caller, request, &body.bytes)?;
    if let Some(earlier) = once.earlier(api).await? {
        return Ok(earlier);
    }
    let granted = wish.granted(&rollout);
    let reply = Reply::accepted(place(&granted), &granted)?;
    let kept = once.record(&reply)?;
    let outcome = api.engine.wish(rollout.id, wish, &caller.token.name, kept.as_ref()).await;
    once.answer(api, &reply, outcome).await
}

async fn found(caller: &Caller, api: &Api, id: &str) -> Result<Rollout, Problem> {
    caller.require(Permission::Operate)?;
    let id: RolloutId = named("rollout", id)?;
    Ok(api.store().rollout(id).await?)
}

/// The place of a rollout.
fn place(rollout: &Rollout) -> String {
    format!("/v1/rollouts/{}", rollout.id)
}
