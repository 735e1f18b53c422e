//! Daemons that start while their database is away.

use std::process::{Command, Output};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use berth_tests::daemon::{Daemon, DaemonOptions, Database};
use berth_tests::drafts::absent_machine;
use berth_tests::postgres::Postgres;
use berth_tests::programs;
use berth_tests::sqlite_lock::SqliteLock;
use tempfile::TempDir;

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
    ensure!(daemon.ready_after >= away, "ready after {:?}, without its database", daemon.ready_after);
    let said = daemon.log().matches("the database is away; waiting for it").count();
    ensure!((1..=20).contains(&said), "it says {said} times that it waits");
    daemon.client()?.machine(&MACHINE.parse()?).await?;
    Ok(())
}

#[tokio::test]
async fn a_daemon_that_starts_before_its_postgresql_waits_for_it() -> Result<()> {
    let Some(mut server) = Postgres::start().await? else { return Ok(()) };
    let database = Database::Postgres(server.url().to_owned());
    let mut daemon = killed(DaemonOptions { database, ..DaemonOptions::usual() }).await?;
    let away = Duration::from_secs(3);
    tokio::try_join!(server.crash(away), async {
        // It is gone by then.
        tokio::time::sleep(Duration::from_millis(500)).await;
        daemon.start_again_meanwhile().await
    })?;
    waited(&daemon, away - Duration::from_millis(500)).await
}

#[tokio::test]
async fn a_daemon_that_starts_while_somebody_else_writes_to_its_sqlite_waits_for_them() -> Result<()> {
    let mut daemon = killed(DaemonOptions::usual()).await?;
    // Longer than one call waits for another writer.
    let lock = SqliteLock::of(&daemon.sqlite()).await?;
    let away = Duration::from_secs(12);
    tokio::try_join!(lock.release_after(away), daemon.start_again_meanwhile())?;
    waited(&daemon, away - Duration::from_millis(500)).await
}

#[tokio::test]
async fn what_does_not_pass_by_itself_ends_a_daemon_at_once_and_says_why() -> Result<()> {
    let Some(server) = Postgres::start().await? else { return Ok(()) };
    let elsewhere = server.url().replace("/postgres", "/no-such-database");
    let stranger = server.url().replace("//postgres:", "//stranger:");
    let folder = TempDir::new()?;
    let none = folder.path().join("berth.db");
    std::fs::write(&none, "nothing of this is a database".repeat(100))?;
    let none = format!("sqlite:{}", none.display());
    for (url, why) in
        [(elsewhere, "no-such-database"), (stranger, "stranger"), (none, "file is not a database")]
    {
        let start = Instant::now();
        let ended = serve(&url)?;
        let said = String::from_utf8_lossy(&ended.stderr).into_owned();
        assert!(ended.status.code() == Some(1) && said.contains(why), "{url}: {said}");
        assert!(said.contains("cannot use the database"), "{said}");
        assert!(start.elapsed() < Duration::from_secs(10), "{url}: {:?}", start.elapsed());
    }
    Ok(())
}

/// What becomes of a daemon with this database, which must end by itself.
fn serve(database: &str) -> Result<Output> {
    let data = TempDir::new()?;
    let mut command = Command::new(programs::find("berth")?);
    command.args(["daemon", "serve"]).env("BERTH_DATA_DIR", data.path()).env("BERTH_LISTEN", "127.0.0.1:0");
    Ok(command.env("BERTH_DATABASE_URL", database).env("BERTH_TLS", "none").output()?)
}
