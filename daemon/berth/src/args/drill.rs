//! What `berth drill` and `berth drills` take.

use berth_domain::{MachineName, OperationId, SnapshotId, TenantName};
use clap::Args;

/// `berth drill`
#[derive(Debug, Args)]
pub struct Drill {
    /// Name of the tenant
    pub tenant: TenantName,
    /// The machine that is lent for it: registered, and no tenant's
    #[arg(long, value_name = "MACHINE")]
    pub machine: MachineName,
    /// The snapshot [default: the newest whole one]
    #[arg(long, value_name = "SNAPSHOT")]
    pub snapshot: Option<SnapshotId>,
    /// Follow it to its end, and say what it found
    #[arg(short, long)]
    pub watch: bool,
}

/// `berth drills`
#[derive(Debug, Args)]
pub struct Drills {
    /// Name of the tenant
    pub tenant: TenantName,
    /// One drill with its services
    pub id: Option<OperationId>,
    /// How many at most
    #[arg(long, default_value_t = 20, conflicts_with = "id")]
    pub limit: usize,
}
