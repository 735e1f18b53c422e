//! Following an operation: a build that says a lot, and many who follow one.
//!
//! Nobody answers for the tenant's machine: what is measured is over before one is needed. The followers read plain HTTP by
//! themselves, because they share two cores with what they measure.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use berth_client::Client;
use berth_domain::OperationId;
use berth_tests::daemon::{Daemon, DaemonOptions};
use berth_tests::drafts;
use berth_tests::stage::name;
use berth_tests::workshop::{Extra, Workshop};
use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::Tell;

/// A build that writes faster than what is to be reached, and how long.
const FAST: (u32, u32) = (60_000, 3);

/// A build that many follow.
const FOLLOWED: (u32, u32) = (500, 20);

/// How many follow it.
const WATCHERS: usize = 2000;

/// Of how many followers one looks at the clock.
const SAMPLE: usize = 20;

/// Longer than anything here takes.
const LIMIT: Duration = Duration::from_secs(180);

/// Measures both.
pub async fn measure(tell: &Tell) -> Result<Value> {
    let fast = follow(FAST, 1).await?;
    let rate = f64::from(fast.lines) / fast.took.as_secs_f64();
    tell.say(&format!("{} lines of a build, {rate:.0} a second: {} lost", fast.lines, fast.lost));
    let many = follow(FOLLOWED, WATCHERS).await?;
    let p99 = many.p99.as_secs_f64() * 1000.0;
    tell.say(&format!(
        "{WATCHERS} followers at {} events a second: 99 of 100 within {p99:.0} ms",
        FOLLOWED.0
    ));
    Ok(json!({
        "ingest_lines_per_s": rate.round(),
        "ingest_lost": fast.lost,
        "watchers": WATCHERS,
        "events_per_s": FOLLOWED.0,
        "lost": many.lost,
        "p99_ms": p99.round(),
    }))
}

/// What following came to.
struct Followed {
    /// How many lines the build wrote.
    lines: u32,
    /// How many of them a follower did not see, over all.
    lost: u32,
    /// From the first line to the last, at the first follower.
    took: Duration,
    /// What 99 of 100 delays stayed below, from when the daemon noted a line until a follower had it.
    p99: Duration,
}

async fn follow((per_second, seconds): (u32, u32), watchers: usize) -> Result<Followed> {
    let workshop = Workshop::open(Extra::Speaks { per_second, seconds })?;
    let platform = Some(workshop.reference());
    let daemon = Daemon::start(DaemonOptions { platform, ..DaemonOptions::usual() })?;
    let client = daemon.client()?;
    client.create_machine(&drafts::absent_machine("m")).await?;
    client.create_tenant(&drafts::tenant("t", "m")).await?;
    let operation = client.deploy(&name("t")).await?.id;
    let address: SocketAddr = daemon.url().trim_start_matches("http://").parse()?;
    let request: Arc<str> = request(address, &daemon.admin_token()?, operation).into();
    let mut all = JoinSet::new();
    for number in 0..watchers {
        let follower = Follower::new(per_second * seconds, number % SAMPLE == 0);
        all.spawn(follower.run(address, Arc::clone(&request)));
    }
    // Followers that come late would be given what was said before, late as well.
    workshop.open_gate()?;
    let mut followers = Vec::new();
    while let Some(follower) = timeout(LIMIT, all.join_next()).await.context("a follower waits for ever")? {
        followers.push(follower??);
    }
    stop(&client, operation).await;
    sum_up(&followers)
}

async fn stop(client: &Client, operation: OperationId) {
    // It fails by itself otherwise, as nobody answers for its machine.
    let _ = client.cancel(operation).await;
}

fn sum_up(followers: &[Follower]) -> Result<Followed> {
    let first = followers.first().context("a follower")?;
    let (begin, end) = first.seen.context("no line came")?;
    let mut delays: Vec<Duration> = followers.iter().flat_map(|follower| follower.delays.clone()).collect();
    delays.sort_unstable();
    Ok(Followed {
        lines: first.expected,
        lost: followers.iter().map(|follower| follower.expected - follower.lines).sum(),
        took: end.duration_since(begin),
        p99: *delays.get(delays.len() * 99 / 100).context("no delays")?,
    })
}

fn request(address: SocketAddr, token: &str, operation: OperationId) -> String {
    format!(
        "GET /v1/operations/{operation}/events HTTP/1.1\r\nHost: {address}\r\nAccept: text/event-stream\r\n\
         Authorization: Bearer {token}\r\n\r\n"
    )
}

/// Somebody who follows.
struct Follower {
    expected: u32,
    looks_at_the_clock: bool,
    lines: u32,
    last_id: i64,
    seen: Option<(std::time::Instant, std::time::Instant)>,
    delays: Vec<Duration>,
}

impl Follower {
    fn new(expected: u32, looks_at_the_clock: bool) -> Self {
        Self { expected, looks_at_the_clock, lines: 0, last_id: 0, seen: None, delays: Vec::new() }
    }

    async fn run(mut self, address: SocketAddr, request: Arc<str>) -> Result<Self> {
        let mut stream = TcpStream::connect(address).await?;
        stream.write_all(request.as_bytes()).await?;
        let mut buffer = Vec::with_capacity(64 << 10);
        while self.lines < self.expected {
            if stream.read_buf(&mut buffer).await? == 0 {
                let rest = String::from_utf8_lossy(&buffer);
                bail!("the stream ended after {} lines and {} events: {rest}", self.lines, self.last_id);
            }
            let whole = buffer.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
            for line in std::str::from_utf8(&buffer[..whole])?.split('\n') {
                if !self.read(line)? {
                    return Ok(self);
                }
            }
            buffer.drain(..whole);
        }
        Ok(self)
    }

    /// A line of the stream; the lines between which chunks begin are none of ours. False once the build is over.
    fn read(&mut self, line: &str) -> Result<bool> {
        if let Some(id) = line.strip_prefix("id: ") {
            let id: i64 = id.trim().parse()?;
            if id != self.last_id + 1 {
                bail!("{id} came after {}", self.last_id);
            }
            self.last_id = id;
        } else if let Some(data) = line.strip_prefix("data: ") {
            if !data.contains("\"message\":\"extra-1.0: said ") {
                // The build's own end.
                return Ok(self.lines == 0 || !data.contains("\"step_finished\""));
            }
            self.lines += 1;
            let now = std::time::Instant::now();
            self.seen = Some((self.seen.map_or(now, |(first, _)| first), now));
            if self.looks_at_the_clock {
                let event: Value = serde_json::from_str(data)?;
                let at: DateTime<Utc> = event["at"].as_str().context("at")?.parse()?;
                self.delays.push((Utc::now() - at).to_std().unwrap_or_default());
            }
        }
        Ok(true)
    }
}
