//! The stream of events, and those who lose their connection to it.

use std::time::Duration;

use anyhow::{Result, bail, ensure};
use berth_domain::OperationId;
use berth_tests::daemon::DaemonOptions;
use berth_tests::drafts::tenant;
use berth_tests::raw::Raw;
use berth_tests::stage::{Stage, name};
use berth_tests::told::Told;
use berth_tests::workshop::{Extra, Workshop};
use futures_util::StreamExt as _;
use reqwest::header::{ACCEPT, CONTENT_ENCODING, CONTENT_TYPE};
use reqwest::{Method, StatusCode};

/// How many follow at once, and how often each of them loses its connection.
const FOLLOWERS: usize = 20;
const LOSSES: usize = 50;

#[tokio::test]
async fn a_thousand_lost_connections_lose_no_event_and_double_none() -> Result<()> {
    let workshop = Workshop::open(Extra::Waits { pause_ms: 20 })?;
    let options = DaemonOptions { platform: Some(workshop.reference()), ..DaemonOptions::default() };
    let Some(stage) = Stage::set_up_with(options).await? else { return Ok(()) };
    let _machine = stage.machine("stream").await?;
    stage.client.create_tenant(&tenant("acme", "stream")).await?;
    let operation = stage.client.deploy(&name("acme")).await?.id;
    let raw = Raw::with(stage.daemon.url(), &stage.daemon.admin_token()?)?;
    let followers = (0..FOLLOWERS).map(|seed| Follower::new(raw.clone(), operation, seed as u64).follow());
    let opening = async {
        // Long enough for most of the connections to be lost while there is news.
        tokio::time::sleep(Duration::from_secs(10)).await;
        workshop.open_gate()
    };
    let (followed, ()) = tokio::try_join!(futures_util::future::try_join_all(followers), opening)?;
    let told = Told::follow(&stage.client, operation).await?.succeeded()?;
    let all: Vec<i64> = (1..=told.operation.last_seq).collect();
    let losses: usize = followed.iter().map(|follower| follower.losses).sum();
    let while_running: usize = followed.iter().map(|follower| follower.losses_while_running).sum();
    println!(
        "{losses} connections lost, {while_running} of them while the operation ran; {} events",
        all.len()
    );
    assert!(losses >= FOLLOWERS * LOSSES, "{losses}");
    assert!(while_running >= losses / 4, "{while_running} of {losses}");
    for follower in &followed {
        for read in &follower.whole {
            assert_eq!(*read, all);
        }
    }
    Ok(())
}

/// Somebody who follows an operation over connections that keep breaking, from the first event to the end, and again
/// until enough connections were lost.
struct Follower {
    raw: Raw,
    operation: OperationId,
    random: u64,
    losses: usize,
    losses_while_running: usize,
    /// The numbers of the events of each time that all was read.
    whole: Vec<Vec<i64>>,
}

/// How a connection ended.
enum Ended {
    /// It was dropped, with or without a reason.
    Lost,
    /// The operation's end was there.
    AtTheEnd,
}

impl Follower {
    fn new(raw: Raw, operation: OperationId, seed: u64) -> Self {
        let random = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        Self { raw, operation, random, losses: 0, losses_while_running: 0, whole: Vec::new() }
    }

    async fn follow(mut self) -> Result<Self> {
        let mut running = true;
        while self.whole.is_empty() || self.losses < LOSSES {
            let mut seen = Vec::new();
            loop {
                // Some bytes: often in the middle of an event, sometimes before the first, sometimes after the last.
                let bytes = self.below(3000);
                match self.connect(&mut seen, bytes).await? {
                    Ended::AtTheEnd => break,
                    Ended::Lost => {
                        self.losses += 1;
                        self.losses_while_running += usize::from(running);
                    }
                }
            }
            running = false;
            self.whole.push(seen);
        }
        Ok(self)
    }

    /// Connects as one who has seen `seen`, reads so many bytes, and drops the connection.
    async fn connect(&mut self, seen: &mut Vec<i64>, bytes: usize) -> Result<Ended> {
        let path = format!("/v1/operations/{}/events", self.operation);
        let mut request = self.raw.request(Method::GET, &path).header(ACCEPT, "text/event-stream");
        if let Some(last) = seen.last() {
            request = request.header("Last-Event-ID", last.to_string());
        }
        let response = request.send().await?;
        if response.status() == StatusCode::NO_CONTENT {
            return Ok(Ended::AtTheEnd);
        }
        ensure!(response.status() == StatusCode::OK, "{}: {}", response.status(), response.text().await?);
        let headers = response.headers();
        ensure!(headers[CONTENT_TYPE].to_str()?.starts_with("text/event-stream"), "{headers:?}");
        ensure!(!headers.contains_key(CONTENT_ENCODING), "{headers:?}");
        let mut stream = response.bytes_stream();
        let mut text = Vec::new();
        while text.len() < bytes {
            // Also a connection on which nothing happens gets lost.
            match tokio::time::timeout(Duration::from_millis(200), stream.next()).await {
                Ok(Some(piece)) => text.extend_from_slice(&piece?),
                Ok(None) => break,
                Err(_) => break,
            }
        }
        text.truncate(bytes);
        take(&text, seen)
    }

    /// A number below `end` (xorshift64).
    fn below(&mut self, end: usize) -> usize {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        usize::try_from(self.random % end as u64).unwrap()
    }
}

/// Takes the events that are there whole.
fn take(text: &[u8], seen: &mut Vec<i64>) -> Result<Ended> {
    let text = String::from_utf8_lossy(text);
    let whole = text.rfind("\n\n").map_or("", |end| &text[..end]);
    for frame in whole.split("\n\n") {
        let field = |name: &str| frame.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
        match (field("id:"), field("event:")) {
            (_, Some("end")) => return Ok(Ended::AtTheEnd),
            (_, Some("gap")) => bail!("a gap, though nothing is old: {frame}"),
            (Some(id), _) => {
                let id: i64 = id.parse()?;
                ensure!(id == seen.last().unwrap_or(&0) + 1, "event {id} came after {:?}", seen.last());
                seen.push(id);
            }
            _ => {}
        }
    }
    Ok(Ended::Lost)
}
