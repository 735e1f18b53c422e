//! The services on offer.

use berth_contract::Service;
use berth_domain::ServiceName;

use crate::client::Client;
use crate::error::Result;

impl Client {
    /// Every service on offer.
    ///
    /// # Errors
    /// As any call.
    pub async fn services(&self) -> Result<Vec<Service>> {
        self.list(&["v1", "services"], &[], usize::MAX).await
    }

    /// One service, with the schema of its settings.
    ///
    /// # Errors
    /// As any call.
    pub async fn service(&self, name: &ServiceName) -> Result<Service> {
        self.get(&["v1", "services", name.as_str()]).read().await
    }
}
