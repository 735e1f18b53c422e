//! The program itself, against a daemon that says what a test wants: what it prints where, and how it exits.
#![allow(clippy::unwrap_used)]

mod bundling;
mod failing;
mod migrating;
mod planning;
mod previewing;
mod printing;
mod proving;
mod rotating;
mod server;
mod terminal;
mod watching;

use std::io::Write;
use std::process::{Command, Output, Stdio};

use serde_json::Value;
use server::Server;

/// What a run of the program came to.
struct Ran {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

impl Ran {
    fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {}", self.stdout))
    }

    fn json_lines(&self) -> Vec<Value> {
        self.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

impl From<Output> for Ran {
    fn from(output: Output) -> Self {
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Self { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
    }
}

/// The program without anything of this host's: no variables, no demo that runs.
fn bare(line: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_berth"));
    command.args(line).env_clear().env("HOME", "/nonexistent").stdin(Stdio::null());
    command
}

/// The program with a token for a server.
fn berth(server: &Server, line: &[&str]) -> Command {
    let mut command = bare(line);
    command.env("BERTH_URL", &server.url).env("BERTH_TOKEN", "berth_test");
    command
}

fn run(mut command: Command) -> Ran {
    command.output().unwrap().into()
}

fn run_with_input(mut command: Command, input: &str) -> Ran {
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    child.wait_with_output().unwrap().into()
}
