//! The transient units of a piece of work: the one that does it, and the timer after which quiet services serve again.

use std::path::Path;
use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};

use berth_protocol::{FailureCode, Pass};

use super::record::{Asked, Name};
use crate::entry::Myself;
use crate::failure::{Result, failure};
use crate::programs::run_ok;
use crate::roots;
use crate::transient::{any_is_up, own_command, stop, transient};

const LIMIT: Duration = Duration::from_secs(30);

/// How long what is put right afterwards may take, in seconds: services are started in it.
const SETTLE_SECONDS: u64 = 1800;

/// The longest that any such work may take, in seconds.
const MAX_SECONDS: u64 = 7 * 24 * 3600;

/// Starts the unit; it outlives this process. Whatever ends it, what it left undone is put right in it.
pub(super) fn start(name: Name, asked: &Asked, limit_seconds: u64, myself: &Myself) -> Result<()> {
    let program = myself.program()?;
    roots::keep(root(name), [("agent", program.as_path()), ("system", Path::new(asked.system()))])?;
    let what = if matches!(asked, Asked::Capture(_)) { "captures" } else { "restores" };
    let mut command = transient(&service(name), &format!("Berth {what} state ({name})"), SETTLE_SECONDS)?;
    let own = own_command(myself)?;
    command.arg("--service-type=exec");
    command.arg(format!("--property=RuntimeMaxSec={}", limit_seconds.clamp(1, MAX_SECONDS)));
    command.arg(format!("--property=ExecStopPost={} run-settle {name}", own.join(" ")));
    if matches!(asked, Asked::Capture(asked) if asked.pass == Pass::Live) {
        // The services go on meanwhile; they come first.
        command.args(["--property=Nice=10", "--property=IOSchedulingClass=idle"]);
    }
    command.arg("--").args(own).arg("run-state").arg(name.to_string());
    run_ok(command, LIMIT).map(drop)
}

/// Whether it runs, or what it left undone is being put right.
pub(super) fn is_running(name: Name) -> Result<bool> {
    any_is_up(&[service(name)])
}

/// Ends the unit, if it runs, and waits until what it left undone is put right.
pub(super) fn end(name: Name) -> Result<()> {
    if is_running(name)? { stop(&service(name)) } else { Ok(()) }
}

/// Waits until the unit is gone; [`FailureCode::Busy`] where that takes long.
pub(super) fn wait_for_end(name: Name) -> Result<()> {
    let end = Instant::now() + LIMIT;
    while is_running(name)? {
        if Instant::now() >= end {
            return Err(failure(FailureCode::Busy, "what this work left undone is still being put right"));
        }
        sleep(Duration::from_millis(50));
    }
    Ok(())
}

/// Starts the timer after which the services serve again, unless it is there.
pub(super) fn start_timer(name: Name, seconds: u64, myself: &Myself) -> Result<()> {
    let mut command = resume(name)?;
    command.arg(format!("--on-active={}s", seconds.max(1))).arg("--timer-property=AccuracySec=100ms");
    command.arg("--").args(own_command(myself)?).arg("run-resume").arg(name.to_string());
    let started = run_ok(command, LIMIT).map(drop);
    if started.is_err() && any_is_up(&[timer(name), resume_service(name)])? {
        return Ok(());
    }
    started
}

/// Stops the timer, if it is there.
pub(super) fn stop_timer(name: Name) -> Result<()> {
    stop(&timer(name))
}

/// What keeps its program and its system in the store.
pub(super) fn root(name: Name) -> String {
    format!("state-{name}")
}

fn resume(name: Name) -> Result<Command> {
    let description =
        format!("Berth has quiet services serve again unless it is asked for more time ({name})");
    let mut command = transient(&resume_service(name), &description, SETTLE_SECONDS)?;
    // Whatever ends it, it begins again, and it is the last that goes when memory runs out.
    command.args(["--property=Restart=on-failure", "--property=RestartSec=1"]);
    command.args(["--property=StartLimitIntervalSec=0", "--property=OOMScoreAdjust=-900"]);
    Ok(command)
}

fn service(name: Name) -> String {
    format!("berth-state-{name}.service")
}

fn timer(name: Name) -> String {
    format!("berth-quiet-{name}.timer")
}

fn resume_service(name: Name) -> String {
    format!("berth-quiet-{name}.service")
}
