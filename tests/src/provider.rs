//! `berth-nixops4-provider` as `nixops4` starts it: a child that is spoken with in JSON lines.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

use crate::daemon::Daemon;
use crate::programs;

/// A provider that runs.
#[derive(Debug)]
pub struct Provider {
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

/// The program with what it needs to find a daemon in its environment, and nothing else.
///
/// # Errors
/// If it does not build.
pub fn command(daemon: &Daemon) -> Result<Command> {
    let mut command = Command::new(programs::find("berth-nixops4-provider")?);
    command.env_clear().env("BERTH_URL", daemon.url()).env("BERTH_TOKEN", daemon.admin_token()?);
    Ok(command)
}

impl Provider {
    /// Starts it for a daemon.
    ///
    /// # Errors
    /// If it does not start.
    pub fn start(daemon: &Daemon) -> Result<Self> {
        let mut command = command(daemon)?;
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
        let input = child.stdin.take();
        let output = BufReader::new(child.stdout.take().context("its output is piped")?);
        Ok(Self { child, input, output })
    }

    /// Sends a line and reads the line that answers it.
    ///
    /// # Errors
    /// If it is gone, or answers no JSON.
    pub fn line(&mut self, line: &str) -> Result<Value> {
        let input = self.input.as_mut().context("its input is closed")?;
        writeln!(input, "{line}")?;
        let mut answer = String::new();
        self.output.read_line(&mut answer)?;
        serde_json::from_str(&answer).with_context(|| format!("it answered “{answer}”"))
    }

    /// Asks for a resource.
    ///
    /// # Errors
    /// As [`Self::line`].
    pub fn create(&mut self, kind: &str, inputs: &Value) -> Result<Value> {
        let create = json!({"type": kind, "inputProperties": inputs, "isStateful": false});
        self.line(&json!({ "createResourceRequest": create }).to_string())
    }

    /// Reads the state of a tenant, as an apply does.
    ///
    /// # Errors
    /// As [`Self::line`].
    pub fn read_state(&mut self, tenant: &str) -> Result<Value> {
        let read = json!({ "resource": state_of(tenant) });
        self.line(&json!({ "stateResourceReadRequest": read }).to_string())
    }

    /// Changes the state of a tenant.
    ///
    /// # Errors
    /// As [`Self::line`].
    pub fn change_state(&mut self, tenant: &str, patch: &Value) -> Result<Value> {
        let event = json!({
            "resource": state_of(tenant), "event": "create", "nixopsVersion": "0.1.0", "patch": patch
        });
        self.line(&json!({ "stateResourceEvent": event }).to_string())
    }

    /// Ends its input, waits until it has ended, and returns what it wrote for people.
    ///
    /// # Errors
    /// If it cannot be waited for.
    pub fn finish(mut self) -> Result<(ExitStatus, String)> {
        self.input = None;
        let mut words = String::new();
        self.child.stderr.take().context("its messages are piped")?.read_to_string(&mut words)?;
        Ok((self.child.wait()?, words))
    }

    /// Ends it as a crash would.
    ///
    /// # Errors
    /// If it cannot be signalled.
    pub fn kill(mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }
}

fn state_of(tenant: &str) -> Value {
    json!({"type": "state", "inputProperties": {"tenant": tenant, "sensitive": ["dsn"]}, "outputProperties": {}})
}
