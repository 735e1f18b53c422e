//! The `berth` command, which is also the daemon, the agent and NixOps4's resource provider: by the name that it is called by, or by a first word that
//! `--help` does not show. Each of the four builds its own runtime, or none.

use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().collect();
    let name = arguments.first().map(Path::new).and_then(Path::file_name).and_then(|name| name.to_str());
    match (name, arguments.get(1).and_then(|word| word.to_str())) {
        (Some("berth-agent"), _) => berth_agent::run(&[], texts(&arguments, 1)),
        (Some("berthd"), _) => berthd::run(&[], texts(&arguments, 1)),
        (Some("berth-nixops4-provider"), _) => berth_nixops4_provider::run(texts(&arguments, 1)),
        (_, Some("agent")) => berth_agent::run(&["agent"], texts(&arguments, 2)),
        (_, Some("daemon")) => berthd::run(&["daemon"], texts(&arguments, 2)),
        (_, Some("nixops4-provider")) => berth_nixops4_provider::run(texts(&arguments, 2)),
        _ => berth::run(arguments.into_iter()),
    }
}

/// The arguments after the first `skipped`. What is no UTF-8 is nothing that any of them understands.
fn texts(arguments: &[OsString], skipped: usize) -> impl Iterator<Item = String> {
    arguments.iter().skip(skipped).map(|argument| argument.to_string_lossy().into_owned())
}
