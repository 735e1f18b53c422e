//! `berth tenant …`

use std::path::PathBuf;

use berth_domain::TenantName;
use clap::{Args, Subcommand, ValueEnum};

use super::setting::{Assignment, Selection};

/// `berth tenant …`
#[derive(Debug, Subcommand)]
pub enum Tenant {
    /// Create a tenant, from options or from a file
    Create(Box<Create>),
    /// Every tenant
    List,
    /// A tenant, its services and where they are
    Show {
        /// Its name
        #[arg(value_name = "TENANT")]
        name: TenantName,
    },
    /// Change settings; deploy it for them to take effect
    Set(Set),
    /// Take a tenant off its machine and forget it
    Delete(Delete),
}

/// `berth tenant create`
#[derive(Debug, Args)]
pub struct Create {
    /// A name for it
    #[arg(value_name = "TENANT", required_unless_present = "file", conflicts_with = "file")]
    pub name: Option<TenantName>,
    /// The customer's domain
    #[arg(long, required_unless_present = "file", conflicts_with = "file")]
    pub domain: Option<String>,
    /// Where notices go
    #[arg(long, value_name = "EMAIL", required_unless_present = "file", conflicts_with = "file")]
    pub contact_email: Option<String>,
    /// The machine that it is deployed to
    #[arg(long, required_unless_present = "file", conflicts_with = "file")]
    pub machine: Option<String>,
    /// The plan's name in the panel
    #[arg(long, conflicts_with = "file")]
    pub plan: Option<String>,
    /// A service, with settings if wanted; may be repeated
    #[arg(long = "service", value_name = "SERVICE[:KEY=VALUE,…]", conflicts_with = "file")]
    pub services: Vec<Selection>,
    /// A setting whose value may hold commas; may be repeated
    #[arg(long = "set", value_name = "SERVICE.KEY=VALUE", conflicts_with = "file")]
    pub settings: Vec<Assignment>,
    /// SSH key of an administrator of the tenant; may be repeated
    #[arg(long = "ssh-key", value_name = "KEY", conflicts_with = "file")]
    pub ssh_keys: Vec<String>,
    /// Take the whole tenant as JSON from a file, or - for standard input
    #[arg(long, value_name = "FILE")]
    pub file: Option<PathBuf>,
}

/// `berth tenant set`
#[derive(Debug, Args)]
pub struct Set {
    /// Its name
    #[arg(value_name = "TENANT")]
    pub name: TenantName,
    /// Settings of a service (gitea.app_name=Acme) or of the tenant (mode=standby); null takes one away
    #[arg(value_name = "KEY=VALUE", required = true)]
    pub assignments: Vec<Assignment>,
}

/// `berth tenant delete`
#[derive(Debug, Args)]
pub struct Delete {
    /// Its name
    #[arg(value_name = "TENANT")]
    pub name: TenantName,
    /// What becomes of its data on the machine
    #[arg(long, value_enum, default_value = "keep")]
    pub data: Data,
    /// Forget it without its machine, which is gone for good
    #[arg(long)]
    pub abandon: bool,
    /// Do not ask
    #[arg(short, long)]
    pub yes: bool,
    /// Follow it to its end
    #[arg(short, long)]
    pub watch: bool,
}

/// What becomes of a deleted tenant's data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Data {
    /// It stays on the machine.
    Keep,
    /// It is removed.
    Wipe,
}
