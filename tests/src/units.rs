//! The units of a machine, to see which were restarted.

use std::collections::BTreeMap;

use anyhow::{Result, ensure};
use berth_testbed::Machine;

/// What tells one run of a unit from another: systemd's invocation id, the main process, and when it became active.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunOfUnit {
    /// systemd's `InvocationID`.
    pub invocation: String,
    /// Its `MainPID`; 0 where it has none.
    pub process: String,
    /// Its `ActiveEnterTimestampMonotonic`.
    pub since: String,
    /// Its `ActiveState`.
    pub state: String,
}

/// The services and targets of a machine that were installed with its system, by name.
pub type Units = BTreeMap<String, RunOfUnit>;

/// Looks at all of them at once.
///
/// # Errors
/// If systemd does not say.
pub async fn look(machine: &Machine) -> Result<Units> {
    let properties = "--property=Id,InvocationID,MainPID,ActiveEnterTimestampMonotonic,ActiveState,Transient";
    let output = machine.exec(&["systemctl", "show", properties, "--", "*.service"]).await?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout)?;
    Ok(text.split("\n\n").filter_map(unit).collect())
}

/// The names of the units that are not as they were: restarted, started, stopped, or only there once.
pub fn changed(before: &Units, after: &Units) -> Vec<String> {
    let mut names: Vec<String> = before
        .iter()
        .filter(|(name, run)| after.get(*name) != Some(run))
        .map(|(name, _)| name.clone())
        .collect();
    names.extend(after.keys().filter(|name| !before.contains_key(*name)).cloned());
    names
}

fn unit(block: &str) -> Option<(String, RunOfUnit)> {
    let values: BTreeMap<&str, &str> = block.lines().filter_map(|line| line.split_once('=')).collect();
    let value = |name: &str| values.get(name).copied().unwrap_or_default().to_owned();
    // The agent's own, which come and go with every deployment.
    if value("Transient") == "yes" {
        return None;
    }
    let run = RunOfUnit {
        invocation: value("InvocationID"),
        process: value("MainPID"),
        since: value("ActiveEnterTimestampMonotonic"),
        state: value("ActiveState"),
    };
    Some((value("Id"), run))
}
