//! Somebody on a machine who asks for a page every 50 ms, to see whether a service ever leaves anybody without an answer.
//!
//! They are on the machine itself, so that it does not count when the network to it is cut.

use anyhow::{Result, ensure};
use berth_testbed::Machine;

/// What asks; the machine's own Python runs it.
const ASK: &str = include_str!("visitor/ask.py");

const UNIT: &str = "visitor.service";

/// Where the answers are written: not on the disk, which may be full, and gone with the machine's boot.
const ANSWERS: &str = "/run/visitor";

/// Somebody comes and asks for this page from now on. There is one visitor on a machine at a time; who came before leaves.
///
/// # Errors
/// If they cannot be started.
pub async fn comes(machine: &Machine, host: &str, path: &str) -> Result<()> {
    machine.exec(&["systemctl", "stop", UNIT]).await?;
    let unit = format!("--unit={UNIT}");
    let run = ["systemd-run", "--quiet", "--collect", &unit, "python3", "-c", ASK, host, path, ANSWERS];
    let started = machine.exec(&run).await?;
    ensure!(started.status.success(), "{}", String::from_utf8_lossy(&started.stderr));
    Ok(())
}

/// They leave; returns what was not answered as it should be, within five seconds.
///
/// # Errors
/// If they are not there any more, or never got an answer at all.
pub async fn leaves(machine: &Machine) -> Result<Vec<String>> {
    let answers = machine.exec(&["cat", ANSWERS]).await?;
    let stayed = machine.exec(&["systemctl", "is-active", UNIT]).await?.status.success();
    machine.exec(&["systemctl", "stop", UNIT]).await?;
    ensure!(stayed && answers.status.success(), "the visitor is gone");
    let answers = String::from_utf8(answers.stdout)?;
    let (good, bad): (Vec<_>, Vec<_>) = answers.lines().partition(|line| *line == "200");
    ensure!(!good.is_empty(), "nobody ever answered: {bad:?}");
    Ok(bad.into_iter().map(str::to_owned).collect())
}
