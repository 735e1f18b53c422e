//! What systemd says of units.

use std::collections::HashMap;
use std::time::Duration;

use berth_protocol::FailureCode;

use crate::failure::{Result, failure};
use crate::programs::{command, run_ok};

const LIMIT: Duration = Duration::from_secs(30);

/// What is asked about a unit.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct UnitState {
    /// systemd's `LoadState`, such as `loaded` or `not-found`.
    pub(crate) load: String,
    /// systemd's `ActiveState`, such as `active` or `failed`.
    pub(crate) active: String,
    /// systemd's `SubState`, such as `running` or `auto-restart`.
    pub(crate) sub: String,
}

impl UnitState {
    /// Whether it has failed, be it that systemd is about to start it once more.
    fn has_failed(&self) -> bool {
        self.active == "failed" || self.sub.starts_with("auto-restart")
    }
}

/// The states of some units, in their order. A unit that systemd does not know is `inactive`.
pub(crate) fn states(units: &[String]) -> Result<Vec<UnitState>> {
    if units.is_empty() {
        return Ok(Vec::new());
    }
    units.iter().try_for_each(|unit| check_name(unit))?;
    let mut show = command("systemctl")?;
    show.args(["show", "--property=LoadState,ActiveState,SubState", "--"]).args(units);
    let states: Vec<_> = run_ok(show, LIMIT)?.split("\n\n").map(parse_state).collect();
    match states.len() == units.len() {
        true => Ok(states),
        false => Err(failure(FailureCode::Program, "systemctl show did not tell the state of every unit")),
    }
}

/// Those of some units that have failed, among them those that systemd tries again.
pub(crate) fn failed_among(units: &[String]) -> Result<Vec<String>> {
    let states = states(units)?;
    let failed = units.iter().zip(states).filter(|(_, state)| state.has_failed());
    Ok(failed.map(|(unit, _)| unit.clone()).collect())
}

/// Every unit that has failed.
pub(crate) fn all_failed() -> Result<Vec<String>> {
    let mut list = command("systemctl")?;
    list.args(["list-units", "--state=failed", "--plain", "--no-legend", "--no-pager", "--full"]);
    Ok(parse_list(&run_ok(list, LIMIT)?))
}

/// Refuses what is not a plain unit name, such as an option or a pattern (systemd.unit(5)).
pub(crate) fn check_name(unit: &str) -> Result<()> {
    let inner = |b: u8| b.is_ascii_alphanumeric() || b":-_.\\@".contains(&b);
    let kinds =
        ["service", "socket", "target", "timer", "mount", "path", "slice", "scope", "automount", "swap"];
    let kind = unit.rsplit_once('.').map(|(_, kind)| kind);
    let good = unit.len() <= 255
        && !unit.starts_with(['-', '.'])
        && unit.bytes().all(inner)
        && kind.is_some_and(|kind| kinds.contains(&kind));
    if good {
        Ok(())
    } else {
        Err(failure(FailureCode::BadCall, format!("“{unit}” is not a unit's name")))
    }
}

fn parse_state(block: &str) -> UnitState {
    let properties: HashMap<&str, &str> = block.lines().filter_map(|line| line.split_once('=')).collect();
    let property = |name: &str| properties.get(name).copied().unwrap_or_default().to_owned();
    UnitState { load: property("LoadState"), active: property("ActiveState"), sub: property("SubState") }
}

fn parse_list(text: &str) -> Vec<String> {
    text.lines().filter_map(|line| line.split_whitespace().next()).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn systemctl_is_read_as_it_prints() {
        let state = parse_state("LoadState=loaded\nActiveState=activating\nSubState=auto-restart\n");
        let [load, active, sub] = ["loaded", "activating", "auto-restart"].map(str::to_owned);
        assert_eq!(state, UnitState { load, active, sub });
        assert!(state.has_failed());
        assert!(!parse_state("LoadState=loaded\nActiveState=active\nSubState=running\n").has_failed());
        let list = "gitea.service loaded failed failed Gitea: Git with a cup of tea\nx.timer not-found failed failed x\n";
        assert_eq!(parse_list(list), ["gitea.service", "x.timer"]);
        assert!(parse_list("").is_empty());
    }

    #[test]
    fn options_and_patterns_are_no_unit_names() {
        for good in ["gitea.service", "getty@tty1.service", "dev-disk-by\\x2duuid.swap"] {
            check_name(good).unwrap();
        }
        for bad in [
            "",
            "gitea",
            "*.service",
            "--force.service",
            "a b.service",
            "x.conf",
            "../x.service",
            "a/b.service",
        ] {
            assert_eq!(check_name(bad).unwrap_err().code, FailureCode::BadCall, "{bad}");
        }
    }
}
