//! How long deployments take on real machines, beside what others take for the same change in the same run.
//!
//! | module | subject |
//! | --- | --- |
//! | [`services`] | Berth alone, with three services |
//! | [`peers`] | deploy-rs, and the raw commands |
//! | [`one`] | a small change on one machine, by each in turn |
//! | [`sixteen`] | a small change on sixteen machines at once |

mod one;
mod peers;
mod services;
mod sixteen;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::Result;
use berth_domain::TenantDraft;
use berth_tests::drafts::{settings, tenant};
use berth_tests::stage::{Stage, name};
use berth_tests::told::Told;
use serde_json::{Value, json};

use crate::Tell;

/// Measures all of it. Without deploy-rs on PATH, the figures that compare with it are left out.
pub async fn measure(tell: &Tell) -> Result<Value> {
    let mut figures = services::measure(tell).await?;
    let peers = peers::Peers::look().await?;
    for more in [one::measure(&peers, tell).await?, sixteen::measure(&peers, tell).await?] {
        if let (Some(figures), Value::Object(more)) = (figures.as_object_mut(), more) {
            figures.extend(more);
        }
    }
    Ok(figures)
}

/// One deployment.
struct Timed {
    /// From the call until its first event was there.
    first_event: Duration,
    /// From the call until its end was there: the system is committed, and its record written.
    whole: Duration,
    told: Told,
}

async fn deploy(stage: &Stage, tenant: &str) -> Result<Timed> {
    let start = Instant::now();
    let operation = stage.client.deploy(&name(tenant)).await?;
    let asked = start.elapsed();
    let told = Told::follow(&stage.client, operation.id).await?.succeeded()?;
    Ok(Timed { first_event: asked + told.first_event_after, whole: asked + told.ended_after, told })
}

/// A tenant with a small system: nginx with one static site of this name, which is what changes.
fn small(tenant_name: &str, site: &str) -> TenantDraft {
    let services = BTreeMap::from([("pages".to_owned(), settings(json!({ "sites": [{ "name": site }] })))]);
    TenantDraft { services, ..tenant(tenant_name, tenant_name) }
}

fn median(values: impl Iterator<Item = Duration>) -> Duration {
    let mut values: Vec<Duration> = values.collect();
    values.sort_unstable();
    values.get(values.len() / 2).copied().unwrap_or_default()
}

/// A ratio, to a hundredth.
fn ratio(ours: Duration, theirs: Duration) -> f64 {
    (ours.as_secs_f64() / theirs.as_secs_f64() * 100.0).round() / 100.0
}
