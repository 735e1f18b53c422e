//! The provider, and whether its daemon is ready.

use berth_contract::Provider;

use crate::client::Client;
use crate::error::{ClientError, Result};

impl Client {
    /// What a new machine and a client need to know of the provider.
    ///
    /// # Errors
    /// As any call; see [`ClientError`].
    pub async fn provider(&self) -> Result<Provider> {
        self.get(&["v1", "provider"]).read().await
    }

    /// Whether the daemon takes requests. Needs no token.
    ///
    /// # Errors
    /// If what answers is no daemon, or nobody answers.
    pub async fn is_ready(&self) -> Result<bool> {
        match self.get(&["readyz"]).send().await {
            Ok(_) => Ok(true),
            Err(ClientError::Refused(problem)) if problem.status == 503 => Ok(false),
            Err(error) => Err(error),
        }
    }
}
