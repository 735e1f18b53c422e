//! Snapshots: tenants' state, kept and brought back.

use berth_contract::{NewExport, NewRestore, NewSnapshot};
use berth_domain::{Operation, OperationId, Snapshot, SnapshotId, TenantName};

use crate::client::Client;
use crate::download::Download;
use crate::error::Result;

impl Client {
    /// Copies a tenant's state into its vault. Once the operation has succeeded, its id is the snapshot's.
    ///
    /// # Errors
    /// As any call; `operation-running` while another operation works on it, `not-deployed` before it was deployed.
    pub async fn start_snapshot(&self, name: &TenantName) -> Result<Operation> {
        self.post(&["v1", "tenants", name.as_str(), "snapshots"]).json(&NewSnapshot::default()).read().await
    }

    /// The snapshots of a tenant, newest first: at most `limit`.
    ///
    /// # Errors
    /// As any call.
    pub async fn snapshots(&self, name: &TenantName, limit: usize) -> Result<Vec<Snapshot>> {
        self.list(&["v1", "tenants", name.as_str(), "snapshots"], &[], limit).await
    }

    /// One of them.
    ///
    /// # Errors
    /// As any call.
    pub async fn snapshot(&self, name: &TenantName, id: SnapshotId) -> Result<Snapshot> {
        self.get(&["v1", "tenants", name.as_str(), "snapshots", &id.to_string()]).read().await
    }

    /// Makes a bundle of everything that a tenant owns: of a snapshot, or of its state now. Secrets are sealed to the age
    /// recipient; without one, none are in it.
    ///
    /// # Errors
    /// As any call; `operation-running` while another operation works on it, `not-deployed` before it was deployed.
    pub async fn export(
        &self,
        name: &TenantName,
        snapshot: Option<SnapshotId>,
        recipient: Option<&str>,
    ) -> Result<Operation> {
        let body = NewExport { snapshot, recipient: recipient.map(str::to_owned) };
        self.post(&["v1", "tenants", name.as_str(), "export"]).json(&body).read().await
    }

    /// The bundle that an export made.
    ///
    /// # Errors
    /// As any call; `operation-unfinished` until it has ended.
    pub async fn bundle(&self, export: OperationId) -> Result<Download> {
        self.get(&["v1", "operations", &export.to_string(), "bundle"]).download().await
    }

    /// Puts a snapshot of a tenant in place of its state, or of that of the tenant `into`.
    ///
    /// # Errors
    /// As any call; `operation-running` while another operation works on it, `not-deployed` before it was deployed.
    pub async fn restore(
        &self,
        name: &TenantName,
        snapshot: SnapshotId,
        into: Option<&TenantName>,
    ) -> Result<Operation> {
        let body = NewRestore { snapshot, into: into.cloned() };
        self.post(&["v1", "tenants", name.as_str(), "restore"]).json(&body).read().await
    }
}
