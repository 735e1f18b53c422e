//! The way back that a source gave with its hand-over.

use berth_domain::{Arrival, TenantName};
use berth_sign::{Jwk, PublicKey};
use berth_store::ArrivalRecord;
use berth_transfer::sealed::Purpose;
use berth_transfer::{HandOver, Statement as _, Ticket};
use secrecy::SecretString;

use crate::problem::Problem;
use crate::state::Api;

/// The source's ticket, as text and as what it says; nothing where there is none, or none that can be used.
pub(crate) fn way_back(api: &Api, said: &HandOver, source: &PublicKey) -> Option<(SecretString, Ticket)> {
    let sealed = said.way_back.as_ref()?;
    let text = sealed.open(api.engine.keys(), said.offer, Purpose::WayBack).ok()?;
    let text = SecretString::from(std::str::from_utf8(&text).ok()?);
    let ticket = Ticket::parse(&text).ok()?;
    // Back is to whoever it came from, and to nobody else.
    (ticket.identity == *source).then_some((text, ticket))
}

/// The ticket with which a tenant goes back to where it came from.
///
/// # Errors
/// `no-way-back` where there is none; or the database failed.
pub(crate) async fn ticket_back(api: &Api, tenant: &TenantName) -> Result<SecretString, Problem> {
    let none = || {
        let detail = "the tenant did not come from another provider, or that one gave no way back";
        Problem::conflict("no-way-back", detail)
    };
    let record = api.store().arrival_of(tenant).await?.ok_or_else(none)?;
    if !is_of_this_tenant(api, tenant, &record.arrival).await? {
        return Err(none());
    }
    let key: Jwk =
        serde_json::from_str(record.source_key.as_deref().unwrap_or_default()).map_err(Problem::internal)?;
    let key = key.key().map_err(Problem::internal)?;
    let said = read(&record, &key).ok_or_else(none)?;
    way_back(api, &said, &key).map(|(text, _)| text).ok_or_else(none)
}

/// Not of a former one of that name, and only once it is here.
async fn is_of_this_tenant(api: &Api, tenant: &TenantName, arrival: &Arrival) -> Result<bool, Problem> {
    let (Some(operation), true) = (arrival.operation, arrival.phase == berth_domain::MovePhase::Live) else {
        return Ok(false);
    };
    let came = api.store().operation(operation).await?.created_at;
    Ok(api.store().tenant(tenant).await?.created_at <= came)
}

fn read(record: &ArrivalRecord, key: &PublicKey) -> Option<HandOver> {
    HandOver::verify(record.handover.as_deref()?, key, record.arrival.id).ok()
}
