//! A tenant is made of what its provider left: of a bundle, or of a repository of snapshots. Its system is looked at first, then set up
//! with its services stopped; what was brought becomes a snapshot in the tenant's vault, which takes its place and is compared with what
//! it has to come to; and where somebody has said so, the services are started. What a successor finds done is not done again.
//!
//! | module | subject |
//! | --- | --- |
//! | `bundle` | of a bundle |
//! | `offsite` | of a repository that lies elsewhere |

mod bundle;
mod offsite;

use std::collections::BTreeMap;

use async_trait::async_trait;
use berth_domain::{CapturedService, Manifest, Mode, ServiceName, Snapshot, SnapshotPart, Timestamp};
use berth_protocol::{GivenSecret, RestorePart, ServiceFingerprint};
use berth_store::{StoreError, VaultRecord};

use super::deployment::Gate;
use super::state::{Bringing, put_buckets_back, restore_parts};
use super::{Context, Outcome};
use crate::buckets::are_nobody_elses;
use crate::bundles::Holdings;
use crate::error::{NO_BUCKET, StepError};
use crate::ports::{Report, Sink};
use bundle::Bundle;
use offsite::Offsite;

/// What a tenant is made of.
#[async_trait]
trait Source: Send + Sync {
    /// What it is, for a person.
    fn what(&self) -> &'static str;

    /// What the state has to be at the end, for a person.
    fn promise(&self) -> &'static str;

    /// Whether the services are started at the end.
    fn go_live(&self) -> bool;

    /// What it holds for the system that the operation works on.
    async fn holdings(&self, context: &Context) -> Result<Holdings, StepError>;

    /// Writes it into the tenant's vault; gives what became of each service, and when it was made.
    async fn unpack(
        &self,
        context: &Context,
        vault: &VaultRecord,
        sink: &Sink,
    ) -> Result<(BTreeMap<ServiceName, CapturedService>, Timestamp), StepError>;

    /// The secrets that services had made of chance.
    async fn secrets(&self, context: &Context) -> Result<Vec<GivenSecret>, StepError>;

    /// What the directories have to come to, of the services in the snapshot that was made of it.
    async fn sums(
        &self,
        context: &Context,
        snapshot: &Snapshot,
        vault: &VaultRecord,
        sink: &Sink,
    ) -> Result<BTreeMap<ServiceName, ServiceFingerprint>, StepError>;
}

pub(super) async fn prepare(context: &mut Context, sink: &Sink) -> Result<Outcome, StepError> {
    context.bring(&Mode::Standby, sink).await?;
    // Until here nothing of the machine was changed.
    let source = context.brought().await?;
    let holdings = source.holdings(context).await?;
    let system = context.manifest().await?;
    holdings.fit(&system)?;
    have_buckets(&holdings, &system, source.go_live(), sink)?;
    if source.go_live() && holdings.has_objects() {
        have_their_own(context, &system).await?;
    }
    context.has_room_for(holdings.bytes(), sink).await?;
    context.settle_in(&Mode::Standby, Gate::Open, sink).await?;
    context.vault().await?;
    Ok(Outcome::Done("the tenant is set up, its services are stopped".into()))
}

/// Where the services are started, objects come back before that. Otherwise they can still be given a bucket.
fn have_buckets(holdings: &Holdings, system: &Manifest, go_live: bool, sink: &Sink) -> Result<(), StepError> {
    let without = holdings.without_bucket(system);
    if go_live && !without.is_empty() {
        return Err(StepError::failed(NO_BUCKET, without.join("; ")));
    }
    for why in without {
        sink(Report::Warning(format!("{why}: give it one before the services are started")));
    }
    Ok(())
}

/// Objects that come back would replace newer ones of a tenant that is served here.
async fn have_their_own(context: &Context, system: &Manifest) -> Result<(), StepError> {
    are_nobody_elses(&context.shared.buckets_of_others(&context.tenant, system).await?)
}

pub(super) async fn unpacked(context: &mut Context, sink: &Sink) -> Result<Outcome, StepError> {
    context.take_what_is_deployed().await?;
    let source = context.brought().await?;
    if context.has_snapshot().await? {
        return Ok(Outcome::AlreadyThere(format!("{} is in the vault", source.what())));
    }
    let vault = context.vault().await?;
    let (captured, made_at) = source.unpack(context, &vault, sink).await?;
    let services = captured.into_iter().map(|(name, captured)| (name, SnapshotPart::Captured(captured)));
    let snapshot = context.arrived(made_at, services.collect())?;
    let services = snapshot.services.len();
    context.shared.records.keep_snapshot(context.hold(), vault.id, &snapshot).await?;
    Ok(Outcome::Done(format!("{services} services are in the vault")))
}

pub(super) async fn put_in_place(context: &mut Context, sink: &Sink) -> Result<Outcome, StepError> {
    context.take_what_is_deployed().await?;
    let source = context.brought().await?;
    let (mut snapshot, vault) = context.shared.records.snapshot(context.operation).await?;
    let bytes =
        snapshot.captured().fold(0_u64, |sum, (_, captured)| sum.saturating_add(captured.bytes_total));
    context.has_room_for(bytes, sink).await?;
    let sums = source.sums(context, &snapshot, &vault, sink).await?;
    let secrets = source.secrets(context).await?;
    context.adopt(secrets, sink).await?;
    fill_buckets(context, &*source, &snapshot, &vault, sink).await?;
    let parts = snapshot.captured().map(|(service, captured)| RestorePart {
        service: service.clone(),
        snapshot: captured.restic.clone(),
    });
    let parts = parts.collect();
    restore_parts(context, Bringing { vault: &vault, parts, secrets: None, reuse: false }, sink).await?;
    context.is_as_promised(sums.iter(), source.promise(), sink).await?;
    context.complete(&mut snapshot, &vault, sink).await?;
    let services = sums.len();
    Ok(Outcome::Done(format!("{services} services are in place, their files are {}", source.promise())))
}

/// Objects come back into their buckets where nobody else serves the tenant. Otherwise its old provider may write to the very buckets.
async fn fill_buckets(
    context: &Context,
    source: &dyn Source,
    snapshot: &Snapshot,
    vault: &VaultRecord,
    sink: &Sink,
) -> Result<(), StepError> {
    if source.go_live() {
        return put_buckets_back(context, snapshot, vault, sink).await;
    }
    for (service, captured) in snapshot.captured() {
        for (name, _) in captured.buckets.iter().filter(|(_, held)| held.objects > 0) {
            let why = format!(
                "{service}: the objects of the bucket {name} stay in the snapshot, as the old provider may still write to it: once it does not, \
                 restore {}, and only then start the services",
                snapshot.id
            );
            sink(Report::Warning(why));
        }
    }
    Ok(())
}

pub(super) async fn go_live(context: &mut Context, sink: &Sink) -> Result<Outcome, StepError> {
    if !context.brought().await?.go_live() {
        let why =
            "the tenant stays in standby: its old provider may still serve it, until somebody says otherwise";
        sink(Report::Warning(why.into()));
        return Ok(Outcome::AlreadyThere(
            "the services stay stopped, as nobody said that they shall start".into(),
        ));
    }
    let _deaf = context.deafen();
    context.deploy_in(&Mode::Active, Gate::Open, sink).await?;
    Ok(Outcome::Done("the services serve here".into()))
}

impl Context {
    /// What the operation was asked to make a tenant of.
    async fn brought(&self) -> Result<Box<dyn Source>, StepError> {
        match self.shared.records.offsite(self.operation).await? {
            Some(record) => Ok(Box::new(Offsite(record))),
            None => Ok(Box::new(Bundle(self.shared.spool.order(self.operation)?))),
        }
    }

    /// Whether what was brought is in the tenant's vault.
    pub(super) async fn has_snapshot(&self) -> Result<bool, StepError> {
        match self.shared.records.snapshot(self.operation).await {
            Ok(_) => Ok(true),
            Err(StoreError::NotFound { .. }) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }
}
