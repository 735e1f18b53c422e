//! From the machine into the vault: first as much as can be copied while services go on, then the rest, each service being
//! quiet for as long as its own rest takes.

use std::collections::BTreeMap;

use berth_domain::{CapturedService, ServiceName, Snapshot, SnapshotPart};
use berth_protocol::{Answer, Capture, Captured, Follower, Pass, Request, ServiceCapture};

use tokio::time::Instant;

use super::super::context::unexpected;
use super::super::{Context, Outcome};
use super::{Depot, buckets};
use crate::error::{SNAPSHOT_INCOMPLETE, StepError};
use crate::ports::{Report, Sink, VaultAccess};

/// How often services that could not be captured are tried again, over a new way to the vault: the way ends with the
/// connection.
const TRIES: usize = 3;

pub(in super::super) async fn precopy(context: &mut Context, sink: &Sink) -> Result<Outcome, StepError> {
    if let Some(there) = there_already(context) {
        return Ok(there);
    }
    let until = Instant::now() + context.shared.options.timeouts.state;
    context.take_what_is_deployed().await?;
    let vault = context.vault().await?;
    let depot = Depot::Own(vault.clone());
    let capture = pass(context, &depot, Pass::Live, context.operation.to_string(), sink).await?;
    let buckets = buckets::copy(context, &vault, &capture, (Pass::Live, until), sink).await?;
    for failure in buckets.failures() {
        sink(Report::Warning(format!("not copied while the services run: {failure}")));
    }
    let sent: u64 = captured(&capture).map(|(_, captured)| captured.bytes_added).sum();
    let sent = sent + buckets.bytes_added();
    // What fails here may still succeed when the service is quiet.
    for (service, message) in failed(&capture) {
        sink(Report::Warning(format!("{service} could not be copied while it runs: {message}")));
    }
    Ok(Outcome::Done(format!("{sent} bytes sent while the services went on")))
}

pub(in super::super) async fn capture(context: &mut Context, sink: &Sink) -> Result<Outcome, StepError> {
    if let Some(there) = there_already(context) {
        return Ok(there);
    }
    let until = Instant::now() + context.shared.options.timeouts.state;
    context.take_what_is_deployed().await?;
    let vault = context.vault().await?;
    let depot = Depot::Own(vault.clone());
    let capture = pass(context, &depot, Pass::Quiesced, context.operation.to_string(), sink).await?;
    let mut snapshot = snapshot(context, &capture)?;
    warn(&capture, sink);
    let mut failures = failures(&capture);
    if captured(&capture).any(|(_, captured)| !captured.buckets.is_empty()) {
        // Whatever becomes of buckets, this is there.
        let so_far = Snapshot { whole: false, ..snapshot.clone() };
        context.shared.records.keep_snapshot(context.hold(), vault.id, &so_far).await?;
    }
    // Nobody waits for them: the services are back.
    let buckets = buckets::copy(context, &vault, &capture, (Pass::Quiesced, until), sink).await?;
    buckets.note(&mut snapshot, sink);
    failures.extend(buckets.failures());
    if snapshot.captured().next().is_some() {
        let kept = context.keep_tenant_part(&mut snapshot, &vault, sink).await;
        // Without its secrets it is not whole; what was captured is written down all the same.
        snapshot.whole &= kept.is_ok();
        context.shared.records.keep_snapshot(context.hold(), vault.id, &snapshot).await?;
        match kept {
            Err(StepError::Failed(failure)) if !failure.transient => {
                failures.push(format!("settings and secrets: {}", failure.message));
            }
            kept => kept?,
        }
    }
    if !failures.is_empty() {
        return Err(StepError::retryable(SNAPSHOT_INCOMPLETE, failures.join("; ")));
    }
    let sent: u64 = captured(&capture).map(|(_, captured)| captured.bytes_added).sum();
    let sent = sent + buckets.bytes_added();
    let longest = captured(&capture).map(|(_, captured)| captured.quiet_ms).max().unwrap_or(0);
    let services = snapshot.services.len();
    Ok(Outcome::Done(format!(
        "{services} services captured, {sent} bytes sent, none of them stopped for more than {longest} ms"
    )))
}

/// An export may be of a snapshot that was made before.
fn there_already(context: &Context) -> Option<Outcome> {
    let earlier = context.snapshot.filter(|snapshot| *snapshot != context.operation)?;
    Some(Outcome::AlreadyThere(format!("it is of the snapshot {earlier}")))
}

/// One pass over all services. The same pass under the same tag is done once.
pub(in super::super) async fn pass(
    context: &mut Context,
    depot: &Depot,
    pass: Pass,
    tag: String,
    sink: &Sink,
) -> Result<Capture, StepError> {
    let system = context.system()?;
    let limit_seconds = context.shared.options.timeouts.state.as_secs();
    let (follower, replicate) = match depot {
        Depot::Own(_) => (Follower::Nobody, None),
        Depot::Far { follower, replicate, .. } => (*follower, replicate.clone()),
    };
    let request = |claim, repository| {
        let (system, tag, replicate, services) = (system.clone(), tag.clone(), replicate.clone(), None);
        Request::Capture {
            claim,
            system,
            repository,
            pass,
            services,
            tag,
            follower,
            replicate,
            limit_seconds,
        }
    };
    let mut tries = TRIES;
    loop {
        let answer = context.ask_with(depot, VaultAccess::Append, sink, request).await?;
        let Answer::Captured(capture) = answer else {
            return Err(unexpected("the capture"));
        };
        tries -= 1;
        if tries == 0 || failed(&capture).next().is_none() {
            return Ok(capture);
        }
        for (service, message) in failed(&capture) {
            sink(Report::Line(format!("{service} is tried again: {message}")));
        }
    }
}

fn snapshot(context: &Context, capture: &Capture) -> Result<Snapshot, StepError> {
    let services: BTreeMap<ServiceName, SnapshotPart> =
        capture.services.iter().map(|(service, outcome)| (service.clone(), part(outcome))).collect();
    Ok(Snapshot {
        id: context.operation,
        tenant: context.tenant.clone(),
        created_at: context.asked_at,
        finished_at: context.shared.clock.now(),
        revision: context.revision.clone(),
        system: context.system()?,
        whole: failed(capture).next().is_none(),
        due_at: context.due_at,
        forgetting: false,
        services,
        tenant_part: None,
    })
}

fn part(outcome: &ServiceCapture) -> SnapshotPart {
    match outcome {
        ServiceCapture::Captured(captured) => match &captured.snapshot {
            Some(restic) => SnapshotPart::Captured(CapturedService {
                restic: restic.clone(),
                bytes_added: captured.bytes_added,
                bytes_total: captured.bytes_total,
                files_total: captured.files_total,
                databases: captured.databases.clone(),
                data_version: captured.data_version.as_ref().map(ToString::to_string),
                quiet_ms: captured.quiet_ms,
                left_out: captured.left_out.clone(),
                buckets: BTreeMap::new(),
            }),
            None => SnapshotPart::Failed { message: "it has no state that could be captured".into() },
        },
        ServiceCapture::Failed { message } => SnapshotPart::Failed { message: message.clone() },
    }
}

/// Tells what a person should know of services that were captured.
pub(in super::super) fn warn(capture: &Capture, sink: &Sink) {
    for (service, captured) in captured(capture) {
        for left_out in &captured.left_out {
            sink(Report::Warning(format!("{service}: not in the snapshot: {left_out}")));
        }
        for unit in &captured.not_started {
            sink(Report::Warning(format!("{service}: {unit} was stopped and did not come up again")));
        }
    }
}

pub(in super::super) fn captured(capture: &Capture) -> impl Iterator<Item = (&ServiceName, &Captured)> {
    capture.services.iter().filter_map(|(service, outcome)| match outcome {
        ServiceCapture::Captured(captured) => Some((service, captured)),
        ServiceCapture::Failed { .. } => None,
    })
}

/// Refuses a capture in which a service failed.
pub(in super::super) fn is_whole(capture: &Capture) -> Result<(), StepError> {
    match failures(capture) {
        failures if failures.is_empty() => Ok(()),
        failures => Err(StepError::retryable(SNAPSHOT_INCOMPLETE, failures.join("; "))),
    }
}

fn failures(capture: &Capture) -> Vec<String> {
    failed(capture).map(|(service, message)| format!("{service}: {message}")).collect()
}

pub(in super::super) fn failed(capture: &Capture) -> impl Iterator<Item = (&ServiceName, &str)> {
    capture.services.iter().filter_map(|(service, outcome)| match outcome {
        ServiceCapture::Captured(_) => None,
        ServiceCapture::Failed { message } => Some((service, message.as_str())),
    })
}
