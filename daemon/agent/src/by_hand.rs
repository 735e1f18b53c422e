//! A deployment without the daemon: what `nix run .#deploy` of a tenant's flake asks for, over a connection for each.
//!
//! It goes as the daemon's own does. Whatever ends it before its commit, the machine is put back on the system that it
//! boots: at once where that is seen, and by its dead-man timer where it is not.

use berth_protocol::{
    ActivationOutcome, Answer, Claim, Deadline, FailureCode, Health, Note, Outcome, SwitchAction,
};
use uuid::Uuid;

use crate::activation::record::Asked;
use crate::client::Client;
use crate::entry::Myself;
use crate::failure::{Result, failure};
use crate::system::System;
use crate::{activation, commit, fence, probe};

/// How long services may take to answer, in seconds: the daemon's usual limit.
const HEALTH_SECONDS: u64 = 180;

/// How long the switch may take, and how long after it the commit may come, in seconds.
const DEADLINE: Deadline = Deadline { switch_seconds: 900, commit_seconds: HEALTH_SECONDS + 60 };

/// How many generations are kept: the daemon's usual number.
const KEEP_GENERATIONS: u32 = 10;

/// Switches to a system without making it permanent, and proves that its services answer.
pub(crate) fn attempt(path: &str, myself: &Myself) -> Result<()> {
    System::open(path)?.manifest()?;
    let claim = claim()?;
    activation::prepare_secrets(&claim, path, &[])?;
    let Err(problem) = switch_and_ask(&claim, path, myself) else { return Ok(()) };
    Terminal.line(&problem.message);
    let end = match activation::revert(&claim, None, myself, &mut Terminal) {
        Ok(Outcome::Reverted(reverted)) => match (reverted.to, reverted.problem) {
            (Some(_), None) => "the machine was put back on the system that it boots".to_owned(),
            (Some(_), Some(problem)) => {
                format!("the machine was put back on the system that it boots, but {problem}")
            }
            (None, _) => {
                "there is no system that the machine could be put back on; the services were stopped"
                    .to_owned()
            }
        },
        Ok(_) => "nothing was changed".to_owned(),
        Err(second) => format!("the machine could not be put back: {}; reboot it", second.message),
    };
    Err(failure(problem.code, end))
}

/// Somebody at the machine itself is obeyed, whichever daemon's worker asked last.
fn claim() -> Result<Claim> {
    Ok(Claim { operation: Uuid::now_v7(), fence: fence::highest()? })
}

/// Makes a system the one that boots.
pub(crate) fn make_permanent(path: &str) -> Result<()> {
    if let Answer::Committed { generation, .. } =
        commit::commit(&claim()?, path, KEEP_GENERATIONS, &mut Terminal)?
    {
        Terminal.line(&format!("the machine boots {path} from now on (generation {generation})"));
    }
    Ok(())
}

fn switch_and_ask(claim: &Claim, path: &str, myself: &Myself) -> Result<()> {
    switch(claim, path, myself)?;
    let health = probe::probe(path, HEALTH_SECONDS, &mut Terminal)?;
    if health.healthy { Ok(()) } else { Err(failure(FailureCode::Program, problems(&health))) }
}

fn switch(claim: &Claim, path: &str, myself: &Myself) -> Result<()> {
    let asked = Asked { system: path.to_owned(), action: SwitchAction::Test };
    let done = activation::activate(claim, asked, DEADLINE, myself, &mut Terminal)?;
    let words = match done.outcome {
        ActivationOutcome::Done => return Ok(()),
        ActivationOutcome::ScriptFailed => "the activation script failed".to_owned(),
        ActivationOutcome::UnitsFailed => format!("units failed: {}", done.failed_units.join(", ")),
        ActivationOutcome::NeedsReboot => "only a reboot can take this system over".to_owned(),
        ActivationOutcome::Failed => format!("the switch ended with exit code {}", done.exit_code),
    };
    Err(failure(FailureCode::Program, words))
}

/// What does not answer as it should, a line each.
fn problems(health: &Health) -> String {
    let units = health.units.iter().filter(|unit| !unit.healthy);
    let units = units.map(|unit| format!("{}: {} is {}", unit.service, unit.unit, unit.state));
    let probes = health.probes.iter().filter_map(|asked| {
        let problem = asked.problem.as_ref()?;
        Some(format!("{}: {}{} {problem}", asked.service, asked.probe.host, asked.probe.path))
    });
    units.chain(probes).collect::<Vec<_>>().join("\n")
}

/// Whoever started this program, at the other end of standard error.
struct Terminal;

impl Client for Terminal {
    fn note(&mut self, note: Note) {
        use std::io::Write as _;
        let mut out = std::io::stderr().lock();
        // Nobody may be reading any more; what was begun is ended all the same.
        let _ = match note {
            Note::Line(text) => writeln!(out, "{text}"),
            Note::Transfer(moved) => writeln!(out, "{} of {} bytes", moved.bytes_done, moved.bytes_expected),
            Note::Progress { done, expected } => writeln!(out, "{done} of {expected} answer as they should"),
        };
    }

    fn is_gone(&self) -> bool {
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use berth_protocol::UnitHealth;

    #[test]
    fn what_does_not_answer_is_told_in_a_line_each() {
        let unit = |name: &str, healthy: bool| UnitHealth {
            service: "gitea".into(),
            unit: format!("{name}.service"),
            state: if healthy { "active" } else { "failed" }.into(),
            healthy,
        };
        let units = vec![unit("gitea", false), unit("other", true)];
        let health = Health { healthy: false, units, probes: Vec::new(), also_failed: Vec::new() };
        assert_eq!(problems(&health), "gitea: gitea.service is failed");
    }

    #[test]
    fn a_path_that_is_no_system_is_refused_before_anything_is_done() {
        let problem = attempt("/etc", &Myself { words: Vec::new() }).unwrap_err();
        assert!(problem.message.starts_with("/system: "), "{problem}");
    }
}
