//! The tools that sysadmins use, with the flake that the daemon renders: none of them asks the daemon for anything.

use anyhow::{Context as _, Result, ensure};
use berth_testbed::Machine;
use berth_tests::drafts::tenant;
use berth_tests::flake::{self, Flake, on_path, run};
use berth_tests::stage::Stage;
use berth_tests::web;
use reqwest::StatusCode;

const HEALTH: (&str, &str) = ("git.acme.example", "/api/healthz");

#[tokio::test]
async fn nix_run_deploys_to_a_fresh_machine_and_puts_it_back_when_a_service_does_not_answer() -> Result<()> {
    let Some(scene) = Scene::set_up("nixrun").await? else { return Ok(()) };
    let deploy = || {
        let mut nix = scene.flake.command("nix");
        nix.args(["run", &format!("{}#deploy", scene.flake.reference())]);
        nix
    };
    run(&mut deploy())?;
    assert_eq!(health(&scene.machine).await?, StatusCode::OK);
    let good = booted_next(&scene.machine).await?;
    assert_eq!(running(&scene.machine).await?, good);

    // A unit that cannot start: nothing of it stays.
    scene.flake.edit("tenant.nix", |text| {
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
    let mut colmena = scene.flake.command("colmena");
    colmena.args(["apply", "--config"]).arg(scene.flake.folder().join("flake.nix"));
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
    let (former, activate) = (scene.flake.platform()?, on_path("activate").context("activate")?);
    let platform = flake::with_program(&former, "deploy-rs/bin/activate", &activate)?;
    let (former, latter) = (former.display().to_string(), platform.path().display().to_string());
    scene.flake.edit("flake.nix", |text| text.replace(&former, &latter))?;
    let mut deploy = scene.flake.command("deploy");
    run(deploy.arg(format!("{}#deployrs", scene.flake.folder().display())))?;
    assert_eq!(health(&scene.machine).await?, StatusCode::OK);
    scene.hand_over_to_the_daemon().await
}

/// A machine that nothing was deployed to, and a tenant's flake.
struct Scene {
    stage: Stage,
    machine: Machine,
    flake: Flake,
}

impl Scene {
    async fn set_up(machine_name: &str) -> Result<Option<Self>> {
        let Some(stage) = Stage::set_up().await? else { return Ok(None) };
        let machine = stage.machine(machine_name).await?;
        stage.client.create_tenant(&tenant("acme", machine_name)).await?;
        let flake = Flake::of(&stage, "acme").await?;
        Ok(Some(Self { stage, machine, flake }))
    }

    /// What somebody else deployed is no obstacle to the daemon.
    async fn hand_over_to_the_daemon(&self) -> Result<()> {
        self.stage.deploy("acme").await?.succeeded()?;
        assert_eq!(health(&self.machine).await?, StatusCode::OK);
        assert_eq!(running(&self.machine).await?, booted_next(&self.machine).await?);
        Ok(())
    }
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
