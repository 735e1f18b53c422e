//! What people do without Berth: `tar | zstd -1 | ssh`, from one machine to the other.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use berth_tests::moving::House;

use super::data::FOLDER;

/// How long a copy takes; it is removed again.
pub(super) fn copy(from: &House, to: &House) -> Result<Duration> {
    let read = format!("tar -C {FOLDER} -cf - . | zstd -1");
    let write = "mkdir -p /var/tmp/plain && zstd -d | tar -C /var/tmp/plain -xf - && sync -f /var/tmp/plain";
    for house in [from, to] {
        bring_zstd(house)?;
    }
    let start = Instant::now();
    let mut reading = ssh(from)?.arg(read).stdout(Stdio::piped()).spawn()?;
    let output = reading.stdout.take().context("its output is piped")?;
    let written = ssh(to)?.arg(write).stdin(output).status()?;
    ensure!(written.success() && reading.wait()?.success(), "the plain copy failed");
    let took = start.elapsed();
    ensure!(ssh(to)?.arg("rm -rf /var/tmp/plain").status()?.success(), "the plain copy cannot be removed");
    Ok(took)
}

/// Test machines are not made with it, and it needs nothing that they do not have.
fn bring_zstd(house: &House) -> Result<()> {
    let there = house.machine.root_path().join("usr/local/bin/zstd");
    std::fs::copy("/usr/bin/zstd", there).context("zstd is not on this host")?;
    Ok(())
}

/// `ssh` to a machine, with its provider's key.
fn ssh(house: &House) -> Result<Command> {
    let known = known_hosts(house)?;
    let mut command = Command::new("ssh");
    command.arg("-i").arg(house.stage.daemon.data().join("ssh/id_ed25519"));
    command.args(["-o", "BatchMode=yes", "-o"]).arg(format!("UserKnownHostsFile={}", known.display()));
    command.arg(format!("root@{}", house.machine.address()));
    Ok(command)
}

fn known_hosts(house: &House) -> Result<PathBuf> {
    let path = house.stage.daemon.data().join("measured_hosts");
    std::fs::write(&path, format!("{} {}\n", house.machine.address(), house.machine.host_key()))?;
    Ok(path)
}
