//! A tenant is made of a bundle: its system is looked at first, then set up with its services stopped; the bundle becomes a snapshot
//! in the tenant's vault, which takes its place and is compared with what is signed; and where somebody has said so, the services
//! are started. What a successor finds done is not done again.

use std::sync::Arc;

use berth_bundle::ReadError;
use berth_domain::{Mode, SnapshotPart, Timestamp};
use berth_protocol::{GivenSecret, RestorePart, ServiceFingerprint};
use berth_sign::TrustedKeys;
use berth_store::StoreError;
use secrecy::ExposeSecret as _;

use super::deployment::Gate;
use super::state::{Bringing, restore_parts};
use super::{Context, Outcome};
use crate::bundles::{Holdings, Order, Unpacking, missing, unpack};
use crate::error::{SECRET_SEALED, StepError};
use crate::ports::{Report, Sink};

pub(super) async fn prepare(context: &mut Context, sink: &Sink) -> Result<Outcome, StepError> {
    context.bring(&Mode::Standby, sink).await?;
    // Until here nothing of the machine was changed.
    let (holdings, _) = context.holdings().await?;
    holdings.fit(&context.manifest().await?)?;
    context.has_room_for(holdings.bytes(), sink).await?;
    context.settle_in(&Mode::Standby, Gate::Open, sink).await?;
    context.vault().await?;
    Ok(Outcome::Done("the tenant is set up, its services are stopped".into()))
}

pub(super) async fn unpacked(context: &mut Context, sink: &Sink) -> Result<Outcome, StepError> {
    context.take_what_is_deployed().await?;
    if context.has_snapshot().await? {
        return Ok(Outcome::AlreadyThere("the bundle is in the vault".into()));
    }
    let vault = context.vault().await?;
    let (shared, key) = (Arc::clone(&context.shared), context.vault_key(&vault)?);
    if shared.records.snapshots_in(vault.id).await?.is_empty() {
        // What an earlier try left there would be in the way of this one.
        shared.vaults.destroy(vault.id).await?;
        shared.vaults.make(vault.id, &key).await?;
    }
    let (holdings, made_at) = context.holdings().await?;
    let file = shared.spool.content(context.order()?.bundle);
    let bounds = context.bounds(shared.options.timeouts.state);
    let unpacking = Unpacking {
        operation: context.operation,
        tenant: context.tenant.clone(),
        holdings,
        made_at,
        cancel: bounds.cancel.clone(),
        sink: sink.clone(),
    };
    let work = Box::new(move |author: &mut berth_vault::Author| unpack(&file, &unpacking, author));
    let captured = shared.vaults.write(vault.id, &key, work).await?;
    let services = captured.into_iter().map(|(name, captured)| (name, SnapshotPart::Captured(captured)));
    let snapshot = context.arrived(made_at, services.collect())?;
    let services = snapshot.services.len();
    shared.records.keep_snapshot(context.hold(), vault.id, &snapshot).await?;
    Ok(Outcome::Done(format!("{services} services are in the vault")))
}

pub(super) async fn put_in_place(context: &mut Context, sink: &Sink) -> Result<Outcome, StepError> {
    context.take_what_is_deployed().await?;
    let (holdings, _) = context.holdings().await?;
    context.has_room_for(holdings.bytes(), sink).await?;
    let secrets = context.brought_secrets()?;
    context.adopt(secrets, sink).await?;
    let (mut snapshot, vault) = context.shared.records.snapshot(context.operation).await?;
    let parts = snapshot.captured().map(|(service, captured)| RestorePart {
        service: service.clone(),
        snapshot: captured.restic.clone(),
    });
    let parts = parts.collect();
    restore_parts(context, Bringing { vault: &vault, parts, secrets: None, reuse: false }, sink).await?;
    let signed: Vec<_> = holdings
        .services
        .iter()
        .map(|(service, held)| {
            let there = held.directories.iter().filter(|directory| directory.there.is_some());
            let directories =
                there.map(|directory| (directory.declared.path.clone(), directory.fingerprint())).collect();
            (service, ServiceFingerprint { directories, ..ServiceFingerprint::default() })
        })
        .collect();
    let all = signed.iter().map(|(service, signed)| (*service, signed));
    context.is_as_signed(all, "the provider of the bundle", sink).await?;
    context.complete(&mut snapshot, &vault, sink).await?;
    let services = signed.len();
    Ok(Outcome::Done(format!("{services} services are in place, their files as they were signed")))
}

pub(super) async fn go_live(context: &mut Context, sink: &Sink) -> Result<Outcome, StepError> {
    if !context.order()?.go_live {
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
    /// What the operation was asked to make of which bundle.
    fn order(&self) -> Result<Order, StepError> {
        self.shared.spool.order(self.operation)
    }

    /// Whether the bundle is in the tenant's vault.
    pub(super) async fn has_snapshot(&self) -> Result<bool, StepError> {
        match self.shared.records.snapshot(self.operation).await {
            Ok(_) => Ok(true),
            Err(StoreError::NotFound { .. }) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// What the bundle holds, by its manifest, for the system that the operation works on; and when it was made.
    async fn holdings(&self) -> Result<(Holdings, Timestamp), StepError> {
        let system = self.manifest().await?;
        let file = self.shared.spool.content(self.order()?.bundle);
        let reading = tokio::task::spawn_blocking(move || {
            let mut holdings: Option<Holdings> = None;
            let inspection = berth_bundle::inspect(&file, &TrustedKeys::none(), &mut |head, entry| {
                holdings.get_or_insert_with(|| Holdings::begin(&head.services, Some(&system))).add(entry);
            })?;
            Ok::<_, ReadError>((holdings.unwrap_or_default(), inspection.about.created))
        });
        let read = reading.await.map_err(|error| StepError::failed("internal", error.to_string()))?;
        read.map_err(|error| missing(&error))
    }

    /// The secrets that somebody gave to the bundle.
    fn brought_secrets(&self) -> Result<Vec<GivenSecret>, StepError> {
        let list = self.order()?.secrets(self.operation, &self.shared.keys)?;
        // What cannot be read is not shown: it is secret.
        let unreadable = |_| StepError::failed(SECRET_SEALED, "the secrets of the bundle cannot be read");
        serde_json::from_str(list.expose_secret()).map_err(unreadable)
    }
}
