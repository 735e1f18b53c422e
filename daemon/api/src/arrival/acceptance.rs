//! A tenant that another provider wants to move here is accepted: by a person, or by itself where it comes back.

use berth_contract::ServicesPatch;
use berth_domain::{MovePhase, Operation, OperationId, OperationKind, TenantName};
use berth_store::{ArrivalRecord, StoreError};
use berth_transfer::Claim;
use chrono::{SubsecRound as _, Utc};

use super::changes::refused;
use super::preflight::examine;
use crate::problem::Problem;
use crate::state::Api;

/// Who accepts a tenant that comes back.
const BY: &str = "way back";

/// Writes down what was claimed as a tenant of this provider, with what is to differ of it, and gives the operation that takes it in, which is to be submitted.
/// Safe to be done again where it was interrupted.
///
/// # Errors
/// Something is in the way, or changed meanwhile; or the database failed.
pub(crate) async fn accepted(
    api: &Api,
    record: &ArrivalRecord,
    patch: &ServicesPatch,
    by: String,
) -> Result<Operation, Problem> {
    let arrival = &record.arrival;
    let (claim, _) = Claim::verify_first(record.claim.as_deref().unwrap_or_default(), arrival.id)
        .map_err(Problem::internal)?;
    let examined = examine(api, arrival, &claim, patch).await?;
    let spec = examined.spec.filter(|_| examined.obstacles.is_empty());
    let spec = spec.ok_or_else(|| refused(&examined.obstacles))?;
    let now = Utc::now().trunc_subsecs(3);
    let kind = if claim.rehearsal { OperationKind::TryOut } else { OperationKind::Import };
    let queued = Operation::queued(spec.name.clone(), spec.machine.clone(), kind, false, by, now);
    let id = prepare(api, record, &spec.name, queued.id).await?;
    match examined.own {
        Some(version) => api.store().update_tenant(&spec, Some(version), now).await.map(drop)?,
        None => api.store().create_tenant(&spec, now, None).await.map(drop)?,
    }
    Ok(Operation { id, migration: Some(arrival.id), ..queued })
}

/// Begins to take a tenant in that comes back: only its new provider has the ticket for that, and nothing is in the way. Gives the
/// ticket as it stands then.
///
/// # Errors
/// As [`accepted`]; `still-ending` while another operation works on what is left of the tenant here.
pub(crate) async fn come_back(api: &Api, record: ArrivalRecord) -> Result<ArrivalRecord, Problem> {
    let arrival = &record.arrival;
    let waits = matches!(arrival.phase, MovePhase::Claimed | MovePhase::Preparing);
    if !waits || !arrival.obstacles.is_empty() || begun(api, &record).await?.is_some() {
        return Ok(record);
    }
    if let Some(tenant) = &arrival.tenant
        && api.store().unfinished_operation(tenant).await?.is_some()
    {
        return Err(still_ending("another operation works on what is left of the tenant here"));
    }
    let operation = accepted(api, &record, &ServicesPatch::default(), BY.into()).await?;
    match api.engine.submit(&operation, None).await {
        Ok(()) => Ok(api.store().arrival(arrival.id).await?),
        Err(StoreError::OperationRunning { .. }) => {
            Err(still_ending("another operation works on what is left of the tenant here"))
        }
        Err(error) => Err(error.into()),
    }
}

/// It is to be asked again.
pub(crate) fn still_ending(detail: impl Into<String>) -> Problem {
    let mut problem = Problem::conflict("still-ending", detail.into());
    problem.retry_after = Some(5);
    problem
}

/// Notes the acceptance of what was claimed; gives the id of the operation, which is that of an acceptance that was
/// interrupted where there was one.
async fn prepare(
    api: &Api,
    record: &ArrivalRecord,
    tenant: &TenantName,
    fresh: OperationId,
) -> Result<OperationId, Problem> {
    let prepare = |now: &mut ArrivalRecord| {
        let same = now.claim == record.claim;
        let arrival = &mut now.arrival;
        match arrival.phase {
            MovePhase::Claimed if same => {
                arrival.phase = MovePhase::Preparing;
                arrival.tenant = Some(tenant.clone());
                arrival.operation = Some(fresh);
                Ok(fresh)
            }
            MovePhase::Preparing if same => Ok(arrival.operation.unwrap_or(fresh)),
            _ => {
                Err(Problem::conflict("changed-meanwhile", "the migration has changed meanwhile; look again"))
            }
        }
    };
    Ok(api.engine.change_arrival(record.arrival.id, prepare).await?.1)
}

/// The operation that a ticket's acceptance began before.
///
/// # Errors
/// The database failed.
pub(crate) async fn begun(api: &Api, record: &ArrivalRecord) -> Result<Option<Operation>, Problem> {
    let arrival = &record.arrival;
    let (Some(id), false) = (arrival.operation, matches!(arrival.phase, MovePhase::Claimed)) else {
        return Ok(None);
    };
    match api.store().operation(id).await {
        Ok(operation) => Ok(Some(operation)),
        Err(StoreError::NotFound { .. }) => Ok(None),
        Err(error) => Err(error.into()),
    }
}
