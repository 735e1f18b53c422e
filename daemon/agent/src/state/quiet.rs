//! Units that are stopped while their state is copied, and started again whatever happens.

use std::collections::BTreeSet;
use std::thread::sleep;
use std::time::Duration;

use berth_domain::manifest::ServiceManifest;

use crate::failure::{Result, program};
use crate::programs::{command, run};
use crate::units;

/// Services may take their time to stop or start.
const LIMIT: Duration = Duration::from_secs(300);

/// How long to wait before units are started again that did not start: what stood in the way, such as memory that was short,
/// may pass by itself.
const PAUSES: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(3)];

/// Those of some units that run, or are about to.
pub(super) fn running(units: &[String]) -> Result<Vec<String>> {
    let states = units::states(units)?;
    let up = units.iter().zip(states).filter(|(_, state)| {
        state.load == "loaded" && matches!(state.active.as_str(), "active" | "activating" | "reloading")
    });
    Ok(up.map(|(unit, _)| unit.clone()).collect())
}

/// Every unit that may use a service's state, each once, in the order in which they are stopped.
pub(super) fn all(contract: &ServiceManifest) -> Vec<String> {
    let mut seen = BTreeSet::new();
    let units = contract.state.quiesce.iter().chain(&contract.units);
    units.filter(|unit| seen.insert(unit.as_str())).cloned().collect()
}

/// Stops units one after the other.
pub(super) fn stop(units: &[String]) -> Result<()> {
    for unit in units {
        units::check_name(unit)?;
        let mut stop = command("systemctl")?;
        stop.args(["stop", "--"]).arg(unit);
        let output = run(stop, LIMIT)?;
        // 5: there is no such unit (systemctl(1)).
        if !matches!(output.status.code(), Some(0 | 5)) {
            return Err(program("systemctl stop", &output.stderr));
        }
    }
    Ok(())
}

/// Starts units in the reverse of the order in which they were stopped. One that does not start keeps none of the others
/// from being started, and is tried again; those that did not start in the end are returned.
pub(super) fn start(stopped: &[String]) -> Vec<String> {
    let mut left: Vec<String> = stopped.iter().rev().cloned().collect();
    let mut pauses = PAUSES.into_iter();
    loop {
        left.retain(|unit| !start_one(unit));
        match pauses.next() {
            Some(pause) if !left.is_empty() => sleep(pause),
            _ => return left,
        }
    }
}

/// Has systemd start units in the same order as soon as it may, and waits for none; returns those that it refuses.
pub(super) fn have_started(stopped: &[String]) -> Vec<String> {
    stopped.iter().rev().filter(|unit| !start_with(&["--no-block"], unit)).cloned().collect()
}

fn start_one(unit: &str) -> bool {
    start_with(&[], unit)
}

/// What systemd does not start as it was started often of late (`StartLimitBurst=`, systemd.unit(5)) is started all the same: that limit
/// is for what crashes, and not for what is stopped to be copied.
fn start_with(options: &[&str], unit: &str) -> bool {
    let start: Vec<&str> = std::iter::once("start").chain(options.iter().copied()).collect();
    systemctl(&start, unit) || (systemctl(&["reset-failed"], unit) && systemctl(&start, unit))
}

fn systemctl(words: &[&str], unit: &str) -> bool {
    let Ok(mut command) = command("systemctl") else { return false };
    command.args(words).arg("--").arg(unit);
    run(command, LIMIT).is_ok_and(|output| output.status.success())
}
