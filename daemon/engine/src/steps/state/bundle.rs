//! A snapshot becomes a bundle: it is read out of the vault on this host, and written into one signed file.

use std::collections::BTreeMap;
use std::os::unix::fs::DirBuilderExt as _;
use std::sync::Arc;

use super::super::{Context, Outcome};
use super::tell_what_is_missing;
use crate::error::{EXPORT_FAILED, StepError};
use crate::exports::{Contents, ServiceContents};
use crate::ports::{Report, Sink};
use berth_domain::progress::Unit;
use berth_domain::{Progress, ServiceName};

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
    let contents = contents(context, sink).await;
    let written = match contents {
        Ok(contents) => write(context, contents, sink).await,
        Err(error) => Err(error),
    };
    exports.clear(&work).map_err(failed)?;
    Ok(Outcome::Done(format!("a bundle of {} bytes", written?)))
}

async fn contents(context: &mut Context, sink: &Sink) -> Result<Contents, StepError> {
    let missing = || StepError::failed("internal", "the operation names no snapshot");
    let (snapshot, vault) = context.readable(context.snapshot.ok_or_else(missing)?, sink).await?;
    tell_what_is_missing(&snapshot, sink);
    let key = context.vault_key(&vault)?;
    let (bounds, work) = (
        context.bounds(context.shared.options.timeouts.state),
        context.shared.exports.work(context.operation),
    );
    let mut services: BTreeMap<ServiceName, ServiceContents> = BTreeMap::new();
    let whole: u64 = snapshot.captured().map(|(_, captured)| captured.bytes_total).sum();
    let mut done = 0;
    for (service, captured) in snapshot.captured() {
        let root = work.join(service.as_str());
        sink(Report::Line(format!("{service} is read out of the vault")));
        for name in captured.buckets.keys() {
            let words = format!("{service}: the bucket {name} is in the snapshot, and not in the bundle");
            sink(Report::Warning(words));
        }
        context.shared.vaults.read_out(vault.id, &key, &captured.restic, &root, &bounds).await?;
        done += captured.bytes_total;
        // Everything is read once, and written once.
        sink(Report::Progress(Progress::of(done, whole * 2, Unit::Bytes)));
        services.insert(service.clone(), ServiceContents { captured: captured.clone(), root });
    }
    let configuration = match &snapshot.revision {
        Some(revision) => context.shared.records.revision(&context.tenant, revision).await?.files,
        None => berth_domain::revision::Files::new(),
    };
    let secrets = secrets(context, sink).await?;
    let (tenant, made) = (context.tenant.clone(), snapshot.created_at);
    Ok(Contents { tenant, made, configuration, secrets, services })
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

async fn write(context: &Context, contents: Contents, sink: &Sink) -> Result<u64, StepError> {
    let exports = Arc::clone(&context.shared.exports);
    let (path, sink) = (exports.bundle(context.operation), sink.clone());
    let whole: u64 = contents.services.values().map(|service| service.captured.bytes_total).sum();
    let tell = move |bytes| sink(Report::Progress(Progress::of(whole + bytes, whole * 2, Unit::Bytes)));
    let writing = tokio::task::spawn_blocking(move || contents.write(&exports, &path, tell));
    let written = writing.await.map_err(|error| StepError::failed("internal", error.to_string()))?;
    written.map_err(|error| StepError::failed(EXPORT_FAILED, error.to_string()))
}
