//! A small change on one machine, by Berth, by deploy-rs and by the raw commands in turn: each brings the same kind of
//! change, so that all of them meet the same machine.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use berth_domain::{StepName, StepStatus};
use berth_tests::flake::Flake;
use berth_tests::stage::Stage;
use serde_json::{Value, json};

use super::peers::{self, Peers, Raw};
use super::{Timed, deploy, median, ratio, small};
use crate::Tell;
use crate::api::milliseconds;

/// How often each has its turn; the median counts.
const TIMES: usize = 11;

/// The tenant, and its machine.
const NAME: &str = "bench";

pub(super) async fn measure(peers: &Peers, tell: &Tell) -> Result<Value> {
    let stage = Stage::set_up_with(peers.options()).await?.context("machines cannot be booted here")?;
    let machine = stage.machine(NAME).await?;
    stage.deployed(&small(NAME, "first")).await?;
    let flake = Flake::of(&stage, NAME).await?;
    let raw = Raw::connect(&flake, &machine)?;
    let (mut ours, mut raws, mut theirs) = (Vec::new(), Vec::new(), Vec::new());
    for turn in 0..TIMES {
        stage.change(&small(NAME, &format!("ours-{turn}"))).await?;
        ours.push(deploy(&stage, NAME).await?);
        stage.change(&small(NAME, &format!("raw-{turn}"))).await?;
        flake.renew(&stage).await?;
        raws.push(raw.deploy(&flake, NAME)?);
        if peers.deploy_rs {
            stage.change(&small(NAME, &format!("theirs-{turn}"))).await?;
            flake.renew(&stage).await?;
            theirs.push(peers::deploy_rs(&[(&flake, NAME)])?);
        }
    }
    let unchanged = unchanged(&stage).await?;
    tell_steps(tell, &ours);
    let (ours, raws) = (median(ours.iter().map(|timed| timed.whole)), median(raws.into_iter()));
    tell.say(&format!(
        "a small change: Berth {ours:?}, raw commands {raws:?}; nothing changed: {unchanged:?}"
    ));
    let mut figures = json!({
        "small_ms": milliseconds(ours),
        "raw_ms": milliseconds(raws),
        "ratio_raw": ratio(ours, raws),
        "unchanged_ms": milliseconds(unchanged),
    });
    if peers.deploy_rs {
        let theirs = median(theirs.into_iter());
        tell.say(&format!("the same by deploy-rs: {theirs:?}"));
        figures["deploy_rs_ms"] = json!(milliseconds(theirs));
        figures["ratio_deploy_rs"] = json!(ratio(ours, theirs));
    } else {
        tell.say("deploy-rs is not on PATH (its programs deploy and activate): not compared with it");
    }
    Ok(figures)
}

/// What a deployment takes that has nothing to do.
async fn unchanged(stage: &Stage) -> Result<Duration> {
    // Others deployed last.
    deploy(stage, NAME).await?;
    let mut all = Vec::new();
    for _ in 0..TIMES {
        let timed = deploy(stage, NAME).await?;
        ensure!(timed.told.step(StepName::Copy) == Some(StepStatus::Skipped), "something was copied");
        all.push(timed.whole);
    }
    Ok(median(all.into_iter()))
}

/// Where the time goes.
fn tell_steps(tell: &Tell, all: &[Timed]) {
    let steps = all.first().into_iter().flat_map(|timed| &timed.told.operation.steps);
    for name in steps.map(|step| step.name) {
        let took = all.iter().filter_map(|timed| {
            let step = timed.told.operation.step(name)?;
            (step.finished_at? - step.started_at?).to_std().ok()
        });
        tell.say(&format!("  {name}: {:?}", median(took)));
    }
}
