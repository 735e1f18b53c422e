//! What a repository holds, for somebody who wants to take a tenant in from it.

use berth_domain::{OffsiteSnapshot, SnapshotId};
use berth_protocol::TenantFile;
use berth_vault::OffsiteError;
use berth_vault::offsite::Offsite;

use super::{Contents, Listed, Told, failed, read, tenant_file};
use crate::error::StepError;

/// How many snapshots are told of.
const NEWEST: usize = 50;

/// How many restic snapshots a repository may have: each of Berth's has one for every service, and one more.
const MOST: usize = 200_000;

/// Looks at a repository. Of a snapshot that was asked for, everything must be readable that says what it is; of the others it is told
/// where it is not.
pub(crate) fn look(offsite: &Offsite, wanted: Option<SnapshotId>) -> Result<Contents, StepError> {
    let listed = listed(offsite)?;
    let (mut snapshots, mut chosen) = (Vec::new(), None);
    for (number, listed) in listed.iter().enumerate() {
        if number >= NEWEST && wanted != Some(listed.id) {
            continue;
        }
        let part = listed.tenant.as_ref().map(|part| tenant_file(offsite, part));
        let shown = shown(listed, part.as_ref());
        let is_it = wanted.map_or(chosen.is_none() && shown.whole, |wanted| wanted == listed.id);
        snapshots.push(shown);
        if is_it && let Some(file) = part {
            chosen = Some(read(offsite, listed, file?)?);
        }
    }
    if let Some(wanted) = wanted.filter(|wanted| listed.iter().all(|listed| listed.id != *wanted)) {
        return Err(missing(wanted));
    }
    let older = (listed.len() - snapshots.len()) as u64;
    Ok(Contents { repository: offsite.id.clone(), snapshots, older, chosen })
}

/// All that one snapshot tells; nothing where it has no part of the tenant's own.
pub(crate) fn find(offsite: &Offsite, wanted: SnapshotId) -> Result<Option<Told>, StepError> {
    let listed = listed(offsite)?.into_iter().find(|listed| listed.id == wanted);
    let listed = listed.ok_or_else(|| missing(wanted))?;
    let Some(part) = &listed.tenant else { return Ok(None) };
    Ok(Some(read(offsite, &listed, tenant_file(offsite, part)?)?))
}

fn listed(offsite: &Offsite) -> Result<Vec<Listed>, StepError> {
    let all = offsite.read_snapshots(MOST).map_err(|error| failed(OffsiteError::far(error)))?;
    let listed = Listed::all(all);
    if listed.is_empty() {
        let message = "the repository holds no snapshot of a tenant that Berth made";
        return Err(StepError::failed("repository-foreign", message));
    }
    Ok(listed)
}

fn missing(wanted: SnapshotId) -> StepError {
    StepError::failed("no-snapshot", format!("the repository holds no snapshot {wanted}"))
}

fn shown(listed: &Listed, part: Option<&Result<TenantFile, StepError>>) -> OffsiteSnapshot {
    let file = part.and_then(|part| part.as_ref().ok());
    let problem = part.and_then(|part| part.as_ref().err()).map(ToString::to_string);
    OffsiteSnapshot {
        id: listed.id,
        created_at: listed.at,
        services: listed.services.keys().cloned().collect(),
        buckets: listed.buckets.keys().map(|(service, name)| format!("{service}/{name}")).collect(),
        tenant_part: listed.tenant.is_some(),
        whole: file.is_some_and(|file| is_whole(listed, file)),
        problem,
    }
}

/// Whether it holds every service that the tenant had.
fn is_whole(listed: &Listed, file: &TenantFile) -> bool {
    let services = file.specification.services.iter();
    let mut enabled = services.filter(|(_, settings)| settings.get("enable") != Some(&false.into()));
    enabled.all(|(name, _)| listed.services.contains_key(name.as_str()))
}
