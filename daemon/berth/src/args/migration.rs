//! What `berth ticket`, `berth migrate` and `berth migration` take.

use std::path::PathBuf;

use berth_domain::{MachineName, MigrationId, PlanName, ServiceName, TenantName};
use clap::{Args, Subcommand};

use super::quantity;
use super::wish::Changes;

/// `berth ticket …`
#[derive(Debug, Subcommand)]
pub enum Ticket {
    /// Issue a ticket, with which a tenant of another provider can move here; it is printed this once
    Issue(Issue),
    /// The tickets, newest first
    List {
        /// How many at most
        #[arg(long, default_value_t = 20)]
        limit: usize,
    },
    /// A ticket, and what became of it
    Show {
        /// Its id
        #[arg(value_name = "ID")]
        id: MigrationId,
        /// Write what both providers signed into this folder
        #[arg(long, value_name = "FOLDER")]
        proof: Option<PathBuf>,
    },
    /// Accept the tenant that a provider has handed the ticket in for
    Accept {
        /// Its id
        #[arg(value_name = "ID")]
        id: MigrationId,
        /// The code that the source shows [default: you are asked for it]
        #[arg(long, value_name = "CODE")]
        code: Option<String>,
        /// What is to differ of its settings, such as its buckets: their objects are copied.
        #[command(flatten)]
        changes: Changes,
        /// Follow the move to its end
        #[arg(short, long)]
        watch: bool,
    },
    /// Take a ticket back; what moves with it stays where it is
    Revoke {
        /// Its id
        #[arg(value_name = "ID")]
        id: MigrationId,
    },
}

/// `berth ticket issue`
#[derive(Debug, Args)]
pub struct Issue {
    /// The machine that the tenant comes to
    #[arg(value_name = "MACHINE")]
    pub machine: MachineName,
    /// What the tenant is to be called here [default: as at its old provider]
    #[arg(long, value_name = "NAME")]
    pub tenant: Option<TenantName>,
    /// The plan that it gets
    #[arg(long)]
    pub plan: Option<PlanName>,
    /// A service that it may bring; may be repeated [default: any]
    #[arg(long = "service", value_name = "SERVICE")]
    pub services: Vec<ServiceName>,
    /// How much it may bring into its vault, such as 20GiB [default: as much as there is room for]
    #[arg(long, value_name = "BYTES", value_parser = quantity::bytes)]
    pub max_bytes: Option<u64>,
    /// How long it can be handed in, in seconds or such as 12h or 7d [default: 7d]
    #[arg(long, value_name = "TIME", value_parser = quantity::seconds)]
    pub expires_in: Option<u64>,
}

/// `berth migrate`
#[derive(Debug, Args)]
pub struct Migrate {
    /// The tenant that leaves
    #[arg(value_name = "TENANT")]
    pub tenant: TenantName,
    /// The file with the ticket of the new provider, or - for standard input [default: you are asked for it]
    #[arg(long, value_name = "FILE")]
    pub ticket_file: Option<PathBuf>,
    /// Only have the new provider try out a copy behind a fence, and throw it away; the tenant stays, and goes on
    #[arg(long)]
    pub rehearse: bool,
    /// Go back to the provider that the tenant came from, as long as that one keeps it; needs no ticket
    #[arg(long, conflicts_with_all = ["ticket_file", "rehearse"])]
    pub undo: bool,
    /// Follow it to its end
    #[arg(short, long)]
    pub watch: bool,
}

/// `berth migration …`
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub struct Migration {
    /// The tenant that leaves, or has left
    #[arg(value_name = "TENANT", required = true)]
    pub tenant: Option<TenantName>,
    /// Write what both providers signed into this folder: manifest.jws and countersignature.jws
    #[arg(long, value_name = "FOLDER")]
    pub proof: Option<PathBuf>,
    /// What to do instead.
    #[command(subcommand)]
    pub command: Option<Proof>,
}

/// What is done with a proof.
#[derive(Debug, Subcommand)]
pub enum Proof {
    /// Say what two providers signed, and whether it holds; needs no daemon
    Verify(Verify),
}

/// `berth migration verify`
#[derive(Debug, Args)]
pub struct Verify {
    /// What the source says that it has moved
    #[arg(value_name = "MANIFEST")]
    pub manifest: PathBuf,
    /// What the target signed when it served
    #[arg(value_name = "COUNTERSIGNATURE")]
    pub countersignature: PathBuf,
    /// Accept the manifest only if it is signed with this key (its JWK thumbprint)
    // One in 64 begins with a hyphen.
    #[arg(long, value_name = "ID", allow_hyphen_values = true)]
    pub source_key: Option<String>,
    /// Accept the countersignature only if it is made with this key (its JWK thumbprint)
    #[arg(long, value_name = "ID", allow_hyphen_values = true)]
    pub target_key: Option<String>,
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::args::{Cli, Command};

    fn migration(line: &[&str]) -> Result<Migration, clap::Error> {
        let line = [&["berth", "migration"], line].concat();
        match Cli::try_parse_from(line)?.command {
            Command::Migration(migration) => Ok(migration),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_tenant_is_shown_and_a_proof_is_verified() {
        let shown = migration(&["acme", "--proof", "out"]).unwrap();
        assert_eq!((shown.tenant.unwrap().as_str(), shown.command.is_none()), ("acme", true));
        let verified = migration(&["verify", "m.jws", "c.jws", "--source-key", "k"]).unwrap();
        let Some(Proof::Verify(verify)) = verified.command else { panic!("{verified:?}") };
        assert_eq!((verify.source_key.as_deref(), verify.target_key), (Some("k"), None));
        let hyphen = migration(&["verify", "m.jws", "c.jws", "--target-key", "-k"]).unwrap();
        assert!(matches!(hyphen.command, Some(Proof::Verify(it)) if it.target_key.as_deref() == Some("-k")));
        assert!(migration(&[]).is_err(), "a tenant is missing");
        assert!(migration(&["verify", "m.jws"]).is_err(), "a file is missing");
    }

    #[test]
    fn a_tenant_that_is_called_as_a_command_can_be_shown() {
        let shown = migration(&["--", "verify"]).unwrap();
        assert_eq!((shown.tenant.unwrap().as_str(), shown.command.is_none()), ("verify", true));
    }

    #[test]
    fn a_ticket_cannot_be_given_as_an_argument() {
        assert!(Cli::try_parse_from(["berth", "migrate", "acme", "berth-ticket-x"]).is_err());
        assert!(Cli::try_parse_from(["berth", "migrate", "acme", "--ticket", "berth-ticket-x"]).is_err());
    }
}
