//! `/v1/tickets`: what a tenant of another provider needs to move here, and what becomes of it.

use std::time::Duration;

use actix_web::web::{Data, Json, Path};
use actix_web::{HttpRequest, HttpResponse, delete, get, post};
use berth_contract::{IssuedTicket, NewAcceptance, NewTicket, Page};
use berth_domain::{Arrival, Invalid, MachineName, MovePhase, Operation, Permission, Timestamp};
use berth_store::{ArrivalRecord, StoreError};
use berth_transfer::{Ticket, Url, new_token, same_code, token_hash};
use chrono::{SubsecRound, TimeDelta, Utc};
use secrecy::ExposeSecret as _;
use utoipa_actix_web::service_config::ServiceConfig;
use uuid::Uuid;

use crate::arrival::{accepted, begun};
use crate::auth::Caller;
use crate::body::{Body, named};
use crate::idempotency::{IdempotencyKey, Once};
use crate::openapi::Refusals;
use crate::paging::{Paging, page};
use crate::problem::Problem;
use crate::query::Query;
use crate::reply::Reply;
use crate::state::{Api, location};

/// How long a ticket can be handed in unless it says otherwise: a week.
const LIFE: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// The longest that a ticket can be handed in, in seconds: ninety days.
const MAX_LIFE: u64 = 90 * 24 * 60 * 60;

pub(super) fn routes(config: &mut ServiceConfig<'_>) {
    config.service(create).service(list).service(show).service(accept).service(revoke);
}

/// Issues a ticket: whoever has it may ask to move one tenant here, from wherever it is, onto this machine. It is shown this
/// once, and good for one tenant.
#[utoipa::path(
    operation_id = "issueTicket", tag = "Migration", request_body = NewTicket,
    params(IdempotencyKey),
    responses((status = 201, body = IssuedTicket, headers(("Location" = String))), Refusals),
    security(("bearer" = ["operator"]))
)]
#[post("/tickets")]
async fn create(
    caller: Caller,
    api: Data<Api>,
    request: HttpRequest,
    body: Body<NewTicket>,
) -> Result<HttpResponse, Problem> {
    caller.require(Permission::Operate)?;
    let once = Once::read(&caller, &request, &body.bytes)?;
    if let Some(earlier) = once.earlier(&api).await? {
        return Ok(earlier);
    }
    let wanted = body.value?;
    let life = life(&wanted)?;
    check_machine(&api, &wanted.machine).await?;
    let now = Utc::now().trunc_subsecs(3);
    let key = &api.engine.exports().key;
    let ticket = Ticket {
        offer: Uuid::now_v7(),
        url: own_address(&api, &request)?,
        token: new_token().map_err(Problem::internal)?,
        recipient: api.engine.keys().recipient(),
        identity: key.public(),
        expires_at: (now + life).trunc_subsecs(0),
    };
    let record = ArrivalRecord {
        arrival: offered(wanted, &ticket, caller.token.name.clone(), now),
        token_hash: token_hash(&ticket.token).to_string(),
        serial: 1,
        claim: None,
        source_key: None,
        handover: None,
    };
    let text = ticket.issue(key).expose_secret().to_owned();
    let issued = IssuedTicket { info: record.arrival.clone(), ticket: text };
    let reply = Reply::created(format!("/v1/tickets/{}", ticket.offer), &issued)?;
    let kept = once.record(&reply)?;
    let outcome = api.store().create_arrival(&record, kept.as_ref()).await;
    once.answer(&api, &reply, outcome).await
}

/// How long the ticket can be handed in.
fn life(wanted: &NewTicket) -> Result<TimeDelta, Problem> {
    let seconds = wanted.expires_in_seconds.unwrap_or(LIFE.as_secs());
    if !(1..=MAX_LIFE).contains(&seconds) {
        let rule = format!("must be between 1 and {MAX_LIFE}");
        return Err(Invalid::one("/expires_in_seconds", "range", rule).into());
    }
    // Within MAX_LIFE, so it fits.
    Ok(TimeDelta::seconds(seconds as i64))
}

async fn check_machine(api: &Api, machine: &MachineName) -> Result<(), Problem> {
    match api.store().machine(machine).await {
        Ok(_) => Ok(()),
        Err(StoreError::NotFound { .. }) => {
            Err(Invalid::one("/machine", "exists", "names a machine that is not registered").into())
        }
        Err(error) => Err(error.into()),
    }
}

/// A ticket that nobody has handed in yet.
fn offered(wanted: NewTicket, ticket: &Ticket, issued_by: String, now: Timestamp) -> Arrival {
    let NewTicket { machine, tenant, plan, services, max_bytes, .. } = wanted;
    let offered = Arrival::offered(ticket.offer, machine, issued_by, now, ticket.expires_at);
    Arrival { tenant, plan, services, max_bytes, ..offered }
}

/// Where a source is to find this daemon.
pub(super) fn own_address(api: &Api, request: &HttpRequest) -> Result<Url, Problem> {
    let base = api.base(request);
    let url: Option<Url> = base.parse().ok();
    let usable = url.filter(|url| Ticket::check_url(url).is_ok());
    usable.ok_or_else(|| {
        let detail = format!(
            "tickets need an address that others reach this daemon by, with https; “{base}” is none (provider.public_url)"
        );
        Problem::conflict("no-public-address", detail)
    })
}

/// The tickets, newest first.
#[utoipa::path(operation_id = "listTickets", tag = "Migration", params(Paging), responses((status = 200, body = Page<Arrival>), Refusals), security(("bearer" = ["operator"])))]
#[get("/tickets")]
async fn list(caller: Caller, api: Data<Api>, paging: Query<Paging>) -> Result<Json<Page<Arrival>>, Problem> {
    caller.require(Permission::Operate)?;
    let found = api.store().list_arrivals(paging.after.as_deref(), paging.limit()?).await?;
    Ok(Json(page(found, |arrival| arrival)))
}

/// A ticket, and what became of it.
#[utoipa::path(operation_id = "getTicket", tag = "Migration", params(("id" = uuid::Uuid, Path)), responses((status = 200, body = Arrival), Refusals), security(("bearer" = ["operator"])))]
#[get("/tickets/{id}")]
async fn show(caller: Caller, api: Data<Api>, id: Path<String>) -> Result<Json<Arrival>, Problem> {
    caller.require(Permission::Operate)?;
    Ok(Json(api.store().arrival(named("ticket", &id)?).await?.arrival))
}

/// Accepts the tenant that a source wants to move here. Both providers show the same code; whoever accepts repeats the one
/// that the source shows, so that nobody in between can take the source's place. With `services`, some of its settings are others here;
/// the objects of a bucket that is another one are copied into it. The answer names the operation to follow.
#[utoipa::path(
    operation_id = "acceptTicket", tag = "Migration", request_body = NewAcceptance,
    params(("id" = uuid::Uuid, Path), IdempotencyKey),
    responses((status = 202, body = Operation, headers(("Location" = String))), Refusals),
    security(("bearer" = ["operator"]))
)]
#[post("/tickets/{id}/accept")]
async fn accept(
    caller: Caller,
    api: Data<Api>,
    request: HttpRequest,
    id: Path<String>,
    body: Body<NewAcceptance>,
) -> Result<HttpResponse, Problem> {
    caller.require(Permission::Operate)?;
    let once = Once::read(&caller, &request, &body.bytes)?;
    if let Some(earlier) = once.earlier(&api).await? {
        return Ok(earlier);
    }
    let wanted = body.value?;
    let record = api.store().arrival(named("ticket", &id)?).await?;
    if let Some(operation) = begun(&api, &record).await? {
        return Ok(Reply::accepted(location(&operation), &operation)?.response());
    }
    let arrival = &record.arrival;
    let begun_before = arrival.phase == MovePhase::Preparing;
    if arrival.phase != MovePhase::Claimed && !begun_before {
        let detail = format!("there is nothing to accept: the migration is {}", arrival.phase);
        return Err(Problem::conflict("nothing-to-accept", detail));
    }
    if !arrival.code.as_deref().is_some_and(|code| same_code(code, &wanted.code)) {
        let rule =
            "must be the code that the source shows; if it is, somebody stands between you and the source";
        return Err(Invalid::one("/code", "same-code", rule).into());
    }
    let operation = accepted(&api, &record, &wanted.services, caller.token.name.clone()).await?;
    once.accept(&api, &operation, async |kept| api.engine.submit(&operation, kept).await).await
}

/// Takes a ticket back: it cannot be handed in any more, and a migration that is under way comes to nothing. 409 once the
/// tenant is here, or is about to be.
#[utoipa::path(operation_id = "revokeTicket", tag = "Migration", params(("id" = uuid::Uuid, Path)), responses((status = 204), Refusals), security(("bearer" = ["operator"])))]
#[delete("/tickets/{id}")]
async fn revoke(caller: Caller, api: Data<Api>, id: Path<String>) -> Result<HttpResponse, Problem> {
    caller.require(Permission::Operate)?;
    let id = named("ticket", &id)?;
    if !api.engine.revoke_arrival(id).await? {
        let detail = "the source has handed the tenant over; it can be moved back by a ticket of the source";
        return Err(Problem::conflict("handed-over", detail));
    }
    Ok(HttpResponse::NoContent().finish())
}
