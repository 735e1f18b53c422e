//! The transient units of an operation: the one that switches, the dead-man timer with the one that it starts, and the one that
//! starts the machine anew.

use std::time::Duration;

use uuid::Uuid;

use crate::entry::Myself;
use crate::failure::Result;
use crate::programs::{command, run, run_ok};
use crate::transient::{any_is_up, own_command, stop, transient};

const LIMIT: Duration = Duration::from_secs(30);

/// After how many seconds the machine goes down: whoever asked for it is answered first.
const REBOOT_SECONDS: u32 = 1;

/// The longest that a switch may take, in seconds; one that hangs must not keep the machine busy for ever.
const MAX_SECONDS: u32 = 3600;

/// How long a unit that is stopped may take until it is killed, in seconds.
const STOP_SECONDS: u64 = 10;

/// A transient unit, named after its operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unit {
    /// Switches.
    Activate,
    /// Waits for the deadline and puts the previous system back.
    Guard,
}

impl Unit {
    /// Its name as a service.
    fn service(self, operation: Uuid) -> String {
        match self {
            Self::Activate => format!("berth-activate-{operation}.service"),
            Self::Guard => format!("berth-guard-{operation}.service"),
        }
    }

    /// Whether it runs.
    pub(crate) fn is_running(self, operation: Uuid) -> Result<bool> {
        any_is_up(&[self.service(operation)])
    }
}

/// Starts the unit that switches; it outlives this process.
pub(crate) fn start_switch(operation: Uuid, myself: &Myself) -> Result<()> {
    let description = format!("Berth switches this machine (operation {operation})");
    let mut command = transient(&Unit::Activate.service(operation), &description, STOP_SECONDS)?;
    command.arg("--service-type=exec").arg(format!("--property=RuntimeMaxSec={MAX_SECONDS}"));
    command.arg("--").args(own_command(myself)?).arg("run-activation").arg(operation.to_string());
    run_ok(command, LIMIT).map(drop)
}

/// Stops the unit that switches, if it runs; the switcher is killed with it.
pub(crate) fn stop_switch(operation: Uuid) -> Result<()> {
    stop(&Unit::Activate.service(operation))
}

/// Starts the dead-man timer, unless it is there already. systemd itself waits; a process is started only once the timer
/// has elapsed, which is after `seconds`.
pub(crate) fn start_timer(operation: Uuid, seconds: u64, myself: &Myself) -> Result<()> {
    let mut command = guard(operation)?;
    command.arg(format!("--on-active={}s", seconds.max(1))).arg("--timer-property=AccuracySec=100ms");
    command.arg("--").args(own_command(myself)?).arg("run-guard").arg(operation.to_string());
    let started = run_ok(command, LIMIT).map(drop);
    if started.is_err() && any_is_up(&[timer(operation), Unit::Guard.service(operation)])? {
        return Ok(());
    }
    started
}

/// Starts what the timer would start, now.
pub(crate) fn start_guard(operation: Uuid, myself: &Myself) -> Result<()> {
    let service = Unit::Guard.service(operation);
    let mut start = command("systemctl")?;
    start.args(["start", "--no-block", "--"]).arg(&service);
    if run(start, LIMIT)?.status.success() {
        return Ok(());
    }
    // There is no timer, and so nobody has told systemd of the service yet.
    let mut command = guard(operation)?;
    command.arg("--").args(own_command(myself)?).arg("run-guard").arg(operation.to_string());
    let started = run_ok(command, LIMIT).map(drop);
    if started.is_err() && any_is_up(&[service])? {
        return Ok(());
    }
    started
}

/// Has systemd start the machine anew in a moment, unless it is about to.
pub(crate) fn start_reboot(operation: Uuid) -> Result<()> {
    let (timer, service) =
        (format!("berth-reboot-{operation}.timer"), format!("berth-reboot-{operation}.service"));
    let mut command = transient(
        &service,
        &format!("Berth starts this machine anew (operation {operation})"),
        STOP_SECONDS,
    )?;
    command.arg(format!("--on-active={REBOOT_SECONDS}s")).arg("--timer-property=AccuracySec=100ms");
    command.args(["--", "systemctl", "reboot"]);
    let started = run_ok(command, LIMIT).map(drop);
    if started.is_err() && (any_is_up(&[timer, service])? || is_going_down()?) {
        return Ok(());
    }
    started
}

/// Whether the machine shuts down already; then systemd starts nothing any more.
fn is_going_down() -> Result<bool> {
    let mut state = command("systemctl")?;
    state.arg("is-system-running");
    Ok(run(state, LIMIT)?.stdout.trim() == "stopping")
}

/// Stops the timer, if it is there.
pub(crate) fn stop_timer(operation: Uuid) -> Result<()> {
    stop(&timer(operation))
}

fn timer(operation: Uuid) -> String {
    format!("berth-guard-{operation}.timer")
}

fn guard(operation: Uuid) -> Result<std::process::Command> {
    let description =
        format!("Berth puts this machine back unless it hears of a commit (operation {operation})");
    let mut command = transient(&Unit::Guard.service(operation), &description, STOP_SECONDS)?;
    // Whatever ends it, it begins again, and it is the last that goes when memory runs out.
    command.args(["--property=Restart=on-failure", "--property=RestartSec=1"]);
    command.args(["--property=StartLimitIntervalSec=0", "--property=OOMScoreAdjust=-900"]);
    Ok(command)
}
