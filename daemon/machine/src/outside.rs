//! HTTP probes from the daemon to a machine: what the tenant's customers would see, over a new connection and
//! without asking the DNS for the tenant's domain, which may not point at the machine yet.
//!
//! Certificates are verified against the daemon's usual authorities. A machine that has no certificate for the
//! domain yet fails an `https` probe, and the outcome says so.

use std::net::SocketAddr;
use std::time::Duration;

use berth_domain::manifest::{Manifest, Probe};
use berth_domain::{Address, ServiceName};
use berth_protocol::{Health, ProbeHealth};
use reqwest::redirect::Policy;
use tokio::time::{Instant, sleep, timeout};

/// The most that is read of a body, in bytes.
const MAX_BODY: usize = 64 * 1024;

/// How long one request may take.
const REQUEST: Duration = Duration::from_secs(5);

/// The pauses between two rounds grow from the first to the second.
const PAUSES: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(1));

/// Sends every probe of a manifest, again and again until all succeed or `limit` is over; tells the last outcome.
/// It says nothing about units. Dropping the future stops it.
pub async fn probe_manifest(address: &Address, manifest: &Manifest, limit: Duration) -> Health {
    let end = Instant::now() + limit;
    let mut pause = PAUSES.0;
    loop {
        let probes = round(address, manifest, end).await;
        let healthy = probes.iter().all(|probe| probe.healthy);
        if healthy || Instant::now() + pause >= end {
            return Health { healthy, units: Vec::new(), probes };
        }
        sleep(pause).await;
        pause = (pause * 2).min(PAUSES.1);
    }
}

async fn round(address: &Address, manifest: &Manifest, end: Instant) -> Vec<ProbeHealth> {
    let mut outcomes = Vec::new();
    for (service, contract) in &manifest.services {
        for probe in &contract.probes {
            let left = end.saturating_duration_since(Instant::now()).max(Duration::from_millis(500));
            outcomes.push(probe_http(address, service, probe, left.min(REQUEST)).await);
        }
    }
    outcomes
}

/// Sends one probe to a machine's address and compares the answer with what is expected. Redirects are not followed.
pub async fn probe_http(
    address: &Address,
    service: &ServiceName,
    probe: &Probe,
    limit: Duration,
) -> ProbeHealth {
    let outcome = timeout(limit, ask(address, probe)).await;
    let (status, problem) = match outcome {
        Ok(Ok((status, body))) => (Some(status), judge(probe, status, &body)),
        Ok(Err(problem)) => (None, Some(problem)),
        Err(_) => (None, Some(format!("no answer within {} s", limit.as_secs_f64()))),
    };
    let healthy = problem.is_none();
    ProbeHealth { service: service.to_string(), probe: probe.clone(), status, healthy, problem }
}

async fn ask(address: &Address, probe: &Probe) -> Result<(u16, Vec<u8>), String> {
    let port = if probe.scheme == "https" { 443 } else { 80 };
    let addresses: Vec<SocketAddr> = tokio::net::lookup_host((address.as_str(), port))
        .await
        .map_err(|error| format!("{address} is not found: {error}"))?
        .collect();
    let client = reqwest::Client::builder().no_proxy().redirect(Policy::none());
    let client = client.resolve_to_addrs(&probe.host, &addresses).build().map_err(|error| words(&error))?;
    let url = format!("{}://{}{}", probe.scheme, probe.host, probe.path);
    let mut response = client.get(url).send().await.map_err(|error| words(&error))?;
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| words(&error))? {
        body.extend_from_slice(&chunk[..chunk.len().min(MAX_BODY - body.len())]);
        if body.len() == MAX_BODY {
            break;
        }
    }
    Ok((response.status().as_u16(), body))
}

fn judge(probe: &Probe, status: u16, body: &[u8]) -> Option<String> {
    if status != probe.status {
        return Some(format!("answered {status} instead of {}", probe.status));
    }
    let wanted = probe.contains.as_deref()?;
    let there = wanted.is_empty() || body.windows(wanted.len()).any(|part| part == wanted.as_bytes());
    (!there).then(|| format!("the answer does not contain “{wanted}”"))
}

/// An error with its causes, the innermost of which usually tells most.
fn words(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}
