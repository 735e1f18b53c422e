//! Derivations that are built on another machine than the daemon's, by Nix's own remote builders.

use std::fs;
use std::time::Duration;

use anyhow::{Context as _, Result};
use berth_domain::{EventKind, StepName};
use berth_testbed::Machine;
use berth_tests::daemon::DaemonOptions;
use berth_tests::drafts::tenant;
use berth_tests::stage::{Stage, name};
use berth_tests::told::Told;
use berth_tests::web;
use berth_tests::workshop::{Extra, Workshop};
use tempfile::TempDir;

/// A daemon that is told of its builders by a file, and the tenant `acme` on `machine`.
struct Scene {
    workshop: Workshop,
    folder: TempDir,
    stage: Stage,
    machine: Machine,
    builder: Machine,
}

impl Scene {
    /// `here` is whether the daemon's host builds as well.
    async fn set_up(machine: &str, here: bool) -> Result<Option<Self>> {
        let workshop = Workshop::open(Extra::SaysWhere)?;
        let folder = tempfile::Builder::new().prefix("berth-builders-").tempdir()?;
        let machines = folder.path().join("machines");
        let config = format!("[builders]\nmachines = \"@{}\"\nhere = {here}\n", machines.display());
        let options =
            DaemonOptions { platform: Some(workshop.reference()), config, ..DaemonOptions::default() };
        let Some(stage) = Stage::set_up_with(options).await? else { return Ok(None) };
        let builder = stage.boot("builder").await?;
        let key = stage.daemon.data().join("ssh/id_ed25519");
        let host_key = fs::read(builder.root_path().join("etc/ssh/ssh_host_ed25519_key.pub"))?;
        let line = format!(
            "ssh-ng://root@{} x86_64-linux {} 2 1 - - {}\n",
            builder.address(),
            key.display(),
            base64(&host_key)
        );
        fs::write(&machines, line)?;
        let vm = stage.machine(machine).await?;
        stage.client.create_tenant(&tenant("acme", machine)).await?;
        Ok(Some(Self { workshop, folder, stage, machine: vm, builder }))
    }
}

fn base64(bytes: &[u8]) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

/// What the builds of a [`Extra::SaysWhere`] said, with when.
fn said(told: &Told) -> Vec<(String, chrono::DateTime<chrono::Utc>)> {
    let lines = told.events.iter().filter(|event| event.step == Some(StepName::Build));
    let lines =
        lines.filter_map(|event| Some((event.message.strip_prefix("extra-1.0: ")?.to_owned(), event.at)));
    lines.collect()
}

#[tokio::test]
async fn a_deployment_is_built_on_the_builder_and_its_lines_come_as_they_are_written() -> Result<()> {
    let Some(scene) = Scene::set_up("elsewhere", false).await? else { return Ok(()) };
    let told = scene.stage.deploy("acme").await?.succeeded()?;
    let said = said(&told);
    let lines: Vec<&str> = said.iter().map(|(line, _)| line.as_str()).collect();
    let expected =
        std::iter::once("built on builder".to_owned()).chain((1..=12).map(|i| format!("line {i}")));
    assert_eq!(lines, expected.collect::<Vec<_>>(), "{:#?}", told.events);
    let took = said[12].1 - said[0].1;
    assert!(took.num_milliseconds() > 1000, "all lines came at once: {said:?}");
    let progress = told.events.iter().filter(|event| event.step == Some(StepName::Build));
    assert!(progress.filter(|event| event.kind == EventKind::StepProgress).count() > 0, "{:#?}", told.events);

    // The builder has it, of its own making: what was copied to it is what the build needed, and not what came of it.
    let system = told.operation.system.as_deref().context("a system")?;
    let info = scene.builder.exec(&["nix", "path-info", "--json", system]).await?;
    let info: serde_json::Value = serde_json::from_slice(&info.stdout)?;
    let info = info.get(0).or_else(|| info.get(system)).context("the builder does not have it")?;
    assert_eq!(info["ultimate"], true, "{info}");
    let page = web::get(&scene.machine, "git.acme.example", "/").await?;
    assert!(page.status == 200 && page.text.contains("Git of acme"), "{page:?}");
    drop(scene.folder);
    Ok(())
}

#[tokio::test]
async fn a_builder_that_is_away_is_named_by_the_error_and_the_daemon_builds_itself_where_it_may() -> Result<()>
{
    let Some(scene) = Scene::set_up("away", false).await? else { return Ok(()) };
    scene.builder.stop().await?;
    let operation = scene.stage.client.deploy(&name("acme")).await?;
    let told = Told::follow_within(&scene.stage.client, operation.id, Duration::from_secs(120)).await?;
    let error = told.failure()?;
    assert_eq!((error.code.as_str(), error.retryable), ("no-builder", true), "{error:?}");
    assert_eq!(error.step, Some(StepName::Build));
    assert!(error.message.contains(&scene.builder.address().to_string()), "{error:?}");
    scene.builder.start().await?;
    scene.stage.deploy("acme").await?.succeeded()?;
    drop(scene);

    let Some(scene) = Scene::set_up("here", true).await? else { return Ok(()) };
    scene.builder.stop().await?;
    let told = scene.stage.deploy("acme").await?.succeeded()?;
    let host = fs::read_to_string("/etc/hostname").unwrap_or_default();
    assert_eq!(said(&told)[0].0, format!("built on {}", host.trim()));
    let address = scene.builder.address().to_string();
    let named = told.events.iter().any(|event| event.message.contains(&address));
    assert!(named, "nobody says that the builder is away: {:#?}", told.events);
    drop(scene.workshop);
    Ok(())
}
