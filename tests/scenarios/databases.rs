//! The databases that a daemon may be given.

use std::process::Command;

use anyhow::{Result, ensure};
use berth_tests::daemon::Database;
use berth_tests::skip;
use uuid::Uuid;

/// SQLite, and a new database of the tests' PostgreSQL where there is one.
pub fn every() -> Result<Vec<Database>> {
    Ok([Some(Database::Sqlite), postgres()?].into_iter().flatten().collect())
}

/// A new database of the tests' PostgreSQL where there is one.
pub fn postgres() -> Result<Option<Database>> {
    match std::env::var("BERTH_TEST_POSTGRES_URL") {
        Ok(url) => Ok(Some(Database::Postgres(create(&url)?))),
        Err(_) => {
            skip::unless_required("BERTH_REQUIRE_POSTGRES", "BERTH_TEST_POSTGRES_URL names no PostgreSQL")?;
            Ok(None)
        }
    }
}

/// Makes a database; the whole server goes away after the tests.
fn create(server: &str) -> Result<String> {
    let name = format!("scenario_{}", Uuid::now_v7().simple());
    let (base, _) = server.rsplit_once('/').unwrap_or((server, ""));
    let output =
        Command::new("psql").args([server, "-q", "-c", &format!("create database {name}")]).output()?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(format!("{base}/{name}"))
}
