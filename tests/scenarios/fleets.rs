//! Many tenants at once, and what becomes of them afterwards.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context as _, Result};
use berth_client::Update;
use berth_domain::rollout::spec::SelectorDraft;
use berth_domain::rollout::{RolloutEventKind, RolloutTenantState};
use berth_domain::{FindingKind, Rollout, RolloutDraft, RolloutEvent, RolloutStatus, TenantDraft};
use berth_testbed::Machine;
use berth_tests::drafts::{settings, tenant};
use berth_tests::stage::{self, Stage};
use berth_tests::workshop::{Extra, Workshop};
use berth_tests::{units, web};
use reqwest::StatusCode;
use serde_json::json;

/// How many tenants and machines there are.
const TENANTS: usize = 4;

/// Longer than anything here takes.
const LIMIT: Duration = Duration::from_secs(300);

fn small(name: &str) -> TenantDraft {
    let services = BTreeMap::from([("gitea".to_owned(), settings(json!({ "app_name": name })))]);
    TenantDraft { services, labels: vec!["fleet".into()], ..tenant(name, name) }
}

/// Tenants `t0`, `t1`, … deployed on machines of the same names.
async fn fleet(stage: &Stage) -> Result<Vec<Machine>> {
    let mut machines = Vec::new();
    for n in 0..TENANTS {
        let name = format!("t{n}");
        machines.push(stage.machine(&name).await?);
        stage.deployed(&small(&name)).await?;
    }
    Ok(machines)
}

/// By label, to another platform.
fn upgrade(platform: &str) -> RolloutDraft {
    let select = SelectorDraft { label: Some("fleet".into()), ..SelectorDraft::default() };
    RolloutDraft { select, platform: Some(platform.to_owned()), ..RolloutDraft::default() }
}

async fn rolled_out(stage: &Stage, draft: &RolloutDraft) -> Result<(Rollout, Vec<RolloutEvent>)> {
    let rollout = stage.client.start_rollout(draft).await?;
    let mut watch = stage.client.watch_rollout(rollout.id, 0);
    let mut events = Vec::new();
    let following = async {
        while let Some(update) = watch.next().await? {
            match update {
                Update::Event(event) => events.push(*event),
                Update::Ended(rollout) => return Ok(*rollout),
                Update::Gap { .. } | Update::Lost { .. } => {}
            }
        }
        anyhow::bail!("the stream ended without the rollout's end")
    };
    let ended = tokio::time::timeout(LIMIT, following).await.context("the rollout does not end")??;
    let numbers: Vec<i64> = events.iter().map(|event| event.seq).collect();
    assert_eq!(numbers, (1..=ended.last_seq).collect::<Vec<_>>());
    Ok((ended, events))
}

async fn runs(machine: &Machine) -> Result<String> {
    let output = machine.exec(&["readlink", "--canonicalize", "/run/current-system"]).await?;
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}

fn states(rollout: &Rollout) -> Vec<RolloutTenantState> {
    rollout.tenants.iter().map(|tenant| tenant.state).collect()
}

#[tokio::test]
async fn an_upgrade_goes_in_waves_and_a_canary_that_fails_keeps_it_from_everybody_else() -> Result<()> {
    let Some(stage) = Stage::set_up().await? else { return Ok(()) };
    let machines = fleet(&stage).await?;
    let before = stage.client.tenant(&stage::name("t0")).await?.platform.context("a platform")?;

    let broken = Workshop::open(Extra::Fails)?.stored().await?;
    let (mut seen, mut systems) = (Vec::new(), Vec::new());
    for machine in &machines {
        seen.push(units::look(machine).await?);
        systems.push(runs(machine).await?);
    }
    let (rollout, _) = rolled_out(&stage, &upgrade(&broken)).await?;
    let untouched = RolloutTenantState::Untouched;
    assert_eq!(rollout.status, RolloutStatus::Failed, "{rollout:#?}");
    assert_eq!(rollout.error.as_ref().map(|error| error.code.as_str()), Some("too-many-failures"));
    assert_eq!(states(&rollout), [RolloutTenantState::Failed, untouched, untouched, untouched]);
    for ((machine, seen), system) in machines.iter().zip(&seen).zip(&systems) {
        assert_eq!(units::changed(seen, &units::look(machine).await?), Vec::<String>::new());
        assert_eq!(&runs(machine).await?, system);
    }
    assert_eq!(stage.client.tenant(&stage::name("t0")).await?.platform.as_ref(), Some(&before));

    let workshop = Workshop::open(Extra::Waits { pause_ms: 100 })?;
    workshop.open_gate()?;
    let next = workshop.stored().await?;
    let (rollout, events) = rolled_out(&stage, &upgrade(&next)).await?;
    assert_eq!(rollout.status, RolloutStatus::Succeeded, "{rollout:#?}");
    let waves: Vec<u32> = rollout.waves.iter().map(|wave| wave.tenants).collect();
    assert_eq!(waves, [1, 1, 2]);
    let mut open = 0;
    for event in &events {
        match event.kind {
            RolloutEventKind::WaveStarted => assert_eq!(open, 0, "{events:#?}"),
            RolloutEventKind::TenantStarted => open += 1,
            RolloutEventKind::TenantFinished => open -= 1,
            _ => {}
        }
    }
    for (n, machine) in machines.iter().enumerate() {
        let name = format!("t{n}");
        let tenant = stage.client.tenant(&stage::name(&name)).await?;
        assert_eq!(tenant.platform.as_deref(), Some(next.as_str()));
        let operation = rollout.tenants[n].operation.context("an operation")?;
        let operation = stage.client.operation(operation).await?;
        assert_eq!((Some(runs(machine).await?), operation.rollout), (operation.system, Some(rollout.id)));
        let answer = web::get(machine, &format!("git.{name}.example"), "/").await?;
        assert_eq!(answer.status, StatusCode::OK);
    }
    // Those of the last wave were evaluated in one process.
    for tenant in rollout.tenants.iter().filter(|tenant| tenant.wave == 3) {
        let events = stage.client.events(tenant.operation.context("an operation")?, 0).await?.items;
        let together =
            events.iter().any(|event| event.message.contains("evaluated with others of its rollout"));
        assert!(together, "{events:#?}");
    }
    // What was brought to another platform stays there, though the daemon has its own.
    let told = stage.deploy("t1").await?.succeeded()?;
    assert_eq!(told.operation.revision, stage.client.tenant(&stage::name("t1")).await?.deployed_revision);
    assert_eq!(stage.client.tenant(&stage::name("t1")).await?.platform.as_ref(), Some(&next));
    Ok(())
}

#[tokio::test]
async fn a_machine_that_was_changed_by_hand_is_told_of_and_left_as_it_is() -> Result<()> {
    let Some(stage) = Stage::set_up().await? else { return Ok(()) };
    let machine = stage.machine("drift").await?;
    let mut draft = small("drift");
    let first = stage.deployed(&draft).await?;
    draft.services.insert("gitea".to_owned(), settings(json!({ "app_name": "another" })));
    stage.change(&draft).await?;
    stage.deploy("drift").await?.succeeded()?;
    assert_eq!(checked(&stage).await?, []);

    let first = first.operation.system.context("a system")?;
    machine.exec(&["nix-env", "--profile", "/nix/var/nix/profiles/system", "--set", &first]).await?;
    machine.exec(&["systemctl", "stop", "gitea.service"]).await?;
    let found = checked(&stage).await?;
    assert!(found.contains(&FindingKind::BootsOther) && found.contains(&FindingKind::Unhealthy), "{found:?}");
    assert!(stage.daemon.log().contains("boots-other-system"), "the log tells as well");
    // It was looked at, and not touched: the same is found again.
    assert_eq!(checked(&stage).await?, found);

    machine.cut_network().await?;
    assert_eq!(checked(&stage).await?, [FindingKind::Unreachable]);
    machine.heal_network().await?;
    stage.deploy("drift").await?.succeeded()?;
    assert_eq!(checked(&stage).await?, [], "a deployment puts it right");
    Ok(())
}

/// What a check finds now, which the tenant keeps. Test machines share the disk of their host, which may well be nearly
/// full.
async fn checked(stage: &Stage) -> Result<Vec<FindingKind>> {
    let name = stage::name("drift");
    let condition = stage.client.check(&name).await?;
    assert_eq!(stage.client.tenant(&name).await?.condition.as_ref(), Some(&condition));
    assert_eq!(condition.sound, condition.findings.is_empty());
    let kinds = condition.findings.iter().map(|finding| finding.kind);
    Ok(kinds.filter(|kind| *kind != FindingKind::DiskNearlyFull).collect())
}
