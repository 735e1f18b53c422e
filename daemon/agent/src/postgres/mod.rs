//! PostgreSQL databases, handled as the user `postgres`.
//!
//! | module | subject |
//! | --- | --- |
//! | [`copy`] | databases written to files, and made of them |
//! | [`waiting`] | whether others wait for a dump |
//! | [`fitness`] | what keeps a database from being told by what changes in it |
//! | [`slot`] | the server keeps what changes |
//! | [`emptied`] | what is left out as tables were emptied just before they were dumped |
//! | [`schema`] | whether a database is still made as it was |
//! | [`segment`], [`decoding`], [`lsn`] | what has changed, as a file has it |
//! | [`apply`] | changes as SQL |
//! | [`quote`] | names and values in SQL |
//! | [`tell`] | statements of others, said by a database's owner |
//! | [`copied`] | a copy that follows what changes |

pub(crate) mod apply;
pub(crate) mod copied;
pub(crate) mod copy;
mod decoding;
pub(crate) mod emptied;
pub(crate) mod fitness;
pub(crate) mod lsn;
mod quote;
pub(crate) mod schema;
pub(crate) mod segment;
pub(crate) mod slot;
pub(crate) mod tell;
pub(crate) mod waiting;

use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use berth_protocol::FailureCode;
use serde::de::DeserializeOwned;

use crate::accounts::Accounts;
use crate::failure::{Result, bad_manifest, failure, io, program};
use crate::programs::{command, find, run_ok};
use crate::units;
pub(crate) use quote::{identifier, literal};

const LIMIT: Duration = Duration::from_secs(300);

/// Where Debian keeps the programs of each major version.
const DEBIAN: &str = "/usr/lib/postgresql";

/// The account that PostgreSQL's administrator has.
const POSTGRES: &str = "postgres";

/// Databases that belong to PostgreSQL itself.
const ITS_OWN: [&str; 3] = ["postgres", "template0", "template1"];

/// Refuses names that could be taken for something else, and PostgreSQL's own databases.
pub(crate) fn check(name: &str) -> Result<()> {
    let inner = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b'-';
    let good = (1..=63).contains(&name.len())
        && name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.bytes().all(inner)
        && !ITS_OWN.contains(&name);
    if good { Ok(()) } else { Err(bad_manifest(format!("the database “{name}” is not a tenant's"))) }
}

/// Those of some databases that exist.
pub(crate) fn existing(names: &[&str]) -> Result<Vec<String>> {
    if names.is_empty() {
        return Ok(Vec::new());
    }
    start_server()?;
    let listed = sql("postgres", &["SELECT datname FROM pg_database"])?;
    let there: Vec<&str> = listed.lines().collect();
    Ok(names.iter().filter(|name| there.contains(name)).map(|name| (*name).to_owned()).collect())
}

/// Has a database execute some statements, all or none of them; returns what they tell, a row a line.
pub(crate) fn sql(database: &str, statements: &[&str]) -> Result<String> {
    let mut psql = asking()?;
    if statements.len() > 1 {
        psql.arg("--single-transaction");
    }
    psql.args(statements.iter().map(|statement| format!("--command={statement}"))).arg("--").arg(database);
    run_ok(psql, LIMIT)
}

/// A psql that tells what it is asked, a row a line. A database may have functions that look like the server's own: they are none that
/// an administrator calls.
fn asking() -> Result<Command> {
    let mut psql = as_postgres("psql")?;
    psql.env("PGOPTIONS", "-c search_path=pg_catalog");
    psql.args(["--no-psqlrc", "--quiet", "--tuples-only", "--no-align", "--set=ON_ERROR_STOP=1"]);
    Ok(psql)
}

/// A psql that asks a database one question, as a snapshot of it shows it or as it is.
fn looking(database: &str, snapshot: Option<&str>, question: &str) -> Result<Command> {
    let mut psql = asking()?;
    if let Some(snapshot) = snapshot {
        psql.args(["--single-transaction", "--command=SET TRANSACTION ISOLATION LEVEL REPEATABLE READ"]);
        psql.arg(format!("--command=SET TRANSACTION SNAPSHOT {}", literal(snapshot)));
    }
    psql.arg(format!("--command={question}")).arg("--").arg(database);
    Ok(psql)
}

/// What psql tells as JSON, a row a line.
fn rows<T: DeserializeOwned>(told: &str, what: &str) -> Result<Vec<T>> {
    let read =
        |line| serde_json::from_str(line).map_err(|error| program("psql", &format!("{what}: {error}")));
    told.lines().filter(|line| !line.trim().is_empty()).map(read).collect()
}

/// Has psql read a script of questions; returns what they tell, a row a line, however much it is.
pub(crate) fn script(database: &str, questions: &str) -> Result<String> {
    let mut psql = asking()?;
    psql.args(["--", database]);
    psql.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = psql.spawn().map_err(io("cannot start psql"))?;
    if let Some(mut stdin) = child.stdin.take() {
        // Where it ended before, its words tell why. The questions are far smaller than a pipe's room.
        let _ = stdin.write_all(questions.as_bytes());
    }
    let output = child.wait_with_output().map_err(io("cannot wait for psql"))?;
    match output.status.success() {
        true => Ok(String::from_utf8_lossy(&output.stdout).into_owned()),
        false => Err(program(
            "psql",
            &format!("{} ({})", String::from_utf8_lossy(&output.stderr).trim(), output.status),
        )),
    }
}

/// Drops a database, whoever is connected to it.
pub(crate) fn drop(name: &str) -> Result<()> {
    let mut drop = as_postgres("dropdb")?;
    drop.args(["--if-exists", "--force", "--", name]);
    run_ok(drop, LIMIT).map(|_| ())
}

/// Starts the server where it is one of systemd's and does not run, as in a mode that keeps it stopped.
fn start_server() -> Result<()> {
    let server = "postgresql.service".to_owned();
    let states = units::states(std::slice::from_ref(&server))?;
    if states.iter().any(|state| state.load != "loaded" || state.active == "active") {
        return Ok(());
    }
    let mut start = command("systemctl")?;
    start.args(["start", "--", &server]);
    run_ok(start, LIMIT).map(|_| ())
}

pub(crate) fn as_postgres(program: &str) -> Result<Command> {
    as_user(program, POSTGRES)
}

/// A program of PostgreSQL's, run by an account of the machine.
fn as_user(program: &str, user: &str) -> Result<Command> {
    let missing = || {
        let message =
            format!("{program} is not installed on this machine, so its databases cannot be handled");
        failure(FailureCode::Program, message)
    };
    let program = find(program, &debian_folders()).ok_or_else(missing)?;
    let mut command = command("runuser")?;
    command.args(["-u", user, "--"]).arg(program);
    Ok(command)
}

/// Whose rights what a dump or a change says is done with: its owner's where the owner can log in. With an administrator's, whoever made
/// it could run programs here.
fn account(owner: &str) -> &str {
    if Accounts::read().user(owner).is_some() { owner } else { POSTGRES }
}

/// The newest version's folder first.
fn debian_folders() -> Vec<PathBuf> {
    let entries = std::fs::read_dir(DEBIAN).into_iter().flatten().flatten();
    let mut versions: Vec<u32> =
        entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect();
    versions.sort_unstable_by(|a, b| b.cmp(a));
    versions.iter().map(|version| PathBuf::from(format!("{DEBIAN}/{version}/bin"))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_and_postgresqls_own_databases_are_refused() {
        for good in ["gitea", "mastodon_production", "peertube-1"] {
            check(good).unwrap();
        }
        for bad in ["", "--all", "postgres", "template1", "a b", "x;drop", &"x".repeat(64)] {
            assert!(check(bad).is_err(), "{bad}");
        }
    }
}
