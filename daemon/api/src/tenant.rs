//! Tenants as the API shows them, and who may change what of them.

use berth_contract::Tenant;
use berth_domain::{Condition, Invalid, Permission, TenantDraft, TenantName, TenantSpec};
use berth_store::{BackupRecord, TenantRecord};
use chrono::{DateTime, SubsecRound as _, Utc};

use crate::auth::Caller;
use crate::given;
use crate::problem::Problem;
use crate::state::Api;

/// What a draft specifies, its services checked against what is on offer.
///
/// # Errors
/// Every broken rule at once.
///
/// `stored` is the tenant as it stands: secrets that the draft leaves out are its. What is given anew has a number that
/// none of the tenant's revisions uses, as one of these may come back.
pub(crate) async fn specified(
    api: &Api,
    mut draft: TenantDraft,
    stored: Option<&TenantSpec>,
) -> Result<TenantSpec, Problem> {
    let offered = api.offer.check(&draft.services);
    if offered.is_ok() {
        let earlier = match stored.filter(|_| given::gives_any(&draft, &api.offer)) {
            Some(stored) => api.store().revised_specs(&stored.name).await?,
            None => Vec::new(),
        };
        given::seal(&mut draft, &api.offer, api.engine.keys(), stored, &earlier)?;
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
pub(crate) async fn specified_as(
    api: &Api,
    name: &TenantName,
    draft: TenantDraft,
    stored: Option<&TenantSpec>,
) -> Result<TenantSpec, Problem> {
    let spec = specified(api, draft, stored).await?;
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
        platform: None,
        condition: None,
    }
}

/// A tenant as the API shows it, with what is known of its backups.
pub(crate) async fn view(api: &Api, record: TenantRecord) -> Result<Tenant, Problem> {
    let mut all = views(api, vec![record]).await?;
    all.pop().ok_or_else(|| Problem::internal("a tenant that was read is gone"))
}

/// The same of several.
pub(crate) async fn views(api: &Api, records: Vec<TenantRecord>) -> Result<Vec<Tenant>, Problem> {
    let names: Vec<TenantName> = records.iter().map(|record| record.spec.name.clone()).collect();
    let plans = api.store().backup_plans(&names).await?;
    let of = |record: &TenantRecord| plans.iter().find(|plan| plan.tenant == record.spec.name);
    Ok(records.into_iter().map(|record| shown(api, of(&record), record)).collect())
}

/// What a check found, and what of the tenant's backups is not as it should be.
pub(crate) fn condition(
    tenant: &TenantRecord,
    plan: Option<&BackupRecord>,
    checked: Option<Condition>,
) -> Option<Condition> {
    let now = Utc::now().trunc_subsecs(3);
    let found = plan.map(|plan| plan.backups.findings(tenant.backups_rest(), now)).unwrap_or_default();
    match checked {
        None if found.is_empty() => None,
        None => Some(Condition::of(now, found)),
        Some(condition) => Some(condition.with(found)),
    }
}

fn shown(api: &Api, plan: Option<&BackupRecord>, mut record: TenantRecord) -> Tenant {
    let checked = record.condition.take();
    record.condition = condition(&record, plan, checked);
    Tenant {
        urls: api.offer.urls(&record.spec, api.scheme()),
        spec: given::without_secrets(record.spec.into()),
        version: record.version,
        deployed_revision: record.deployed_revision,
        platform: record.platform,
        condition: record.condition,
        created_at: record.created_at,
        updated_at: record.updated_at,
    }
}

/// Refuses a tenant's own token to change what the provider sells or decides.
pub(crate) fn may_change(caller: &Caller, old: &TenantSpec, new: &TenantSpec) -> Result<(), Problem> {
    let providers = |spec: &TenantSpec| {
        let TenantSpec { machine, domain, plan, labels, mode, .. } = spec.clone();
        (machine, domain, plan, labels, mode)
    };
    if providers(old) == providers(new) {
        return Ok(());
    }
    caller.require(Permission::Operate)
}
