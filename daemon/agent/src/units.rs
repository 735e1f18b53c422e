//! What systemd says of units.

use berth_protocol::FailureCode;

use crate::failure::{Result, failure};
use crate::systemd::{self, Listed};

/// Whether a unit has failed, be it that systemd is about to start it once more.
fn has_failed(unit: &Listed) -> bool {
    unit.active == "failed" || unit.sub.starts_with("auto-restart")
}

/// The states of some units, in their order. A unit that systemd does not know is `inactive`.
pub(crate) fn states(units: &[String]) -> Result<Vec<Listed>> {
    if units.is_empty() {
        return Ok(Vec::new());
    }
    units.iter().try_for_each(|unit| check_name(unit))?;
    let states = systemd::list(units)?;
    match states.len() == units.len() {
        true => Ok(states),
        false => Err(failure(FailureCode::Program, "systemd did not tell the state of every unit")),
    }
}

/// Those of some units that have failed, among them those that systemd tries again.
pub(crate) fn failed_among(units: &[String]) -> Result<Vec<String>> {
    let states = states(units)?;
    let failed = units.iter().zip(states).filter(|(_, state)| has_failed(state));
    Ok(failed.map(|(unit, _)| unit.clone()).collect())
}

/// Every unit that has failed.
pub(crate) fn all_failed() -> Result<Vec<String>> {
    Ok(systemd::list_in_state("failed")?.into_iter().map(|unit| unit.name).collect())
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_tried_again_has_failed() {
        let unit = |active: &str, sub: &str| Listed {
            name: "x.service".into(),
            load: "loaded".into(),
            active: active.into(),
            sub: sub.into(),
        };
        assert!(has_failed(&unit("activating", "auto-restart")) && has_failed(&unit("failed", "failed")));
        assert!(!has_failed(&unit("active", "running")));
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
