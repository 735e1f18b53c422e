//! Backup plans: when snapshots are made by themselves, and which are kept.

use berth_contract::TenantBackups;
use berth_domain::{BackupDraft, Operation, SnapshotId, TenantName};
use reqwest::header::{HeaderValue, IF_MATCH};

use crate::client::Client;
use crate::error::Result;

impl Client {
    /// A tenant's backup plan, and how its backups stand.
    ///
    /// # Errors
    /// As any call; `not-found` where it has none.
    pub async fn backups(&self, name: &TenantName) -> Result<TenantBackups> {
        self.get(&["v1", "tenants", name.as_str(), "backups"]).read().await
    }

    /// Gives a tenant a backup plan. To change one, give the version that the change is based on.
    ///
    /// # Errors
    /// As any call; `exists` if it has another plan and no version was given, `changed-meanwhile` if it has another version by
    /// now.
    pub async fn put_backups(
        &self,
        name: &TenantName,
        plan: &BackupDraft,
        based_on: Option<i64>,
    ) -> Result<TenantBackups> {
        let version = based_on.and_then(|version| HeaderValue::try_from(format!("\"{version}\"")).ok());
        let call = self.put(&["v1", "tenants", name.as_str(), "backups"]).header(IF_MATCH, version);
        call.json(plan).read().await
    }

    /// Ends a tenant's backup plan; its snapshots stay.
    ///
    /// # Errors
    /// As any call; `not-found` where it has none.
    pub async fn delete_backups(&self, name: &TenantName) -> Result<()> {
        self.delete(&["v1", "tenants", name.as_str(), "backups"]).send().await.map(drop)
    }

    /// Removes a snapshot of a tenant from its vault.
    ///
    /// # Errors
    /// As any call; `newest-snapshot` for the newest whole one, `operation-running` while another operation works on the tenant.
    pub async fn delete_snapshot(&self, name: &TenantName, id: SnapshotId) -> Result<Operation> {
        self.delete(&["v1", "tenants", name.as_str(), "snapshots", &id.to_string()]).read().await
    }
}
