//! The transient unit that an operation's switch runs in.

use std::time::Duration;

use uuid::Uuid;

use crate::entry::Myself;
use crate::failure::{Result, io};
use crate::programs::{command, run_ok};
use crate::units;

const LIMIT: Duration = Duration::from_secs(30);

/// The longest that a switch may take, in seconds; one that hangs must not keep the machine busy for ever.
const MAX_SECONDS: u32 = 3600;

/// Starts the unit; it outlives this process.
pub(super) fn start(operation: Uuid, myself: &Myself) -> Result<()> {
    let program = std::env::current_exe().map_err(io("cannot find the agent's own program"))?;
    let mut command = command("systemd-run")?;
    command.args(["--quiet", "--collect", "--no-ask-password", "--service-type=exec"]);
    command.arg(format!("--unit={}", name(operation)));
    command.arg(format!("--description=Berth switches this machine (operation {operation})"));
    command.arg(format!("--property=RuntimeMaxSec={MAX_SECONDS}"));
    command.arg("--").arg(program).args(&myself.words).arg("run-activation").arg(operation.to_string());
    run_ok(command, LIMIT).map(|_| ())
}

/// Whether the unit runs.
pub(super) fn is_running(operation: Uuid) -> Result<bool> {
    let states = units::states(&[name(operation)])?;
    Ok(states.iter().any(|state| !matches!(state.active.as_str(), "inactive" | "failed")))
}

fn name(operation: Uuid) -> String {
    format!("berth-activate-{operation}.service")
}
