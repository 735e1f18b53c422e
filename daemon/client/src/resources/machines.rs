//! Machines.

use berth_contract::Machine;
use berth_domain::{MachineDraft, MachineName};

use crate::client::Client;
use crate::error::Result;

impl Client {
    /// Registers a machine.
    ///
    /// # Errors
    /// As any call.
    pub async fn create_machine(&self, machine: &MachineDraft) -> Result<Machine> {
        self.post(&["v1", "machines"]).json(machine).read().await
    }

    /// Every registered machine.
    ///
    /// # Errors
    /// As any call.
    pub async fn machines(&self) -> Result<Vec<Machine>> {
        self.list(&["v1", "machines"], &[], usize::MAX).await
    }

    /// One machine.
    ///
    /// # Errors
    /// As any call.
    pub async fn machine(&self, name: &MachineName) -> Result<Machine> {
        self.get(&["v1", "machines", name.as_str()]).read().await
    }

    /// Forgets a machine that no tenant is on.
    ///
    /// # Errors
    /// As any call; `machine-in-use` while a tenant is on it.
    pub async fn delete_machine(&self, name: &MachineName) -> Result<()> {
        self.delete(&["v1", "machines", name.as_str()]).send().await.map(drop)
    }
}
