//! What the command line takes. No work is done here: a command's deeds are in the file of the same name in
//! [`crate::commands`].

pub mod backups;
pub mod bundle;
pub mod demo;
pub mod drill;
pub mod machine;
pub mod migration;
pub mod operation;
pub mod preview;
mod quantity;
pub mod rollout;
pub mod setting;
pub mod snapshot;
pub mod tenant;
pub mod token;
pub mod vault;
pub mod wish;

use std::path::PathBuf;

use berth_domain::{OperationId, RevisionId, ServiceName, TenantName};
use clap::{Args, Parser, Subcommand};

/// Where the daemon listens unless told otherwise.
pub const DEFAULT_URL: &str = "http://127.0.0.1:8484";

/// Under which the help lists what holds for every command.
const HEADING: &str = "For every command";

const EXIT_CODES: &str = "\
Exit codes:
  0    done
  1    refused, or failed; the bundle is not whole, or not signed with a trusted key;
       what a migration's proof says does not hold
  2    the command line is wrong
  3    machines cannot be had here
  4    the daemon cannot be reached, or does not answer
  5    the operation or the rollout failed, or the check found something
  6    the operation was cancelled, or the rollout aborted
  130  interrupted; an operation that was watched goes on

The token comes from --token-file, or else from the variable BERTH_TOKEN; never from an
argument, as every user of a host sees those. Without either, a running demo is used.";

/// Talks to Berth's daemon: machines, tenants, deployments and their progress.
#[derive(Debug, Parser)]
#[command(name = "berth", version, after_help = EXIT_CODES, max_term_width = 110, disable_help_subcommand = true)]
pub struct Cli {
    /// What holds for every command.
    #[command(flatten)]
    pub global: Global,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What holds for every command.
#[derive(Debug, Clone, Args)]
pub struct Global {
    /// Where the daemon is [default: http://127.0.0.1:8484]
    #[arg(long, global = true, help_heading = HEADING, env = "BERTH_URL", value_name = "URL")]
    pub url: Option<String>,
    /// File that holds the token
    #[arg(long, global = true, help_heading = HEADING, env = "BERTH_TOKEN_FILE", value_name = "FILE")]
    pub token_file: Option<PathBuf>,
    /// Print JSON: one document; of a watched operation an event per line and the operation last
    #[arg(long, global = true, help_heading = HEADING)]
    pub json: bool,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Show it all on this host: a daemon, a machine, a tenant with three services
    Demo(demo::Demo),
    /// Machines that tenants are deployed to
    #[command(subcommand)]
    Machine(machine::Machine),
    /// Customers: their domain, services and settings
    #[command(subcommand)]
    Tenant(tenant::Tenant),
    /// Bring a tenant's configuration onto its machine
    Deploy(Deploy),
    /// Show what a deployment would change, without changing anything
    Preview(preview::Preview),
    /// Bring an earlier revision of a tenant back onto its machine
    Rollback(Rollback),
    /// Start a tenant's machine anew, and have its services asked
    Reboot(Reboot),
    /// Snapshots: copies of a tenant's state in its vault
    #[command(subcommand)]
    Snapshot(snapshot::Snapshot),
    /// Backup plans: when snapshots are made by themselves, and which are kept
    #[command(subcommand)]
    Backups(backups::Backups),
    /// Try out whether a tenant's newest snapshot comes back, on a machine that is free
    Drill(drill::Drill),
    /// What a tenant's drills found, newest first
    Drills(drill::Drills),
    /// Write everything that a tenant owns into one signed file
    Export(snapshot::Export),
    /// Put a snapshot in place of a tenant's state
    Restore(snapshot::Restore),
    /// Tickets, with which tenants of other providers move here
    #[command(subcommand)]
    Ticket(migration::Ticket),
    /// Move a tenant to another provider, which has issued a ticket for it
    Migrate(migration::Migrate),
    /// How a tenant's move to another provider stands; what both have signed
    Migration(migration::Migration),
    /// Follow an operation to its end
    Watch(Watch),
    /// Operations: deployments and deletions, past and present
    #[command(subcommand)]
    Operation(operation::Operation),
    /// Rollouts: the same change to many tenants, in waves
    #[command(subcommand)]
    Rollout(rollout::Rollout),
    /// Look whether a tenant's machine still is what was committed
    Check(Check),
    /// Show the files that a tenant is deployed from
    Config(Config),
    /// Take an edited folder of `config --out` back, if it still is a tenant's specification
    Adopt(preview::Adopt),
    /// The configurations that a tenant was deployed from, newest first
    Revisions(Revisions),
    /// Make a link that shows an operation to a customer, without a token
    Link(Link),
    /// Tokens, which open the API
    #[command(subcommand)]
    Token(token::Token),
    /// Services on offer
    #[command(subcommand)]
    Service(Service),
    /// A tenant's data in one signed file: verify it, look into it, extract it without a daemon; make a tenant of it
    #[command(subcommand)]
    Bundle(bundle::Bundle),
    /// A tenant's repository of snapshots whose provider is gone: look into it, make a tenant of it
    #[command(subcommand)]
    Vault(vault::Vault),
    /// What a new machine needs to know of this provider, such as its SSH key
    Provider,
}

/// `berth deploy`
#[derive(Debug, Args)]
pub struct Deploy {
    /// Name of the tenant
    #[arg(value_name = "TENANT")]
    pub tenant: TenantName,
    /// Follow it to its end
    #[arg(short, long)]
    pub watch: bool,
}

/// `berth watch`
#[derive(Debug, Args)]
pub struct Watch {
    /// The operation's id
    #[arg(value_name = "OPERATION")]
    pub operation: OperationId,
    /// Leave out the events up to this number
    #[arg(long, value_name = "NUMBER", default_value_t = 0)]
    pub after: i64,
}

/// `berth check`
#[derive(Debug, Args)]
pub struct Check {
    /// Name of the tenant
    #[arg(value_name = "TENANT")]
    pub tenant: TenantName,
}

/// `berth config`
#[derive(Debug, Args)]
pub struct Config {
    /// Name of the tenant
    #[arg(value_name = "TENANT")]
    pub tenant: TenantName,
    /// Write the files into this folder instead
    #[arg(long, value_name = "FOLDER")]
    pub out: Option<PathBuf>,
    /// Those of a revision [default: as it would be deployed now]
    #[arg(long, value_name = "ID")]
    pub revision: Option<RevisionId>,
}

/// `berth rollback`
#[derive(Debug, Args)]
pub struct Rollback {
    /// The tenant
    pub tenant: TenantName,
    /// The revision to go back to [default: the one that was deployed before]; berth revisions lists them
    #[arg(long, value_name = "REVISION")]
    pub to: Option<RevisionId>,
    /// Follow it to its end
    #[arg(long)]
    pub watch: bool,
}

/// `berth reboot`
#[derive(Debug, Args)]
pub struct Reboot {
    /// Name of the tenant
    #[arg(value_name = "TENANT")]
    pub tenant: TenantName,
    /// Only within the tenant's maintenance window
    #[arg(long)]
    pub in_window: bool,
    /// Follow it to its end
    #[arg(short, long)]
    pub watch: bool,
}

/// `berth revisions`
#[derive(Debug, Args)]
pub struct Revisions {
    /// Name of the tenant
    #[arg(value_name = "TENANT")]
    pub tenant: TenantName,
}

/// `berth link`
#[derive(Debug, Args)]
pub struct Link {
    /// The operation's id
    #[arg(value_name = "OPERATION")]
    pub operation: OperationId,
    /// How long it works, in seconds or such as 12h [default: 1d]
    #[arg(long, value_name = "TIME", value_parser = quantity::seconds)]
    pub expires_in: Option<u64>,
}

/// `berth service …`
#[derive(Debug, Subcommand)]
pub enum Service {
    /// Every service on offer
    List,
    /// A service and its settings
    Show {
        /// Name of the service
        #[arg(value_name = "SERVICE")]
        name: ServiceName,
    },
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    fn parse(line: &str) -> Result<Cli, clap::Error> {
        Cli::try_parse_from(line.split(' '))
    }

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn what_holds_for_every_command_may_stand_before_and_behind_it() {
        for line in ["berth --json tenant list", "berth tenant list --json", "berth tenant --json list"] {
            assert!(parse(line).unwrap().global.json, "{line}");
        }
    }

    #[test]
    fn a_name_that_cannot_be_one_is_refused_with_the_rule() {
        let error = parse("berth deploy Acme!").unwrap_err();
        assert_eq!(error.exit_code(), 2);
        assert!(error.to_string().contains("a–z, 0–9 and -"), "{error}");
    }

    #[test]
    fn a_token_cannot_be_given_as_an_argument() {
        assert!(parse("berth --token berth_x tenant list").is_err());
    }

    #[test]
    fn the_exit_codes_are_in_the_help() {
        let help = Cli::command().render_help().to_string();
        assert!(help.contains("5    the operation or the rollout failed"), "{help}");
        assert!(!help.contains("\n  agent") && !help.contains("\n  daemon"), "{help}");
    }
}
