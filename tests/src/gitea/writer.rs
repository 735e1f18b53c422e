//! Somebody who commits to a repository all the time, by the address that it had when they began.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use serde_json::json;
use tokio::task::JoinHandle;
use tokio::time::sleep;

use super::site::Site;

/// Between two commits.
const PAUSE: Duration = Duration::from_millis(400);

/// What was written.
#[derive(Debug, Clone, Default)]
pub struct Written {
    /// The commits that were acknowledged, the oldest first.
    pub commits: Vec<String>,
    /// The longest time between two of them.
    pub longest_gap: Duration,
}

/// Who writes.
#[derive(Debug)]
pub struct Writer {
    stop: Arc<AtomicBool>,
    writing: JoinHandle<Written>,
}

impl Writer {
    /// Begins to write to a repository.
    pub fn begin(site: Site, repository: &'static str) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let writing = tokio::spawn(write(site, repository, Arc::clone(&stop)));
        Self { stop, writing }
    }

    /// Stops; what was written.
    ///
    /// # Errors
    /// If it broke.
    pub async fn end(self) -> Result<Written> {
        self.stop.store(true, Ordering::Relaxed);
        self.writing.await.context("the writer")
    }
}

async fn write(site: Site, repository: &str, stop: Arc<AtomicBool>) -> Written {
    let mut written = Written::default();
    let mut last = Instant::now();
    for number in 0.. {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        // Each has a name of its own, as one that was not acknowledged may be there all the same.
        let path = format!("/repos/{repository}/contents/notes/{number}");
        let answer =
            site.post(&path, json!({ "content": "bm90ZQo=", "message": format!("note {number}") })).await;
        if let Some(commit) =
            answer.ok().and_then(|answer| answer["commit"]["sha"].as_str().map(str::to_owned))
        {
            written.commits.push(commit);
            written.longest_gap = written.longest_gap.max(last.elapsed());
            last = Instant::now();
        }
        sleep(PAUSE).await;
    }
    written
}
