//! The transient units of an operation: the one that switches, the dead-man timer with the one that it starts, and the one that
//! starts the machine anew.

use std::time::Duration;

use uuid::Uuid;

use crate::entry::Myself;
use crate::failure::Result;
use crate::programs::{command, run};
use crate::systemd;
use crate::transient::{Transient, any_is_up, own_command};

const LIMIT: Duration = Duration::from_secs(30);

/// How soon the machine goes down: whoever asked for it is answered first.
const BEFORE_REBOOT: Duration = Duration::from_secs(1);

/// The longest that a switch may take; one that hangs must not keep the machine busy for ever.
const LONGEST: Duration = Duration::from_secs(3600);

/// How long a unit that is stopped may take until it is killed.
const STOP: Duration = Duration::from_secs(10);

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
    let own = own_command(myself, &["run-activation", &operation.to_string()])?;
    Transient::new(&Unit::Activate.service(operation), &description, STOP, own).at_most(LONGEST).start()
}

/// Stops the unit that switches, if it runs; the switcher is killed with it.
pub(crate) fn stop_switch(operation: Uuid) -> Result<()> {
    systemd::stop(&Unit::Activate.service(operation))
}

/// Starts the dead-man timer, unless it is there already. systemd itself waits; a process is started only once the timer
/// has elapsed, which is after `seconds`.
pub(crate) fn start_timer(operation: Uuid, seconds: u64, myself: &Myself) -> Result<()> {
    guard(operation, myself)?.start_after(Duration::from_secs(seconds.max(1)))
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
    let started = guard(operation, myself)?.start();
    if started.is_err() && any_is_up(&[service])? {
        return Ok(());
    }
    started
}

/// Has systemd start the machine anew in a moment, unless it is about to.
pub(crate) fn start_reboot(operation: Uuid) -> Result<()> {
    let service = format!("berth-reboot-{operation}.service");
    let description = format!("Berth starts this machine anew (operation {operation})");
    let reboot = vec![find_systemctl()?, "reboot".into()];
    let started = Transient::new(&service, &description, STOP, reboot).start_after(BEFORE_REBOOT);
    if started.is_err() && is_going_down()? {
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
    systemd::stop(&timer(operation))
}

fn timer(operation: Uuid) -> String {
    format!("berth-guard-{operation}.timer")
}

fn guard(operation: Uuid, myself: &Myself) -> Result<Transient> {
    let description =
        format!("Berth puts this machine back unless it hears of a commit (operation {operation})");
    let own = own_command(myself, &["run-guard", &operation.to_string()])?;
    let service = Transient::new(&Unit::Guard.service(operation), &description, STOP, own);
    Ok(service.again_after(Duration::from_secs(1)).whatever_happens())
}

/// systemd wants a program's whole path.
fn find_systemctl() -> Result<String> {
    Ok(command("systemctl")?.get_program().to_string_lossy().into_owned())
}
