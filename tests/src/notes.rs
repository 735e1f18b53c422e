//! What the stand-ins of services keep: notes, each a row and a file, chained to the one before.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use berth_testbed::Machine;
use reqwest::header::HOST;
use serde::Deserialize;
use serde_json::json;
use tokio::time::{Instant, sleep};

use crate::web;

/// How long a service may take from its start until it serves.
const STARTS: Duration = Duration::from_secs(60);

/// Every note of a service.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Notes {
    /// How many there are.
    pub count: u64,
    /// The newest one's hash, which is made of all before it.
    pub head: String,
    /// Whether none is lost, doubled or changed, in the database or as a file.
    pub intact: bool,
    /// What is wrong otherwise.
    pub problems: Vec<String>,
}

/// Reads them through the machine's web server.
///
/// # Errors
/// If the service does not serve.
pub async fn read(machine: &Machine, host: &str) -> Result<Notes> {
    let page = web::get(machine, host, "/stand-in/notes").await?;
    ensure!(page.status.is_success(), "{host}: {page:?}");
    serde_json::from_str(&page.text).with_context(|| format!("{host}: {}", page.text))
}

/// Waits until the service serves them: one that was started a moment ago may not listen yet.
///
/// # Errors
/// If it does not come to that.
pub async fn until_served(machine: &Machine, host: &str) -> Result<()> {
    let end = Instant::now() + STARTS;
    loop {
        match read(machine, host).await {
            Ok(_) => return Ok(()),
            Err(error) if Instant::now() >= end => return Err(error),
            Err(_) => sleep(Duration::from_millis(200)).await,
        }
    }
}

/// Adds one.
///
/// # Errors
/// If the service does not take it.
pub async fn add(machine: &Machine, host: &str, text: &str) -> Result<()> {
    let url = format!("http://{}/stand-in/notes", machine.address());
    let answer = web::http()?.post(url).header(HOST, host).json(&json!({ "text": text })).send().await?;
    ensure!(answer.status().is_success(), "{host}: {}: {}", answer.status(), answer.text().await?);
    Ok(())
}

/// The hosts of a tenant's usual services, each of which keeps notes in a database and in files.
pub fn hosts(tenant: &str) -> [String; 3] {
    ["git", "social", "video"].map(|part| format!("{part}.{tenant}.example"))
}

/// Adds one to each of them.
///
/// # Errors
/// If a service does not take it.
pub async fn add_to_all(machine: &Machine, tenant: &str, text: &str) -> Result<()> {
    for host in hosts(tenant) {
        add(machine, &host, text).await?;
    }
    Ok(())
}

/// Reads those of each of them.
///
/// # Errors
/// If a service does not serve, or something is not as it was noted.
pub async fn read_all(machine: &Machine, tenant: &str) -> Result<Vec<Notes>> {
    let mut all = Vec::new();
    for host in hosts(tenant) {
        let notes = read(machine, &host).await?;
        ensure!(notes.intact, "{host}: {:?}", notes.problems);
        all.push(notes);
    }
    Ok(all)
}
