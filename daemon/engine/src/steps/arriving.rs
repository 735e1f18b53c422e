//! A tenant's state comes onto a machine of this provider from somewhere else: from another provider, or of what one left.

use std::collections::BTreeMap;

use berth_domain::{ServiceName, Snapshot, SnapshotPart, Timestamp};
use berth_protocol::{Answer, Fingerprint, GivenSecret, Request, ServiceFingerprint};
use berth_store::VaultRecord;

use super::Context;
use super::context::unexpected;
use crate::error::{STATE_DIFFERS, StepError};
use crate::ports::{Report, Sink};

impl Context {
    /// The machine needs room for the state twice: beside what is there, and what is read out of databases.
    pub(super) async fn has_room_for(&mut self, needed: u64, sink: &Sink) -> Result<(), StepError> {
        let free = self.facts(sink).await?.data_disk_available_bytes;
        if free < needed {
            let message = format!("the state has {needed} bytes, and the machine has {free} bytes left");
            return Err(StepError::failed("no-space", message));
        }
        Ok(())
    }

    /// Puts secrets in place that the services made of chance elsewhere.
    pub(super) async fn adopt(&mut self, secrets: Vec<GivenSecret>, sink: &Sink) -> Result<(), StepError> {
        let request = Request::AdoptSecrets { claim: self.own_claim(), system: self.system()?, secrets };
        match self.call(request, self.shared.options.timeouts.brief, sink).await? {
            Answer::Prepared => Ok(()),
            _ => Err(unexpected("the secrets")),
        }
    }

    /// What came is the tenant's first snapshot here, which has the operation's id.
    pub(super) fn arrived(
        &self,
        at: Timestamp,
        services: BTreeMap<ServiceName, SnapshotPart>,
    ) -> Result<Snapshot, StepError> {
        Ok(Snapshot {
            id: self.operation,
            tenant: self.tenant.clone(),
            created_at: at,
            finished_at: at,
            revision: self.revision.clone(),
            system: self.system()?,
            whole: true,
            due_at: None,
            forgetting: false,
            services,
            tenant_part: None,
        })
    }

    /// Adds the tenant's own part to that snapshot, once the machine has the secrets. Where that fails, the next snapshot has it:
    /// nobody who waits for the tenant waits for this.
    pub(super) async fn complete(
        &mut self,
        snapshot: &mut Snapshot,
        vault: &VaultRecord,
        sink: &Sink,
    ) -> Result<(), StepError> {
        match self.keep_tenant_part(snapshot, vault, sink).await {
            Ok(()) => {}
            Err(StepError::Failed(failure)) => {
                let why = format!("no secrets are in the first snapshot here: {}", failure.message);
                sink(Report::Warning(why));
                return Ok(());
            }
            interrupted => return interrupted,
        }
        Ok(self.shared.records.keep_snapshot(self.hold(), vault.id, snapshot).await?)
    }

    /// Compares what is on the machine with what it has to be, such as “what the source signed”; tells what is there.
    pub(super) async fn is_as_promised<'a>(
        &mut self,
        signed: impl Iterator<Item = (&'a ServiceName, &'a ServiceFingerprint)>,
        promise: &str,
        sink: &Sink,
    ) -> Result<Fingerprint, StepError> {
        let found = self.fingerprint(sink).await?;
        let differences = differences(signed, &found);
        if differences.is_empty() {
            return Ok(found);
        }
        let message = format!("what is here is not {promise}: {}", differences.join("; "));
        Err(StepError::failed(STATE_DIFFERS, message))
    }
}

/// What is not as it was signed: services, and their databases and directories.
fn differences<'a>(
    signed: impl Iterator<Item = (&'a ServiceName, &'a ServiceFingerprint)>,
    found: &Fingerprint,
) -> Vec<String> {
    let mut differences = Vec::new();
    for (service, signed) in signed {
        let here = found.services.get(service).cloned().unwrap_or_default();
        for (name, wanted) in &signed.databases {
            if here.databases.get(name) != Some(wanted) {
                differences.push(format!("{service}: the database {name}"));
            }
        }
        for (path, wanted) in &signed.directories {
            if here.directories.get(path) != Some(wanted) {
                differences.push(format!("{service}: the directory {path}"));
            }
        }
    }
    differences
}
