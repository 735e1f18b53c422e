//! Repositories of snapshots that lie elsewhere, and tenants that are made of them.

use berth_contract::{NewVaultImport, NewVaultLook};
use berth_domain::{OffsiteVault, Operation};

use crate::client::Client;
use crate::error::Result;

impl Client {
    /// What a repository holds of a tenant, and what keeps that from coming here. Nothing is changed.
    ///
    /// # Errors
    /// As any call; `repository-…` for each sort of trouble with the repository.
    pub async fn look_at_vault(&self, wanted: &NewVaultLook) -> Result<OffsiteVault> {
        self.post(&["v1", "vaults", "look"]).patiently().json(wanted).read().await
    }

    /// Makes a tenant of a repository.
    ///
    /// # Errors
    /// As those of [`Client::look_at_vault`]; `obstacles` with everything that is in the way, `repository-used`.
    pub async fn import_vault(&self, wanted: &NewVaultImport) -> Result<Operation> {
        self.post(&["v1", "vaults", "import"]).patiently().json(wanted).read().await
    }
}
