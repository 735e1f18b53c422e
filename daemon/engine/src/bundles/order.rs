//! What an operation was asked to make of a bundle. It lies beside the bundle, as nobody can do without that anyway, and goes with
//! the operation's end.

use std::path::PathBuf;

use berth_domain::{BundleId, OperationId};
use berth_seal::{About, Keys};
use secrecy::SecretString;
use serde::{Deserialize, Serialize};

use super::spool::{Spool, SpoolError};
use crate::error::StepError;

/// What is to be made of a bundle.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    /// The bundle.
    pub bundle: BundleId,
    /// Whether the services are started at the end, as nobody else serves the tenant any more.
    pub go_live: bool,
    /// The secrets that the services made of chance, a list of `{service, name, value}`, sealed.
    pub secrets: String,
}

impl Order {
    /// Seals the list of an operation's secrets.
    ///
    /// # Errors
    /// It cannot be sealed.
    pub fn seal(operation: OperationId, keys: &Keys, list: &SecretString) -> Result<String, StepError> {
        Ok(keys.seal(&About::bundle(&operation.to_string()), list)?)
    }

    pub(crate) fn secrets(&self, operation: OperationId, keys: &Keys) -> Result<SecretString, StepError> {
        Ok(keys.open(&About::bundle(&operation.to_string()), &self.secrets)?)
    }
}

impl Spool {
    /// Writes down what an operation is to do, before it is submitted.
    ///
    /// # Errors
    /// [`SpoolError::Folder`]
    pub fn keep_order(&self, operation: OperationId, order: &Order) -> Result<(), SpoolError> {
        self.write_whole(&self.order_of(operation), &serde_json::to_vec(order)?)
    }

    /// What an operation is to do.
    pub(crate) fn order(&self, operation: OperationId) -> Result<Order, StepError> {
        // Daemons that share a database need not share their folders.
        let missing = |error: std::io::Error| {
            let message = format!(
                "the bundle is not with this daemon, or was removed: send it again where this one is ({error})"
            );
            StepError::retryable("bundle-missing", message)
        };
        let text = std::fs::read(self.order_of(operation)).map_err(missing)?;
        serde_json::from_slice(&text).map_err(|error| StepError::failed("internal", error.to_string()))
    }

    /// The operation has ended.
    pub(crate) fn forget_order(&self, operation: OperationId) {
        let _ = std::fs::remove_file(self.order_of(operation));
    }

    fn order_of(&self, operation: OperationId) -> PathBuf {
        self.folder.join(format!("{operation}.take-in"))
    }
}
