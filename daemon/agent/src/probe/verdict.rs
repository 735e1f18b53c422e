//! What counts as healthy.

use berth_domain::Manifest;
use berth_domain::manifest::Probe;
use berth_protocol::UnitHealth;

use super::http::Answer;

/// What a unit's state should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Expectation {
    /// The services run.
    Active,
    /// The tenant's mode keeps them stopped, or lets them; they must not have failed.
    NotFailed,
}

impl Expectation {
    /// In `active` and `maintenance` the services run; in the other modes the system decides.
    pub(super) fn of(manifest: &Manifest) -> Self {
        match manifest.mode.as_deref() {
            None | Some("active" | "maintenance") => Self::Active,
            Some(_) => Self::NotFailed,
        }
    }

    pub(super) fn judge(self, service: &str, unit: &str, state: String) -> UnitHealth {
        let healthy = match self {
            Self::Active => state == "active",
            Self::NotFailed => matches!(state.as_str(), "active" | "inactive"),
        };
        UnitHealth { service: service.to_owned(), unit: unit.to_owned(), state, healthy }
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mode_decides_what_a_units_state_should_be() {
        let of = |mode: Option<&str>| {
            let manifest =
                serde_json::json!({ "version": 1, "platform": "nixos", "tenant": "a", "mode": mode });
            Expectation::of(&serde_json::from_value(manifest).unwrap())
        };
        assert_eq!(of(Some("active")), Expectation::Active);
        assert_eq!(of(Some("maintenance")), Expectation::Active);
        assert_eq!(of(Some("standby")), Expectation::NotFailed);
        let healthy =
            |expectation: Expectation, state: &str| expectation.judge("s", "u", state.into()).healthy;
        assert!(!healthy(Expectation::Active, "activating"));
        assert!(healthy(Expectation::NotFailed, "inactive"));
        assert!(!healthy(Expectation::NotFailed, "failed"));
    }
}
