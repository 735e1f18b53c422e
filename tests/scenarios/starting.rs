//! Daemons that start while their database is away.

use std::process::{Output, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use berth_tests::daemon::{Daemon, DaemonOptions, Database};
use berth_tests::drafts::absent_machine;
use berth_tests::postgres::Postgres;
use berth_tests::programs;
use berth_tests::sqlite_lock::SqliteLock;
use tempfile::TempDir;
use tokio::process::Command;
use tokio::time::{sleep, timeout};

const MACHINE: &str = "vm1";

/// A daemon that knows something, and was killed.
async fn killed(options: DaemonOptions) -> Result<Daemon> {
    let mut daemon = Daemon::start(options)?;
    daemon.client()?.create_machine(&absent_machine(MACHINE)).await?;
    daemon.kill()?;
    Ok(daemon)
}

/// Whether a daemon that starts becomes ready, though not before its database is back, and what is in it was kept.
async fn waited(daemon: &Daemon, away: Duration) -> Result<()> {
    // From when it was first asked, a little after it was started.
    let away = away.saturating_sub(Duration::from_millis(500));
    ensure!(daemon.ready_after >= away, "ready after {:?}, without its database", daemon.ready_after);
    let said = daemon.log().matches("the database cannot be used yet; waiting for it").count();
    ensure!((1..=20).contains(&said), "it says {said} times that it waits");
    daemon.client()?.machine(&MACHINE.parse()?).await?;
    Ok(())
}

#[tokio::test]
async fn a_daemon_that_starts_before_its_postgresql_waits_for_it() -> Result<()> {
    let Some(mut server) = Postgres::start().await? else { return Ok(()) };
    let database = Database::Postgres(server.url().to_owned());
    let mut daemon = killed(DaemonOptions { database, ..DaemonOptions::usual() }).await?;
    server.crash().await?;
    daemon.spawn_again()?;
    let away = Duration::from_secs(3);
    let back = async {
        sleep(away).await;
        server.start_again().await
    };
    tokio::try_join!(back, daemon.ready())?;
    waited(&daemon, away).await
}

#[tokio::test]
async fn a_daemon_that_starts_while_somebody_else_writes_to_its_sqlite_waits_for_them() -> Result<()> {
    let mut daemon = killed(DaemonOptions::usual()).await?;
    let lock = SqliteLock::of(&daemon.sqlite()).await?;
    daemon.spawn_again()?;
    // Longer than one call waits for another writer (10 s), and than a slow start.
    let away = Duration::from_secs(18);
    tokio::try_join!(lock.release_after(away), daemon.ready())?;
    waited(&daemon, away).await
}

#[tokio::test]
async fn what_does_not_pass_by_itself_ends_a_daemon_at_once_and_says_why() -> Result<()> {
    let Some(server) = Postgres::start().await? else { return Ok(()) };
    let without = server.url().strip_suffix("/postgres").context("a database in the URL")?;
    let elsewhere = format!("{without}/elsewhere");
    let stranger = server.url().replace("//postgres:", "//stranger:");
    let folder = TempDir::new()?;
    let none = folder.path().join("berth.db");
    std::fs::write(&none, "nothing of this is a database".repeat(100))?;
    let none = format!("sqlite:{}", none.display());
    for (url, why) in [
        (elsewhere, "database \"elsewhere\" does not exist"),
        (stranger, "password authentication failed for user \"stranger\""),
        (none, "file is not a database"),
    ] {
        let ended = serve(&url).await?;
        let said = String::from_utf8_lossy(&ended.stderr).into_owned();
        assert!(ended.status.code() == Some(1) && said.contains(why), "{url}: {said}");
        assert!(said.contains("cannot use the database") && !said.contains("waiting"), "{said}");
    }
    Ok(())
}

/// What becomes of a daemon with this database, which must end by itself, and long before it would give up waiting.
async fn serve(database: &str) -> Result<Output> {
    let data = TempDir::new()?;
    let mut command = Command::new(programs::find("berth")?);
    command.args(["daemon", "serve"]).env_clear().env("BERTH_DATA_DIR", data.path());
    command.env("BERTH_LISTEN", "127.0.0.1:0").env("BERTH_DATABASE_URL", database).env("BERTH_TLS", "none");
    let output = command.kill_on_drop(true).stdin(Stdio::null()).output();
    timeout(Duration::from_secs(60), output).await.context("it does not end")?.map_err(Into::into)
}
