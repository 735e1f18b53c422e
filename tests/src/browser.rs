//! Pages as a real Chromium shows them, driven over the DevTools protocol
//! (<https://chromedevtools.github.io/devtools-protocol/>, on `--remote-debugging-pipe`).

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::time::{Instant, sleep, timeout};

/// How long one answer of the browser may take, its start included.
const PATIENCE: Duration = Duration::from_secs(60);

/// Chromium reads messages from file 3 and writes them to file 4.
const WITH_PIPES: &str = "exec \"$@\" 3<&0 4>&1";

/// A browser with one page. Dropped, it ends.
#[derive(Debug)]
pub struct Browser {
    _process: Child,
    _profile: TempDir,
    to: ChildStdin,
    from: BufReader<ChildStdout>,
    session: Option<String>,
    last_id: u64,
}

/// Whether there is a Chromium; if not, says so. With `BERTH_REQUIRE_MACHINES=1` its absence is an error.
///
/// # Errors
/// If it is required and not there.
#[allow(clippy::print_stderr)]
pub async fn is_there() -> Result<bool> {
    let version = Command::new("chromium").arg("--version").output().await;
    let there = version.is_ok_and(|output| output.status.success());
    let required = std::env::var_os("BERTH_REQUIRE_MACHINES").is_some_and(|value| value == "1");
    ensure!(there || !required, "there is no chromium");
    if !there {
        eprintln!("SKIPPED: there is no chromium");
    }
    Ok(there)
}

impl Browser {
    /// Opens a page the size of a telephone, its scripts running or not.
    ///
    /// # Errors
    /// If the browser fails.
    pub async fn open(url: &str, scripts: bool) -> Result<Self> {
        let profile = tempfile::tempdir()?;
        let mut command = Command::new("sh");
        command.args(["-c", WITH_PIPES, "sh", "chromium", "--headless", "--no-sandbox", "--disable-gpu"]);
        command.args(["--hide-scrollbars", "--lang=en", "--remote-debugging-pipe", "--no-first-run"]);
        command.arg(format!("--user-data-dir={}", profile.path().display())).arg("about:blank");
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).kill_on_drop(true);
        let mut process = command.spawn()?;
        let to = process.stdin.take().context("no input")?;
        let from = BufReader::new(process.stdout.take().context("no output")?);
        let mut browser = Self { _process: process, _profile: profile, to, from, session: None, last_id: 0 };
        browser.navigate(url, scripts).await?;
        Ok(browser)
    }

    async fn navigate(&mut self, url: &str, scripts: bool) -> Result<()> {
        let target = self.call("Target.createTarget", json!({ "url": "about:blank" })).await?;
        let attach = json!({ "targetId": target["targetId"], "flatten": true });
        let attached = self.call("Target.attachToTarget", attach).await?;
        self.session = Some(attached["sessionId"].as_str().context("no session")?.to_owned());
        let size = json!({ "width": 420, "height": 900, "deviceScaleFactor": 1, "mobile": false });
        self.call("Emulation.setDeviceMetricsOverride", size).await?;
        self.call("Emulation.setScriptExecutionDisabled", json!({ "value": !scripts })).await?;
        let answer = self.call("Page.navigate", json!({ "url": url })).await?;
        ensure!(answer["errorText"].is_null(), "{url}: {}", answer["errorText"]);
        Ok(())
    }

    /// The document as it is now.
    ///
    /// # Errors
    /// If the browser fails.
    pub async fn document(&mut self) -> Result<String> {
        let root = self.call("DOM.getDocument", json!({ "depth": 0 })).await?;
        let node = json!({ "nodeId": root["root"]["nodeId"] });
        let answer = self.call("DOM.getOuterHTML", node).await?;
        Ok(answer["outerHTML"].as_str().context("no document")?.to_owned())
    }

    /// The document once it contains `text`.
    ///
    /// # Errors
    /// If it does not within `limit`; with the document.
    pub async fn document_with(&mut self, text: &str, limit: Duration) -> Result<String> {
        let end = Instant::now() + limit;
        loop {
            let document = self.document().await?;
            if document.contains(text) {
                return Ok(document);
            }
            if Instant::now() > end {
                bail!("the page does not show “{text}”: {document}");
            }
            sleep(Duration::from_millis(100)).await;
        }
    }

    /// Saves what the page looks like, as PNG.
    ///
    /// # Errors
    /// If the browser fails or the file cannot be written.
    pub async fn picture(&mut self, file: &Path) -> Result<()> {
        let answer = self.call("Page.captureScreenshot", json!({ "captureBeyondViewport": true })).await?;
        if let Some(folder) = file.parent() {
            std::fs::create_dir_all(folder)?;
        }
        std::fs::write(file, BASE64_STANDARD.decode(answer["data"].as_str().context("no picture")?)?)?;
        Ok(())
    }

    async fn call(&mut self, method: &str, params: Value) -> Result<Value> {
        timeout(PATIENCE, self.exchange(method, params)).await.context("chromium takes too long")?
    }

    async fn exchange(&mut self, method: &str, params: Value) -> Result<Value> {
        self.last_id += 1;
        let mut message = json!({ "id": self.last_id, "method": method, "params": params });
        if let Some(session) = &self.session {
            message["sessionId"] = session.as_str().into();
        }
        self.to.write_all(&[message.to_string().as_bytes(), b"\0"].concat()).await?;
        loop {
            let mut line = Vec::new();
            ensure!(self.from.read_until(0, &mut line).await? > 0, "chromium ended");
            let answer: Value = serde_json::from_slice(line.strip_suffix(b"\0").unwrap_or(&line))?;
            if answer["id"] == self.last_id {
                ensure!(answer["error"].is_null(), "{method}: {}", answer["error"]);
                return Ok(answer["result"].clone());
            }
        }
    }
}
