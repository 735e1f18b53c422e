//! Store paths that a machine's Nix calls valid and that are not on its disk as they were.

use anyhow::{Context as _, Result};
use berth_domain::{EventKind, Operation, TenantDraft};
use berth_testbed::Machine;
use berth_tests::daemon::DaemonOptions;
use berth_tests::damage::{Damage, damage};
use berth_tests::drafts::{settings, tenant};
use berth_tests::stage::{Stage, name};
use berth_tests::web;
use berth_tests::workshop::{Extra, Workshop};
use serde_json::json;

/// A machine that runs one of two systems and has the other one in its store.
struct Scene {
    _workshop: Workshop,
    stage: Stage,
    machine: Machine,
    draft: TenantDraft,
    /// What was deployed first, and is not what runs.
    first: Operation,
}

const FIRST: &str = "The first";
const SECOND: &str = "The second";

impl Scene {
    async fn set_up(machine: &str) -> Result<Option<Self>> {
        let workshop = Workshop::open(Extra::Nothing)?;
        let config = "[timeouts]\nverify = 10\n".into();
        let options =
            DaemonOptions { platform: Some(workshop.reference()), config, ..DaemonOptions::default() };
        let Some(stage) = Stage::set_up_with(options).await? else { return Ok(None) };
        let vm = stage.machine(machine).await?;
        let services = [("gitea".to_owned(), settings(json!({ "app_name": FIRST })))].into();
        let draft = TenantDraft { services, ..tenant("acme", machine) };
        let first = stage.deployed(&draft).await?.operation;
        let mut scene = Self { _workshop: workshop, stage, machine: vm, draft, first };
        scene.specify(SECOND).await?;
        scene.stage.deploy("acme").await?.succeeded()?;
        scene.specify(FIRST).await?;
        Ok(Some(scene))
    }

    async fn specify(&mut self, title: &str) -> Result<()> {
        self.draft.services.get_mut("gitea").context("gitea")?.insert("app_name".into(), title.into());
        self.stage.change(&self.draft).await
    }

    /// Where a file of the first system really is.
    async fn file(&self, part: &str) -> Result<String> {
        let path = format!("{}/{part}", self.first.system.as_deref().context("a system")?);
        let found = self.machine.exec(&["readlink", "--canonicalize-existing", &path]).await?;
        anyhow::ensure!(found.status.success(), "{path}");
        Ok(String::from_utf8(found.stdout)?.trim().to_owned())
    }

    async fn serves(&self, title: &str) -> Result<()> {
        let page = web::get(&self.machine, "git.acme.example", "/").await?;
        assert!(page.status == 200 && page.text.contains(title), "it does not serve “{title}”: {page:?}");
        let record = self.stage.client.tenant(&name("acme")).await?;
        let first = record.deployed_revision == self.first.revision;
        assert_eq!(first, title == FIRST, "the record is about the other system");
        Ok(())
    }
}

#[tokio::test]
async fn a_system_that_a_power_loss_damaged_is_mended_by_the_deployment_that_needs_it() -> Result<()> {
    let Some(mut scene) = Scene::set_up("mended").await? else { return Ok(()) };
    // What a switch does not stumble over: without a look it would be committed, and nobody would know until it is read.
    let unit = scene.file("systemd/units/gitea.service").await?;
    scene.machine.crash().await?;
    let path = damage(&scene.machine, &unit, Damage::Emptied)?;
    scene.machine.start().await?;
    scene.machine.settled().await?;
    let told = scene.stage.deploy("acme").await?.succeeded()?;
    let warned =
        |kind, text: &str| told.events.iter().any(|event| event.kind == kind && event.message.contains(text));
    assert!(warned(EventKind::Warning, &path), "{:#?}", told.events);
    scene.serves(FIRST).await?;

    // The one that it boots: the machine comes up without it, and the next deployment, which changes nothing, brings it back.
    scene.machine.crash().await?;
    let path = damage(&scene.machine, &unit, Damage::Truncated)?;
    scene.machine.start().await?;
    scene.machine.settled().await?;
    let told = scene.stage.deploy("acme").await?.succeeded()?;
    assert!(told.events.iter().any(|event| event.message.contains(&path)), "{:#?}", told.events);
    scene.serves(FIRST).await?;

    // And its agent.
    let agent = scene.machine.exec(&["sh", "-c", "echo /nix/store/*-berth-agent*/bin/berth-agent"]).await?;
    let agent = String::from_utf8(agent.stdout)?.trim().to_owned();
    for how in Damage::ALL {
        damage(&scene.machine, &agent, how)?;
        scene.specify(&format!("With its agent {how:?}")).await?;
        scene.stage.deploy("acme").await?.succeeded().with_context(|| format!("{how:?}"))?;
    }
    Ok(())
}

#[tokio::test]
async fn a_path_that_is_damaged_in_a_running_machine_fails_the_deployment_by_name_and_the_next_one_succeeds()
-> Result<()> {
    let Some(mut scene) = Scene::set_up("damaged").await? else { return Ok(()) };
    let cases = [
        ("bin/switch-to-configuration", Damage::Emptied),
        ("activation.json", Damage::Truncated),
        ("etc/berth/manifest.json", Damage::Gone),
    ];
    for (number, (part, how)) in cases.into_iter().enumerate() {
        let file = scene.file(part).await?;
        let path = damage(&scene.machine, &file, how)?;
        let told = scene.stage.deploy("acme").await?;
        let error = told.failure().with_context(|| format!("{part} {how:?}"))?;
        assert_eq!((error.code.as_str(), error.retryable), ("store-corrupted", true), "{part}: {error:?}");
        assert!(error.message.contains(&path), "{part}: {error:?}");
        scene.serves(SECOND).await?;
        scene.stage.deploy("acme").await?.succeeded().with_context(|| format!("{part} {how:?}"))?;
        scene.serves(FIRST).await?;
        if number + 1 == cases.len() {
            break;
        }
        scene.specify(SECOND).await?;
        scene.stage.deploy("acme").await?.succeeded()?;
        scene.specify(FIRST).await?;
    }
    Ok(())
}
