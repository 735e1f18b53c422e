//! Tenants as the API shows them, and who may change what of them.

use berth_contract::Tenant;
use berth_domain::{Invalid, Permission, TenantDraft, TenantName, TenantSpec};
use berth_store::TenantRecord;
use chrono::{DateTime, Utc};

use crate::auth::Caller;
use crate::given;
use crate::problem::Problem;
use crate::state::Api;

/// What a draft specifies, its services checked against what is on offer.
///
/// # Errors
/// Every broken rule at once.
///
/// `stored` is the tenant as it stands: secrets that the draft leaves out are its.
pub(crate) fn specified(
    api: &Api,
    mut draft: TenantDraft,
    stored: Option<&TenantSpec>,
) -> Result<TenantSpec, Problem> {
    let offered = api.offer.check(&draft.services);
    if offered.is_ok() {
        given::seal(&mut draft, &api.offer, api.engine.keys(), stored)?;
    }
    match (TenantSpec::try_from(draft), offered) {
        (Ok(spec), Ok(())) => Ok(spec),
        (Ok(_), Err(invalid)) | (Err(invalid), Ok(())) => Err(invalid.into()),
        (Err(mut invalid), Err(offered)) => {
            invalid.extend(offered);
            Err(invalid.into())
        }
    }
}

/// The same for the tenant of that name and no other.
///
/// # Errors
/// Every broken rule at once.
pub(crate) fn specified_as(
    api: &Api,
    name: &TenantName,
    draft: TenantDraft,
    stored: Option<&TenantSpec>,
) -> Result<TenantSpec, Problem> {
    let spec = specified(api, draft, stored)?;
    if spec.name != *name {
        return Err(Invalid::one("/name", "same", "must be the name in the path").into());
    }
    Ok(spec)
}

/// The place of a tenant.
pub(crate) fn place(name: &TenantName) -> String {
    format!("/v1/tenants/{name}")
}

/// A tenant that was never deployed.
pub(crate) fn new_record(spec: TenantSpec, now: DateTime<Utc>) -> TenantRecord {
    TenantRecord {
        spec,
        version: 1,
        created_at: now,
        updated_at: now,
        deployed_revision: None,
        deployed_system: None,
    }
}

/// A tenant as the API shows it.
pub(crate) fn view(api: &Api, record: TenantRecord) -> Tenant {
    Tenant {
        urls: api.offer.urls(&record.spec, api.scheme()),
        spec: given::without_secrets(record.spec.into()),
        version: record.version,
        deployed_revision: record.deployed_revision,
        created_at: record.created_at,
        updated_at: record.updated_at,
    }
}

/// Refuses a tenant's own token to change what the provider sells or decides.
pub(crate) fn may_change(caller: &Caller, old: &TenantSpec, new: &TenantSpec) -> Result<(), Problem> {
    let providers =
        |spec: &TenantSpec| (spec.machine.clone(), spec.domain.clone(), spec.plan.clone(), spec.mode.clone());
    if providers(old) == providers(new) {
        return Ok(());
    }
    caller.require(Permission::Operate)
}
