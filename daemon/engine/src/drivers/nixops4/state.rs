//! The tenant's NixOps4 state, for as long as a provider works on it.

use std::sync::Arc;

use berth_domain::TenantName;
use berth_protocol::nixops4::StateChange;
use serde_json::Value;
use uuid::Uuid;

use crate::engine::Shared;
use crate::nixops4_state::StateError;

/// A state, with its lease once it was read.
pub(super) struct HeldState {
    shared: Arc<Shared>,
    tenant: TenantName,
    /// Who holds it, for others.
    held_by: String,
    /// Who holds it, unlike anybody else.
    holder: String,
    fence: Option<i64>,
}

impl HeldState {
    /// Nothing is held yet.
    pub(super) fn new(shared: Arc<Shared>, tenant: TenantName, held_by: String) -> Self {
        Self { shared, tenant, held_by, holder: Uuid::now_v7().to_string(), fence: None }
    }

    async fn hold(&mut self) -> Result<i64, StateError> {
        if let Some(fence) = self.fence {
            return Ok(fence);
        }
        let lease = self.shared.lease_nixops4_state(&self.tenant, &self.holder, &self.held_by).await?;
        self.fence = Some(lease.fence);
        Ok(lease.fence)
    }

    /// The state in clear, which nobody else changes from now on.
    pub(super) async fn read(&mut self) -> Result<Value, StateError> {
        let fence = self.hold().await?;
        self.shared.nixops4_state_in_clear(&self.tenant, fence).await
    }

    /// Changes it.
    pub(super) async fn change(&mut self, change: StateChange) -> Result<(), StateError> {
        let fence = self.hold().await?;
        let new = self.shared.changed_nixops4_state(&self.tenant, fence, &self.held_by, change).await?;
        Ok(self.shared.records.keep_nixops4_state(&self.tenant, &new, None).await?)
    }

    /// Makes the lease last longer. Where somebody else took it, changes are refused by the old fence.
    pub(super) async fn renew(&mut self) {
        let Some(fence) = self.fence else { return };
        match self.shared.lease_nixops4_state(&self.tenant, &self.holder, &self.held_by).await {
            Ok(lease) if lease.fence == fence => {}
            // It was somebody else's meanwhile: what we read is old.
            Ok(lease) => {
                let _ = self.shared.records.release_nixops4_state(&self.tenant, lease.fence).await;
            }
            Err(error) => {
                tracing::warn!(tenant = %self.tenant, %error, "cannot renew the lease of a NixOps4 state");
            }
        }
    }

    /// Gives it back.
    pub(super) async fn give_back(self) {
        if let Some(fence) = self.fence
            && let Err(error) = self.shared.records.release_nixops4_state(&self.tenant, fence).await
        {
            tracing::warn!(tenant = %self.tenant, %error, "cannot give the lease of a NixOps4 state back");
        }
    }
}
