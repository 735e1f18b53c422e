//! A tenant that is brought from elsewhere.

use std::path::PathBuf;

use berth_domain::{PlanName, TenantName};
use clap::Args;

/// How the tenant is to be here.
#[derive(Debug, Args)]
pub struct Wish {
    /// What the tenant is to be called here [default: what it was called]
    #[arg(long)]
    pub name: Option<TenantName>,
    /// Its domain here [default: the one that it had]
    #[arg(long)]
    pub domain: Option<String>,
    /// The plan that it gets
    #[arg(long)]
    pub plan: Option<PlanName>,
    /// What is to differ of its settings.
    #[command(flatten)]
    pub changes: Changes,
}

/// What is to differ of the tenant's settings.
#[derive(Debug, Args)]
pub struct Changes {
    /// What differs from its settings: a file with a JSON merge patch to the tenant's services; - is standard input
    #[arg(long, value_name = "FILE")]
    pub services: Option<PathBuf>,
}
