//! `berth vault …`

use std::path::PathBuf;

use berth_domain::{MachineName, SnapshotId};
use clap::{Args, Subcommand};

use super::wish::Wish;

/// `berth vault …`
#[derive(Debug, Subcommand)]
pub enum Vault {
    /// Say what a repository of snapshots holds whose provider is gone, and what keeps its tenant from coming here
    Look(Look),
    /// Make a tenant of such a repository
    Import(Import),
}

/// Where a repository lies, and what opens it.
#[derive(Debug, Args)]
pub struct Which {
    /// The repository, as restic has it: s3:https://HOST/BUCKET/PREFIX, or a folder of the daemon's host
    #[arg(value_name = "REPOSITORY")]
    pub repository: String,
    /// The file with the repository's password; - is standard input [default: the variable RESTIC_PASSWORD]
    #[arg(long, value_name = "FILE")]
    pub password_file: Option<PathBuf>,
    /// The region of the object store [default: the variable AWS_DEFAULT_REGION, or us-east-1]
    #[arg(long)]
    pub region: Option<String>,
    /// The id of the key to the object store [default: the variable AWS_ACCESS_KEY_ID]
    #[arg(long, value_name = "ID")]
    pub access_key: Option<String>,
    /// The file with that key's secret; - is standard input [default: the variable AWS_SECRET_ACCESS_KEY]
    #[arg(long, value_name = "FILE")]
    pub secret_key_file: Option<PathBuf>,
    /// The snapshot [default: the newest whole one]
    #[arg(long, value_name = "ID")]
    pub snapshot: Option<SnapshotId>,
}

/// `berth vault look`
#[derive(Debug, Args)]
pub struct Look {
    /// Which repository.
    #[command(flatten)]
    pub which: Which,
    /// The machine that the tenant would come to: only then it is told what is in the way
    #[arg(long)]
    pub machine: Option<MachineName>,
    /// How the tenant would be here.
    #[command(flatten)]
    pub wish: Wish,
}

/// `berth vault import`
#[derive(Debug, Args)]
pub struct Import {
    /// Which repository.
    #[command(flatten)]
    pub which: Which,
    /// The machine that the tenant comes to
    #[arg(long)]
    pub machine: MachineName,
    /// How the tenant is to be here.
    #[command(flatten)]
    pub wish: Wish,
    /// Put objects back into their buckets, and start the services at the end: nobody else serves the tenant any more
    #[arg(long)]
    pub go_live: bool,
    /// Follow it to its end
    #[arg(short, long)]
    pub watch: bool,
}
