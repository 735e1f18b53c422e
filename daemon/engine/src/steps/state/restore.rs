//! From the vault onto the machine: all of a snapshot, or the machine is as it was.

use berth_domain::Snapshot;
use berth_protocol::{Answer, Claim, Request, RestorePart, SecretsPart};
use berth_store::VaultRecord;

use super::super::context::unexpected;
use super::super::{Context, Outcome};
use super::{Depot, buckets, tell_what_is_missing};
use crate::error::StepError;
use crate::ports::{Report, Sink, VaultAccess};

/// What is brought back onto a machine.
pub(in super::super) struct Bringing<'a> {
    /// The vault that it is in.
    pub(in super::super) vault: &'a VaultRecord,
    /// The services' parts.
    pub(in super::super) parts: Vec<RestorePart>,
    /// Whose secrets come with them.
    pub(in super::super) secrets: Option<SecretsPart>,
    /// Files that were restored ahead are gone on with: whether they are equal is to be found out then.
    pub(in super::super) reuse: bool,
}

pub(in super::super) async fn restore(context: &mut Context, sink: &Sink) -> Result<Outcome, StepError> {
    context.take_what_is_deployed().await?;
    let missing = || StepError::failed("internal", "the operation names no snapshot");
    let (snapshot, vault) = context.readable(context.snapshot.ok_or_else(missing)?, sink).await?;
    tell_what_is_missing(&snapshot, sink);
    let captured = snapshot.captured();
    let parts: Vec<_> = captured
        .map(|(service, captured)| RestorePart {
            service: service.clone(),
            snapshot: captured.restic.clone(),
        })
        .collect();
    buckets::put_back(context, &snapshot, &vault, sink).await?;
    let secrets = own_secrets(context, &snapshot, sink);
    restore_parts(context, Bringing { vault: &vault, parts, secrets, reuse: false }, sink).await?;
    let services = snapshot.captured().count();
    Ok(Outcome::Done(format!("{services} services are as they were at {}", snapshot.created_at)))
}

/// State and the secrets that it was encrypted and signed with belong together, so a tenant that returns gets both, on whichever
/// machine. Another tenant that gets a copy stays who it is: two that sign as the same would be taken for one.
fn own_secrets(context: &Context, snapshot: &Snapshot, sink: &Sink) -> Option<SecretsPart> {
    let warn = |why: String| sink(Report::Warning(why));
    match &snapshot.tenant_part {
        Some(part) if snapshot.tenant == context.tenant => {
            return Some(SecretsPart { snapshot: part.restic.clone(), services: None });
        }
        Some(part) if part.secrets.is_empty() => {}
        Some(_) => warn(format!(
            "the copy keeps secrets of its own: what {} encrypted with its own cannot be read in it",
            snapshot.tenant
        )),
        None => warn("no secrets are in this snapshot: those of the machine stay as they are".into()),
    }
    None
}

/// Puts snapshots of a vault in place of the state on the machine.
pub(in super::super) async fn restore_parts(
    context: &mut Context,
    what: Bringing<'_>,
    sink: &Sink,
) -> Result<(), StepError> {
    // The agent goes on whoever waits for it, so that a wish to stop would only hide how it ended.
    if !context.kind.moves() {
        context.pass_the_point_of_no_return()?;
    }
    let claim = context.own_claim();
    restore_part(context, what, claim, sink).await
}

/// The same as an operation of its own to the machine.
pub(in super::super) async fn restore_part(
    context: &mut Context,
    what: Bringing<'_>,
    claim: Claim,
    sink: &Sink,
) -> Result<(), StepError> {
    let _deaf = context.deafen();
    let limit_seconds = context.shared.options.timeouts.state.as_secs();
    let system = context.system()?;
    let Bringing { vault, parts, secrets, reuse } = what;
    let request = |_, repository| {
        let (system, parts, secrets) = (system.clone(), parts.clone(), secrets.clone());
        Request::Restore { claim, system, repository, parts, secrets, reuse, limit_seconds }
    };
    let depot = Depot::Own(vault.clone());
    let answer = context.ask_with(&depot, VaultAccess::Read, sink, request).await;
    match answer? {
        Answer::Restored => Ok(()),
        _ => Err(unexpected("the restore")),
    }
}
