//! `/v1/tenants/{name}/migration`: a tenant leaves for another provider.

use actix_web::web::{Data, Json, Path};
use actix_web::{HttpRequest, HttpResponse, delete, get, post};
use berth_contract::NewMigration;
use berth_domain::{Departure, Invalid, Mode, Operation, OperationKind, Permission, Rehearsal, TenantName};
use berth_seal::About;
use berth_store::DepartureRecord;
use berth_transfer::{Ticket, TicketError, short_code};
use chrono::{SubsecRound as _, Utc};
use secrecy::SecretString;
use utoipa_actix_web::service_config::ServiceConfig;

use super::snapshots::operation;
use super::tickets::own_address;
use crate::arrival::ticket_back;
use crate::auth::Caller;
use crate::body::{Body, named};
use crate::idempotency::{IdempotencyKey, Once};
use crate::openapi::Refusals;
use crate::problem::Problem;
use crate::state::Api;

pub(super) fn routes(config: &mut ServiceConfig<'_>) {
    config.service(create).service(undo).service(show).service(take_back);
}

/// Moves a tenant to the provider that issued a ticket. That provider looks first whether it can take the tenant; then somebody
/// there accepts it, comparing the code that `GET …/migration` shows here. Most of the state is copied while the services go
/// on. Until the target has it, cancelling the operation, and every failure, leaves the tenant here. The answer names the
/// operation to follow.
#[utoipa::path(
    operation_id = "migrateTenant", tag = "Migration", request_body = NewMigration,
    params(("name" = String, Path), IdempotencyKey),
    responses((status = 202, body = Operation, headers(("Location" = String))), Refusals),
    security(("bearer" = ["tenant:write"]))
)]
#[post("/tenants/{name}/migration")]
async fn create(
    caller: Caller,
    api: Data<Api>,
    request: HttpRequest,
    name: Path<String>,
    body: Body<NewMigration>,
) -> Result<HttpResponse, Problem> {
    let name: TenantName = named("tenant", &name)?;
    caller.require(Permission::WriteTenant(&name))?;
    let NewMigration { ticket: text, rehearsal } = body.value?;
    let text = SecretString::from(text);
    let once = Once::read(&caller, &request, &body.bytes)?;
    if let Some(earlier) = once.earlier(&api).await? {
        return Ok(earlier);
    }
    begin(&api, &caller, &once, Leaving { name, request: &request, rehearsal }, &text).await
}

/// Moves a tenant back to the provider that it came from, by the way that this one opened when it handed the tenant over, and as long
/// as it keeps what is left of the tenant there. Nobody has to accept it. All else is as in any other migration. 409
/// `no-way-back` where there is no such way.
#[utoipa::path(
    operation_id = "undoMigration", tag = "Migration",
    params(("name" = String, Path), IdempotencyKey),
    responses((status = 202, body = Operation, headers(("Location" = String))), Refusals),
    security(("bearer" = ["tenant:write"]))
)]
#[post("/tenants/{name}/migration/undo")]
async fn undo(
    caller: Caller,
    api: Data<Api>,
    request: HttpRequest,
    name: Path<String>,
) -> Result<HttpResponse, Problem> {
    let name: TenantName = named("tenant", &name)?;
    caller.require(Permission::WriteTenant(&name))?;
    let once = Once::read(&caller, &request, &[])?;
    if let Some(earlier) = once.earlier(&api).await? {
        return Ok(earlier);
    }
    let text = ticket_back(&api, &name).await?;
    begin(&api, &caller, &once, Leaving { name, request: &request, rehearsal: false }, &text).await
}

/// What is to leave.
struct Leaving<'a> {
    name: TenantName,
    request: &'a HttpRequest,
    rehearsal: bool,
}

/// Begins to move a tenant, or to rehearse it, with the ticket that `text` is.
async fn begin(
    api: &Api,
    caller: &Caller,
    once: &Once<'_>,
    leaving: Leaving<'_>,
    text: &SecretString,
) -> Result<HttpResponse, Problem> {
    let Leaving { name, request, rehearsal } = leaving;
    let ticket = Ticket::parse(text).and_then(|ticket| ticket.check_time(Utc::now()).map(|()| ticket));
    let ticket = ticket.map_err(|error| refused(&error))?;
    if ticket.url.scheme() == "http" {
        // It leads to this very host: a customer is not to choose whom the daemon speaks to there.
        caller.require(Permission::Operate)?;
    }
    let own = api.engine.exports().key.public();
    if ticket.identity == own {
        return Err(Invalid::one("/ticket", "other-provider", "was issued by this very provider").into());
    }
    let kind = if rehearsal { OperationKind::Rehearse } else { OperationKind::Migrate };
    let operation = operation(api, caller, name.clone(), kind).await?;
    let operation = Operation { migration: Some(ticket.offer), ..operation };
    if api.store().tenant(&name).await?.spec.mode != Mode::Active {
        let detail = "only a tenant whose mode is active can be moved";
        return Err(Problem::conflict("not-active", detail));
    }
    let sealed = api.engine.keys().seal(&About::ticket(&operation.id.to_string()), text);
    let (target, key) = (ticket.url.to_string(), ticket.identity.id().to_string());
    let code = short_code(ticket.offer, rehearsal, &ticket.identity, &own);
    let departure = Departure {
        trusted: caller.require(Permission::Operate).is_ok(),
        rehearsal: rehearsal.then(Rehearsal::default),
        source: own_address(api, request).ok().filter(|_| is_reached_there(api, &ticket)).map(String::from),
        ..Departure::begun(ticket.offer, operation.id, name, target, key, code)
    };
    let record = DepartureRecord { departure, sealed_ticket: sealed.map_err(Problem::internal)? };
    once.accept(api, &operation, async |kept| api.engine.submit_departure(&operation, &record, kept).await)
        .await
}

/// How a tenant's newest migration to another provider stands: the code to compare, and, once it is over, the proof of what was
/// moved. It can be read after the tenant was forgotten here, by an administrator.
#[utoipa::path(operation_id = "getMigration", tag = "Migration", params(("name" = String, Path)), responses((status = 200, body = Departure), Refusals), security(("bearer" = ["tenant:read"])))]
#[get("/tenants/{name}/migration")]
async fn show(caller: Caller, api: Data<Api>, name: Path<String>) -> Result<Json<Departure>, Problem> {
    let name: TenantName = named("tenant", &name)?;
    caller.require(Permission::ReadTenant(&name))?;
    let departure = api.store().departure_of(&name).await?;
    if let Ok(tenant) = api.store().tenant(&name).await
        && tenant.created_at > api.store().operation(departure.operation).await?.created_at
    {
        // It is of a former tenant of that name.
        caller.require(Permission::Administer)?;
    }
    Ok(Json(departure))
}

/// Takes a tenant back that was handed over to another provider, or that was to come here and did not: it may be deployed in the
/// mode `active` again. Only who knows that nobody serves it elsewhere may say so, for instance as the other provider's machine is
/// gone for good. Nothing is started by this.
#[utoipa::path(operation_id = "takeBackTenant", tag = "Migration", params(("name" = String, Path)), responses((status = 204), Refusals), security(("bearer" = ["admin"])))]
#[delete("/tenants/{name}/migration")]
async fn take_back(caller: Caller, api: Data<Api>, name: Path<String>) -> Result<HttpResponse, Problem> {
    caller.require(Permission::Administer)?;
    let name: TenantName = named("tenant", &name)?;
    if api.store().take_back(&name, Utc::now().trunc_subsecs(3)).await? {
        Ok(HttpResponse::NoContent().finish())
    } else {
        Err(Problem::conflict("nothing-to-take-back", "no other provider serves the tenant, or may serve it"))
    }
}

/// Whether the target reaches this daemon where the request did: what it says of its host is only believed where both are on this
/// one.
fn is_reached_there(api: &Api, ticket: &Ticket) -> bool {
    api.public_url.is_some() || ticket.url.scheme() == "http"
}

fn refused(error: &TicketError) -> Problem {
    let rule = match error {
        TicketError::Expired { .. } => "ticket-expired",
        _ => "ticket",
    };
    Invalid::one("/ticket", rule, error.to_string()).into()
}
