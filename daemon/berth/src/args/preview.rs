//! `berth preview` and `berth adopt`

use std::path::PathBuf;

use berth_domain::TenantName;
use clap::Args;

/// `berth preview`
#[derive(Debug, Args)]
pub struct Preview {
    /// Name of the tenant
    #[arg(value_name = "TENANT")]
    pub tenant: TenantName,
    /// The tenant as it would be, as JSON from a file or - for standard input [default: as it is specified now]
    #[arg(long, value_name = "FILE")]
    pub from: Option<PathBuf>,
}

/// `berth adopt`
#[derive(Debug, Args)]
pub struct Adopt {
    /// The folder that `berth config --out` wrote
    #[arg(value_name = "FOLDER")]
    pub folder: PathBuf,
    /// Only say what would be taken back
    #[arg(long)]
    pub dry_run: bool,
}
