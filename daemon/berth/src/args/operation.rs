//! `berth operation …`

use berth_domain::{OperationId, OperationStatus, TenantName};
use clap::Subcommand;

/// `berth operation …`
#[derive(Debug, Subcommand)]
pub enum Operation {
    /// The newest operations
    List {
        /// Only those of a tenant
        #[arg(long, value_name = "TENANT")]
        tenant: Option<TenantName>,
        /// Only those that stand there: queued, running, succeeded, failed or cancelled
        #[arg(long, value_name = "STATUS", value_parser = status)]
        status: Option<OperationStatus>,
        /// How many at most
        #[arg(long, value_name = "NUMBER", default_value_t = 20)]
        limit: usize,
    },
    /// An operation, its steps, and why it failed
    Show {
        /// Its id
        #[arg(value_name = "OPERATION")]
        id: OperationId,
    },
    /// Ask an operation to end
    Cancel {
        /// Its id
        #[arg(value_name = "OPERATION")]
        id: OperationId,
    },
}

fn status(word: &str) -> Result<OperationStatus, String> {
    OperationStatus::from_word(word)
        .ok_or_else(|| "must be queued, running, succeeded, failed or cancelled".to_owned())
}
