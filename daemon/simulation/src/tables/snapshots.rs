//! Vaults and snapshots.

use berth_domain::{Snapshot, SnapshotId, TenantName, VaultId};
use berth_store::{Hold, StoreError, VaultRecord};

use super::{Result, Tables, not_found};

impl Tables {
    /// As the store's.
    pub fn vault(&self, tenant: &TenantName) -> Option<VaultRecord> {
        let mut own = self.vaults.values().filter(|(of, _)| of.as_ref() == Some(tenant));
        own.next().map(|(_, vault)| vault.clone())
    }

    /// As the store's.
    pub fn keep_vault(
        &mut self,
        hold: Hold,
        tenant: &TenantName,
        vault: &VaultRecord,
    ) -> Result<VaultRecord> {
        self.held(hold)?;
        if !self.tenants.contains_key(tenant) {
            return Err(not_found("tenant", tenant));
        }
        if let Some(known) = self.vault(tenant) {
            return Ok(known);
        }
        self.vaults.insert(vault.id, (Some(tenant.clone()), vault.clone()));
        Ok(vault.clone())
    }

    /// As the store's.
    pub fn forget_vault(&mut self, hold: Hold, id: VaultId) -> Result<()> {
        self.held(hold)?;
        self.snapshots.retain(|_, (vault, _)| *vault != id);
        self.vaults.remove(&id);
        Ok(())
    }

    /// Vaults stay when their tenant goes, and are nobody's then.
    pub(super) fn let_go_of_vaults(&mut self, tenant: &TenantName) {
        let own = self.vaults.values_mut().filter(|(of, _)| of.as_ref() == Some(tenant));
        own.for_each(|(of, _)| *of = None);
    }

    /// As the store's.
    pub fn keep_snapshot(&mut self, hold: Hold, vault: VaultId, snapshot: &Snapshot) -> Result<()> {
        self.held(hold)?;
        if !self.vaults.contains_key(&vault) {
            return Err(not_found("vault", vault));
        }
        self.snapshots.insert(snapshot.id, (vault, snapshot.clone()));
        Ok(())
    }

    /// As the store's.
    pub fn snapshot(&self, id: SnapshotId) -> Result<(Snapshot, VaultRecord)> {
        let missing = || -> StoreError { not_found("snapshot", id) };
        let (vault, snapshot) = self.snapshots.get(&id).ok_or_else(missing)?;
        let (_, vault) = self.vaults.get(vault).ok_or_else(missing)?;
        Ok((snapshot.clone(), vault.clone()))
    }

    /// The newest snapshot of a tenant.
    pub fn newest_snapshot(&self, tenant: &TenantName) -> Option<SnapshotId> {
        let own = self.snapshots.values().map(|(_, snapshot)| snapshot);
        own.filter(|snapshot| snapshot.tenant == *tenant).map(|snapshot| snapshot.id).max()
    }
}
