//! What the commands do, a file per kind of thing.

mod adopt;
mod machine;
mod operation;
mod preview;
mod provider;
mod service;
mod tenant;
mod token;
pub mod watching;

use berth_client::Client;

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
    if let Command::Demo(options) = cli.command {
        return demo::run(options, output).await;
    }
    let context = Context { client: connect(&cli.global, output)?, output };
    match cli.command {
        Command::Demo(_) => Ok(()),
        Command::Machine(command) => machine::run(&context, command).await,
        Command::Tenant(command) => tenant::run(&context, command).await,
        Command::Deploy(options) => tenant::deploy(&context, &options).await,
        Command::Preview(options) => preview::run(&context, &options).await,
        Command::Adopt(options) => adopt::run(&context, &options).await,
        Command::Config(options) => tenant::config(&context, &options).await,
        Command::Revisions(options) => tenant::revisions(&context, &options).await,
        Command::Watch(options) => operation::watch(&context, &options).await,
        Command::Operation(command) => operation::run(&context, command).await,
        Command::Link(options) => operation::link(&context, &options).await,
        Command::Token(command) => token::run(&context, command).await,
        Command::Service(command) => service::run(&context, command).await,
        Command::Provider => provider::run(&context).await,
    }
}
