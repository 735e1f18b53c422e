//! A tenant is made of a repository of snapshots that lies elsewhere.

use std::collections::BTreeMap;

use async_trait::async_trait;
use berth_domain::progress::Unit;
use berth_domain::{
    BundledBucket, CapturedBucket, CapturedService, Progress, ServiceName, Snapshot, Timestamp,
};
use berth_protocol::{GivenSecret, Pass, ServiceFingerprint};
use berth_store::{OffsiteRecord, VaultRecord};

use super::super::Context;
use super::Source;
use crate::buckets::tags_of;
use crate::bundles::{Held, Holdings};
use crate::error::StepError;
use crate::offsite::{Place, TAKEN_OVER, Told, ToldBucket};
use crate::ports::{News, Report, Sink, Summing, TakenOver, Tell, Wanted};

/// The repository that an operation was asked for.
pub(super) struct Offsite(pub(super) OffsiteRecord);

#[async_trait]
impl Source for Offsite {
    fn what(&self) -> &'static str {
        "the snapshot"
    }

    fn promise(&self) -> &'static str {
        "what the repository holds"
    }

    fn go_live(&self) -> bool {
        self.0.go_live
    }

    async fn holdings(&self, context: &Context) -> Result<Holdings, StepError> {
        let (place, told) = self.told(context).await?;
        let bounds = context.bounds(context.shared.options.timeouts.state);
        let trees = told.services.values().map(|service| service.tree).collect();
        let extents = context.shared.offsites.extents(&place, trees, &bounds).await?;
        let system = context.manifest().await?;
        let held = told.services.into_iter().zip(extents).map(|((name, service), extent)| {
            let held = Held::told(&service, extent, system.services.get(&name));
            (name, held)
        });
        let mut services: BTreeMap<_, _> = held.collect();
        for ToldBucket { service, name, endpoint, objects, bytes, .. } in told.buckets {
            if let Some(held) = services.get_mut(&service) {
                let bucket = BundledBucket { endpoint, objects, bytes, ..BundledBucket::default() };
                held.about.buckets.insert(name, bucket);
            }
        }
        Ok(Holdings { services, secrets: Vec::new() })
    }

    async fn unpack(
        &self,
        context: &Context,
        vault: &VaultRecord,
        sink: &Sink,
    ) -> Result<(BTreeMap<ServiceName, CapturedService>, Timestamp), StepError> {
        let (shared, key) = (&context.shared, context.vault_key(vault)?);
        // What an earlier try has brought is gone on with. Snapshots that it made and could not write down are in nobody's way: these get
        // ids of their own, and those go with the next prune.
        shared.vaults.make(vault.id, &key).await?;
        let (place, told) = self.told(context).await?;
        let bounds = context.bounds(shared.options.timeouts.state);
        let (wanted, tell) = (wanted(context, &told), telling(sink, None));
        let taken = shared.offsites.take_over(&place, wanted, vault.id, &key, &bounds, tell).await?;
        Ok((captured(&told, taken), told.at))
    }

    async fn secrets(&self, context: &Context) -> Result<Vec<GivenSecret>, StepError> {
        Ok(self.told(context).await?.1.file.secrets)
    }

    /// As the vault holds them by now: all of it is read once more.
    async fn sums(
        &self,
        context: &Context,
        snapshot: &Snapshot,
        vault: &VaultRecord,
        sink: &Sink,
    ) -> Result<BTreeMap<ServiceName, ServiceFingerprint>, StepError> {
        let (shared, key) = (&context.shared, context.vault_key(vault)?);
        let system = context.manifest().await?;
        let summing = snapshot.captured().map(|(service, captured)| {
            let contract = system.services.get(service);
            let directories = contract.into_iter().flat_map(|contract| &contract.state.directories);
            Summing {
                service: service.clone(),
                restic: captured.restic.clone(),
                directories: directories.map(|directory| directory.path.clone()).collect(),
            }
        });
        let summing = summing.collect();
        let bytes = snapshot.captured().map(|(_, captured)| captured.bytes_total).sum();
        sink(Report::Line("what is in the vault is read once more, to be compared".into()));
        let bounds = context.bounds(shared.options.timeouts.state);
        shared.offsites.sum(vault.id, &key, summing, &bounds, telling(sink, Some(bytes))).await
    }
}

impl Offsite {
    /// Where the repository lies, and all that the snapshot tells.
    async fn told(&self, context: &Context) -> Result<(Place, Told), StepError> {
        let shared = &context.shared;
        let forgotten = || StepError::failed("internal", "what opens the repository was forgotten already");
        let sealed = self.0.sealed.as_deref().ok_or_else(forgotten)?;
        let place = Place::open(context.operation, &shared.keys, sealed)?;
        let bounds = context.bounds(shared.options.timeouts.state);
        let (repository, told) = shared.offsites.read(&place, self.0.snapshot, &bounds).await?;
        if repository != self.0.repository {
            let message = "there is another repository at this place by now";
            return Err(StepError::failed("repository-missing", message));
        }
        let none = || StepError::failed("no-snapshot", "the snapshot has no settings and secrets any more");
        Ok((place, told.ok_or_else(none)?))
    }
}

/// What is taken over of a snapshot, in the order of [`captured`].
fn wanted(context: &Context, told: &Told) -> Vec<Wanted> {
    let wanted = |restic: &str, of: Vec<String>| Wanted {
        restic: restic.to_owned(),
        host: context.tenant.to_string(),
        tags: [vec![context.operation.to_string()], of, vec![Pass::Quiesced.tag(), TAKEN_OVER.into()]]
            .concat(),
    };
    let services = told.services.iter();
    let services = services.map(|(name, service)| wanted(&service.restic, vec![format!("service:{name}")]));
    let buckets = told.buckets.iter();
    let buckets = buckets.map(|bucket| wanted(&bucket.restic, tags_of(&bucket.service, &bucket.name)));
    services.chain(buckets).collect()
}

/// What became of each service.
fn captured(told: &Told, taken: Vec<TakenOver>) -> BTreeMap<ServiceName, CapturedService> {
    let mut taken = taken.into_iter();
    let services = told.services.iter().zip(&mut taken).map(|((name, service), taken)| {
        let captured = CapturedService {
            restic: taken.restic,
            bytes_added: taken.bytes_added,
            bytes_total: taken.extent.bytes,
            files_total: taken.extent.files,
            databases: service.databases.keys().cloned().collect(),
            data_version: service.data_version.clone(),
            quiet_ms: 0,
            left_out: Vec::new(),
            buckets: BTreeMap::new(),
        };
        (name.clone(), captured)
    });
    let mut services: BTreeMap<_, _> = services.collect();
    for (bucket, taken) in told.buckets.iter().zip(taken) {
        if let Some(service) = services.get_mut(&bucket.service) {
            let captured = CapturedBucket {
                restic: taken.restic,
                endpoint: bucket.endpoint.clone(),
                objects: bucket.objects,
                bytes: bucket.bytes,
                bytes_added: taken.bytes_added,
            };
            service.buckets.insert(bucket.name.clone(), captured);
        }
    }
    services
}

/// Passes the news on; where it is known beforehand how much there is, that is said.
fn telling(sink: &Sink, expected: Option<u64>) -> Tell {
    let sink = sink.clone();
    Box::new(move |news| match news {
        News::Line(line) => sink(Report::Line(line)),
        News::Progress { done, expected: told } => {
            let expected = expected.unwrap_or(told).max(done);
            sink(Report::Progress(Progress::of(done, expected, Unit::Bytes)));
        }
    })
}
