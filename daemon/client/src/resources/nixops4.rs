//! What NixOps4 knows of a tenant's resources: reading it, its lease, changing it.

use berth_contract::nixops4::{
    KeptStateChange, NewStateChange, NewStateLease, Nixops4State, StateChangeInfo, StateLease,
};
use berth_domain::TenantName;

use crate::client::Client;
use crate::error::Result;

impl Client {
    /// A tenant's NixOps4 state: without secrets, or in clear for who names the fence of the lease it has.
    ///
    /// # Errors
    /// As any call; `state-lease-lost` if the fence is not the newest any more.
    pub async fn nixops4_state(&self, tenant: &TenantName, fence: Option<i64>) -> Result<Nixops4State> {
        let mut call = self.get(&["v1", "tenants", tenant.as_str(), "nixops4-state"]);
        if let Some(fence) = fence {
            call = call.query("fence", fence);
        }
        call.read().await
    }

    /// Takes the lease of a tenant's NixOps4 state, or renews it: `holder` is what the caller calls itself.
    ///
    /// # Errors
    /// As any call; `state-leased` if somebody else has it.
    pub async fn lease_nixops4_state(&self, tenant: &TenantName, holder: &str) -> Result<StateLease> {
        let call = self.put(&["v1", "tenants", tenant.as_str(), "nixops4-state", "lease"]);
        call.json(&NewStateLease { holder: holder.to_owned() }).read().await
    }

    /// Gives the lease back.
    ///
    /// # Errors
    /// As any call.
    pub async fn release_nixops4_state(&self, tenant: &TenantName, fence: i64) -> Result<()> {
        let fence = fence.to_string();
        let call = self.delete(&["v1", "tenants", tenant.as_str(), "nixops4-state", "lease", &fence]);
        call.send().await.map(drop)
    }

    /// Changes a tenant's NixOps4 state.
    ///
    /// # Errors
    /// As any call; `state-lease-lost` if somebody else took the lease meanwhile.
    pub async fn change_nixops4_state(
        &self,
        tenant: &TenantName,
        change: &NewStateChange,
    ) -> Result<KeptStateChange> {
        let call = self.post(&["v1", "tenants", tenant.as_str(), "nixops4-state", "changes"]);
        call.json(change).read().await
    }

    /// The changes of a tenant's NixOps4 state, newest first, without secrets.
    ///
    /// # Errors
    /// As any call.
    pub async fn nixops4_changes(&self, tenant: &TenantName) -> Result<Vec<StateChangeInfo>> {
        self.list(&["v1", "tenants", tenant.as_str(), "nixops4-state", "changes"], &[], usize::MAX).await
    }
}
