//! What both ways to Berth can do.

use async_trait::async_trait;
use berth_client::ClientError;
use berth_protocol::nixops4::StateChange;
use serde_json::Value;

use crate::resources::{Deployed, Deployment, StateOf};

/// Why something could not be done. No message repeats a value of a state.
#[derive(Debug, thiserror::Error)]
pub enum ProviderError {
    /// An input breaks a rule.
    #[error("{field}: {message}")]
    Input {
        /// Which.
        field: String,
        /// The rule.
        message: String,
    },
    /// The environment does not say how to reach the daemon.
    #[error("{0}")]
    Environment(String),
    /// The daemon refused or could not be reached.
    #[error("{0}")]
    Daemon(#[from] ClientError),
    /// The deployment came to another end than the one that was asked for.
    #[error("{0}")]
    Deployment(String),
    /// The operation that called us refused, or is gone.
    #[error("{0}")]
    Operation(String),
}

impl ProviderError {
    /// A broken rule of an input.
    pub fn input(field: &str, message: impl Into<String>) -> Self {
        Self::Input { field: field.to_owned(), message: message.into() }
    }
}

/// A way to Berth.
#[async_trait]
pub trait Backend: Send {
    /// Has a machine run a system, or sees that it does.
    async fn deploy(&mut self, wanted: &Deployment) -> Result<Deployed, ProviderError>;

    /// Whether a state can be kept; changes nothing.
    async fn check_state(&mut self, of: &StateOf) -> Result<(), ProviderError>;

    /// A state as it is, which nobody else changes until this ends.
    async fn take_state(&mut self, of: &StateOf) -> Result<Value, ProviderError>;

    /// A state as anybody may see it: without secrets, and while somebody else works on it.
    async fn look_at_state(&mut self, of: &StateOf) -> Result<Value, ProviderError>;

    /// Changes a state.
    async fn change_state(&mut self, of: &StateOf, change: StateChange) -> Result<(), ProviderError>;

    /// Gives back what is held.
    async fn close(&mut self);
}

/// Tells a person something, on standard error.
pub fn say(text: &str) {
    use std::io::Write;
    let _ = writeln!(std::io::stderr(), "{}", berth_domain::redact::text(text));
}
