//! The state goes into the target's vault: again and again while the services go on, as long as that makes what is left smaller,
//! then for good, with the services stopped.

use std::collections::{BTreeMap, BTreeSet};

use berth_domain::{CopyTimes, Mode, MovePhase, OperationKind, ServiceName};
use berth_protocol::{Answer, Capture, Captured, Fingerprint, Follower, Pass, Replicate, Request};
use berth_transfer::sealed::Purpose;
use berth_transfer::{Manifest, MovedService, Sealed, Statement as _, Ticket};
use chrono::SubsecRound as _;
use tokio::time::Instant;

use super::super::context::unexpected;
use super::super::state::{Depot, captured, failed, is_whole, pass, warn};
use super::super::{Context, Outcome};
use super::ahead::{Restored, Sent, is_past};
use super::source::{QUIET_SECONDS, Source, Wait, came_to_nothing, refused};
use crate::error::{NOT_QUIET, StepError};
use crate::ports::{FarVault, Report, Sink};

/// How often the state is copied while the services go on, at the most.
const PASSES: usize = 4;

/// What a further pass would be for: with less than this left, in bytes, the services can as well be stopped.
const LITTLE: u64 = 4 << 20;

pub(in super::super) async fn precopy(context: &mut Context, sink: &Sink) -> Result<Outcome, StepError> {
    context.take_what_is_deployed().await?;
    let mut source = context.source().await?;
    let mut depot = depot(context, &mut source).await?;
    let begun = Instant::now();
    // Databases are waited for no longer than this in all: what was not followed by then goes as a dump.
    let until = begun.checked_add(context.shared.options.timeouts.state / 2);
    let (mut whole, mut last, mut loading_since) = (0, u64::MAX, None);
    // Passes in between, while a database is loaded, do not count.
    let (mut number, mut counted) = (0, 0);
    while counted < PASSES {
        number += 1;
        depot.replicate(replicate(context, &mut source).await?.filter(|_| !is_past(until)));
        let tag = format!("{}.{number}", context.operation);
        let capture = pass(context, &depot, Pass::Live, tag, sink).await?;
        let sent: u64 = captured(&capture).map(|(_, captured)| captured.bytes_added).sum();
        for (service, message) in failed(&capture) {
            sink(Report::Warning(format!("{service} could not be copied while it runs: {message}")));
        }
        sink(Report::Line(format!("pass {number}: {sent} bytes sent")));
        whole += sent;
        context.sum_ahead(sink).await?;
        let what = what_was_sent(&capture, loading_since, until);
        if source.wait_until_restored(context, &what, sink).await? == Restored::StillLoads {
            loading_since = what.loading_since;
            continue;
        }
        loading_since = None;
        counted += 1;
        // The first may have been of everything, which what follows is told from; and so the target proves that it can follow.
        if counted > 1 && (sent <= LITTLE || sent >= last / 2) {
            break;
        }
        last = sent;
    }
    source.note_passes(context, whole, begun.elapsed()).await?;
    // A rehearsal leaves the source's machine as it is.
    if let (OperationKind::Migrate, Some(to)) = (context.kind, source.departure.address.clone()) {
        context.bring_ahead(&Mode::Moved { to }, sink).await?;
    }
    Ok(Outcome::Done(format!("{whole} bytes sent while the services went on")))
}

/// The target's vault, as it opens it now.
pub(super) async fn depot(context: &Context, source: &mut Source) -> Result<Depot, StepError> {
    let view = source.look(context).await?;
    let closed = || StepError::transient("target-unreachable", "the target's vault is not open yet");
    let entrance = view.vault.as_ref().ok_or_else(closed)?;
    let url = source.target.vault(entrance).map_err(refused)?;
    let key = entrance.key.open(&context.shared.keys, source.ticket.offer, Purpose::VaultKey);
    let key = key.map_err(|error| StepError::failed("target-forged", error.to_string()))?;
    let key = std::str::from_utf8(&key)
        .map_err(|_| StepError::failed("target-forged", "the vault's key is no text"))?;
    let (user, token) = (source.ticket.offer.to_string(), source.ticket.token.clone());
    let follower = match (view.follows_changes, view.merges_changes) {
        (Some(true), Some(true)) => Follower::Merges,
        (Some(true), _) => Follower::Restores,
        _ => Follower::Nobody,
    };
    let vault = FarVault { url, user, token };
    Ok(Depot::Far { vault, key: key.to_owned().into(), follower, replicate: None })
}

/// Which databases are told by what changes in them, as the target would have it now. A rehearsal's copy is made of dumps.
async fn replicate(context: &Context, source: &mut Source) -> Result<Option<Replicate>, StepError> {
    let view = source.look(context).await?;
    let above = context.shared.options.migration.replicate_databases_above;
    let follows = context.kind == OperationKind::Migrate && view.replicates_databases == Some(true);
    Ok(follows.then(|| Replicate { above, followed: view.ahead.unwrap_or_default() }))
}

/// What a pass has sent of which the target says whether it is in place.
fn what_was_sent(capture: &Capture, loading_since: Option<Instant>, until: Option<Instant>) -> Sent {
    let files = captured(capture).filter_map(|(_, captured)| captured.snapshot.clone()).collect();
    let replicas = captured(capture).flat_map(|(_, captured)| &captured.replicas);
    let databases: BTreeSet<String> = replicas.map(|replica| replica.newest.clone()).collect();
    let loading_since = (!databases.is_empty()).then(|| loading_since.unwrap_or_else(Instant::now));
    Sent { files, databases, loading_since, until }
}

pub(in super::super) async fn capture(context: &mut Context, sink: &Sink) -> Result<Outcome, StepError> {
    context.take_what_is_deployed().await?;
    let mut source = context.source().await?;
    // What was sent before is the newest state as long as nothing has served since.
    let sent = match source.departure.manifest.clone() {
        Some(jws) => still_newest(context, sink).await?.then_some(jws),
        None => None,
    };
    let jws = match sent {
        Some(jws) => jws,
        None => send(context, &mut source, sink).await?,
    };
    let view = source.target.manifest(&jws).await.map_err(refused)?;
    source.heard(context, &view).await?;
    let ready = |phase| matches!(phase, MovePhase::Ready | MovePhase::GoingLive | MovePhase::Live);
    let view = source.wait_for(context, Wait::InQuiet, sink, ready).await?;
    if view.phase == MovePhase::Failed {
        return Err(came_to_nothing(&view));
    }
    Ok(Outcome::Done("the target has all of it, and it is equal".into()))
}

async fn still_newest(context: &mut Context, sink: &Sink) -> Result<bool, StepError> {
    match context.keep_quiet(sink).await {
        Ok(()) => Ok(true),
        Err(StepError::Failed(failure)) if failure.code == NOT_QUIET => Ok(false),
        Err(error) => Err(error),
    }
}

/// Copies the rest, with the services stopped, and signs what everything is. The manifest is written down before the target
/// hears of it: whoever goes on says the same again.
async fn send(context: &mut Context, source: &mut Source, sink: &Sink) -> Result<String, StepError> {
    let mut depot = depot(context, source).await?;
    depot.replicate(replicate(context, source).await?);
    source.departure.stopped_at = Some(context.shared.clock.now());
    source.departure.manifest = None;
    source.keep(context).await?;
    let final_pass = Pass::Final { quiet_seconds: QUIET_SECONDS };
    let capture = pass(context, &depot, final_pass, context.operation.to_string(), sink).await?;
    is_whole(&capture)?;
    warn(&capture, sink);
    let sent: u64 = captured(&capture).map(|(_, captured)| captured.bytes_added).sum();
    sink(Report::Line(format!("{sent} bytes sent since the services are quiet")));
    let staying = context.stay_quiet().await?;
    let fingerprint = match found_meanwhile(&capture) {
        Some(fingerprint) => fingerprint,
        None => context.fingerprint(sink).await?,
    };
    let manifest = manifest(context, &source.ticket, moved(&capture, fingerprint)?, None, sink).await?;
    drop(staying);
    context.keep_quiet(sink).await?;
    let jws = manifest.sign(&context.shared.exports.key);
    source.departure.manifest = Some(jws.clone());
    source.keep(context).await?;
    Ok(jws)
}

/// What the machine has found out of all services while it copied them.
fn found_meanwhile(capture: &Capture) -> Option<Fingerprint> {
    let services =
        captured(capture).map(|(name, captured)| Some((name.clone(), *captured.fingerprint.clone()?)));
    services.collect::<Option<_>>().map(|services| Fingerprint { services })
}

/// What was captured of which service, and with which secrets; of a rehearsal, how it was copied.
pub(super) async fn manifest(
    context: &mut Context,
    ticket: &Ticket,
    services: BTreeMap<ServiceName, MovedService>,
    rehearsal: Option<CopyTimes>,
    sink: &Sink,
) -> Result<Manifest, StepError> {
    Ok(Manifest {
        offer: ticket.offer,
        tenant: context.tenant.clone(),
        taken_at: context.shared.clock.now().trunc_subsecs(0),
        revision: context.revision.clone(),
        services,
        secrets: secrets(context, ticket, sink).await?,
        rehearsal,
    })
}

pub(super) fn moved(
    capture: &Capture,
    mut fingerprint: Fingerprint,
) -> Result<BTreeMap<ServiceName, MovedService>, StepError> {
    let service = |(name, captured, snapshot): (&ServiceName, &Captured, String)| {
        let unknown = || StepError::failed("internal", format!("the machine has no fingerprint of {name}"));
        let moved = MovedService {
            snapshot,
            bytes: captured.bytes_total,
            files: captured.files_total,
            databases: captured.databases.clone(),
            replicated: captured.replicas.iter().map(|replica| replica.database.clone()).collect(),
            data_version: captured.data_version.clone(),
            left_out: left_out(captured),
            fingerprint: fingerprint.services.remove(name).ok_or_else(unknown)?,
        };
        Ok((name.clone(), moved))
    };
    // A service without any state has no snapshot.
    let kept =
        captured(capture).filter_map(|(name, captured)| Some((name, captured, captured.snapshot.clone()?)));
    kept.map(service).collect()
}

/// What does not come along. A bucket belongs to the tenant and not to its provider: its address and its key move with the settings.
fn left_out(captured: &Captured) -> Vec<String> {
    let stays =
        |name: &String| format!("bucket {name}: it stays where it is, and the tenant goes on using it");
    captured.left_out.iter().cloned().chain(captured.buckets.iter().map(stays)).collect()
}

async fn secrets(context: &mut Context, ticket: &Ticket, sink: &Sink) -> Result<Sealed, StepError> {
    let secrets = context.secrets_of(sink).await?;
    let list = serde_json::to_vec(&secrets).map(secrecy::zeroize::Zeroizing::new);
    let list = list.map_err(|error| StepError::failed("internal", error.to_string()))?;
    Ok(Sealed::to(&ticket.recipient, ticket.offer, Purpose::Secrets, &list)?)
}

impl Context {
    /// Has the machine read all files while the services go on, so that their fingerprint takes less of the time in which nobody
    /// serves. The target restores meanwhile.
    async fn sum_ahead(&mut self, sink: &Sink) -> Result<(), StepError> {
        let (claim, system) = (self.own_claim(), self.system()?);
        let request = Request::SumAhead { claim, system };
        match self.call(request, self.shared.options.timeouts.state, sink).await {
            // It is read later, then.
            Err(StepError::Failed(failure)) => {
                sink(Report::Warning(format!("not read before the services stop: {}", failure.message)));
                Ok(())
            }
            answered => answered.map(drop),
        }
    }

    /// What tells the tenant's state on this machine from another; its services must be quiet.
    pub(in super::super) async fn fingerprint(&mut self, sink: &Sink) -> Result<Fingerprint, StepError> {
        let (claim, system) = (self.own_claim(), self.system()?);
        let request = Request::Fingerprint { claim, system };
        match self.call(request, self.shared.options.timeouts.state, sink).await? {
            Answer::Fingerprint(fingerprint) => Ok(*fingerprint),
            _ => Err(unexpected("the fingerprint")),
        }
    }
}
