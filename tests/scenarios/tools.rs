//! The tools that sysadmins use, with the flake that the daemon renders: none of them asks the daemon for anything.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context as _, Result, ensure};
use berth_testbed::Machine;
use berth_tests::drafts::tenant;
use berth_tests::stage::{Stage, name};
use berth_tests::web;
use reqwest::StatusCode;
use tempfile::TempDir;

const HEALTH: (&str, &str) = ("git.acme.example", "/api/healthz");

#[tokio::test]
async fn nix_run_deploys_to_a_fresh_machine_and_puts_it_back_when_a_service_does_not_answer() -> Result<()> {
    let Some(scene) = Scene::set_up("nixrun").await? else { return Ok(()) };
    let deploy = || scene.nix(&["run", &format!("{}#deploy", scene.flake())]);
    run(&mut deploy())?;
    assert_eq!(health(&scene.machine).await?, StatusCode::OK);
    let good = booted_next(&scene.machine).await?;
    assert_eq!(running(&scene.machine).await?, good);

    // A unit that cannot start: nothing of it stays.
    scene.edit("tenant.nix", |text| {
        let end = text.rfind('}').unwrap_or_default();
        format!("{}  systemd.services.gitea.serviceConfig.ExecStartPre = \"/bin/false\";\n}}\n", &text[..end])
    })?;
    let failed = deploy().output()?;
    let said = String::from_utf8_lossy(&failed.stderr);
    ensure!(!failed.status.success() && said.contains("put back on the system that it boots"), "{said}");
    assert_eq!((running(&scene.machine).await?, booted_next(&scene.machine).await?), (good.clone(), good));
    // What was put back is started again.
    let start = std::time::Instant::now();
    while health(&scene.machine).await? != StatusCode::OK {
        ensure!(start.elapsed().as_secs() < 60, "the system of before does not serve");
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    }
    Ok(())
}

#[tokio::test]
async fn colmena_deploys_to_a_fresh_machine_with_the_daemons_flake() -> Result<()> {
    if missing("colmena") {
        return Ok(());
    }
    let Some(scene) = Scene::set_up("colmena").await? else { return Ok(()) };
    let mut colmena = scene.command("colmena");
    colmena.args(["apply", "--config"]).arg(scene.folder.path().join("flake.nix"));
    run(&mut colmena)?;
    assert_eq!(health(&scene.machine).await?, StatusCode::OK);
    assert_eq!(running(&scene.machine).await?, booted_next(&scene.machine).await?);
    scene.hand_over_to_the_daemon().await
}

#[tokio::test]
async fn deploy_rs_deploys_to_a_fresh_machine_with_the_daemons_flake() -> Result<()> {
    if missing("deploy") || missing("activate") {
        return Ok(());
    }
    let Some(scene) = Scene::set_up("deployrs").await? else { return Ok(()) };
    scene.bring_to_the_platform("deploy-rs/bin/activate", &on_path("activate").context("activate")?)?;
    let mut deploy = scene.command("deploy");
    run(deploy.arg(format!("{}#deployrs", scene.folder.path().display())))?;
    assert_eq!(health(&scene.machine).await?, StatusCode::OK);
    scene.hand_over_to_the_daemon().await
}

/// A machine that nothing was deployed to, a tenant's flake in a folder, and the daemon's key in an agent of SSH.
struct Scene {
    stage: Stage,
    machine: Machine,
    folder: TempDir,
    keys: Keys,
}

impl Scene {
    async fn set_up(machine_name: &str) -> Result<Option<Self>> {
        let Some(stage) = Stage::set_up().await? else { return Ok(None) };
        let machine = stage.machine(machine_name).await?;
        stage.client.create_tenant(&tenant("acme", machine_name)).await?;
        let folder = tempfile::Builder::new().prefix("berth-flake-").tempdir()?;
        for (path, text) in &stage.client.configuration(&name("acme")).await?.files {
            fs::write(folder.path().join(path), text)?;
        }
        let keys = Keys::with(&stage.daemon.data().join("ssh/id_ed25519"))?;
        Ok(Some(Self { stage, machine, folder, keys }))
    }

    fn flake(&self) -> String {
        format!("path:{}", self.folder.path().display())
    }

    fn edit(&self, file: &str, change: impl FnOnce(&str) -> String) -> Result<()> {
        let path = self.folder.path().join(file);
        Ok(fs::write(&path, change(&fs::read_to_string(&path)?))?)
    }

    /// A copy of the platform with one more program, which the flake takes from now on.
    fn bring_to_the_platform(&self, place: &str, program: &Path) -> Result<()> {
        let text = fs::read_to_string(self.folder.path().join("flake.nix"))?;
        let source =
            text.split("\"path:").nth(1).and_then(|rest| rest.split('"').next()).context("a path")?;
        let tree = self.folder.path().with_extension("platform");
        run(Command::new("cp").args(["-r", "--no-preserve=mode", source]).arg(&tree))?;
        let place = tree.join("nix/rehearsal").join(place);
        fs::create_dir_all(place.parent().context("a folder")?)?;
        fs::copy(program, &place)?;
        // Modes were left behind with the store's.
        run(Command::new("chmod").args(["-R", "+x"]).arg(tree.join("nix/rehearsal")))?;
        self.edit("flake.nix", |text| text.replace(source, &tree.display().to_string()))
    }

    fn nix(&self, arguments: &[&str]) -> Command {
        let mut nix = self.command("nix");
        nix.args(arguments);
        nix
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        let inherited = std::env::var("NIX_CONFIG").unwrap_or_default();
        let settings = "experimental-features = nix-command flakes\nsandbox = false\nsubstituters =\nbuild-users-group =";
        command.env("NIX_CONFIG", format!("{inherited}\n{settings}")).env("SSH_AUTH_SOCK", &self.keys.socket);
        command.stdin(Stdio::null()).current_dir(self.folder.path());
        command
    }

    /// What somebody else deployed is no obstacle to the daemon.
    async fn hand_over_to_the_daemon(&self) -> Result<()> {
        self.stage.deploy("acme").await?.succeeded()?;
        assert_eq!(health(&self.machine).await?, StatusCode::OK);
        assert_eq!(running(&self.machine).await?, booted_next(&self.machine).await?);
        Ok(())
    }
}

/// An `ssh-agent` with one key.
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
            std::thread::sleep(std::time::Duration::from_millis(50));
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

fn run(command: &mut Command) -> Result<()> {
    let done = command.output().with_context(|| format!("{command:?}"))?;
    let said =
        || format!("{}{}", String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
    ensure!(done.status.success(), "{command:?} ended with {}:\n{}", done.status, said());
    Ok(())
}

fn on_path(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(program)).find(|found| found.is_file())
}

fn missing(program: &str) -> bool {
    let missing = on_path(program).is_none();
    if missing {
        eprintln!("SKIPPED: there is no {program} on PATH");
    }
    missing
}

async fn health(machine: &Machine) -> Result<StatusCode> {
    Ok(web::get(machine, HEALTH.0, HEALTH.1).await?.status)
}

async fn running(machine: &Machine) -> Result<String> {
    resolved(machine, "/run/current-system").await
}

async fn booted_next(machine: &Machine) -> Result<String> {
    resolved(machine, "/nix/var/nix/profiles/system").await
}

async fn resolved(machine: &Machine, link: &str) -> Result<String> {
    let output = machine.exec(&["readlink", "-f", link]).await?;
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}
