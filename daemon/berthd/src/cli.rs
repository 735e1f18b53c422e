//! `serve`, `migrate`, `rotate-secrets-key`, `vault-key`, `check-config`, `openapi`.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};

use crate::config::Config;
use crate::rotation::{self, Rotation};
use crate::vault_key::{self, VaultKey};
use crate::{data_dir, logging, opening, serve};

/// How long what is still being done when a daemon has ended may take.
const END: Duration = Duration::from_secs(10);

/// Berth's daemon: serves the deployment API and carries its operations out.
#[derive(Debug, Parser)]
#[command(version, after_help = ENVIRONMENT)]
struct Arguments {
    /// The configuration file (TOML).
    #[arg(long, env = "BERTH_CONFIG", value_name = "FILE", global = true)]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serves until it is told to stop (SIGTERM, SIGINT).
    Serve,
    /// Brings the database's tables up to this version. `serve` does so too.
    Migrate,
    /// Seals what customers gave in confidence to another key. The daemon must be stopped, and every other one on the same
    /// database. Stopped in the middle, nothing is lost: run it again.
    RotateSecretsKey(Rotation),
    /// Prints the key of a tenant's vault, for restic: `RESTIC_PASSWORD_COMMAND="berth daemon vault-key acme"`.
    VaultKey(VaultKey),
    /// Checks the configuration, and prints what is in force.
    CheckConfig,
    /// Prints the API's contract (OpenAPI 3.1).
    Openapi,
}

const ENVIRONMENT: &str = "Variables override the file: BERTH_LISTEN, BERTH_DATA_DIR, BERTH_DATABASE_URL, \
                           BERTH_PLATFORM, BERTH_AGENT, BERTH_LOG, BERTH_LOG_FORMAT, BERTH_PROVIDER_NAME, \
                           BERTH_PUBLIC_URL.";

/// Runs the daemon's command line: `words` is what precedes it on `berth`'s, if it is called from there; `args` is
/// what follows. Blocks until it is done; builds its own runtime.
pub fn run(words: &[&str], args: impl Iterator<Item = String>) -> ExitCode {
    // Usage lines show how it was called.
    let name = if words.is_empty() { "berthd".to_owned() } else { format!("berth {}", words.join(" ")) };
    let command = Arguments::command().bin_name(name.clone());
    let matches = command.try_get_matches_from(std::iter::once(name).chain(args));
    let arguments = match matches.and_then(|matches| Arguments::from_arg_matches(&matches)) {
        Ok(arguments) => arguments,
        Err(error) => {
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    match perform(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "berthd: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn perform(arguments: &Arguments) -> anyhow::Result<()> {
    if let Command::Openapi = arguments.command {
        return print(&berth_api::contract().to_pretty_json()?);
    }
    let config = Config::load(arguments.config.as_deref())?;
    match &arguments.command {
        Command::Serve => {
            logging::start(&config)?;
            let runtime = runtime()?;
            let ended = runtime.block_on(serve::serve(config));
            // A database that does not answer may hold a thread for ever.
            runtime.shutdown_timeout(END);
            ended
        }
        Command::Migrate => runtime()?.block_on(migrate(&config)),
        Command::RotateSecretsKey(wanted) => runtime()?.block_on(rotate(&config, wanted)),
        Command::VaultKey(wanted) => {
            let found = runtime()?.block_on(vault_key::find(&config, wanted))?;
            print(vault_key::shown(&found))
        }
        Command::CheckConfig => print(&toml::to_string(&config)?),
        Command::Openapi => Ok(()),
    }
}

async fn migrate(config: &Config) -> anyhow::Result<()> {
    data_dir::create(&config.data_dir)?;
    let done = opening::store(config).await?.migrate().await?;
    if done.is_empty() {
        return print("nothing to do");
    }
    done.iter().try_for_each(|name| print(&format!("done: {name}")))
}

async fn rotate(config: &Config, wanted: &Rotation) -> anyhow::Result<()> {
    let done = rotation::rotate(config, wanted).await?;
    match done.sealed {
        Some(count) => print(&format!("sealed {count} texts to {}", done.recipient))?,
        None => print(&format!("everything is sealed to {}", done.recipient))?,
    }
    done.unreadable.iter().try_for_each(|error| print(&format!("{error}: it has to be given again")))?;
    match &done.to_give {
        Some(file) => print(&format!("give the daemon {} as its key before it starts", file.display())),
        None => Ok(()),
    }
}

fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().context("cannot start")
}

fn print(text: &str) -> anyhow::Result<()> {
    Ok(writeln!(std::io::stdout(), "{}", text.trim_end())?)
}
