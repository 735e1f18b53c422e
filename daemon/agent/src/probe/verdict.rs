//! What counts as healthy.

use berth_domain::manifest::Probe;
use berth_protocol::UnitHealth;

use super::http::Answer;

/// A unit that a manifest names must be active: in a mode in which a service does not run, it names none.
pub(super) fn of_unit(service: &str, unit: &str, state: String) -> UnitHealth {
    let healthy = state == "active";
    UnitHealth { service: service.to_owned(), unit: unit.to_owned(), state, healthy }
}

/// What is wrong with an answer, if anything is.
pub(super) fn of_answer(probe: &Probe, answer: &Answer) -> Option<String> {
    if answer.status != probe.status {
        return Some(format!("answered {} instead of {}", answer.status, probe.status));
    }
    let wanted = probe.contains.as_deref().filter(|wanted| !wanted.is_empty())?;
    let there = answer.body.windows(wanted.len()).any(|part| part == wanted.as_bytes());
    (!there).then(|| format!("the answer does not contain “{wanted}”"))
}
