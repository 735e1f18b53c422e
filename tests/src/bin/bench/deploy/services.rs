//! Three services on one machine: the first deployment, a changed setting, nothing changed.

use anyhow::{Context as _, Result, ensure};
use berth_domain::{StepName, StepStatus};
use berth_tests::daemon::DaemonOptions;
use berth_tests::drafts::{settings, tenant};
use berth_tests::stage::Stage;
use serde_json::{Value, json};

use super::{deploy, median};
use crate::Tell;
use crate::api::milliseconds;

/// How often the short ones are repeated; the median counts.
const TIMES: usize = 9;

pub(super) async fn measure(tell: &Tell) -> Result<Value> {
    let stage =
        Stage::set_up_with(DaemonOptions::usual()).await?.context("machines cannot be booted here")?;
    let _machine = stage.machine("bench").await?;
    let mut draft = tenant("acme", "bench");
    stage.client.create_tenant(&draft).await?;
    let first = deploy(&stage, "acme").await?;
    tell.say(&format!("the first deployment: {:?}", first.whole));
    let mut changes = Vec::new();
    for number in 0..TIMES {
        draft.services.insert("gitea".to_owned(), settings(json!({ "app_name": format!("Git {number}") })));
        stage.change(&draft).await?;
        changes.push(deploy(&stage, "acme").await?);
    }
    let change = median(changes.iter().map(|timed| timed.whole));
    tell.say(&format!("a changed setting: {change:?}"));
    let mut unchanged = Vec::new();
    for _ in 0..TIMES {
        let timed = deploy(&stage, "acme").await?;
        ensure!(timed.told.step(StepName::Copy) == Some(StepStatus::Skipped), "something was copied");
        unchanged.push(timed);
    }
    let nothing = median(unchanged.iter().map(|timed| timed.whole));
    let first_event = median(unchanged.iter().chain(&changes).map(|timed| timed.first_event));
    tell.say(&format!("nothing changed: {nothing:?}; the first event after {first_event:?}"));
    Ok(json!({
        "first_ms": milliseconds(first.whole),
        "change_ms": milliseconds(change),
        "unchanged_services_ms": milliseconds(nothing),
        "first_event_ms": milliseconds(first_event),
        "services": draft.services.len(),
    }))
}
