//! `berth bundle …`

use std::path::PathBuf;

use berth_domain::MachineName;
use clap::{Args, Subcommand, ValueEnum};

use super::wish::Wish;

/// `berth bundle …`
#[derive(Debug, Subcommand)]
pub enum Bundle {
    /// Say whether a bundle is whole, by whom it is signed, and else what is wrong with it
    Verify {
        /// Which bundle.
        #[command(flatten)]
        which: Which,
    },
    /// Show what a bundle says of itself, without reading all of it
    Inspect {
        /// Which bundle.
        #[command(flatten)]
        which: Which,
        /// List every entry as well
        #[arg(long)]
        entries: bool,
    },
    /// Verify a bundle, and write what is in it into a new folder
    Extract(Extract),
    /// Bring a bundle to the daemon, which makes a tenant of it
    Import(Import),
}

/// Which bundle, and whose signatures count.
#[derive(Debug, Args)]
pub struct Which {
    /// The bundle
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Accept only what is signed with a key of this file (JWK, JWK Set or PEM); may be given several times
    #[arg(long, value_name = "KEYFILE")]
    pub trust: Vec<PathBuf>,
}

/// `berth bundle extract`
#[derive(Debug, Args)]
pub struct Extract {
    /// Which bundle.
    #[command(flatten)]
    pub which: Which,
    /// The folder, which is made, or must be empty
    #[arg(long, value_name = "FOLDER")]
    pub into: PathBuf,
    /// Only what is at this path, as inspect --entries lists it, or in it; may be given several times
    #[arg(long, value_name = "PATH")]
    pub only: Vec<String>,
    /// What to do with symbolic links that lead out of the folder
    #[arg(long, value_name = "WHAT", default_value = "refuse")]
    pub links: Links,
}

/// `berth bundle import`
#[derive(Debug, Args)]
pub struct Import {
    /// The bundle
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// The machine that the tenant comes to
    #[arg(long)]
    pub machine: MachineName,
    /// How the tenant is to be here.
    #[command(flatten)]
    pub wish: Wish,
    /// Accept this key, by its thumbprint, although the daemon does not trust it by itself
    // One in 64 begins with a hyphen.
    #[arg(long, value_name = "THUMBPRINT", allow_hyphen_values = true)]
    pub accept_signer: Option<String>,
    /// The age identity (AGE-SECRET-KEY-1…) that opens the bundle's secrets: its file; - is standard input
    #[arg(long, value_name = "FILE")]
    pub identity: Option<PathBuf>,
    /// Take it in although secrets of it are missing; what they opened stays closed
    #[arg(long, conflicts_with = "identity")]
    pub without_secrets: bool,
    /// Put objects back into their buckets, and start the services at the end: nobody else serves the tenant any more
    #[arg(long)]
    pub go_live: bool,
    /// Follow it to its end
    #[arg(short, long)]
    pub watch: bool,
}

/// What to do with symbolic links that lead out of the folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Links {
    /// Extract nothing
    Refuse,
    /// Leave them out
    Skip,
    /// Make them as they are
    Keep,
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::args::{Cli, Command};

    #[test]
    fn a_key_is_accepted_whatever_its_thumbprint_begins_with() {
        let line = [
            "berth",
            "bundle",
            "import",
            "a.berth.tar",
            "--machine",
            "vm7",
            "--accept-signer",
            "-x1",
            "--go-live",
        ];
        let parsed = Cli::try_parse_from(line).unwrap().command;
        let Command::Bundle(Bundle::Import(import)) = parsed else { panic!("{parsed:?}") };
        assert_eq!((import.accept_signer.as_deref(), import.go_live), (Some("-x1"), true));
    }
}
