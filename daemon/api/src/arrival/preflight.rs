//! What keeps a tenant from coming here: everything at once, and nothing is changed.

use berth_contract::ServicesPatch;
use berth_domain::{
    Address, Arrival, MigrationId, Mode, Obstacle, OperationId, TenantDraft, TenantName, TenantSpec,
};
use berth_store::{StoreError, TenantRecord};
use berth_transfer::Claim;
use berth_transfer::sealed::Purpose;

use super::buckets::objects_left_behind;
use super::changes::change;
use crate::problem::Problem;
use crate::state::Api;
use crate::tenant::specified;

/// A tenant that wants to come.
pub(crate) struct Examined {
    /// As it is called and said to be at the source.
    pub(crate) draft: TenantDraft,
    /// What it would be here, its services stopped; nothing where it cannot be anything here.
    pub(crate) spec: Option<TenantSpec>,
    /// The version of the tenant that an earlier try with the same ticket left here.
    pub(crate) own: Option<i64>,
    /// Why it cannot come.
    pub(crate) obstacles: Vec<Obstacle>,
}

/// Looks at what a source brings, of whose services something is to differ.
///
/// # Errors
/// It was sealed to somebody else, or is no tenant; or the database failed.
pub(crate) async fn examine(
    api: &Api,
    arrival: &Arrival,
    claim: &Claim,
    patch: &ServicesPatch,
) -> Result<Examined, Problem> {
    let sealed = |_| {
        let detail =
            "the tenant is sealed to a key that this provider does not have any more; a new ticket is needed";
        Problem::conflict("ticket-outdated", detail)
    };
    let text = claim.tenant.open(api.engine.keys(), claim.offer, Purpose::Tenant).map_err(sealed)?;
    // What cannot be read is not shown: there are secrets in it.
    let draft: TenantDraft =
        serde_json::from_slice(&text).map_err(|_| Problem::bad_request("what is sealed is no tenant"))?;
    let mut changed = draft.clone();
    if let Err(obstacle) = change(&mut changed, patch) {
        return Ok(Examined { draft, spec: None, own: None, obstacles: vec![obstacle] });
    }
    let mut obstacles = not_allowed(arrival, &changed);
    obstacles.extend(objects_left_behind(&draft, &changed));
    let (wanted, own) = match arrival.returns {
        None => {
            let wanted = here(arrival, changed);
            let own = own(api, arrival.operation, &wanted.name).await?;
            (wanted, own)
        }
        Some(left) => match left_behind(api, arrival, left).await? {
            Some((tenant, to)) if !claim.rehearsal && draft.domain == tenant.spec.domain.as_str() => {
                (back(&tenant.spec, &to, changed), Some(tenant))
            }
            kept => {
                obstacles.push(no_return(kept.is_some(), claim.rehearsal));
                return Ok(Examined { draft, spec: None, own: None, obstacles });
            }
        },
    };
    let spec = fitting(api, wanted, own.as_ref().map(|own| &own.spec), &mut obstacles).await?;
    Ok(Examined { draft, spec, own: own.map(|own| own.version), obstacles })
}

/// The tenant as it would be here, unless it breaks a rule; `own` is the one that is here already from an earlier try. What is in
/// the way is added to the obstacles.
///
/// # Errors
/// Whether it can be here cannot be found out.
pub(crate) async fn fitting(
    api: &Api,
    wanted: TenantDraft,
    own: Option<&TenantSpec>,
    obstacles: &mut Vec<Obstacle>,
) -> Result<Option<TenantSpec>, Problem> {
    match specified(api, wanted, own).await {
        Ok(spec) => {
            if own.is_none() {
                obstacles.extend(taken(api, &spec).await?);
            }
            Ok(Some(spec))
        }
        Err(problem) if problem.errors.is_empty() => Err(problem),
        Err(problem) => {
            obstacles.extend(broken_rules(&problem));
            Ok(None)
        }
    }
}

/// What a tenant breaks the rules with, as obstacles.
fn broken_rules(problem: &Problem) -> impl Iterator<Item = Obstacle> {
    problem.errors.iter().map(|error| Obstacle {
        code: error.rule.clone(),
        message: error.message.clone(),
        field: Some(error.field.clone()),
    })
}

/// The tenant as it would be here, its services stopped.
fn here(arrival: &Arrival, draft: TenantDraft) -> TenantDraft {
    TenantDraft {
        name: arrival.tenant.as_ref().map_or(draft.name, ToString::to_string),
        machine: arrival.machine.to_string(),
        plan: arrival.plan.as_ref().map(ToString::to_string),
        // The words of another provider's own.
        labels: Vec::new(),
        mode: Some(Mode::Standby.word().into()),
        notice: None,
        moved_to: None,
        ..draft
    }
}

/// What is left here of a tenant that comes back, and where visitors are passed on to meanwhile; nothing where it was removed, or
/// is back already.
async fn left_behind(
    api: &Api,
    arrival: &Arrival,
    left: MigrationId,
) -> Result<Option<(TenantRecord, Address)>, Problem> {
    let Some(name) = &arrival.tenant else { return Ok(None) };
    let (tenant, departure) = match (api.store().tenant(name).await, api.store().departure_of(name).await) {
        (Ok(tenant), Ok(departure)) => (tenant, departure),
        (Err(StoreError::NotFound { .. }), _) | (_, Err(StoreError::NotFound { .. })) => return Ok(None),
        (Err(error), _) | (_, Err(error)) => return Err(error.into()),
    };
    let is_kept = departure.id == left && departure.has_taken(tenant.created_at);
    Ok(departure.address.filter(|_| is_kept).map(|to| (tenant, to)))
}

/// The tenant as it would be once more; what the provider decides stays as it was. Visitors are passed on until it is here.
fn back(own: &TenantSpec, to: &Address, draft: TenantDraft) -> TenantDraft {
    let TenantDraft { name, machine, plan, labels, .. } = TenantDraft::from(own.clone());
    let mode = Mode::Moved { to: to.clone() };
    let (mode, moved_to) = (Some(mode.word().into()), Some(to.to_string()));
    TenantDraft { name, machine, plan, labels, mode, moved_to, notice: None, ..draft }
}

fn no_return(is_kept: bool, rehearsal: bool) -> Obstacle {
    let (code, message, field) = match (is_kept, rehearsal) {
        (false, _) => {
            ("not-kept", "nothing of the tenant is kept here any more, or it is back already", None)
        }
        (true, true) => ("rehearsal", "the way back is not rehearsed", None),
        // Which domains there may be, a person decides.
        (true, false) => (
            "other-domain",
            "the tenant had another domain when it left, and needs a ticket",
            Some("/domain"),
        ),
    };
    Obstacle { code: code.into(), message: message.into(), field: field.map(Into::into) }
}

fn not_allowed(arrival: &Arrival, draft: &TenantDraft) -> Vec<Obstacle> {
    let Some(allowed) = &arrival.services else { return Vec::new() };
    let enabled = draft.services.iter().filter(|(_, settings)| settings.get("enable") != Some(&false.into()));
    let others = enabled.filter(|(name, _)| !allowed.iter().any(|allowed| allowed.as_str() == name.as_str()));
    let obstacle = |name: &String| Obstacle {
        code: "service-not-in-ticket".into(),
        message: format!("the ticket is not for the service {name}"),
        field: Some(format!("/services/{name}")),
    };
    others.map(|(name, _)| obstacle(name)).collect()
}

/// The tenant of that name that an earlier try made here, by its operation.
pub(crate) async fn own(
    api: &Api,
    operation: Option<OperationId>,
    name: &str,
) -> Result<Option<TenantRecord>, Problem> {
    let Some(operation) = operation else { return Ok(None) };
    let Ok(name) = name.parse::<TenantName>() else { return Ok(None) };
    let tenant = match api.store().tenant(&name).await {
        Ok(tenant) if tenant.spec.mode == Mode::Standby => tenant,
        Ok(_) | Err(StoreError::NotFound { .. }) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    match api.store().operation(operation).await {
        // One of that name that came after it is another's.
        Ok(earlier) => {
            Ok((earlier.tenant == name && tenant.created_at <= earlier.created_at).then_some(tenant))
        }
        // It was accepted, and interrupted before anything was begun.
        Err(StoreError::NotFound { .. }) => Ok((tenant.deployed_revision.is_none()).then_some(tenant)),
        Err(error) => Err(error.into()),
    }
}

/// Whether its name, its domain and its place are free.
async fn taken(api: &Api, spec: &TenantSpec) -> Result<Option<Obstacle>, Problem> {
    let obstacle = |code: &str, message: String, field: &str| Obstacle {
        code: code.into(),
        message,
        field: Some(field.into()),
    };
    match api.store().tenant(&spec.name).await {
        Ok(_) => {
            let message = format!("there is a tenant {} here already", spec.name);
            return Ok(Some(obstacle("name-taken", message, "/name")));
        }
        Err(StoreError::NotFound { .. }) => {}
        Err(error) => return Err(error.into()),
    }
    match api.store().check_new_tenant(spec).await {
        Ok(()) => Ok(None),
        // Whose it is is nobody's business elsewhere.
        Err(StoreError::DomainTaken { domain, .. }) => Ok(Some(obstacle(
            "domain-taken",
            format!("another tenant here has the domain {domain}"),
            "/domain",
        ))),
        Err(
            StoreError::MachineTaken { .. }
            | StoreError::MachineLent { .. }
            | StoreError::MachineHoldsData { .. }
            | StoreError::NoSuchMachine { .. },
        ) => {
            let message = "the machine that it is to come to is not free".to_owned();
            Ok(Some(obstacle("machine-taken", message, "/machine")))
        }
        Err(error) => Err(error.into()),
    }
}
