//! A tenant is made of a bundle.

use std::collections::BTreeMap;

use async_trait::async_trait;
use berth_bundle::ReadError;
use berth_domain::{CapturedService, ServiceName, Snapshot, Timestamp};
use berth_protocol::{GivenSecret, ServiceFingerprint};
use berth_sign::TrustedKeys;
use berth_store::VaultRecord;
use secrecy::ExposeSecret as _;

use super::super::Context;
use super::Source;
use crate::bundles::{Holdings, Order, Unpacking, missing, unpack};
use crate::error::{SECRET_SEALED, StepError};
use crate::ports::Sink;

/// The bundle that an operation was asked for.
pub(super) struct Bundle(pub(super) Order);

#[async_trait]
impl Source for Bundle {
    fn what(&self) -> &'static str {
        "the bundle"
    }

    fn promise(&self) -> &'static str {
        "what the provider of the bundle signed"
    }

    fn go_live(&self) -> bool {
        self.0.go_live
    }

    async fn holdings(&self, context: &Context) -> Result<Holdings, StepError> {
        Ok(self.inspected(context).await?.0)
    }

    async fn unpack(
        &self,
        context: &Context,
        vault: &VaultRecord,
        sink: &Sink,
    ) -> Result<(BTreeMap<ServiceName, CapturedService>, Timestamp), StepError> {
        let (shared, key) = (&context.shared, context.vault_key(vault)?);
        if shared.records.snapshots_in(vault.id).await?.is_empty() {
            // What an earlier try left would be in the way.
            shared.vaults.destroy(vault.id).await?;
            shared.vaults.make(vault.id, &key).await?;
        }
        let (holdings, made_at) = self.inspected(context).await?;
        let file = shared.spool.content(self.0.bundle);
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
        Ok((shared.vaults.write(vault.id, &key, work).await?, made_at))
    }

    /// Those that somebody gave to the bundle.
    async fn secrets(&self, context: &Context) -> Result<Vec<GivenSecret>, StepError> {
        let list = self.0.secrets(context.operation, &context.shared.keys)?;
        // What cannot be read is not shown: it is secret.
        let unreadable = |_| StepError::failed(SECRET_SEALED, "the secrets of the bundle cannot be read");
        serde_json::from_str(list.expose_secret()).map_err(unreadable)
    }

    /// As they are signed.
    async fn sums(
        &self,
        context: &Context,
        _: &Snapshot,
        _: &VaultRecord,
        _: &Sink,
    ) -> Result<BTreeMap<ServiceName, ServiceFingerprint>, StepError> {
        let services = self.holdings(context).await?.services.into_iter().map(|(service, held)| {
            let there = held.directories.iter().filter(|directory| directory.there.is_some());
            let directories =
                there.map(|directory| (directory.declared.path.clone(), directory.fingerprint())).collect();
            (service, ServiceFingerprint { directories, ..ServiceFingerprint::default() })
        });
        Ok(services.collect())
    }
}

impl Bundle {
    /// What the bundle holds, by its manifest, for the system that the operation works on; and when it was made.
    async fn inspected(&self, context: &Context) -> Result<(Holdings, Timestamp), StepError> {
        let system = context.manifest().await?;
        let file = context.shared.spool.content(self.0.bundle);
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
}
