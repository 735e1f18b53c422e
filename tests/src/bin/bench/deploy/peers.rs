//! What the same change takes without Berth: by deploy-rs as its users run it, and by the commands that any tool runs in the
//! end.

use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use berth_testbed::Machine;
use berth_tests::daemon::DaemonOptions;
use berth_tests::flake::{Flake, on_path, rehearsal, run, with_program};
use serde_json::Value;
use tempfile::TempDir;

/// Where nixpkgs' and Berth's machines have it.
const PROFILE: &str = "/nix/var/nix/profiles/system";

/// The platform of the measured daemon: the rehearsal platform, with deploy-rs' program for the machine where there is one.
pub(super) struct Peers {
    /// Whether deploy-rs can be measured.
    pub(super) deploy_rs: bool,
    platform: TempDir,
}

impl Peers {
    /// Looks for deploy-rs on PATH: its programs `deploy` and `activate`.
    pub(super) async fn look() -> Result<Self> {
        let activate = on_path("deploy").and(on_path("activate"));
        let rehearsal = rehearsal().await?;
        // Something has to be copied in any case, and this is harmless.
        let program = activate.clone().unwrap_or_else(|| rehearsal.join("flake.nix"));
        let platform = with_program(&rehearsal, "deploy-rs/bin/activate", &program)?;
        Ok(Self { deploy_rs: activate.is_some(), platform })
    }

    /// A daemon that builds on this platform.
    pub(super) fn options(&self) -> DaemonOptions {
        let platform = Some(format!("path:{}", self.platform.path().display()));
        DaemonOptions { platform, config: "parallel_operations = 16\n".into(), ..DaemonOptions::usual() }
    }
}

/// deploy-rs with its defaults, magic rollback among them; only its check of the whole flake is left out. All in one call.
pub(super) fn deploy_rs(flakes: &[(&Flake, &str)]) -> Result<Duration> {
    let (first, _) = flakes.first().context("a flake")?;
    let mut command = first.command("deploy");
    command.args(["--skip-checks", "--targets"]);
    command.args(flakes.iter().map(|(flake, node)| format!("{}#{node}", flake.folder().display())));
    let start = Instant::now();
    run(&mut command)?;
    Ok(start.elapsed())
}

/// The raw commands, over one connection that is open already.
pub(super) struct Raw {
    folder: TempDir,
    address: String,
}

impl Raw {
    /// Opens the connection.
    pub(super) fn connect(flake: &Flake, machine: &Machine) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("berth-raw-").tempdir()?;
        let raw = Self { folder, address: format!("root@{}", machine.address()) };
        std::fs::write(raw.known_hosts(), format!("{} {}\n", machine.address(), machine.host_key()))?;
        run(raw.ssh(flake).arg("true"))?;
        Ok(raw)
    }

    /// Builds, copies, sets the profile and switches.
    pub(super) fn deploy(&self, flake: &Flake, node: &str) -> Result<Duration> {
        let start = Instant::now();
        let toplevel =
            format!("{}#nixosConfigurations.{node}.config.system.build.toplevel", flake.reference());
        let built = run(flake.command("nix").args(["build", "--no-link", "--json", &toplevel]))?;
        let built: Value = serde_json::from_str(&built)?;
        let system = built.pointer("/0/outputs/out").and_then(Value::as_str).context("a system")?;
        let mut copy = flake.command("nix");
        copy.args(["copy", "--no-check-sigs", "--to", &format!("ssh-ng://{}", self.address), system]);
        run(copy.env("NIX_SSHOPTS", self.options().join(" ")))?;
        let mut switch = self.ssh(flake);
        switch.args(["nix-env", "--profile", PROFILE, "--set", system, "&&"]);
        run(switch.args([&format!("{system}/bin/switch-to-configuration"), "switch"]))?;
        Ok(start.elapsed())
    }

    fn ssh(&self, flake: &Flake) -> Command {
        let mut command = flake.command("ssh");
        command.args(self.options()).arg(&self.address);
        command
    }

    /// None of them holds a space.
    fn options(&self) -> Vec<String> {
        let control = self.folder.path().join("control");
        let known_hosts = self.known_hosts();
        [
            "ControlMaster=auto".to_owned(),
            "ControlPersist=600".to_owned(),
            format!("ControlPath={}", control.display()),
            format!("UserKnownHostsFile={}", known_hosts.display()),
        ]
        .into_iter()
        .flat_map(|option| ["-o".to_owned(), option])
        .collect()
    }

    fn known_hosts(&self) -> PathBuf {
        self.folder.path().join("known_hosts")
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        let mut leave = Command::new("ssh");
        let _ = leave.args(self.options()).args(["-O", "exit"]).arg(&self.address).output();
    }
}
