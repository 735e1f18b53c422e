//! A small change on sixteen machines: one rollout of Berth's, and one call of deploy-rs.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use berth_client::Update;
use berth_domain::rollout::share::ShareDraft;
use berth_domain::rollout::spec::SelectorDraft;
use berth_domain::{RolloutDraft, RolloutStatus};
use berth_tests::flake::Flake;
use berth_tests::stage::Stage;
use serde_json::{Value, json};

use super::peers::{self, Peers};
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
    for name in &names {
        machines.push(stage.machine(name).await?);
        stage.client.create_tenant(&small(name, "first")).await?;
        flakes.push(Flake::of(&stage, name).await?);
    }
    roll_out(&stage, &names).await?;
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for turn in 0..TIMES {
        change(&stage, &names, &format!("ours-{turn}")).await?;
        ours.push(roll_out(&stage, &names).await?);
        if peers.deploy_rs {
            change(&stage, &names, &format!("theirs-{turn}")).await?;
            for flake in &flakes {
                flake.renew(&stage).await?;
            }
            let targets: Vec<_> =
                flakes.iter().zip(&names).map(|(flake, name)| (flake, name.as_str())).collect();
            theirs.push(peers::deploy_rs(&targets)?);
        }
    }
    let (ours, peak) = (median(ours.into_iter()), crate::api::memory(stage.daemon.pid(), "VmHWM")?);
    tell.say(&format!(
        "a small change on {MACHINES} machines: {ours:?}, the daemon with {peak:.0} MB at the most"
    ));
    let mut figures = json!({ "sixteen_ms": milliseconds(ours), "peak_mb": peak.round() });
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
