//! Clocks that are wrong, and jump while something is under way.

use std::time::Duration;

use anyhow::{Context as _, Result};
use berth_domain::{FindingKind, Operation, StepName, TenantDraft};
use berth_testbed::Machine;
use berth_tests::daemon::DaemonOptions;
use berth_tests::drafts::{settings, tenant};
use berth_tests::stage::{Stage, name};
use berth_tests::told::Told;
use berth_tests::web;
use berth_tests::wrong_clock::WrongClock;
use serde_json::json;
use tokio::time::{Instant, sleep};

/// A machine waits for the commit for ten seconds after the switch.
const CONFIG: &str = "[timeouts]\nverify = 6\ndead_man = 4\n";

const HOUR: i64 = 3600;

struct Scene {
    stage: Stage,
    machine: Machine,
    draft: TenantDraft,
    committed: Operation,
}

impl Scene {
    /// A tenant that is deployed, with clocks that are right.
    async fn set_up(machine: &str, daemons: Option<&WrongClock>) -> Result<Option<(Self, WrongClock)>> {
        let clock = daemons.cloned();
        let options = DaemonOptions { config: CONFIG.into(), clock, ..DaemonOptions::default() };
        let Some(stage) = Stage::set_up_with(options).await? else { return Ok(None) };
        let vm = stage.machine(machine).await?;
        let clock = WrongClock::of(&vm).await?;
        let services = [("gitea".to_owned(), settings(json!({ "app_name": "Title 0" })))].into();
        let draft = TenantDraft { services, ..tenant("acme", machine) };
        let committed = stage.deployed(&draft).await?.operation;
        Ok(Some((Self { stage, machine: vm, draft, committed }, clock)))
    }

    async fn begin(&mut self, title: &str) -> Result<Operation> {
        self.draft.services.get_mut("gitea").context("gitea")?.insert("app_name".into(), title.into());
        self.stage.change(&self.draft).await?;
        Ok(self.stage.client.deploy(&name("acme")).await?)
    }

    async fn until(&self, operation: &Operation, step: StepName) -> Result<()> {
        loop {
            let now = self.stage.client.operation(operation.id).await?;
            if now.step(step).is_some_and(|step| step.started_at.is_some()) {
                return Ok(());
            }
            anyhow::ensure!(!now.status.is_final(), "{step} is never seen: {now:?}");
            sleep(Duration::from_millis(2)).await;
        }
    }

    /// Deploys, and has the clock jump as soon as `step` is seen to run; this must succeed.
    async fn deploy(&mut self, title: &str, clock: &WrongClock, by: i64, step: StepName) -> Result<()> {
        let operation = self.begin(title).await?;
        self.until(&operation, step).await?;
        clock.is_off_by(by)?;
        let told = Told::follow(&self.stage.client, operation.id).await?.succeeded();
        self.committed = told.with_context(|| format!("{by} s at {step}"))?.operation;
        self.is_what_the_record_says(title).await
    }

    async fn is_what_the_record_says(&self, title: &str) -> Result<()> {
        let record = self.stage.client.tenant(&name("acme")).await?;
        assert_eq!(record.deployed_revision, self.committed.revision);
        for link in ["/run/current-system", "/nix/var/nix/profiles/system"] {
            let found = self.machine.exec(&["readlink", "--canonicalize", link]).await?;
            assert_eq!(
                Some(String::from_utf8(found.stdout)?.trim()),
                self.committed.system.as_deref(),
                "{link}"
            );
        }
        let page = web::get(&self.machine, "git.acme.example", "/").await?;
        assert!(page.status == 200 && page.text.contains(title), "it does not serve “{title}”: {page:?}");
        Ok(())
    }

    /// What the conditions say of the machine's clock.
    async fn clock_finding(&self) -> Result<Option<String>> {
        let condition = self.stage.client.check(&name("acme")).await?;
        let finding = condition.findings.into_iter().find(|found| found.kind == FindingKind::ClockSkew);
        Ok(finding.map(|finding| finding.message))
    }
}

#[tokio::test]
async fn a_daemon_whose_clock_jumps_or_is_an_hour_off_deploys_and_knows_what_was_deployed_before()
-> Result<()> {
    let clock = WrongClock::here()?;
    let Some((mut scene, _)) = Scene::set_up("daemons", Some(&clock)).await? else { return Ok(()) };
    assert_eq!(scene.clock_finding().await?, None);
    scene.deploy("Title 1", &clock, HOUR, StepName::Activate).await?;
    let finding = scene.clock_finding().await?.context("nobody says that the clock is off")?;
    assert!(finding.contains("behind the daemon's"), "{finding}");
    scene.deploy("Title 2", &clock, -HOUR, StepName::Verify).await?;
    let finding = scene.clock_finding().await?.context("nobody says that the clock is off")?;
    assert!(finding.contains("ahead of the daemon's"), "{finding}");

    // Killed between activation and commit, and started with another clock: the machine goes back by its own.
    let before = scene.committed.clone();
    let operation = scene.begin("Never seen").await?;
    scene.until(&operation, StepName::Verify).await?;
    scene.stage.daemon.kill()?;
    clock.is_off_by(-2 * HOUR)?;
    let told_back = Instant::now() + Duration::from_secs(40);
    while scene.runs().await? != before.system {
        anyhow::ensure!(Instant::now() < told_back, "the machine is not put back");
        sleep(Duration::from_millis(200)).await;
    }
    scene.stage.daemon.start_again()?;
    let told = Told::follow(&scene.stage.client, operation.id).await?;
    assert_eq!(told.failure()?.code, "reverted-by-timer");
    scene.is_what_the_record_says("Title 2").await?;

    // What is newest is not what has the latest time.
    scene.deploy("Title 3", &clock, -2 * HOUR, StepName::Render).await?;
    let before = scene.committed.clone();
    scene.deploy("Title 4", &clock, -2 * HOUR, StepName::Render).await?;
    let back = scene.stage.client.rollback(&name("acme"), None).await?;
    let told = Told::follow(&scene.stage.client, back.id).await?.succeeded()?;
    assert_eq!(told.operation.revision, before.revision, "the revision before is another one");
    Ok(())
}

#[tokio::test]
async fn a_machine_whose_clock_jumps_or_is_an_hour_off_is_deployed_to_and_goes_back_in_time() -> Result<()> {
    let Some((mut scene, clock)) = Scene::set_up("machines", None).await? else { return Ok(()) };
    assert_eq!(scene.clock_finding().await?, None);
    scene.deploy("Title 1", &clock, HOUR, StepName::Activate).await?;
    let finding = scene.clock_finding().await?.context("nobody says that the clock is off")?;
    assert!(finding.contains("ahead of the daemon's"), "{finding}");
    scene.deploy("Title 2", &clock, -HOUR, StepName::Verify).await?;
    let finding = scene.clock_finding().await?.context("nobody says that the clock is off")?;
    assert!(finding.contains("behind the daemon's"), "{finding}");

    for (from, to) in [(HOUR, -HOUR), (-HOUR, HOUR)] {
        clock.is_off_by(from)?;
        let operation = scene.begin(&format!("Never seen with {from}")).await?;
        scene.until(&operation, StepName::Verify).await?;
        let began = Instant::now();
        scene.stage.daemon.kill()?;
        clock.is_off_by(to)?;
        while scene.runs().await? != scene.committed.system {
            anyhow::ensure!(began.elapsed() < Duration::from_secs(40), "the machine is not put back");
            sleep(Duration::from_millis(200)).await;
        }
        let took = began.elapsed();
        assert!(took > Duration::from_secs(4), "the machine did not wait: {took:?}");
        scene.stage.daemon.start_again()?;
        let told = Told::follow(&scene.stage.client, operation.id).await?;
        assert_eq!(told.failure()?.code, "reverted-by-timer");
        scene.is_what_the_record_says("Title 2").await?;
    }
    Ok(())
}

impl Scene {
    async fn runs(&self) -> Result<Option<String>> {
        let found = self.machine.exec(&["readlink", "--canonicalize", "/run/current-system"]).await?;
        Ok(Some(String::from_utf8(found.stdout)?.trim().to_owned()))
    }
}
