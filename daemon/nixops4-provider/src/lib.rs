//! NixOps4's resource provider for Berth.
//!
//! `nixops4 apply` starts this program for a resource and speaks version 0 of its resource provider protocol with it
//! ([`protocol`]): a JSON line on standard input asks, a JSON line on standard output answers, standard error is for
//! people, and the end of the input is the end. It has two types of resources ([`resources`]):
//!
//! - `deployment`: a machine runs the system of its tenant's configuration. Created or updated, it is brought about;
//!   where it is so already, nothing happens. NixOps4 shows inputs and outputs to whoever looks, so none is a secret.
//! - `state`: what NixOps4 knows of a tenant's resources, kept by Berth's daemon. An apply has it for itself from its
//!   first look on.
//!
//! Who does the work is a [`backend::Backend`]: the daemon's API for somebody who calls `nixops4` by hand ([`daemon`]), and
//! the running operation for the `nixops4` that the daemon itself called ([`operation`]), which must not be asked for by
//! the API while it waits for us.
//!
//! | module | subject |
//! | --- | --- |
//! | [`protocol`] | the lines of NixOps4's protocol |
//! | [`resources`] | the types of resources, their inputs and outputs |
//! | [`serve`] | from line to line |
//! | [`backend`] | what both ways can do |
//! | [`daemon`], [`follow`] | by the daemon's API |
//! | [`operation`] | by the operation that called us |

pub mod backend;
pub mod daemon;
pub mod follow;
pub mod operation;
pub mod protocol;
pub mod resources;
pub mod serve;

use std::io::Write;
use std::process::ExitCode;

use backend::{Backend, ProviderError};
use berth_protocol::nixops4::SOCKET;

const USAGE: &str = "berth-nixops4-provider is started by nixops4 and takes no arguments.

It reads requests of NixOps4's resource provider protocol (version 0) from standard input, a JSON line each, and answers
on standard output. It finds Berth's daemon by BERTH_URL and shows it the token in BERTH_TOKEN or in the file that
BERTH_TOKEN_FILE names.
";

/// Serves until standard input ends. Builds its own runtime.
pub fn run(mut arguments: impl Iterator<Item = String>) -> ExitCode {
    match arguments.next().as_deref() {
        None => {}
        Some("--help" | "-h") => return said(&mut std::io::stdout(), USAGE, ExitCode::SUCCESS),
        Some(_) => return said(&mut std::io::stderr(), USAGE, ExitCode::from(2)),
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    match runtime {
        Ok(runtime) => {
            let code = runtime.block_on(serve::serve(connect));
            // A read of standard input that nobody waits for any more must not keep the program.
            runtime.shutdown_background();
            code
        }
        Err(error) => said(&mut std::io::stderr(), &format!("cannot start: {error}\n"), ExitCode::FAILURE),
    }
}

fn said(to: &mut impl Write, text: &str, code: ExitCode) -> ExitCode {
    let _ = to.write_all(text.as_bytes());
    code
}

/// The way to Berth that the environment names.
fn connect() -> Result<Box<dyn Backend>, ProviderError> {
    match std::env::var_os(SOCKET) {
        Some(socket) => Ok(Box::new(operation::Operation::at(socket.into()))),
        None => Ok(Box::new(daemon::Daemon::from_environment()?)),
    }
}
