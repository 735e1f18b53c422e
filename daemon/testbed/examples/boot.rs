//! Boots machines by hand and keeps them up until Ctrl-C: `boot NAME…`.
//!
//! Prints one line of JSON per machine: `{name, address, host_key, known_hosts, key, root}`.

use std::io::Write;
use std::path::Path;

use anyhow::Context;
use berth_domain::ssh::SshPublicKey;
use berth_testbed::{Machine, Testbed, TestbedOptions, prerequisites};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let names: Vec<String> = std::env::args().skip(1).collect();
    anyhow::ensure!(!names.is_empty(), "usage: boot NAME…");
    // Whatever is being done when a signal comes is dropped, and with it put away.
    tokio::select! {
        failed = boot_and_hold(&names) => failed,
        signalled = signal_to_end() => signalled,
    }
}

async fn boot_and_hold(names: &[String]) -> anyhow::Result<()> {
    let missing = prerequisites::missing().await;
    for lack in &missing {
        writeln!(std::io::stderr(), "missing: {lack}")?;
    }
    anyhow::ensure!(missing.is_empty(), "machines cannot be booted here");

    let testbed = Testbed::new(TestbedOptions::default(), &mut |line| {
        let _ = writeln!(std::io::stderr(), "{line}");
    })
    .await?;
    let key = testbed.folder().join("id_ed25519");
    let public = generate_key(&key).await?;
    let mut machines = Vec::new();
    for name in names {
        let machine = testbed.boot(&name.parse()?, &public).await?;
        writeln!(std::io::stdout(), "{}", describe(&machine, &key)?)?;
        machines.push(machine);
    }
    std::future::pending().await
}

async fn generate_key(path: &Path) -> anyhow::Result<SshPublicKey> {
    let status = tokio::process::Command::new("ssh-keygen")
        .args(["-q", "-t", "ed25519", "-N", "", "-C", "testbed", "-f"])
        .arg(path)
        .status()
        .await?;
    anyhow::ensure!(status.success(), "ssh-keygen failed");
    Ok(std::fs::read_to_string(path.with_extension("pub"))?.parse()?)
}

fn describe(machine: &Machine, key: &Path) -> anyhow::Result<String> {
    let known_hosts = key.with_file_name(format!("known_hosts-{}", machine.name()));
    std::fs::write(&known_hosts, format!("{}\n", machine.known_hosts_line()))?;
    Ok(serde_json::json!({
        "name": machine.name(),
        "address": machine.address(),
        "host_key": machine.host_key(),
        "known_hosts": known_hosts,
        "key": key,
        "root": machine.root_path(),
    })
    .to_string())
}

async fn signal_to_end() -> anyhow::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminated = signal(SignalKind::terminate()).context("cannot wait for signals")?;
    let mut hung_up = signal(SignalKind::hangup()).context("cannot wait for signals")?;
    tokio::select! {
        done = tokio::signal::ctrl_c() => done?,
        _ = terminated.recv() => {}
        _ = hung_up.recv() => {}
    }
    Ok(())
}
