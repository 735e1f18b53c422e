//! How long deployments take on a real machine.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use berth_domain::{StepName, StepStatus};
use berth_tests::daemon::DaemonOptions;
use berth_tests::drafts::{settings, tenant};
use berth_tests::stage::{Stage, name};
use berth_tests::told::Told;
use serde_json::{Value, json};

use crate::Tell;
use crate::api::milliseconds;

/// How often the short ones are repeated; the median counts.
const TIMES: usize = 9;

/// One deployment.
struct Timed {
    /// From the call until its first event was there.
    first_event: Duration,
    /// From the call until its end was there.
    whole: Duration,
    told: Told,
}

/// Measures a first deployment of three services, the change of one setting, and a deployment that changes nothing.
pub async fn measure(tell: &Tell) -> Result<Value> {
    let stage =
        Stage::set_up_with(DaemonOptions::usual()).await?.context("machines cannot be booted here")?;
    let _machine = stage.machine("bench").await?;
    let mut draft = tenant("acme", "bench");
    stage.client.create_tenant(&draft).await?;
    let first = deploy(&stage).await?;
    tell.say(&format!("the first deployment: {:?}", first.whole));
    let mut changes = Vec::new();
    for number in 0..TIMES {
        draft.services.insert("gitea".to_owned(), settings(json!({ "app_name": format!("Git {number}") })));
        stage.change(&draft).await?;
        changes.push(deploy(&stage).await?);
    }
    let change = median(changes.iter().map(|timed| timed.whole));
    tell.say(&format!("a changed setting: {change:?}"));
    let mut unchanged = Vec::new();
    for _ in 0..TIMES {
        let timed = deploy(&stage).await?;
        ensure!(timed.told.step(StepName::Copy) == Some(StepStatus::Skipped), "something was copied");
        unchanged.push(timed);
    }
    let nothing = median(unchanged.iter().map(|timed| timed.whole));
    let first_event = median(unchanged.iter().chain(&changes).map(|timed| timed.first_event));
    tell.say(&format!("nothing changed: {nothing:?}; the first event after {first_event:?}"));
    Ok(json!({
        "first_ms": milliseconds(first.whole),
        "change_ms": milliseconds(change),
        "unchanged_ms": milliseconds(nothing),
        "first_event_ms": milliseconds(first_event),
        "services": draft.services.len(),
    }))
}

async fn deploy(stage: &Stage) -> Result<Timed> {
    let start = Instant::now();
    let operation = stage.client.deploy(&name("acme")).await?;
    let asked = start.elapsed();
    let told = Told::follow(&stage.client, operation.id).await?.succeeded()?;
    Ok(Timed { first_event: asked + told.first_event_after, whole: asked + told.ended_after, told })
}

fn median(values: impl Iterator<Item = Duration>) -> Duration {
    let mut values: Vec<Duration> = values.collect();
    values.sort_unstable();
    values.get(values.len() / 2).copied().unwrap_or_default()
}
