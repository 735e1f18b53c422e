//! A small change on sixteen machines: one rollout of Berth's, one call of deploy-rs, and the raw commands for all of them at
//! once, which tell how much of it is what any tool has to do: the machines compute on this host's processors as well.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use berth_client::Update;
use berth_domain::rollout::share::ShareDraft;
use berth_domain::rollout::spec::SelectorDraft;
use berth_domain::{RolloutDraft, RolloutStatus};
use berth_tests::flake::Flake;
use berth_tests::stage::Stage;
use serde_json::{Value, json};

use super::peers::{self, Peers, Raw};
use super::{median, ratio, small};
use crate::Tell;
use crate::api::milliseconds;

/// How many machines.
const MACHINES: usize = 16;

/// How often each has its turn; the median counts.
const TIMES: usize = 3;

pub(super) async fn measure(peers: &Peers, tell: &Tell) -> Result<Value> {
    let stage = Stage::set_up_with(peers.options()).await?.context("machines cannot be booted here")?;
    let names: Vec<String> = (0..MACHINES).map(|number| format!("m{number}")).collect();
    let mut machines = Vec::new();
    let mut flakes = Vec::new();
    let mut all_raw = Vec::new();
    for name in &names {
        let machine = stage.machine(name).await?;
        stage.client.create_tenant(&small(name, "first")).await?;
        let flake = Flake::of(&stage, name).await?;
        all_raw.push(Raw::connect(&flake, &machine)?);
        machines.push(machine);
        flakes.push(flake);
    }
    roll_out(&stage, &names).await?;
    let (mut ours, mut raws, mut theirs) = (Vec::new(), Vec::new(), Vec::new());
    for turn in 0..TIMES {
        change(&stage, &names, &format!("ours-{turn}")).await?;
        ours.push(roll_out(&stage, &names).await?);
        change_flakes(&stage, &names, &flakes, &format!("raw-{turn}")).await?;
        raws.push(raw_at_once(&all_raw, &flakes, &names)?);
        if peers.deploy_rs {
            change_flakes(&stage, &names, &flakes, &format!("theirs-{turn}")).await?;
            let targets: Vec<_> =
                flakes.iter().zip(&names).map(|(flake, name)| (flake, name.as_str())).collect();
            theirs.push(peers::deploy_rs(&targets)?);
        }
    }
    let (ours, peak) = (median(ours.into_iter()), crate::api::memory(stage.daemon.pid(), "VmHWM")?);
    tell.say(&format!(
        "a small change on {MACHINES} machines: {ours:?}, the daemon with {peak:.0} MB at the most"
    ));
    let raws = median(raws.into_iter());
    tell.say(&format!("the raw commands for all of them at once: {raws:?}"));
    let mut figures = json!({
        "sixteen_ms": milliseconds(ours),
        "raw_16_ms": milliseconds(raws),
        "ratio_raw_16": ratio(ours, raws),
        "peak_mb": peak.round(),
    });
    if peers.deploy_rs {
        let theirs = median(theirs.into_iter());
        tell.say(&format!("the same by deploy-rs: {theirs:?}"));
        figures["deploy_rs_16_ms"] = json!(milliseconds(theirs));
        figures["ratio_16"] = json!(ratio(ours, theirs));
    }
    Ok(figures)
}

async fn change(stage: &Stage, names: &[String], site: &str) -> Result<()> {
    for name in names {
        stage.change(&small(name, site)).await?;
    }
    Ok(())
}

/// The same, also for those who read a tenant's flake.
async fn change_flakes(stage: &Stage, names: &[String], flakes: &[Flake], site: &str) -> Result<()> {
    change(stage, names, site).await?;
    for flake in flakes {
        flake.renew(stage).await?;
    }
    Ok(())
}

/// The raw commands for every machine, at the same time.
fn raw_at_once(all: &[Raw], flakes: &[Flake], names: &[String]) -> Result<Duration> {
    let start = Instant::now();
    std::thread::scope(|scope| {
        let each = all.iter().zip(flakes).zip(names);
        let running: Vec<_> =
            each.map(|((raw, flake), name)| scope.spawn(move || raw.deploy(flake, name))).collect();
        running.into_iter().try_for_each(|one| match one.join() {
            Ok(deployed) => deployed.map(drop),
            Err(_) => anyhow::bail!("a thread panicked"),
        })
    })?;
    Ok(start.elapsed())
}

/// All of them at once: a rollout whose only wave they are.
async fn roll_out(stage: &Stage, names: &[String]) -> Result<Duration> {
    let select = SelectorDraft { tenants: Some(names.to_vec()), ..SelectorDraft::default() };
    let waves = Some(vec![ShareDraft::Text("100%".into())]);
    let start = Instant::now();
    let rollout =
        stage.client.start_rollout(&RolloutDraft { select, waves, ..RolloutDraft::default() }).await?;
    let mut watch = stage.client.watch_rollout(rollout.id, 0);
    while let Some(update) = watch.next().await? {
        if let Update::Ended(rollout) = update {
            let problems = rollout.tenants.iter().filter_map(|tenant| tenant.problem.as_deref());
            let problems: Vec<_> = problems.collect();
            ensure!(rollout.status == RolloutStatus::Succeeded, "{:?}: {problems:#?}", rollout.error);
            return Ok(start.elapsed());
        }
    }
    anyhow::bail!("the stream ended before the rollout")
}
