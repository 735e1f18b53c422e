//! How a ticket stands, signed by this provider: the answer to everything that a source asks.

use actix_web::HttpResponse;
use berth_domain::{Arrival, MovePhase};
use berth_seal::About;
use berth_store::ArrivalRecord;
use berth_transfer::client::JOSE;
use berth_transfer::sealed::Purpose;
use berth_transfer::{Claim, Entrance, Sealed, Statement as _, View};
use secrecy::ExposeSecret as _;

use crate::problem::Problem;
use crate::state::Api;

/// The answer to the question that calls itself `nonce`.
///
/// # Errors
/// The database failed, or something cannot be sealed.
pub(crate) async fn answer(
    api: &Api,
    record: &ArrivalRecord,
    nonce: String,
) -> Result<HttpResponse, Problem> {
    let arrival = &record.arrival;
    let machine = api.store().machine(&arrival.machine).await?;
    let view = View {
        offer: arrival.id,
        nonce,
        phase: arrival.phase,
        code: arrival.code.clone(),
        tenant: arrival.tenant.clone().filter(|_| arrival.operation.is_some()),
        address: Some(machine.spec.address),
        obstacles: arrival.obstacles.clone(),
        message: arrival.message.clone(),
        progress: None,
        vault: vault(api, record).await?,
        ahead: arrival.ahead.as_ref().map(|ahead| ahead.snapshots.keys().cloned().collect()),
        rehearses: Some(arrival.rehearses),
        rehearsal: arrival.rehearsal.clone().filter(|_| arrival.rehearses),
        follows_changes: Some(true),
        merges_changes: Some(arrival.ahead.as_ref().is_some_and(|ahead| ahead.merged)),
        replicates_databases: Some(follows_databases(arrival)),
        knows_way_back: Some(true),
        countersignature: arrival.countersignature.clone(),
    };
    Ok(HttpResponse::Ok().content_type(JOSE).body(view.sign(&api.engine.exports().key)))
}

/// Whether databases can be followed, as far as is known.
fn follows_databases(arrival: &Arrival) -> bool {
    !arrival.never_ahead && arrival.ahead.as_ref().is_none_or(|ahead| ahead.refused.is_empty())
}

/// Where the state is to be brought, as long as it is; its key is for the source's eyes alone.
async fn vault(api: &Api, record: &ArrivalRecord) -> Result<Option<Entrance>, Problem> {
    let arrival = &record.arrival;
    let (MovePhase::Receiving, Some(tenant), Some(claim)) = (arrival.phase, &arrival.tenant, &record.claim)
    else {
        return Ok(None);
    };
    let Some(vault) = api.store().vault(tenant).await? else { return Ok(None) };
    let key = api.engine.keys().open(&About::vault(&vault.id.to_string()), &vault.sealed_key);
    let key = key.map_err(Problem::internal)?;
    // It was read when it came, and stands here as it came.
    let (claim, _) = Claim::verify_first(claim, arrival.id).map_err(Problem::internal)?;
    let key = Sealed::to(&claim.recipient, arrival.id, Purpose::VaultKey, key.expose_secret().as_bytes())
        .map_err(Problem::internal)?;
    Ok(Some(Entrance { path: format!("/v1/transfers/{}/vault/{}/", arrival.id, vault.id), key }))
}
