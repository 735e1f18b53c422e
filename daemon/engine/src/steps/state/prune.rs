//! Snapshots that are not kept any more go: their rows say so first, then they are removed from the vault, then the rows go.
//! Whoever is interrupted in between leaves rows that say so, and the next one goes on there.
//!
//! Machines may only add to a vault. It is the daemon that removes, with a token of its own for the time of this step.

use std::collections::BTreeSet;
use std::sync::Arc;

use berth_domain::backup::keep::newest_whole;
use berth_domain::{Snapshot, SnapshotId};
use berth_store::StoreError;

use super::super::{Context, Outcome};
use crate::error::{NEWEST_SNAPSHOT, StepError, VAULT_BUSY};
use crate::ports::Sink;

pub(in super::super) async fn prune(context: &mut Context, sink: &Sink) -> Result<Outcome, StepError> {
    let nothing = || Ok(Outcome::AlreadyThere("there is nothing to be forgotten".into()));
    let records = Arc::clone(&context.shared.records);
    let Some(vault) = records.vault(&context.tenant).await? else { return nothing() };
    let going = going(context, &records.snapshots_in(vault.id).await?).await?;
    match records.begin_to_forget(context.hold(), vault.id, &going).await {
        Err(StoreError::VaultInUse { operation }) => {
            let message = format!("the operation {operation} reads snapshots of the tenant");
            return Err(StepError::transient(VAULT_BUSY, message));
        }
        begun => begun?,
    }
    let (gone, kept): (Vec<Snapshot>, Vec<Snapshot>) =
        records.snapshots_in(vault.id).await?.into_iter().partition(|snapshot| snapshot.forgetting);
    if gone.is_empty() {
        return nothing();
    }
    let needed = parts(&kept);
    let parts: BTreeSet<String> = parts(&gone).difference(&needed).cloned().collect();
    let (key, bounds) = (context.vault_key(&vault)?, context.bounds(context.shared.options.timeouts.state));
    let freed = context.shared.vaults.prune(vault.id, &key, &parts, &needed, &bounds, sink).await?;
    let count = records.forget_snapshots(context.hold(), vault.id).await?;
    let noun = if count == 1 { "snapshot" } else { "snapshots" };
    Ok(Outcome::Done(format!("{count} {noun} forgotten, {freed} bytes freed")))
}

/// What the plan lets go, and what was asked for by name.
async fn going(context: &Context, known: &[Snapshot]) -> Result<BTreeSet<SnapshotId>, StepError> {
    let mut going = match context.shared.records.backup_plan(&context.tenant).await {
        Ok(plan) => plan.backups.plan.lets_go(known),
        Err(StoreError::NotFound { .. }) => BTreeSet::new(),
        Err(error) => return Err(error.into()),
    };
    if let Some(named) = context.snapshot {
        if newest_whole(known).is_some_and(|newest| newest.id == named) {
            let message = "it is the newest whole snapshot, which is never forgotten";
            return Err(StepError::failed(NEWEST_SNAPSHOT, message));
        }
        going.insert(named);
    }
    Ok(going)
}

/// What snapshots consist of in the repository.
fn parts(snapshots: &[Snapshot]) -> BTreeSet<String> {
    snapshots.iter().flat_map(Snapshot::restic_ids).map(str::to_owned).collect()
}
