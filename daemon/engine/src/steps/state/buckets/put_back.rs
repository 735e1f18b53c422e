//! Buckets out of the vault: what is missing in them or another comes back, before the services' state does. They go on meanwhile, as an
//! object that comes back under its old key harms nothing.

use berth_domain::manifest::{Bucket, Manifest};
use berth_domain::{CapturedBucket, ServiceName, Snapshot};
use berth_store::VaultRecord;

use super::super::super::Context;
use super::Meter;
use crate::buckets::{are_nobody_elses, targets};
use crate::error::{BUCKET_FAILED, BUCKET_SHARED, StepError};
use crate::ports::{PutBack, Report, Sink};

/// Puts the buckets of a snapshot back. A tenant that gets a copy must not have the original's.
pub(in super::super::super) async fn put_back(
    context: &Context,
    snapshot: &Snapshot,
    vault: &VaultRecord,
    sink: &Sink,
) -> Result<(), StepError> {
    let holds = snapshot.captured().any(|(_, captured)| !captured.buckets.is_empty());
    if !holds && snapshot.tenant == context.tenant {
        return Ok(());
    }
    let manifest = context.manifest().await?;
    let (shared, complete) = context.shared.shared_buckets(snapshot, &context.tenant, &manifest).await?;
    are_nobody_elses(&shared)?;
    if !complete {
        let why = "whether the copy would share a bucket with the original cannot be found out on this host, which has not built \
                   the original's system";
        return Err(StepError::retryable(BUCKET_SHARED, why));
    }
    let meter = Meter::default();
    for (service, captured) in snapshot.captured() {
        let own = manifest.services.get(service).map_or(&[][..], |contract| &contract.state.buckets);
        for (name, held, target) in targets(own, &captured.buckets, |held| (&held.endpoint, held.objects)) {
            match target {
                Some(bucket) => {
                    let put = one(context, &manifest, (service, bucket, held), vault, &meter, sink).await?;
                    sink(Report::Line(told(service, bucket, put)));
                }
                None => sink(Report::Warning(format!(
                    "{service}: the objects of the bucket {name} stay in the snapshot, as the settings name no bucket for them"
                ))),
            }
        }
    }
    Ok(())
}

fn told(service: &ServiceName, bucket: &Bucket, put: PutBack) -> String {
    let PutBack { objects, bytes, there } = put;
    format!(
        "{service}, bucket {}: {objects} objects put back, {bytes} bytes; {there} were there",
        bucket.name
    )
}

async fn one(
    context: &Context,
    manifest: &Manifest,
    (service, bucket, held): (&ServiceName, &Bucket, &CapturedBucket),
    vault: &VaultRecord,
    meter: &Meter,
    sink: &Sink,
) -> Result<PutBack, StepError> {
    let what = format!("{service}, bucket {}", bucket.name);
    let failed = |why: String| StepError::retryable(BUCKET_FAILED, format!("{what}: {why}"));
    let contract = manifest.services.get(service).ok_or_else(|| failed("there is no such service".into()))?;
    let config = context.bucket_config(&context.deployed_spec().await?, service, contract, bucket)?;
    let config = config.ok_or_else(|| failed("no key was given for it".into()))?;
    let (key, bounds) = (context.vault_key(vault)?, context.bounds(context.shared.options.timeouts.state));
    let tell = meter.of(what.clone(), sink);
    let buckets = &context.shared.buckets;
    match buckets.put_back(vault.id, &key, &config, &held.restic, &bounds, tell).await {
        Err(StepError::Failed(failure)) => Err(failed(failure.message)),
        put => put,
    }
}
