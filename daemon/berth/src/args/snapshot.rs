//! What `berth snapshot` and `berth restore` take.

use std::path::PathBuf;

use berth_domain::{SnapshotId, TenantName};
use clap::{Args, Subcommand};

/// `berth snapshot`
#[derive(Debug, Subcommand)]
pub enum Snapshot {
    /// Copy a tenant's state into its vault
    Create {
        /// Name of the tenant
        tenant: TenantName,
        /// Follow it to its end
        #[arg(short, long)]
        watch: bool,
    },
    /// The snapshots of a tenant, newest first
    List {
        /// Name of the tenant
        tenant: TenantName,
        /// How many at most
        #[arg(long, default_value_t = 20)]
        limit: usize,
    },
    /// One snapshot with its services
    Show {
        /// Name of the tenant
        tenant: TenantName,
        /// The snapshot's id
        id: SnapshotId,
    },
    /// Remove a snapshot from its tenant's vault; the newest whole one stays
    Delete {
        /// Name of the tenant
        tenant: TenantName,
        /// The snapshot's id
        id: SnapshotId,
        /// Do not ask whether it may be removed
        #[arg(long)]
        yes: bool,
        /// Follow it to its end
        #[arg(short, long)]
        watch: bool,
    },
}

/// `berth export`
#[derive(Debug, Args)]
pub struct Export {
    /// The tenant
    pub tenant: TenantName,
    /// The file to be written; it must not exist
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,
    /// The age recipient (age1…) that secrets are sealed to [default: no secrets are in it]
    #[arg(long, value_name = "RECIPIENT")]
    pub recipient: Option<String>,
    /// A snapshot that was made before [default: the state as it is now]
    #[arg(long, value_name = "SNAPSHOT")]
    pub snapshot: Option<SnapshotId>,
}

/// `berth restore`
#[derive(Debug, Args)]
pub struct Restore {
    /// The tenant that the snapshot is of
    pub tenant: TenantName,
    /// The snapshot's id; berth snapshot list shows them
    pub snapshot: SnapshotId,
    /// Another tenant, whose state is replaced by a copy
    #[arg(long, value_name = "TENANT")]
    pub into: Option<TenantName>,
    /// Do not ask whether the state that is there may be replaced
    #[arg(long)]
    pub yes: bool,
    /// Follow it to its end
    #[arg(short, long)]
    pub watch: bool,
}
