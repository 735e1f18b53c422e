//! Machines that are left alone between activation and commit, and systems that lock everybody out.

use std::time::Duration;

use anyhow::{Context as _, Result};
use berth_domain::{
    EventKind, MaintenanceWindow, Operation, OperationStatus, StepName, StepStatus, TenantDraft,
};
use berth_testbed::Machine;
use berth_tests::daemon::DaemonOptions;
use berth_tests::drafts::tenant;
use berth_tests::stage::{Stage, name};
use berth_tests::told::Told;
use berth_tests::workshop::{Extra, Trouble, Workshop};
use berth_tests::{units, web};
use chrono::{TimeDelta, Utc};
use tokio::time::{Instant, sleep};

/// A machine waits for the commit for ten seconds after the switch, and is waited for when it is started anew.
const IMPATIENT: &str = "[timeouts]\nverify = 6\ndead_man = 4\nreboot = 30\n";

/// Longer than a machine waits.
const LONG: Duration = Duration::from_secs(60);

/// A daemon whose machines are impatient, and a tenant that is deployed. Its plans make trouble.
struct Scene {
    _workshop: Workshop,
    stage: Stage,
    machine: Machine,
    draft: TenantDraft,
    /// What the machine was committed to.
    committed: Operation,
}

impl Scene {
    async fn set_up(machine: &str) -> Result<Option<Self>> {
        let workshop = Workshop::open(Extra::Nothing)?;
        let platform = Some(workshop.reference());
        let options = DaemonOptions { platform, config: IMPATIENT.into(), ..DaemonOptions::default() };
        let Some(stage) = Stage::set_up_with(options).await? else { return Ok(None) };
        let vm = stage.machine(machine).await?;
        let draft = tenant("acme", machine);
        let committed = stage.deployed(&draft).await?.operation;
        Ok(Some(Self { _workshop: workshop, stage, machine: vm, draft, committed }))
    }

    async fn change(&mut self, app_name: &str) -> Result<()> {
        self.draft.services.get_mut("gitea").context("gitea")?.insert("app_name".into(), app_name.into());
        self.stage.change(&self.draft).await
    }

    async fn make(&mut self, trouble: Trouble) -> Result<()> {
        self.draft.plan = Some(trouble.plan());
        self.stage.change(&self.draft).await
    }

    /// Deploys, and waits until a step is seen to run.
    async fn deploy_until(&self, step: StepName) -> Result<Operation> {
        let operation = self.stage.client.deploy(&name("acme")).await?;
        let end = Instant::now() + LONG;
        loop {
            let now = self.stage.client.operation(operation.id).await?;
            if now.step(step).is_some_and(|step| step.status == StepStatus::Running) {
                return Ok(operation);
            }
            anyhow::ensure!(!now.status.is_final() && Instant::now() < end, "{step} is never seen: {now:?}");
            sleep(Duration::from_millis(2)).await;
        }
    }

    async fn link(&self, link: &str) -> Result<String> {
        let output = self.machine.exec(&["readlink", "-f", link]).await?;
        Ok(String::from_utf8(output.stdout)?.trim().to_owned())
    }

    /// Waits until the machine runs what it was committed to.
    async fn until_put_back(&self) -> Result<()> {
        let (end, committed) = (Instant::now() + LONG, self.committed.system.clone().context("a system")?);
        while self.link("/run/current-system").await? != committed {
            anyhow::ensure!(Instant::now() < end, "the machine is not put back");
            sleep(Duration::from_millis(200)).await;
        }
        Ok(())
    }

    /// The machine is as it was before, and the daemon's record says so.
    async fn is_as_before(&self) -> Result<()> {
        self.machine_is_as_before().await?;
        let record = self.stage.client.tenant(&name("acme")).await?;
        assert_eq!(record.deployed_revision, self.committed.revision);
        Ok(())
    }

    /// The machine runs and boots what it was committed to, and its services answer.
    async fn machine_is_as_before(&self) -> Result<()> {
        let committed = self.committed.system.clone().context("a system")?;
        assert_eq!(self.link("/run/current-system").await?, committed);
        assert_eq!(self.link("/nix/var/nix/profiles/system").await?, committed);
        let page = web::get(&self.machine, "git.acme.example", "/").await?;
        assert!(page.status == 200 && page.text.contains("Git of acme"), "{page:?}");
        Ok(())
    }

    /// What an operation reported so far.
    async fn told_so_far(&self, operation: &Operation) -> Result<String> {
        let page = self.stage.client.events(operation.id, 0).await?;
        Ok(page.items.iter().map(|event| event.message.as_str()).collect::<Vec<_>>().join("\n"))
    }

    async fn told(&self, operation: &Operation) -> Result<Told> {
        Told::follow(&self.stage.client, operation.id).await
    }
}

#[tokio::test]
async fn a_daemon_that_is_killed_between_activation_and_commit_leaves_a_machine_that_goes_back_by_itself()
-> Result<()> {
    let Some(mut scene) = Scene::set_up("alone").await? else { return Ok(()) };
    scene.change("Never seen").await?;
    let operation = scene.deploy_until(StepName::Verify).await?;
    scene.stage.daemon.kill()?;
    scene.until_put_back().await?;
    // The daemon comes back only now, and learns what became of its operation.
    scene.stage.daemon.start_again()?;
    let told = scene.told(&operation).await?;
    let error = told.failure()?;
    assert_eq!((error.code.as_str(), error.retryable), ("reverted-by-timer", true), "{error:?}");
    scene.is_as_before().await?;
    scene.stage.deploy("acme").await?.succeeded()?;
    assert!(web::get(&scene.machine, "git.acme.example", "/").await?.text.contains("Never seen"));
    Ok(())
}

#[tokio::test]
async fn a_configuration_that_cuts_its_own_ssh_is_put_back_and_the_error_says_so() -> Result<()> {
    let Some(mut scene) = Scene::set_up("ssh").await? else { return Ok(()) };
    let before = units::look(&scene.machine).await?;
    scene.make(Trouble::CutsSsh).await?;
    let told = scene.stage.deploy("acme").await?;
    let error = told.failure()?;
    assert_eq!(error.code, "reverted-by-timer", "{error:?}");
    assert!(error.message.contains("the machine put its previous system back by itself"), "{error:?}");
    assert!(error.message.contains("refused") || error.message.contains("lost"), "{error:?}");
    scene.is_as_before().await?;
    let changed = units::changed(&before, &units::look(&scene.machine).await?);
    let touched = ["gitea", "mastodon", "peertube"]
        .map(|service| changed.iter().filter(|unit| unit.starts_with(service)).cloned().collect::<Vec<_>>());
    assert!(touched.iter().all(Vec::is_empty), "{changed:?}");
    // The machine can be deployed to again.
    scene.draft.plan = None;
    scene.change("Git of acme, mended").await?;
    scene.stage.deploy("acme").await?.succeeded()?;
    Ok(())
}

#[tokio::test]
async fn a_configuration_that_its_web_server_refuses_or_of_which_a_unit_fails_is_put_back_with_the_reason()
-> Result<()> {
    let Some(mut scene) = Scene::set_up("breaks").await? else { return Ok(()) };
    scene.make(Trouble::BreaksNginx).await?;
    let told = scene.stage.deploy("acme").await?;
    assert_eq!(told.failure()?.code, "activation-failed");
    assert!(told.events.iter().any(|event| event.message.contains("nonsense")), "{:#?}", told.events);
    scene.is_as_before().await?;

    scene.make(Trouble::FailsUnit).await?;
    let told = scene.stage.deploy("acme").await?;
    let error = told.failure()?;
    assert_eq!(error.code, "units-failed", "{error:?}");
    let warning = told.events.iter().find(|event| event.kind == EventKind::Warning).context("a warning")?;
    assert_eq!(warning.message, "the machine was put back on the system that it had before");
    scene.is_as_before().await
}

#[tokio::test]
async fn a_machine_that_is_started_anew_during_an_activation_comes_up_with_its_previous_system_and_gets_the_new_one()
-> Result<()> {
    let Some(mut scene) = Scene::set_up("anew").await? else { return Ok(()) };
    scene.change("After the boot").await?;
    let operation = scene.deploy_until(StepName::Activate).await?;
    scene.stage.daemon.kill()?;
    scene.machine.crash().await?;
    scene.machine.start().await?;
    scene.machine.settled().await?;
    scene.machine_is_as_before().await?;
    scene.stage.daemon.start_again()?;
    let told = scene.told(&operation).await?.succeeded()?;
    assert_eq!(scene.link("/run/current-system").await?, told.operation.system.unwrap());
    assert!(web::get(&scene.machine, "git.acme.example", "/").await?.text.contains("After the boot"));
    Ok(())
}

#[tokio::test]
async fn a_network_that_is_cut_before_during_or_after_an_activation_leaves_the_machine_as_the_record_says()
-> Result<()> {
    for step in [StepName::Copy, StepName::Activate, StepName::Verify, StepName::Commit] {
        let Some(mut scene) = Scene::set_up(&format!("cut-{step}")).await? else { return Ok(()) };
        scene.change("Over a bad line").await?;
        let operation = scene.deploy_until(step).await?;
        scene.machine.cut_network().await?;
        sleep(Duration::from_secs(20)).await;
        scene.machine.heal_network().await?;
        let told = scene.told(&operation).await?;
        let record = scene.stage.client.tenant(&name("acme")).await?;
        let (runs, boots) =
            (scene.link("/run/current-system").await?, scene.link("/nix/var/nix/profiles/system").await?);
        assert_eq!(runs, boots, "{step}: {:?}", told.operation);
        match told.operation.status {
            OperationStatus::Succeeded => {
                assert_eq!(told.operation.system, Some(runs), "{step}");
                assert_eq!(record.deployed_revision, told.operation.revision, "{step}");
            }
            OperationStatus::Failed => scene.is_as_before().await?,
            other => anyhow::bail!("{step}: {other}"),
        }
        let timers = ["systemctl", "list-units", "--all", "--plain", "--no-legend", "berth-*"];
        let left = scene.machine.exec(&timers).await?;
        let left = String::from_utf8_lossy(&left.stdout);
        assert!(!left.contains("berth-guard"), "{step}: {left}");
    }
    Ok(())
}

#[tokio::test]
async fn a_system_that_needs_a_reboot_is_committed_and_taken_over_by_a_reboot_within_the_maintenance_window()
-> Result<()> {
    let Some(mut scene) = Scene::set_up("reboot").await? else { return Ok(()) };
    scene.make(Trouble::NeedsReboot).await?;
    let told = scene.stage.deploy("acme").await?.succeeded()?;
    assert!(told.events.iter().any(|event| event.kind == EventKind::NeedsReboot), "{:#?}", told.events);
    assert_eq!(told.step(StepName::Verify), Some(StepStatus::Skipped));
    assert_eq!(Some(scene.link("/run/current-system").await?), scene.committed.system);
    assert_eq!(Some(scene.link("/nix/var/nix/profiles/system").await?), told.operation.system);
    let machine = "reboot".parse().unwrap();
    let needs = |facts: Option<berth_domain::MachineFacts>| facts.is_some_and(|facts| facts.needs_reboot);
    assert!(needs(scene.stage.client.machine(&machine).await?.facts));
    let (client, acme) = (&scene.stage.client, name("acme"));
    let refused = client.reboot(&acme, true).await.unwrap_err();
    assert!(refused.is_refusal("invalid"), "{refused}");
    let hour = |hours| (Utc::now() + TimeDelta::hours(hours)).format("%H:00").to_string();
    let window = |from, to| Some(MaintenanceWindow { from: hour(from), to: hour(to) });
    scene.draft.maintenance_window = window(2, 4);
    scene.stage.change(&scene.draft).await?;
    let refused = client.reboot(&acme, true).await.unwrap_err();
    assert!(refused.is_refusal("outside-window") && refused.to_string().contains(&hour(2)), "{refused}");
    scene.draft.maintenance_window = window(-1, 2);
    scene.stage.change(&scene.draft).await?;
    let operation = client.reboot(&acme, true).await?;
    let reboot = scene.told(&operation).await?.succeeded()?;
    assert_eq!(reboot.step(StepName::Verify), Some(StepStatus::Succeeded));
    assert_eq!(reboot.operation.system, told.operation.system);
    assert_eq!(Some(scene.link("/run/current-system").await?), told.operation.system);
    assert_eq!(Some(scene.link("/run/booted-system").await?), told.operation.system);
    assert!(!needs(client.machine(&machine).await?.facts));
    let page = web::get(&scene.machine, "git.acme.example", "/").await?;
    assert!(page.status == 200 && page.text.contains("Git of acme"), "{page:?}");
    let told = scene.stage.deploy("acme").await?.succeeded()?;
    assert!(told.events.iter().all(|event| event.kind != EventKind::NeedsReboot), "{:#?}", told.events);
    assert!(!needs(scene.stage.client.machine(&machine).await?.facts));
    Ok(())
}

#[tokio::test]
async fn a_machine_that_does_not_start_anew_or_is_not_seen_again_fails_its_reboot_and_goes_on_being_deployed()
-> Result<()> {
    let Some(scene) = Scene::set_up("stuck").await? else { return Ok(()) };
    let acme = name("acme");
    // What systemd would start for it is not there.
    scene.machine.exec(&["systemctl", "mask", "--runtime", "reboot.target"]).await?;
    let told = scene.told(&scene.stage.client.reboot(&acme, false).await?).await?;
    let error = told.failure()?;
    assert!(error.code == "reboot-failed" && error.message.contains("still runs as before"), "{error:?}");
    scene.is_as_before().await?;

    scene.machine.exec(&["systemctl", "unmask", "--runtime", "reboot.target"]).await?;
    let operation = scene.stage.client.reboot(&acme, false).await?;
    let end = Instant::now() + LONG;
    while !scene.told_so_far(&operation).await?.contains("going down") {
        anyhow::ensure!(Instant::now() < end, "the machine is not told to start anew");
        sleep(Duration::from_millis(20)).await;
    }
    scene.machine.cut_network().await?;
    let told = scene.told(&operation).await?;
    let error = told.failure()?;
    assert!(error.code == "reboot-failed" && error.message.contains("not back after 30 s"), "{error:?}");
    scene.machine.heal_network().await?;
    scene.machine.settled().await?;
    scene.is_as_before().await?;
    scene.stage.deploy("acme").await?.succeeded()?;
    Ok(())
}
