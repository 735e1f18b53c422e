//! Drills: snapshots tried out on machines that are free.

use berth_contract::NewDrill;
use berth_domain::{Drill, MachineName, Operation, OperationId, SnapshotId, TenantName};

use crate::client::Client;
use crate::error::Result;

impl Client {
    /// Tries a snapshot of a tenant out on a machine that is free: the newest whole one unless another is named. The operation's
    /// id is the drill's.
    ///
    /// # Errors
    /// As any call; `machine-taken` and `machine-lent` where the machine is not free, `no-snapshot` where there is none,
    /// `operation-running` while another drill of the tenant goes on, `not-deployed` before it was deployed.
    pub async fn start_drill(
        &self,
        name: &TenantName,
        machine: &MachineName,
        snapshot: Option<SnapshotId>,
    ) -> Result<Operation> {
        let body = NewDrill { machine: machine.clone(), snapshot };
        self.post(&["v1", "tenants", name.as_str(), "drills"]).json(&body).read().await
    }

    /// The drills of a tenant, newest first: at most `limit`.
    ///
    /// # Errors
    /// As any call.
    pub async fn drills(&self, name: &TenantName, limit: usize) -> Result<Vec<Drill>> {
        self.list(&["v1", "tenants", name.as_str(), "drills"], &[], limit).await
    }

    /// One of them.
    ///
    /// # Errors
    /// As any call.
    pub async fn drill(&self, name: &TenantName, id: OperationId) -> Result<Drill> {
        self.get(&["v1", "tenants", name.as_str(), "drills", &id.to_string()]).read().await
    }
}
