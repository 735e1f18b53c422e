//! Tenants, their machines and revisions.

use berth_domain::{MachineFacts, MachineName, Revision, RevisionId, TenantName};
use berth_store::{Hold, MachineRecord, TenantRecord};

use super::{Result, Tables, not_found, stored};

impl Tables {
    /// As the store's.
    pub fn tenant(&self, name: &TenantName) -> Result<TenantRecord> {
        self.tenants.get(name).cloned().ok_or_else(|| not_found("tenant", name))
    }

    /// As the store's.
    pub fn machine(&self, name: &MachineName) -> Result<MachineRecord> {
        let found = self.machines.get(name).map(|(machine, _)| machine.clone());
        found.ok_or_else(|| not_found("machine", name))
    }

    /// As the store's.
    pub fn revision(&self, tenant: &TenantName, id: &RevisionId) -> Result<Revision> {
        let found = self.revisions.get(&(tenant.clone(), id.clone())).cloned();
        found.ok_or_else(|| not_found("revision", id))
    }

    /// As the store's.
    pub fn keep_revision(&mut self, hold: Hold, revision: &Revision) -> Result<()> {
        self.held(hold)?;
        let key = (revision.tenant.clone(), revision.id.clone());
        let kept = Revision { created_at: stored(revision.created_at), ..revision.clone() };
        self.revisions.entry(key).or_insert(kept);
        Ok(())
    }

    /// As the store's.
    pub fn set_machine_facts(&mut self, hold: Hold, name: &MachineName, facts: &MachineFacts) -> Result<()> {
        self.held(hold)?;
        let (machine, _) = self.machines.get_mut(name).ok_or_else(|| not_found("machine", name))?;
        machine.facts = Some(facts.clone());
        Ok(())
    }

    /// As the store's.
    pub fn set_tenant_deployed(
        &mut self,
        hold: Hold,
        name: &TenantName,
        revision: &RevisionId,
        system: &str,
        platform: &str,
    ) -> Result<()> {
        self.held(hold)?;
        let tenant = self.tenants.get_mut(name).ok_or_else(|| not_found("tenant", name))?;
        tenant.deployed_revision = Some(revision.clone());
        tenant.deployed_system = Some(system.to_owned());
        tenant.platform = Some(platform.to_owned());
        tenant.condition = None;
        Ok(())
    }

    /// As the store's.
    pub fn forget_tenant(
        &mut self,
        hold: Hold,
        name: &TenantName,
        machine: &MachineName,
        keeps_data: bool,
    ) -> Result<()> {
        let asked = self.held(hold)?.0.operation.created_at;
        let tenant = self.tenants.get(name).filter(|tenant| tenant.created_at <= asked);
        tenant.ok_or_else(|| not_found("tenant", name))?;
        self.let_go_of_vaults(name);
        self.tenants.remove(name);
        self.revisions.retain(|(tenant, _), _| tenant != name);
        if let Some((machine, _)) = self.machines.get_mut(machine) {
            machine.tenant = None;
            machine.holds_data_of = keeps_data.then(|| name.clone());
        }
        Ok(())
    }
}
