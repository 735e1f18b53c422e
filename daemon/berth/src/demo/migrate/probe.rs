//! A visitor who asks all the time, by the old address, and notes when nobody serves.

use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use serde::Serialize;
use tokio_util::sync::CancellationToken;

use super::notes::client;

/// How often each service is asked.
const EVERY: Duration = Duration::from_millis(50);

/// What the visitor saw.
#[derive(Debug, Clone, Default, Serialize)]
pub(super) struct Seen {
    /// How often a service was asked.
    pub(super) asked: u64,
    /// How often none of it was served.
    pub(super) refused: u64,
    /// The longest time for which a service did not serve, in milliseconds.
    pub(super) longest_gap_ms: u64,
}

/// A visitor who is on the way.
pub(super) struct Probe {
    stop: CancellationToken,
    visitors: Vec<tokio::task::JoinHandle<Seen>>,
}

impl Probe {
    /// Begins to ask.
    pub(super) fn start(machine: Ipv4Addr, hosts: Vec<String>) -> Self {
        let stop = CancellationToken::new();
        let visitor = |host: String| tokio::spawn(visit(machine, host, stop.clone()));
        Self { visitors: hosts.into_iter().map(visitor).collect(), stop }
    }

    /// Ends it, and says what was seen.
    pub(super) async fn stop(self) -> Seen {
        self.stop.cancel();
        let mut all = Seen::default();
        for visitor in self.visitors {
            let seen = visitor.await.unwrap_or_default();
            all.asked += seen.asked;
            all.refused += seen.refused;
            all.longest_gap_ms = all.longest_gap_ms.max(seen.longest_gap_ms);
        }
        all
    }
}

async fn visit(machine: Ipv4Addr, host: String, stop: CancellationToken) -> Seen {
    let mut seen = Seen::default();
    let Ok(client) = client(&host, machine) else { return seen };
    let mut served = Instant::now();
    while !stop.is_cancelled() {
        seen.asked += 1;
        let answer = client.get(format!("http://{host}/")).send().await;
        if answer.is_ok_and(|answer| answer.status().is_success()) {
            let gap = u64::try_from(served.elapsed().as_millis()).unwrap_or(u64::MAX);
            seen.longest_gap_ms = seen.longest_gap_ms.max(gap);
            served = Instant::now();
        } else {
            seen.refused += 1;
        }
        tokio::time::sleep(EVERY).await;
    }
    seen
}
