//! A snapshot becomes a bundle: it is read out of the vault on this host, and written into one signed file.

use std::collections::BTreeMap;
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::PathBuf;
use std::sync::Arc;

use super::super::{Context, Outcome};
use super::tell_what_is_missing;
use crate::error::{EXPORT_FAILED, StepError};
use crate::exports::{Contents, ServiceContents, carriable};
use crate::ports::{HeldBucket, HeldBuckets, Report, Sink};
use berth_bundle::WriteError;
use berth_domain::progress::Unit;
use berth_domain::{CapturedService, Progress, ServiceName, Snapshot};
use berth_store::VaultRecord;

pub(in super::super) async fn bundle(context: &mut Context, sink: &Sink) -> Result<Outcome, StepError> {
    context.take_what_is_deployed().await?;
    let exports = Arc::clone(&context.shared.exports);
    let path = exports.bundle(context.operation);
    if path.exists() {
        return Ok(Outcome::AlreadyThere("the bundle is there".into()));
    }
    let work = exports.work(context.operation);
    let failed = |error: std::io::Error| StepError::failed(EXPORT_FAILED, error.to_string());
    exports.clear(&work).map_err(failed)?;
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&work).map_err(failed)?;
    // What is left of it by whoever is killed goes with the next try.
    let draft = work.join("bundle.berth.tar");
    let written = match contents(context, sink).await {
        Ok((contents, vault)) => write(context, contents, (draft.clone(), &vault), sink).await,
        Err(error) => Err(error),
    };
    let kept = written.and_then(|bytes| exports.keep(&draft, &path).map(|()| bytes).map_err(failed));
    exports.clear(&work).map_err(failed)?;
    Ok(Outcome::Done(format!("a bundle of {} bytes", kept?)))
}

async fn contents(context: &mut Context, sink: &Sink) -> Result<(Contents, VaultRecord), StepError> {
    let missing = || StepError::failed("internal", "the operation names no snapshot");
    let (snapshot, vault) = context.readable(context.snapshot.ok_or_else(missing)?, sink).await?;
    tell_what_is_missing(&snapshot, sink);
    for (service, captured) in snapshot.captured() {
        for left_out in &captured.left_out {
            sink(Report::Warning(format!("{service}: not in the bundle: {left_out}")));
        }
    }
    // Before anything is read out.
    may_be_carried(context, &snapshot, &vault).await?;
    let whole = snapshot.captured().map(|(_, captured)| passing(captured)).sum();
    context.shared.exports.has_room_for(whole)?;
    let key = context.vault_key(&vault)?;
    let (bounds, work) = (
        context.bounds(context.shared.options.timeouts.state),
        context.shared.exports.work(context.operation),
    );
    let mut services: BTreeMap<ServiceName, ServiceContents> = BTreeMap::new();
    let mut done = 0;
    for (service, captured) in snapshot.captured() {
        let root = work.join(service.as_str());
        sink(Report::Line(format!("{service} is read out of the vault")));
        context.shared.vaults.read_out(vault.id, &key, &captured.restic, &root, &bounds).await?;
        done += captured.bytes_total;
        sink(Report::Progress(Progress::of(done, whole, Unit::Bytes)));
        services.insert(service.clone(), ServiceContents { captured: captured.clone(), root });
    }
    let configuration = match &snapshot.revision {
        Some(revision) => context.shared.records.revision(&context.tenant, revision).await?.files,
        None => berth_domain::revision::Files::new(),
    };
    let secrets = secrets(context, sink).await?;
    let (tenant, made) = (context.tenant.clone(), snapshot.created_at);
    Ok((Contents { tenant, made, configuration, secrets, services }, vault))
}

/// How many bytes of a service are read and written: everything is read out once and written once, but objects, which are read as they
/// are written.
fn passing(captured: &CapturedService) -> u64 {
    captured.bytes_total.saturating_mul(2).saturating_add(bytes_of_buckets(captured))
}

fn bytes_of_buckets(captured: &CapturedService) -> u64 {
    captured.buckets.values().fold(0, |sum, bucket| sum.saturating_add(bucket.bytes))
}

/// Refuses keys of objects that no bundle can carry.
async fn may_be_carried(
    context: &Context,
    snapshot: &Snapshot,
    vault: &VaultRecord,
) -> Result<(), StepError> {
    if snapshot.captured().all(|(_, captured)| captured.buckets.is_empty()) {
        return Ok(());
    }
    let (key, bounds) = (context.vault_key(vault)?, context.bounds(context.shared.options.timeouts.state));
    let snapshot = snapshot.clone();
    let work = Box::new(move |held: &dyn HeldBuckets| carriable(snapshot.captured(), held).map(|()| 0));
    context.shared.buckets.read_out(vault.id, &key, work, &bounds).await.map(drop)
}

/// The secrets whose loss would cost something, sealed to whom the tenant chose.
async fn secrets(
    context: &mut Context,
    sink: &Sink,
) -> Result<BTreeMap<(String, String), Vec<u8>>, StepError> {
    let Some(recipient) = context.recipient.clone() else {
        sink(Report::Warning("no recipient was named, so that no secrets are in the bundle".into()));
        return Ok(BTreeMap::new());
    };
    let secrets = context.secrets_of(sink).await?;
    let sealed = secrets.into_iter().map(|secret| {
        let sealed = berth_seal::seal_to(&recipient, secret.value.expose().as_bytes())?;
        Ok(((secret.service, secret.name), sealed))
    });
    sealed.collect()
}

async fn write(
    context: &Context,
    contents: Contents,
    (path, vault): (PathBuf, &VaultRecord),
    sink: &Sink,
) -> Result<u64, StepError> {
    let (exports, sink) = (Arc::clone(&context.shared.exports), sink.clone());
    let captured = || contents.services.values().map(|service| &service.captured);
    let (whole, read): (u64, u64) =
        (captured().map(passing).sum(), captured().map(|captured| captured.bytes_total).sum());
    let no_buckets = captured().all(|captured| captured.buckets.is_empty());
    let tell = move |bytes| sink(Report::Progress(Progress::of(read + bytes, whole, Unit::Bytes)));
    let work = move |held: &dyn HeldBuckets| contents.write(&exports, &path, held, tell).map_err(unwritten);
    if no_buckets {
        let writing = tokio::task::spawn_blocking(move || work(&NoBuckets));
        return writing.await.map_err(|error| StepError::failed("internal", error.to_string()))?;
    }
    let (key, bounds) = (context.vault_key(vault)?, context.bounds(context.shared.options.timeouts.state));
    context.shared.buckets.read_out(vault.id, &key, Box::new(work), &bounds).await
}

/// Why a bundle was not written; what a vault said is told as it did.
fn unwritten(error: WriteError) -> StepError {
    let source = match error {
        WriteError::Read { source, .. } | WriteError::Write(source) if is_the_vaults(&source) => source,
        error => return StepError::failed(EXPORT_FAILED, error.to_string()),
    };
    source.downcast().unwrap_or_else(|error| StepError::failed(EXPORT_FAILED, error.to_string()))
}

fn is_the_vaults(error: &io::Error) -> bool {
    error.get_ref().is_some_and(|inner| inner.is::<StepError>())
}

/// A vault that nobody has to look into.
struct NoBuckets;

impl HeldBuckets for NoBuckets {
    fn open<'a>(&'a self, _: &str) -> Result<Box<dyn HeldBucket + 'a>, StepError> {
        Err(StepError::failed("internal", "the snapshot holds no buckets"))
    }
}
