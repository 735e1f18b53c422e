//! A PostgreSQL of a test's own, which may crash.

use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use crate::skip;

/// How long it may take to be put away.
const STOP: Duration = Duration::from_secs(40);

/// A server with an empty database. Dropped, it is stopped, and its folder removed.
#[derive(Debug)]
pub struct Postgres {
    process: Child,
    orders: Option<ChildStdin>,
    answers: Lines<BufReader<ChildStdout>>,
    url: String,
}

impl Postgres {
    /// Starts one. `None`, and a word about it, where there is no PostgreSQL; with `BERTH_REQUIRE_POSTGRES=1` that is an
    /// error.
    ///
    /// # Errors
    /// If it does not start.
    pub async fn start() -> Result<Option<Self>> {
        // What makes a server for a whole run of the tests makes one for one of them as well.
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("runner/postgres.py");
        let mut command = Command::new("python3");
        command.arg("-B").arg(script).stdin(Stdio::piped()).stdout(Stdio::piped());
        // Whoever ends the tests as a group leaves it to put the server away, as there are no more orders then.
        command.process_group(0);
        let mut process = command.spawn().context("python3")?;
        let orders = process.stdin.take();
        let stdout = process.stdout.take().context("its output")?;
        let answers = BufReader::new(stdout).lines();
        let mut server = Self { process, orders, answers, url: String::new() };
        let said = server.answer().await?;
        if let Some(why) = said.strip_prefix("unavailable: ") {
            skip::unless_required("BERTH_REQUIRE_POSTGRES", why)?;
            return Ok(None);
        }
        server.url = said;
        Ok(Some(server))
    }

    /// Its database, for a superuser.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// It ends as in a crash: what was committed is there when it starts again, and nothing else.
    ///
    /// # Errors
    /// If it does not.
    pub async fn crash(&mut self) -> Result<()> {
        self.order("crash").await
    }

    /// It starts again.
    ///
    /// # Errors
    /// If it does not.
    pub async fn start_again(&mut self) -> Result<()> {
        self.order("start").await
    }

    async fn order(&mut self, order: &str) -> Result<()> {
        let orders = self.orders.as_mut().context("it is being stopped")?;
        orders.write_all(format!("{order}\n").as_bytes()).await?;
        match self.answer().await?.as_str() {
            "done" => Ok(()),
            other => bail!("PostgreSQL, asked to {order}: {other}"),
        }
    }

    async fn answer(&mut self) -> Result<String> {
        self.answers.next_line().await?.context("what runs PostgreSQL has ended")
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        // The end of its orders is the order to stop.
        self.orders = None;
        let end = Instant::now() + STOP;
        while matches!(self.process.try_wait(), Ok(None)) && Instant::now() < end {
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}
