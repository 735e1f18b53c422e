//! Operations: looking at them, cancelling them, links for customers. Following one is [`crate::events`].

use berth_contract::{NewWatchLink, Page, WatchLink};
use berth_domain::{Event, Operation, OperationId, OperationStatus, Preview, TenantName};

use crate::client::Client;
use crate::error::Result;

/// Which operations to list.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct OperationFilter {
    /// Those of a tenant.
    pub tenant: Option<TenantName>,
    /// Those that stand there.
    pub status: Option<OperationStatus>,
}

impl Client {
    /// The newest operations, newest first: at most `limit`.
    ///
    /// # Errors
    /// As any call.
    pub async fn operations(&self, filter: &OperationFilter, limit: usize) -> Result<Vec<Operation>> {
        let tenant = filter.tenant.as_ref().map(|tenant| ("tenant", tenant.to_string()));
        let status = filter.status.map(|status| ("status", status.to_string()));
        let query: Vec<_> = tenant.into_iter().chain(status).collect();
        self.list(&["v1", "operations"], &query, limit).await
    }

    /// One operation.
    ///
    /// # Errors
    /// As any call.
    pub async fn operation(&self, id: OperationId) -> Result<Operation> {
        self.get(&["v1", "operations", &id.to_string()]).read().await
    }

    /// What a preview found.
    ///
    /// # Errors
    /// As any call; `operation-unfinished` while it is still looking, `not-found` if it found nothing.
    pub async fn preview(&self, id: OperationId) -> Result<Preview> {
        self.get(&["v1", "operations", &id.to_string(), "preview"]).read().await
    }

    /// Asks an operation to end. It may take a moment, and may turn out to have ended otherwise.
    ///
    /// # Errors
    /// As any call; `operation-finished` if it has ended already.
    pub async fn cancel(&self, id: OperationId) -> Result<Operation> {
        self.post(&["v1", "operations", &id.to_string(), "cancel"]).json(&serde_json::json!({})).read().await
    }

    /// The events after number `after`, at most 200; those that are there now.
    ///
    /// # Errors
    /// As any call.
    pub async fn events(&self, id: OperationId, after: i64) -> Result<Page<Event>> {
        self.get(&["v1", "operations", &id.to_string(), "events"])
            .query("after", after)
            .query("limit", 200)
            .read()
            .await
    }

    /// A link that shows the operation to whoever has it.
    ///
    /// # Errors
    /// As any call.
    pub async fn watch_link(&self, id: OperationId, link: &NewWatchLink) -> Result<WatchLink> {
        self.post(&["v1", "operations", &id.to_string(), "watch"]).json(link).read().await
    }
}
