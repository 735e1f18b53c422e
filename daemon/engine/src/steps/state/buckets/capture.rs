//! Buckets into the vault, twice: while services go on, and once they were captured. So what a database refers to that was dumped in
//! between is in the snapshot, whether it was put there or deleted since; nobody stops for it.

use std::collections::BTreeMap;
use std::time::Duration;

use berth_domain::manifest::{Bucket, ServiceManifest};
use berth_domain::{CapturedBucket, CapturedService, ServiceName, Snapshot, SnapshotPart, TenantSpec};
use berth_protocol::{Capture, Pass};
use berth_store::VaultRecord;
use berth_vault::Title;
use secrecy::SecretString;
use tokio::time::Instant;

use super::super::super::Context;
use super::super::captured;
use super::Meter;
use crate::buckets::tags_of;
use crate::error::StepError;
use crate::ports::{BucketConfig, BucketCopy, Copied, Earlier, Report, Sink};

/// After how long what was fetched is kept, whatever becomes of the rest.
const KEEP: Duration = Duration::from_secs(30 * 60);

/// How many objects are named that are not in a snapshot.
const NAMED: usize = 10;

/// What became of the buckets of services, by service and name.
#[derive(Default)]
pub(in super::super) struct Found {
    captured: BTreeMap<ServiceName, BTreeMap<String, CapturedBucket>>,
    /// What is not in the snapshot, and need not be.
    left_out: Vec<(ServiceName, String)>,
    /// What should be in the snapshot, and is not.
    failed: Vec<(ServiceName, String)>,
}

impl Found {
    /// How many bytes went into the vault.
    pub(in super::super) fn bytes_added(&self) -> u64 {
        self.captured.values().flat_map(BTreeMap::values).map(|bucket| bucket.bytes_added).sum()
    }

    /// What should be in the snapshot, and is not: each service and why.
    pub(in super::super) fn failures(&self) -> impl Iterator<Item = String> {
        self.failed.iter().map(|(service, why)| format!("{service}: {why}"))
    }

    /// Writes it down in the snapshot.
    pub(in super::super) fn note(&self, snapshot: &mut Snapshot, sink: &Sink) {
        snapshot.whole &= self.failed.is_empty();
        for (service, part) in &mut snapshot.services {
            let SnapshotPart::Captured(into) = part else { continue };
            into.buckets = self.captured.get(service).cloned().unwrap_or_default();
            note_what_is_missing(into, service, self.left_out.iter().chain(&self.failed), sink);
        }
    }

    fn take(&mut self, service: &ServiceName, bucket: &Bucket, copied: Result<Copied, Missing>) {
        let name = &bucket.name;
        let copied = match copied {
            Ok(copied) => copied,
            Err(Missing::Needless(why)) => {
                return self.left_out.push((service.clone(), format!("bucket {name}: {why}")));
            }
            Err(Missing::Failed(why)) => {
                return self.failed.push((service.clone(), format!("bucket {name}: {why}")));
            }
        };
        for object in copied.skipped.iter().take(NAMED) {
            self.left_out.push((service.clone(), format!("bucket {name}: {object}")));
        }
        if let Some(more @ 1..) = copied.skipped.len().checked_sub(NAMED) {
            self.left_out.push((service.clone(), format!("bucket {name}: {more} more objects")));
        }
        let Copied { restic, objects, bytes, bytes_added, .. } = copied;
        let captured =
            CapturedBucket { restic, endpoint: bucket.endpoint.clone(), objects, bytes, bytes_added };
        self.captured.entry(service.clone()).or_default().insert(name.clone(), captured);
    }
}

/// Why a bucket is not in the snapshot.
enum Missing {
    /// It cannot be, as things are.
    Needless(String),
    /// It should be.
    Failed(String),
}

fn note_what_is_missing<'a>(
    into: &mut CapturedService,
    service: &ServiceName,
    missing: impl Iterator<Item = &'a (ServiceName, String)>,
    sink: &Sink,
) {
    for (_, words) in missing.filter(|(of, _)| of == service) {
        sink(Report::Warning(format!("{service}: not in the snapshot: {words}")));
        into.left_out.push(words.clone());
    }
}

/// Copies the buckets of the services that were captured, one after the other. One that cannot be copied keeps no other from it.
pub(in super::super) async fn copy(
    context: &Context,
    vault: &VaultRecord,
    capture: &Capture,
    (pass, until): (Pass, Instant),
    sink: &Sink,
) -> Result<Found, StepError> {
    let mut found = Found::default();
    let services: Vec<_> = captured(capture).filter(|(_, captured)| !captured.buckets.is_empty()).collect();
    if services.is_empty() {
        return Ok(found);
    }
    let (spec, key, meter) = (context.deployed_spec().await?, context.vault_key(vault)?, Meter::default());
    let manifest = match context.manifest().await {
        Ok(manifest) => manifest,
        // Another daemon on the same database may have built it.
        Err(StepError::Failed(failure)) => {
            let why = format!("where it is cannot be found out on this daemon's host: {}", failure.message);
            for (service, captured) in services {
                let names = captured.buckets.iter().map(|name| format!("bucket {name}: {why}"));
                found.failed.extend(names.map(|words| (service.clone(), words)));
            }
            return Ok(found);
        }
        Err(error) => return Err(error),
    };
    for (service, _) in services {
        let Some(contract) = manifest.services.get(service) else { continue };
        for bucket in &contract.state.buckets {
            let one = One { spec: &spec, vault, key: &key, service, contract, bucket, pass, until };
            let copied = one.copy(context, &meter, sink).await?;
            found.take(service, bucket, copied);
        }
    }
    Ok(found)
}

/// One bucket of a service.
struct One<'a> {
    spec: &'a TenantSpec,
    vault: &'a VaultRecord,
    key: &'a SecretString,
    service: &'a ServiceName,
    contract: &'a ServiceManifest,
    bucket: &'a Bucket,
    pass: Pass,
    /// When the step has to come to its end.
    until: Instant,
}

impl One<'_> {
    async fn copy(
        &self,
        context: &Context,
        meter: &Meter,
        sink: &Sink,
    ) -> Result<Result<Copied, Missing>, StepError> {
        let Self { spec, service, contract, bucket, .. } = self;
        let config = match context.bucket_config(spec, service, contract, bucket) {
            Ok(Some(config)) => config,
            Ok(None) => return Ok(Err(Missing::Needless("no key was given for it".into()))),
            Err(StepError::Failed(failure)) => return Ok(Err(Missing::Failed(failure.message))),
            Err(error) => return Err(error),
        };
        let mut bytes_added = 0;
        loop {
            let copied = match self.go_on(context, config.clone(), meter, sink).await {
                Ok(Some(copied)) => copied,
                Ok(None) => {
                    let why = "restic itself made this vault, and only restic writes to it";
                    return Ok(Err(Missing::Needless(why.into())));
                }
                Err(StepError::Failed(failure)) => return Ok(Err(Missing::Failed(failure.message))),
                Err(error) => return Err(error),
            };
            bytes_added += copied.bytes_added;
            if copied.complete {
                return Ok(Ok(Copied { bytes_added, ..copied }));
            }
            sink(Report::Line(format!(
                "{service}, bucket {}: what came so far is kept, {} objects",
                bucket.name, copied.objects
            )));
        }
    }

    /// Goes on from what was copied before, for a while.
    async fn go_on(
        &self,
        context: &Context,
        config: BucketConfig,
        meter: &Meter,
        sink: &Sink,
    ) -> Result<Option<Copied>, StepError> {
        let Self { vault, key, service, bucket, pass, until, .. } = self;
        let title = Title {
            at: context.shared.clock.now(),
            host: context.tenant.to_string(),
            paths: vec![format!("/buckets/{}", bucket.name)],
            tags: [context.operation.to_string()]
                .into_iter()
                .chain(tags_of(service, &bucket.name))
                .chain([pass.tag()])
                .collect(),
        };
        let copy = BucketCopy { config, title, earlier: self.earlier(context).await?, limit: KEEP };
        let bounds = context.bounds(until.saturating_duration_since(Instant::now()));
        let tell = meter.of(format!("{service}, bucket {}", bucket.name), sink);
        let copied = context.shared.buckets.copy(vault.id, key, copy, &bounds, tell).await?;
        if let Some(copied) = &copied {
            let (records, hold) = (&context.shared.records, context.hold());
            records.keep_bucket_copy(hold, vault.id, service, &bucket.name, &copied.restic).await?;
        }
        Ok(copied)
    }

    /// What was copied here last, and what the newest snapshot holds, should that be removed already. What an earlier pass of the same
    /// snapshot holds stays, as what was captured since may refer to it.
    async fn earlier(&self, context: &Context) -> Result<Vec<Earlier>, StepError> {
        let Self { vault, service, bucket, .. } = self;
        let records = &context.shared.records;
        let last = records.bucket_copy(vault.id, service, &bucket.name).await?;
        let last =
            last.map(|last| Earlier { restic: last.restic, stays: last.operation == context.operation });
        let kept = records.snapshots_in(vault.id).await?;
        let kept = kept.iter().filter_map(|snapshot| {
            let (_, captured) = snapshot.captured().find(|(of, _)| of == service)?;
            Some((snapshot.created_at, captured.buckets.get(&bucket.name)?.restic.clone()))
        });
        let newest = kept.max_by_key(|(at, _)| *at).map(|(_, restic)| Earlier { restic, stays: false });
        let mut earlier: Vec<Earlier> = last.into_iter().chain(newest).collect();
        earlier.dedup_by(|one, other| one.restic == other.restic);
        Ok(earlier)
    }
}
