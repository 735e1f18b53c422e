//! How much one evaluation of many tenants saves over an evaluation of each.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use berth_client::Client;
use berth_domain::TenantName;
use berth_domain::revision::Files;
use berth_nix::{Nix, NixOptions, Run, StorePath};
use berth_render::{PlatformPin, Rendered, batch};
use berth_tests::daemon::{Daemon, DaemonOptions};
use berth_tests::drafts::{absent_machine, many};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::Tell;
use crate::api::milliseconds;

/// How many tenants there are.
const TENANTS: usize = 100;

/// Evaluates [`TENANTS`] different tenants of the rehearsal platform, with three services each: one process for each, then
/// one process for all, by the same calls that the daemon makes.
pub async fn measure(tell: &Tell) -> Result<Value> {
    let daemon = Daemon::start(DaemonOptions::usual())?;
    let rendered = rendered(&daemon.client()?).await?;
    let (nix, folder) = (Nix::new(NixOptions::default()), TempDir::with_prefix("berth-eval-")?);
    tell.say(&format!("{TENANTS} tenants, an evaluation each"));
    let start = Instant::now();
    let mut single = BTreeMap::new();
    for (name, rendered) in &rendered {
        let flake = write(&folder.path().join(name), &rendered.files)?;
        let machine = name.replace('t', "m").parse().ok().context("a machine")?;
        single.insert(name.clone(), nix.evaluate(&flake, &machine, &run(), |_| {}).await?.drv);
    }
    let each = start.elapsed();
    tell.say(&format!("{each:?}; all in one"));
    let pin = pin(&rendered)?;
    let start = Instant::now();
    let flake = write(&folder.path().join("batch"), &batch(&rendered, &pin))?;
    let all = nix.evaluate_batch(&flake, &run(), |_| {}).await?;
    let together = start.elapsed();
    tell.say(&format!("{together:?}"));
    let all: BTreeMap<String, StorePath> = all.into_iter().map(|(name, system)| (name, system.drv)).collect();
    ensure!(all == single, "the batch came to other systems");
    let ratio = together.as_secs_f64() / each.as_secs_f64();
    Ok(json!({
        "tenants": TENANTS,
        "single_ms": milliseconds(each),
        "batch_ms": milliseconds(together),
        "ratio": (ratio * 1000.0).round() / 1000.0,
    }))
}

/// The tenants as the daemon renders them.
async fn rendered(client: &Client) -> Result<BTreeMap<String, Rendered>> {
    let mut rendered = BTreeMap::new();
    for draft in many(TENANTS) {
        client.create_machine(&absent_machine(&draft.machine)).await?;
        client.create_tenant(&draft).await?;
        let name: TenantName = draft.name.parse().ok().context("a name")?;
        let configuration = client.configuration(&name).await?;
        rendered.insert(draft.name, Rendered { id: configuration.revision, files: configuration.files });
    }
    Ok(rendered)
}

/// The platform that all of them name.
fn pin(rendered: &BTreeMap<String, Rendered>) -> Result<PlatformPin> {
    let flake =
        rendered.values().next().and_then(|rendered| rendered.files.get("flake.nix")).context("a flake")?;
    let url = flake.split("berth.url = \"").nth(1).and_then(|rest| rest.split('"').next());
    url.and_then(|url| url.parse().ok()).context("a pinned platform")
}

fn write(folder: &Path, files: &Files) -> Result<std::path::PathBuf> {
    for (path, text) in files {
        let path = folder.join(path);
        fs::create_dir_all(path.parent().context("a folder")?)?;
        fs::write(path, text)?;
    }
    Ok(folder.to_owned())
}

fn run() -> Run {
    Run::within(Duration::from_secs(600))
}
