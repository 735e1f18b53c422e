//! What `berth backups` takes.

use berth_domain::TenantName;
use clap::{Args, Subcommand};

/// `berth backups`
#[derive(Debug, Subcommand)]
pub enum Backups {
    /// A tenant's plan and how its backups stand; fails where something is not as it should be
    Show {
        /// Name of the tenant
        tenant: TenantName,
    },
    /// Give a tenant a plan, or change what is named of it
    Set(Set),
    /// End a tenant's plan; its snapshots stay
    Off {
        /// Name of the tenant
        tenant: TenantName,
    },
}

/// `berth backups set`
#[derive(Debug, Args)]
pub struct Set {
    /// Name of the tenant
    pub tenant: TenantName,
    /// When: minute, hour, day of the month, month and day of the week, as cron has them
    #[arg(long, value_name = "CRON")]
    pub schedule: Option<String>,
    /// The time zone of that, such as Europe/Berlin [default: UTC]
    #[arg(long, value_name = "ZONE")]
    pub timezone: Option<String>,
    /// Over how many minutes tenants are spread [default: 30]
    #[arg(long, value_name = "MINUTES")]
    pub jitter: Option<u32>,
    /// After how many minutes one that cannot begin counts as missed [default: 60]
    #[arg(long, value_name = "MINUTES")]
    pub grace: Option<u32>,
    /// Keep the newest so many [default: all are kept, unless another number is given]
    #[arg(long, value_name = "NUMBER")]
    pub keep_last: Option<u32>,
    /// Keep the newest of each of so many days
    #[arg(long, value_name = "NUMBER")]
    pub keep_daily: Option<u32>,
    /// Keep the newest of each of so many weeks
    #[arg(long, value_name = "NUMBER")]
    pub keep_weekly: Option<u32>,
    /// Keep the newest of each of so many months
    #[arg(long, value_name = "NUMBER")]
    pub keep_monthly: Option<u32>,
    /// Whether snapshots that somebody asked for are counted and forgotten like the others [default: false]
    #[arg(long, value_name = "YES_OR_NO", num_args = 0..=1, default_missing_value = "true")]
    pub also_by_hand: Option<bool>,
    /// When the newest whole one is tried out, as cron has it; needs --drill-machine once
    #[arg(long, value_name = "CRON", conflicts_with = "no_drills")]
    pub drill_schedule: Option<String>,
    /// The machine that is lent for that: registered, and no tenant's
    #[arg(long, value_name = "MACHINE", conflicts_with = "no_drills")]
    pub drill_machine: Option<String>,
    /// After how many minutes a drill that cannot begin counts as missed [default: 1440]
    #[arg(long, value_name = "MINUTES", conflicts_with = "no_drills")]
    pub drill_grace: Option<u32>,
    /// Have none tried out any more
    #[arg(long)]
    pub no_drills: bool,
    /// Keep all of them
    #[arg(long, conflicts_with_all = ["keep_last", "keep_daily", "keep_weekly", "keep_monthly", "also_by_hand"])]
    pub keep_all: bool,
}
