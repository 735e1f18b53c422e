//! The command line and the demo.
//!
//! A command line becomes [`args::Cli`]; [`commands`] does it through [`berth_client`], with results on standard output
//! and everything else on standard error; what goes wrong is a [`failure::Failure`], which knows its exit code and
//! what to do about it. `berth demo` ([`demo`]) starts all that a deployment needs on this host and shows one.
//!
//! The program `berth` is also the daemon and the agent (`main.rs`), so that building one program builds it all.
//!
//! | module | subject |
//! | --- | --- |
//! | [`args`] | what the command line takes |
//! | [`asking`] | questions on the terminal |
//! | [`connection`] | which daemon, and which token |
//! | [`commands`] | what the commands do |
//! | [`progress`] | showing how an operation comes along |
//! | [`demo`] | everything on one host |
//! | [`failure`], [`advice`] | how commands fail, and what to do about it |
//! | [`output`], [`table`], [`words`] | how results look |

pub mod advice;
pub mod args;
pub mod asking;
pub mod commands;
pub mod connection;
pub mod demo;
pub mod failure;
pub mod output;
pub mod progress;
pub mod table;
pub mod words;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::Parser;

use crate::args::Cli;
use crate::failure::Failure;
use crate::output::Output;

/// Runs the command line to its end. It builds a runtime of its own.
pub fn run(arguments: impl Iterator<Item = OsString>) -> ExitCode {
    let cli = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli,
        Err(error) => {
            // Also how --help and --version are answered, with exit code 0.
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    let output = Output::new(cli.global.json);
    // What fails while things are put away has nobody to return to.
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_max_level(tracing::Level::WARN)
        .with_target(false)
        .without_time()
        .init();
    let runtime = match tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            let failure = Failure::local(format!("the program cannot start: {error}"));
            output.failure(&failure);
            return failure.exit_code();
        }
    };
    match runtime.block_on(commands::run(cli, output)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            output.failure(&failure);
            failure.exit_code()
        }
    }
}
