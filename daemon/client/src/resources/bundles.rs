//! Bundles that are brought here, and tenants that are made of them.

use berth_contract::{NewBundle, NewImport};
use berth_domain::{BundleId, IncomingBundle, Operation};

use crate::client::Client;
use crate::error::Result;
use crate::upload::pieces;

impl Client {
    /// Announces a bundle of so many bytes, under an id that nothing else has.
    ///
    /// # Errors
    /// As any call; `no-space` where the daemon has no room for it.
    pub async fn announce_bundle(&self, id: BundleId, size: u64) -> Result<IncomingBundle> {
        self.put(&["v1", "bundles", &id.to_string()]).json(&NewBundle { size }).read().await
    }

    /// Sends what follows the first `from` bytes of a bundle, which is what `content` reads; `tell` is told how many bytes went.
    /// Each piece has as long to go as a whole answer otherwise.
    ///
    /// # Errors
    /// As any call; `bundle-offset` where other bytes are awaited: it goes on where [`Client::incoming_bundle`] says.
    pub async fn send_bundle(
        &self,
        id: BundleId,
        from: u64,
        content: tokio::fs::File,
        tell: impl Fn(u64) + Send + 'static,
    ) -> Result<IncomingBundle> {
        let call = self.put(&["v1", "bundles", &id.to_string(), "content"]).query("from", from);
        call.upload(pieces(content, tell)).await
    }

    /// A bundle as it stands.
    ///
    /// # Errors
    /// As any call.
    pub async fn incoming_bundle(&self, id: BundleId) -> Result<IncomingBundle> {
        self.get(&["v1", "bundles", &id.to_string()]).read().await
    }

    /// The bundles that are there, the newest first: at most `limit`.
    ///
    /// # Errors
    /// As any call.
    pub async fn incoming_bundles(&self, limit: usize) -> Result<Vec<IncomingBundle>> {
        let page: berth_contract::Page<IncomingBundle> = self.get(&["v1", "bundles"]).read().await?;
        Ok(page.items.into_iter().take(limit).collect())
    }

    /// Makes a tenant of a bundle.
    ///
    /// # Errors
    /// As any call; `obstacles` with everything that is in the way, `signer-not-trusted`, `bundle-used`, and what the bundle is
    /// refused for.
    pub async fn import_bundle(&self, id: BundleId, wanted: &NewImport) -> Result<Operation> {
        self.post(&["v1", "bundles", &id.to_string(), "import"]).json(wanted).read().await
    }

    /// Removes a bundle.
    ///
    /// # Errors
    /// As any call.
    pub async fn remove_bundle(&self, id: BundleId) -> Result<()> {
        self.delete(&["v1", "bundles", &id.to_string()]).send().await.map(drop)
    }
}
