//! A tenant's flake in a folder, for the tools that sysadmins use. None of them asks the daemon for anything.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use berth_domain::revision::Files;
use tempfile::TempDir;

use crate::daemon::{Daemon, DaemonOptions};
use crate::drafts;
use crate::stage::{Stage, name};

/// A tenant's flake, and the daemon's key in an agent of SSH.
#[derive(Debug)]
pub struct Flake {
    tenant: String,
    folder: TempDir,
    keys: Keys,
}

impl Flake {
    /// The flake of a tenant as it is specified now.
    ///
    /// # Errors
    /// If the daemon does not give it, or the folder cannot be written.
    pub async fn of(stage: &Stage, tenant: &str) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("berth-flake-").tempdir()?;
        let keys = Keys::with(&stage.daemon.data().join("ssh/id_ed25519"))?;
        let flake = Self { tenant: tenant.to_owned(), folder, keys };
        flake.renew(stage).await?;
        Ok(flake)
    }

    /// Takes the tenant as it is specified now.
    ///
    /// # Errors
    /// As [`Self::of`].
    pub async fn renew(&self, stage: &Stage) -> Result<()> {
        for (path, text) in &stage.client.configuration(&name(&self.tenant)).await?.files {
            fs::write(self.folder().join(path), text)?;
        }
        Ok(())
    }

    /// Where it is.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Its reference.
    pub fn reference(&self) -> String {
        format!("path:{}", self.folder().display())
    }

    /// Changes one of its files.
    ///
    /// # Errors
    /// If there is no such file.
    pub fn edit(&self, file: &str, change: impl FnOnce(&str) -> String) -> Result<()> {
        let path = self.folder().join(file);
        Ok(fs::write(&path, change(&fs::read_to_string(&path)?))?)
    }

    /// The folder of the platform that it takes.
    ///
    /// # Errors
    /// If it takes none from a folder.
    pub fn platform(&self) -> Result<PathBuf> {
        let text = fs::read_to_string(self.folder().join("flake.nix"))?;
        platform_of(&[("flake.nix".into(), text)].into())
    }

    /// A command in its folder, with what it needs to build on this host and to log in on the machine.
    pub fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        let inherited = std::env::var("NIX_CONFIG").unwrap_or_default();
        let settings = "experimental-features = nix-command flakes\nsandbox = false\nsubstituters =\nbuild-users-group =";
        command.env("NIX_CONFIG", format!("{inherited}\n{settings}")).env("SSH_AUTH_SOCK", &self.keys.socket);
        command.stdin(Stdio::null()).current_dir(self.folder());
        command
    }
}

/// The folder of the platform that a rendered configuration takes.
///
/// # Errors
/// If it takes none from a folder.
pub fn platform_of(files: &Files) -> Result<PathBuf> {
    let pin = berth_render::platform_of(files).context("a platform")?.to_string();
    let path = pin.strip_prefix("path:").and_then(|path| path.split('?').next());
    Ok(path.with_context(|| format!("{pin} is no folder"))?.into())
}

/// A copy of a platform's folder with one more program, or a folder of them, at a place below that of the rehearsal.
///
/// # Errors
/// If it cannot be written.
pub fn with_program(platform: &Path, place: &str, program: &Path) -> Result<TempDir> {
    let copy = tempfile::Builder::new().prefix("berth-platform-").tempdir()?;
    run(Command::new("cp").args(["-rT", "--no-preserve=mode"]).arg(platform).arg(copy.path()))?;
    let rehearsal = copy.path().join("nix/rehearsal");
    // Modes were left behind with the store's.
    run(Command::new("chmod").args(["-R", "+x"]).arg(&rehearsal))?;
    let place = rehearsal.join(place);
    fs::create_dir_all(place.parent().context("a folder")?)?;
    run(Command::new("cp").arg("-rT").arg(program).arg(&place))?;
    Ok(copy)
}

/// The folder of the platform that a daemon carries with it.
///
/// # Errors
/// If no daemon starts.
pub async fn rehearsal() -> Result<PathBuf> {
    let daemon = Daemon::start(DaemonOptions::usual())?;
    let client = daemon.client()?;
    client.create_machine(&drafts::absent_machine("m")).await?;
    client.create_tenant(&drafts::tenant("t", "m")).await?;
    platform_of(&client.configuration(&name("t")).await?.files)
}

/// Runs a command to its end, which must be a good one; returns what it printed.
///
/// # Errors
/// If it is not, with all that the command said.
pub fn run(command: &mut Command) -> Result<String> {
    let done = command.output().with_context(|| format!("{command:?}"))?;
    let printed = String::from_utf8_lossy(&done.stdout).into_owned();
    let said = String::from_utf8_lossy(&done.stderr);
    ensure!(done.status.success(), "{command:?} ended with {}:\n{printed}{said}", done.status);
    Ok(printed)
}

/// A program of `PATH`.
pub fn on_path(program: &str) -> Option<PathBuf> {
    which::which(program).ok()
}

/// An `ssh-agent` with one key.
#[derive(Debug)]
struct Keys {
    agent: Child,
    socket: PathBuf,
    _folder: TempDir,
}

impl Keys {
    fn with(key: &Path) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("berth-keys-").tempdir()?;
        let socket = folder.path().join("agent");
        let agent =
            Command::new("ssh-agent").arg("-D").arg("-a").arg(&socket).stdout(Stdio::null()).spawn()?;
        let keys = Self { agent, socket, _folder: folder };
        let add = || Command::new("ssh-add").arg("-q").arg(key).env("SSH_AUTH_SOCK", &keys.socket).status();
        for _ in 0..100 {
            if keys.socket.exists() && add()?.success() {
                return Ok(keys);
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        anyhow::bail!("ssh-agent takes no key")
    }
}

impl Drop for Keys {
    fn drop(&mut self) {
        let _ = self.agent.kill();
        let _ = self.agent.wait();
    }
}
