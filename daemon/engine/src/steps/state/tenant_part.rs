//! The tenant's own part of a snapshot: what no service's state holds, and without which a machine that is lost takes the
//! tenant along: its settings, what was given in confidence, and the secrets that its services made of chance.
//!
//! The daemon writes it, and not the machine: the daemon alone knows the settings, it may write to the vault in any case, and
//! what it writes there stands in no file on its way. The machine reads it itself when the state comes back, so that secrets and
//! state are exchanged at once, or neither is.

use std::collections::BTreeMap;

use berth_domain::{Setting, Snapshot, TenantDraft, TenantPart, TenantSpec};
use berth_protocol::{GivenSecret, GivenSetting, TenantFile, TenantFileError, tenant_file};
use berth_seal::About;
use berth_store::{StoreError, VaultRecord};
use berth_vault::Title;

use super::super::Context;
use crate::error::{StepError, VAULT_FAILED};
use crate::ports::{Report, Sink};

impl Context {
    /// Writes the tenant's own part into its vault, and notes it in the snapshot. Not where an earlier try of the same operation
    /// has done so.
    pub(in super::super) async fn keep_tenant_part(
        &mut self,
        snapshot: &mut Snapshot,
        vault: &VaultRecord,
        sink: &Sink,
    ) -> Result<(), StepError> {
        let earlier = match self.shared.records.snapshot(snapshot.id).await {
            Ok((earlier, _)) => earlier.tenant_part,
            Err(StoreError::NotFound { .. }) => None,
            Err(error) => return Err(error.into()),
        };
        if earlier.is_some() {
            snapshot.tenant_part = earlier;
            return Ok(());
        }
        let file = self.tenant_file(snapshot, sink).await?;
        let secrets = names(&file.secrets)?;
        let title = Title {
            at: snapshot.created_at,
            host: self.tenant.to_string(),
            paths: vec![tenant_file::PATH.to_owned()],
            tags: vec![snapshot.id.to_string(), tenant_file::TAG.to_owned()],
        };
        let (key, text) = (self.vault_key(vault)?, file.text().map_err(unwritten)?);
        let kept = self.shared.vaults.keep_file(vault.id, &key, title, tenant_file::PATH, text).await?;
        if kept.is_none() {
            let why = "neither secrets nor settings are in the snapshot: restic itself made this vault, and only restic writes to it";
            sink(Report::Warning(why.into()));
        }
        snapshot.tenant_part = kept.map(|restic| TenantPart { restic, secrets });
        Ok(())
    }

    async fn tenant_file(&mut self, snapshot: &Snapshot, sink: &Sink) -> Result<TenantFile, StepError> {
        let records = &self.shared.records;
        let tenant = records.tenant(&self.tenant).await?;
        let spec = match &snapshot.revision {
            Some(revision) => records.revision(&self.tenant, revision).await?.spec,
            None => tenant.spec,
        };
        let (specification, given) = self.opened_spec(spec)?;
        Ok(TenantFile {
            format: tenant_file::FORMAT,
            daemon_version: env!("CARGO_PKG_VERSION").into(),
            snapshot: snapshot.id,
            at: snapshot.created_at,
            revision: snapshot.revision.clone(),
            platform: tenant.platform,
            specification,
            given,
            secrets: self.secrets_of(sink).await?,
        })
    }

    /// A specification with numbers in the places of what was given in confidence, and that beside it.
    fn opened_spec(&self, mut spec: TenantSpec) -> Result<(TenantDraft, Vec<GivenSetting>), StepError> {
        let mut all = Vec::new();
        self.open_each(&mut spec, |About { service, setting, version, .. }, value| {
            all.push(GivenSetting { service, setting, version, value: value.into() });
            Setting::Int(i64::try_from(version).unwrap_or(i64::MAX))
        })?;
        Ok((spec.into(), all))
    }
}

fn names(secrets: &[GivenSecret]) -> Result<BTreeMap<berth_domain::ServiceName, Vec<String>>, StepError> {
    let mut names: BTreeMap<_, Vec<String>> = BTreeMap::new();
    for secret in secrets {
        let service = secret.service.parse();
        let service = service.map_err(|_| StepError::failed("agent-protocol", "a secret of no service"))?;
        names.entry(service).or_default().push(secret.name.clone());
    }
    Ok(names)
}

fn unwritten(error: TenantFileError) -> StepError {
    StepError::failed(VAULT_FAILED, format!("the tenant's own part cannot be written: {error}"))
}
