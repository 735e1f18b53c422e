//! What the commands do, a file per kind of thing.

mod adopt;
mod again;
mod backups;
mod bundle;
mod drill;
mod export;
mod input;
mod machine;
mod migration;
mod operation;
mod preview;
mod provider;
pub(crate) mod rollout;
mod service;
mod snapshot;
mod tenant;
mod token;
mod vault;
pub mod watching;

use berth_client::Client;

use crate::args::bundle::Bundle;
use crate::args::migration::{Migration, Proof};
use crate::args::{Cli, Command};
use crate::connection::connect;
use crate::demo;
use crate::failure::Result;
use crate::output::Output;

/// A command at work: the daemon, and where results go.
#[derive(Debug, Clone)]
pub struct Context {
    /// The daemon.
    pub client: Client,
    /// Where results go.
    pub output: Output,
}

/// Does what the command line says.
///
/// # Errors
/// What `berth --help` lists under its exit codes.
pub async fn run(cli: Cli, output: Output) -> Result<()> {
    let command = match cli.command {
        Command::Demo(options) => return demo::run(options, output).await,
        Command::Bundle(command) if !matches!(command, Bundle::Import(_)) => {
            return bundle::run(command, output).await;
        }
        Command::Migration(Migration { command: Some(Proof::Verify(options)), .. }) => {
            return migration::verify(&options, output);
        }
        command => command,
    };
    let context = Context { client: connect(&cli.global, output)?, output };
    match command {
        Command::Demo(_) => Ok(()),
        Command::Bundle(Bundle::Import(options)) => bundle::import(&context, &options).await,
        Command::Bundle(command) => bundle::run(command, output).await,
        Command::Vault(command) => vault::run(&context, command).await,
        Command::Machine(command) => machine::run(&context, command).await,
        Command::Tenant(command) => tenant::run(&context, command).await,
        Command::Deploy(options) => tenant::deploy(&context, &options).await,
        Command::Preview(options) => preview::run(&context, &options).await,
        Command::Adopt(options) => adopt::run(&context, &options).await,
        Command::Reboot(options) => tenant::reboot(&context, &options).await,
        Command::Snapshot(command) => snapshot::run(&context, command).await,
        Command::Backups(command) => backups::run(&context, command).await,
        Command::Drill(options) => drill::run(&context, &options).await,
        Command::Drills(options) => drill::list(&context, &options).await,
        Command::Export(options) => export::run(&context, &options).await,
        Command::Restore(options) => snapshot::restore(&context, &options).await,
        Command::Ticket(command) => migration::ticket(&context, command).await,
        Command::Migrate(options) => migration::migrate(&context, &options).await,
        Command::Migration(options) => migration::show(&context, &options).await,
        Command::Rollback(options) => tenant::rollback(&context, &options).await,
        Command::Config(options) => tenant::config(&context, &options).await,
        Command::Revisions(options) => tenant::revisions(&context, &options).await,
        Command::Watch(options) => operation::watch(&context, &options).await,
        Command::Operation(command) => operation::run(&context, command).await,
        Command::Rollout(command) => rollout::run(&context, command).await,
        Command::Check(options) => tenant::check(&context, &options).await,
        Command::Link(options) => operation::link(&context, &options).await,
        Command::Token(command) => token::run(&context, command).await,
        Command::Service(command) => service::run(&context, command).await,
        Command::Provider => provider::run(&context).await,
    }
}
