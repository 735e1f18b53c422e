//! Transient units (systemd-run(1)) in which this very program does what must outlive its caller.

use std::process::Command;
use std::time::Duration;

use crate::entry::Myself;
use crate::failure::{Result, program};
use crate::programs::{command, run};
use crate::units;

const LIMIT: Duration = Duration::from_secs(30);

/// A call of `systemd-run` to which properties and the command are to be added. Whatever of the unit runs so many seconds
/// after it was to stop is killed.
pub(crate) fn transient(unit: &str, description: &str, stop_seconds: u64) -> Result<Command> {
    let mut command = command("systemd-run")?;
    command.args(["--quiet", "--collect", "--no-ask-password"]);
    command.arg(format!("--unit={unit}")).arg(format!("--description={description}"));
    command.arg(format!("--property=TimeoutStopSec={stop_seconds}"));
    Ok(command)
}

/// How this very program is started.
pub(crate) fn own_command(myself: &Myself) -> Result<Vec<String>> {
    let program = myself.program()?.display().to_string();
    Ok(std::iter::once(program).chain(myself.words.iter().cloned()).collect())
}

/// Stops a unit of ours.
pub(crate) fn stop(unit: &str) -> Result<()> {
    let mut stop = command("systemctl")?;
    stop.args(["stop", "--"]).arg(unit);
    // One that is not there is as good as stopped; systemctl says so with an exit code of its own (5).
    let output = run(stop, LIMIT)?;
    match output.status.code() {
        Some(0 | 5) => Ok(()),
        _ => Err(program("systemctl stop", &output.stderr)),
    }
}

/// Whether one of some units runs, waits, or is about to.
pub(crate) fn any_is_up(units: &[String]) -> Result<bool> {
    let states = units::states(units)?;
    Ok(states.iter().any(|state| !matches!(state.active.as_str(), "inactive" | "failed")))
}
