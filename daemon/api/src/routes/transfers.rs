//! `/v1/transfers/{offer}`: what a source says with a ticket, and what it is answered. The ticket's token opens it, and nothing
//! else; what is said is signed, and so is every answer ([`berth_transfer`]).

use actix_web::web::{self, Bytes, Data};
use actix_web::{HttpResponse, get, post};
use berth_contract::ServicesPatch;
use berth_domain::migration::Source;
use berth_domain::{MovePhase, OperationId, Rehearsal, TenantName};
use berth_sign::{Jwk, PublicKey};
use berth_store::{ArrivalRecord, StoreError};
use berth_transfer::{Abort, Claim, HandOver, Manifest, Statement, StatementError, brief, short_code};
use chrono::{SubsecRound, Utc};
use utoipa_actix_web::service_config::ServiceConfig;

use crate::arrival::{Bearer, answer, begun, come_back, examine, still_ending, way_back};
use crate::openapi::Refusals;
use crate::problem::Problem;
use crate::state::Api;

/// The path of what a ticket opens; its vault is below.
pub(crate) const OFFER: &str = "/v1/transfers/{offer}";

/// The largest statement, in bytes: a manifest has a line for each table of each database.
const MAX_STATEMENT: usize = 4 << 20;

/// The limit that statements obey.
pub(super) fn limit() -> web::PayloadConfig {
    web::PayloadConfig::new(MAX_STATEMENT)
}

pub(super) fn routes(config: &mut ServiceConfig<'_>) {
    config.service(view).service(claim).service(manifest).service(hand_over).service(abort);
}

/// Signed text (a compact JWS), as docs/src/migration.md describes it.
#[derive(utoipa::ToSchema)]
#[schema(value_type = String)]
struct Signed(#[allow(dead_code)] String);

/// How the migration stands, for the source: a signed view. Opened by the ticket's token, as everything here.
#[utoipa::path(
    operation_id = "viewTransfer", tag = "Migration",
    params(("offer" = uuid::Uuid, Path), ("Berth-Nonce" = String, Header, description = "What the answer repeats")),
    responses((status = 200, body = Signed, content_type = "application/jose"), Refusals), security(("ticket" = []))
)]
#[get("/{offer}")]
async fn view(bearer: Bearer, api: Data<Api>) -> Result<HttpResponse, Problem> {
    answer(&api, &bearer.record, bearer.nonce).await
}

/// A source shows what is to be moved; the answer lists what is in the way.
#[utoipa::path(
    operation_id = "claimTransfer", tag = "Migration", request_body(content = Signed, content_type = "application/jose"),
    params(("offer" = uuid::Uuid, Path), ("Berth-Nonce" = String, Header, description = "What the answer repeats")),
    responses((status = 200, body = Signed, content_type = "application/jose"), Refusals), security(("ticket" = []))
)]
#[post("/{offer}/claim")]
async fn claim(bearer: Bearer, api: Data<Api>, body: Bytes) -> Result<HttpResponse, Problem> {
    let (arrival, jws) = (&bearer.record.arrival, text(&body)?);
    let (claim, key) = Claim::verify_first(jws, arrival.id).map_err(unsigned)?;
    // What an earlier try began may still be at it, and is not to be taken for this one's.
    if arrival.phase.is_vacant() && is_under_way(&api, arrival.operation).await? {
        return Err(still_ending("an earlier try with this ticket is still being ended"));
    }
    let examined = examine(&api, arrival, &claim, &ServicesPatch::default()).await?;
    let now = Utc::now().trunc_subsecs(3);
    let name: TenantName =
        examined.draft.name.parse().map_err(|_| Problem::bad_request("the tenant has no name"))?;
    let domain =
        examined.draft.domain.parse().map_err(|_| Problem::bad_request("the tenant has no domain"))?;
    let jwk = serde_json::to_string(&Jwk::of(&key)).map_err(Problem::internal)?;
    let source = Source {
        provider: brief(&claim.provider),
        key: key.id().to_string(),
        tenant: name,
        domain,
        services: claim.services.iter().map(|(name, offered)| (name.clone(), offered.bytes)).collect(),
    };
    // One that comes back by itself, and was interrupted before its operation began, brings what it is by now.
    let stuck = arrival.returns.is_some()
        && arrival.phase == MovePhase::Preparing
        && begun(&api, &bearer.record).await?.is_none();
    let stuck = stuck.then_some(arrival.operation);
    let code = short_code(arrival.id, claim.rehearsal, &api.engine.exports().key.public(), &key);
    let (record, ()) = api
        .engine
        .change_arrival(arrival.id, |record: &mut ArrivalRecord| {
            if record.source_key.as_ref().is_some_and(|known| *known != jwk) {
                return Err(Problem::conflict("ticket-used", "another provider has handed this ticket in"));
            }
            let arrival = &mut record.arrival;
            if !arrival.is_open(now) {
                let detail = "the ticket has expired or was taken back; a new one is needed";
                return Err(Problem::conflict("ticket-expired", detail));
            }
            if record.claim.is_some()
                && !arrival.phase.is_vacant()
                && arrival.source.as_ref().is_some_and(|known| known.tenant != source.tenant)
            {
                return Err(Problem::conflict("ticket-used", "the ticket was handed in for another tenant"));
            }
            // The same source asks again what it has asked before.
            let stuck = arrival.phase == MovePhase::Preparing && stuck == Some(arrival.operation);
            if arrival.phase.is_vacant() || arrival.phase == MovePhase::Claimed || stuck {
                arrival.phase = MovePhase::Claimed;
                arrival.rehearses = claim.rehearsal;
                if claim.rehearsal {
                    // What an earlier one could not throw away is still to be.
                    let emptied = arrival.rehearsal.as_ref().is_none_or(|earlier| earlier.emptied);
                    arrival.rehearsal = Some(Rehearsal { emptied, ..Rehearsal::default() });
                }
                arrival.source = Some(source.clone());
                arrival.code = Some(code.clone());
                arrival.obstacles.clone_from(&examined.obstacles);
                (arrival.message, arrival.ended_at, arrival.manifest) = (None, None, None);
                (record.claim, record.handover) = (Some(jws.to_owned()), None);
                record.source_key = Some(jwk.clone());
            } else if arrival.rehearses != claim.rehearsal {
                // Neither is to be taken for the other.
                let what = if arrival.rehearses { "a rehearsal" } else { "a move" };
                return Err(still_ending(format!("{what} with this ticket is under way")));
            }
            Ok(())
        })
        .await?;
    let record = if record.arrival.returns.is_some() { come_back(&api, record).await? } else { record };
    answer(&api, &record, bearer.nonce).await
}

async fn is_under_way(api: &Api, operation: Option<OperationId>) -> Result<bool, Problem> {
    let Some(operation) = operation else { return Ok(false) };
    match api.store().operation(operation).await {
        Ok(operation) => Ok(!operation.status.is_final()),
        Err(StoreError::NotFound { .. }) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// The source has sent everything, and signs what it is.
#[utoipa::path(
    operation_id = "sendManifest", tag = "Migration", request_body(content = Signed, content_type = "application/jose"),
    params(("offer" = uuid::Uuid, Path), ("Berth-Nonce" = String, Header, description = "What the answer repeats")),
    responses((status = 200, body = Signed, content_type = "application/jose"), Refusals), security(("ticket" = []))
)]
#[post("/{offer}/manifest")]
async fn manifest(bearer: Bearer, api: Data<Api>, body: Bytes) -> Result<HttpResponse, Problem> {
    let (jws, said) = said::<Manifest>(&bearer, &body)?;
    if bearer.record.arrival.source.as_ref().is_none_or(|source| source.tenant != said.tenant) {
        return Err(Problem::conflict(
            "other-tenant",
            "this is another tenant than the one that was accepted",
        ));
    }
    if bearer.record.arrival.rehearses != said.rehearsal.is_some() {
        let detail =
            "a manifest of a rehearsal is of nothing that moves, and one of a move is rehearsed by nobody";
        return Err(Problem::conflict("other-manifest", detail));
    }
    let (record, ()) = api
        .engine
        .change_arrival(bearer.record.arrival.id, |record| {
            let arrival = &mut record.arrival;
            match arrival.phase {
                MovePhase::Receiving => {
                    arrival.phase = MovePhase::Restoring;
                    arrival.manifest = Some(jws.to_owned());
                    Ok(())
                }
                _ if arrival.manifest.as_deref() == Some(jws) => Ok(()),
                phase => Err(out_of_turn(phase)),
            }
        })
        .await?;
    answer(&api, &record, bearer.nonce).await
}

/// The source has stopped for good: the tenant is this provider's, unless the migration came to nothing here before.
#[utoipa::path(
    operation_id = "handOver", tag = "Migration", request_body(content = Signed, content_type = "application/jose"),
    params(("offer" = uuid::Uuid, Path), ("Berth-Nonce" = String, Header, description = "What the answer repeats")),
    responses((status = 200, body = Signed, content_type = "application/jose"), Refusals), security(("ticket" = []))
)]
#[post("/{offer}/handover")]
async fn hand_over(bearer: Bearer, api: Data<Api>, body: Bytes) -> Result<HttpResponse, Problem> {
    let (jws, said) = said::<HandOver>(&bearer, &body)?;
    let way_back = way_back(&api, &said, &source_key(&bearer)?);
    let way_back_until = way_back.map(|(_, ticket)| ticket.expires_at);
    let (record, ()) = api
        .engine
        .change_arrival(bearer.record.arrival.id, |record| {
            let arrival = &mut record.arrival;
            let sent = arrival.manifest.as_deref().map(Manifest::sum);
            match arrival.phase {
                MovePhase::Ready if sent == Some(said.manifest) => {
                    arrival.phase = MovePhase::GoingLive;
                    arrival.way_back_until = way_back_until;
                    record.handover = Some(jws.to_owned());
                    Ok(())
                }
                MovePhase::Ready => {
                    let detail = "what is handed over is not what was sent";
                    Err(Problem::conflict("other-manifest", detail))
                }
                // Said before, or too late: the answer tells which.
                MovePhase::GoingLive | MovePhase::Live | MovePhase::Failed => Ok(()),
                phase => Err(out_of_turn(phase)),
            }
        })
        .await?;
    answer(&api, &record, bearer.nonce).await
}

/// The tenant stays at the source. Nothing happens once it was handed over.
#[utoipa::path(
    operation_id = "abortTransfer", tag = "Migration", request_body(content = Signed, content_type = "application/jose"),
    params(("offer" = uuid::Uuid, Path), ("Berth-Nonce" = String, Header, description = "What the answer repeats")),
    responses((status = 200, body = Signed, content_type = "application/jose"), Refusals), security(("ticket" = []))
)]
#[post("/{offer}/abort")]
async fn abort(bearer: Bearer, api: Data<Api>, body: Bytes) -> Result<HttpResponse, Problem> {
    let (_, said) = said::<Abort>(&bearer, &body)?;
    let why = format!("the source keeps the tenant: {}", brief(&said.reason));
    let record = api.engine.give_up_arrival(bearer.record.arrival.id, &why).await?;
    answer(&api, &record, bearer.nonce).await
}

/// What the source of this migration, and nobody else, has signed.
fn said<'a, S: Statement>(bearer: &Bearer, body: &'a Bytes) -> Result<(&'a str, S), Problem> {
    let (jws, key) = (text(body)?, source_key(bearer)?);
    Ok((jws, S::verify(jws, &key, bearer.record.arrival.id).map_err(unsigned)?))
}

fn source_key(bearer: &Bearer) -> Result<PublicKey, Problem> {
    let unknown = || Problem::conflict("not-claimed", "the ticket was not handed in yet");
    let key = bearer.record.source_key.as_deref().ok_or_else(unknown)?;
    let key: Jwk = serde_json::from_str(key).map_err(Problem::internal)?;
    key.key().map_err(Problem::internal)
}

fn text(body: &Bytes) -> Result<&str, Problem> {
    std::str::from_utf8(body).map_err(|_| Problem::bad_request("the body must be a compact JWS"))
}

#[allow(clippy::needless_pass_by_value)] // for map_err
fn unsigned(error: StatementError) -> Problem {
    Problem::new(
        actix_web::http::StatusCode::UNPROCESSABLE_ENTITY,
        "statement",
        "Not signed so",
        error.to_string(),
    )
}

fn out_of_turn(phase: MovePhase) -> Problem {
    Problem::conflict("out-of-turn", format!("this cannot be said now: the migration is {phase}"))
}
