//! Somebody else who writes to a daemon's SQLite, and does not come to an end.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use tokio::io::AsyncReadExt as _;
use tokio::process::{Child, Command};

/// Holds the lock until it has nothing more to read.
const HOLD: &str = "import sqlite3, sys
database = sqlite3.connect(sys.argv[1], timeout=60, isolation_level=None)
database.execute('BEGIN EXCLUSIVE')
print('locked', flush=True)
sys.stdin.read()";

/// As long as this lives, nobody else writes to the database.
#[derive(Debug)]
pub struct SqliteLock {
    holder: Child,
}

impl SqliteLock {
    /// Locks a database, once who is writing to it now has ended.
    ///
    /// # Errors
    /// If it is none.
    pub async fn of(database: &Path) -> Result<Self> {
        let mut command = Command::new("python3");
        command.arg("-c").arg(HOLD).arg(database).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut holder = command.kill_on_drop(true).spawn()?;
        let said = holder.stdout.as_mut().context("its output")?;
        said.read_exact(&mut [0; "locked\n".len()]).await.context("SQLite cannot be locked")?;
        Ok(Self { holder })
    }

    /// Lets go of it after this time.
    ///
    /// # Errors
    /// If whoever holds it has ended otherwise.
    pub async fn release_after(mut self, time: Duration) -> Result<()> {
        tokio::time::sleep(time).await;
        drop(self.holder.stdin.take());
        let ended = self.holder.wait().await?;
        ensure!(ended.success(), "SQLite was not locked until the end: {ended}");
        Ok(())
    }
}
