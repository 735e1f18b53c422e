//! The program's command line.

use std::path::PathBuf;
use std::process::ExitCode;

use uuid::Uuid;

use crate::failure::{Result, io};
use crate::state::Machine;
use crate::system::System;
use crate::{activation, by_hand, profile, secrets, serve, state};

const USAGE: &str = "usage: berth-agent                           answer calls on standard input
       berth-agent run-activation OPERATION   switch as recorded; the agent starts this in a unit of its own
       berth-agent run-guard OPERATION        wait for the deadline and put the previous system back, likewise
       berth-agent run-state NAME             capture or restore as recorded, likewise
       berth-agent run-settle NAME            put right what a capture or a restore left undone, likewise
       berth-agent run-resume NAME            wait for the deadline and have quiet services serve again, likewise
       berth-agent run-release                let go of what the database server keeps for nobody any more, likewise
       berth-agent settle [--boot]            put right what captures and restores left undone before a boot; in one, for
                                              units that wait for this
       berth-agent ensure-secrets SYSTEM [SERVICE]
                                              generate the secrets that a system declares and that do not exist yet
       berth-agent try SYSTEM                 switch to a system, and back unless its services answer
       berth-agent commit SYSTEM              make a system the one that boots";

/// How this program is called again by the units that it starts.
#[derive(Debug, Clone)]
pub(crate) struct Myself {
    pub(crate) words: Vec<String>,
}

impl Myself {
    /// The program's file, with every link on the way followed: the one in the store.
    pub(crate) fn program(&self) -> Result<PathBuf> {
        std::env::current_exe().map_err(io("cannot find the agent's own program"))
    }
}

/// Runs the agent to its end. `words` are the command words by which the running program becomes the agent; none for
/// `berth-agent` itself. It blocks the thread that it is called on.
pub fn run(words: &[&str], arguments: impl Iterator<Item = String>) -> ExitCode {
    let myself = Myself { words: words.iter().map(|word| (*word).to_owned()).collect() };
    let arguments: Vec<String> = arguments.collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments.as_slice() {
        [] => exit(serve::serve(&myself)),
        ["run-activation", operation] => match operation.parse::<Uuid>() {
            Ok(operation) => exit(activation::run(operation, &myself)),
            Err(_) => usage(),
        },
        ["run-guard", operation] => match operation.parse::<Uuid>() {
            Ok(operation) => exit(activation::guard(operation)),
            Err(_) => usage(),
        },
        ["run-state", name] => named(name, |name| state::run(name, &myself)),
        ["run-settle", name] => named(name, |name| state::settle(name, Machine::Runs, &myself)),
        ["run-resume", name] => named(name, state::resume_when_over),
        ["run-release"] => exit(state::release_slots()),
        ["settle"] => exit(state::settle_all(Machine::Runs, &myself)),
        ["settle", "--boot"] => exit(state::settle_all(Machine::Boots, &myself)),
        ["ensure-secrets", system] => exit(ensure_secrets(system, None)),
        ["ensure-secrets", system, service] => exit(ensure_secrets(system, Some(service))),
        ["try", system] => exit(by_hand::attempt(system, &myself)),
        ["commit", system] => exit(by_hand::make_permanent(system)),
        _ => usage(),
    }
}

/// Does what is named by a record of a capture or a restore.
fn named(name: &str, work: impl FnOnce(state::Name) -> Result<()>) -> ExitCode {
    name.parse().map_or_else(|_| usage(), |name| exit(work(name)))
}

/// `system` may be a link, such as `/run/current-system`.
fn ensure_secrets(system: &str, service: Option<&str>) -> Result<()> {
    let path = profile::resolved(system).unwrap_or_else(|| system.to_owned());
    let mut manifest = System::open(&path)?.manifest()?;
    if let Some(only) = service {
        manifest.services.retain(|name, _| name.as_str() == only);
    }
    let ownerless = secrets::ensure(&manifest)?;
    for secret in ownerless {
        complain(&secret);
    }
    Ok(())
}

fn exit(outcome: Result<()>) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            complain(&failure.message);
            ExitCode::FAILURE
        }
    }
}

fn usage() -> ExitCode {
    complain(USAGE);
    ExitCode::from(2)
}

fn complain(message: &str) {
    use std::io::Write as _;
    // Nobody may be reading any more; there is nobody else to tell.
    let _ = writeln!(std::io::stderr(), "{message}");
}
