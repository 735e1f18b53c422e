//! `berth machine …`

use std::path::PathBuf;

use berth_domain::{Driver, MachineName};
use clap::{Args, Subcommand};

/// `berth machine …`
#[derive(Debug, Subcommand)]
pub enum Machine {
    /// Register a machine
    Add(Add),
    /// Every machine
    List,
    /// A machine, and what is known of it
    Show {
        /// Its name
        #[arg(value_name = "MACHINE")]
        name: MachineName,
    },
    /// Forget a machine that no tenant is on
    Delete {
        /// Its name
        #[arg(value_name = "MACHINE")]
        name: MachineName,
    },
}

/// `berth machine add`
#[derive(Debug, Args)]
pub struct Add {
    /// A name for it
    #[arg(value_name = "MACHINE")]
    pub name: MachineName,
    /// IP address or host name at which SSH answers
    #[arg(long)]
    pub address: String,
    /// SSH port [default: 22]
    #[arg(long)]
    pub port: Option<u16>,
    /// SSH user [default: root]
    #[arg(long)]
    pub user: Option<String>,
    /// How deployments reach it: berth, nixos-rebuild or nixops4 [default: berth]
    #[arg(long)]
    pub driver: Option<Driver>,
    /// How it proves who it is
    #[command(flatten)]
    pub key: HostKey,
}

/// The machine's key, one way or the other.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub struct HostKey {
    /// The machine's SSH host key, “ssh-ed25519 AAAA…”
    #[arg(long, value_name = "KEY")]
    pub host_key: Option<String>,
    /// File that holds it, such as a copy of /etc/ssh/ssh_host_ed25519_key.pub
    #[arg(long, value_name = "FILE")]
    pub host_key_file: Option<PathBuf>,
}
