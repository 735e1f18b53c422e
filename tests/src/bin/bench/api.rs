//! How fast the daemon answers for one tenant of many, and what it needs for that.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use berth_client::Client;
use berth_domain::TenantName;
use berth_tests::daemon::{Daemon, DaemonOptions};
use berth_tests::drafts;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use serde_json::{Value, json};

use crate::load::{Load, Measured};
use crate::{Tell, bare};

const TENANTS: usize = 10_000;
const CONNECTIONS: usize = 64;
const WARM_UP: Duration = Duration::from_secs(2);
const MEASURED: Duration = Duration::from_secs(10);

/// How many requests are under way at once while the tenants are made.
const WRITERS: usize = 32;

/// How long the daemon is left alone before its memory is looked at.
const IDLE: Duration = Duration::from_secs(3);

/// Measures `GET /v1/tenants/{name}`, and in the same run a bare handler that answers with the same bytes, so that the
/// host's speed can be told from ours.
pub async fn measure(tell: &Tell) -> Result<Value> {
    let mut daemon = Daemon::start(DaemonOptions::usual())?;
    fill(&daemon.client()?, tell).await?;
    daemon.stop()?;
    daemon.start_again()?;
    let ready = daemon.ready_after;
    tell.say(&format!("ready after {ready:?}"));
    tokio::time::sleep(IDLE).await;
    let rss = memory(daemon.pid(), "VmRSS")?;
    tell.say(&format!("idle with {rss:.1} MB of memory"));
    let ours = load(&daemon)?;
    let measured = run(&ours, "the daemon", tell).await?;
    let answer = daemon.client()?.tenant(&name(0)?).await?;
    let bare = bare::Bare::start(&serde_json::to_string(&answer)?)?;
    let compared = run(&Load { address: bare.address, token: None, ..ours }, "a bare handler", tell).await?;
    Ok(json!({
        "rps": measured.rps.round(),
        "p99_ms": milliseconds(measured.p99),
        "rss_mb": (rss * 10.0).round() / 10.0,
        "ready_ms": milliseconds(ready),
        "tenants": TENANTS,
        "connections": CONNECTIONS,
        "bare_rps": compared.rps.round(),
        "bare_p99_ms": milliseconds(compared.p99),
        "of_bare": (measured.rps / compared.rps * 100.0).round() / 100.0,
    }))
}

/// Makes the tenants as a panel would, each with a machine.
async fn fill(client: &Client, tell: &Tell) -> Result<()> {
    let start = Instant::now();
    let made = stream::iter(drafts::many(TENANTS)).map(|tenant| async move {
        client.create_machine(&drafts::absent_machine(&tenant.machine)).await?;
        client.create_tenant(&tenant).await
    });
    made.buffer_unordered(WRITERS).try_for_each(|_| async { Ok(()) }).await?;
    tell.say(&format!(
        "{TENANTS} machines and as many tenants made in {:.1} s",
        start.elapsed().as_secs_f64()
    ));
    Ok(())
}

fn load(daemon: &Daemon) -> Result<Load> {
    let address: SocketAddr = daemon.url().trim_start_matches("http://").parse()?;
    let paths = drafts::many(TENANTS).map(|tenant| format!("/v1/tenants/{}", tenant.name)).collect();
    Ok(Load { address, paths, token: Some(daemon.admin_token()?), connections: CONNECTIONS })
}

async fn run(load: &Load, what: &str, tell: &Tell) -> Result<Measured> {
    load.run(WARM_UP).await?;
    let measured = load.run(MEASURED).await?;
    tell.say(&format!("{what}: {:.0} answers a second, 99 of 100 within {:?}", measured.rps, measured.p99));
    Ok(measured)
}

fn name(number: usize) -> Result<TenantName> {
    format!("t{number}").parse().ok().context("a name")
}

/// What a process holds in memory (`VmRSS`), or held at the most (`VmHWM`), in MB (10^6 bytes): proc(5).
pub fn memory(pid: u32, field: &'static str) -> Result<f64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':')).context(field)?;
    let kib: f64 = line.trim().trim_end_matches(" kB").parse()?;
    Ok(kib * 1024.0 / 1e6)
}

/// A duration in milliseconds, to a hundredth.
pub fn milliseconds(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 100_000.0).round() / 100.0
}
