//! The transient units of a piece of work: the one that does it, and the timer after which quiet services serve again.

use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

use berth_protocol::{FailureCode, Pass};

use super::record::{Asked, Name};
use crate::entry::Myself;
use crate::failure::{Result, failure};
use crate::roots;
use crate::systemd::{self, Value};
use crate::transient::{Transient, any_is_up, own_command};

const LIMIT: Duration = Duration::from_secs(30);

/// How long what is put right afterwards may take: services are started in it.
const SETTLE: Duration = Duration::from_secs(1800);

/// `IOPRIO_CLASS_IDLE` of ioprio_set(2).
const IDLE: i32 = 3;

/// The longest that any such work may take, in seconds.
const MAX_SECONDS: u64 = 7 * 24 * 3600;

/// Starts the unit; it outlives this process. Whatever ends it, what it left undone is put right in it.
pub(super) fn start(name: Name, asked: &Asked, limit_seconds: u64, myself: &Myself) -> Result<()> {
    let program = myself.program()?;
    roots::keep(root(name), [("agent", program.as_path()), ("system", Path::new(asked.system()))])?;
    let what = if matches!(asked, Asked::Capture(_)) { "captures" } else { "restores" };
    let description = format!("Berth {what} state ({name})");
    let [run, settle] =
        ["run-state", "run-settle"].map(|word| own_command(myself, &[word, &name.to_string()]));
    let limit = Duration::from_secs(limit_seconds.clamp(1, MAX_SECONDS));
    let mut unit = Transient::new(&service(name), &description, SETTLE, run?).at_most(limit);
    unit = unit.with("ExecStopPost", Value::Command(settle?));
    if matches!(asked, Asked::Capture(asked) if asked.pass == Pass::Live) {
        // The services go on meanwhile; they come first.
        unit = unit.with("Nice", Value::Signed(10)).with("IOSchedulingClass", Value::Signed(IDLE));
    }
    unit.start()
}

/// Whether it runs, or what it left undone is being put right.
pub(super) fn is_running(name: Name) -> Result<bool> {
    any_is_up(&[service(name)])
}

/// Ends the unit, if it runs, and waits until what it left undone is put right.
pub(super) fn end(name: Name) -> Result<()> {
    if is_running(name)? { systemd::stop(&service(name)) } else { Ok(()) }
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
    resume(name, myself)?.start_after(Duration::from_secs(seconds.max(1)))
}

/// Stops the timer, if it is there.
pub(super) fn stop_timer(name: Name) -> Result<()> {
    systemd::stop(&timer(name))
}

/// What keeps its program and its system in the store.
pub(super) fn root(name: Name) -> String {
    format!("state-{name}")
}

fn resume(name: Name, myself: &Myself) -> Result<Transient> {
    let description =
        format!("Berth has quiet services serve again unless it is asked for more time ({name})");
    let own = own_command(myself, &["run-resume", &name.to_string()])?;
    let service = Transient::new(&resume_service(name), &description, SETTLE, own);
    Ok(service.again_after(Duration::from_secs(1)).whatever_happens())
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
