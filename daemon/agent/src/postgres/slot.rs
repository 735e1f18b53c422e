//! Logical replication slots: from the moment that one is made, the server keeps what changes in a database until it was taken.
//!
//! They are read with `test_decoding`, which every PostgreSQL brings along: unlike `pgoutput` it needs no publication, so that
//! nothing at all stands in the customer's database, and no table of theirs behaves otherwise because it is copied.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Read, Write as _};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use super::lsn::Lsn;
use super::{as_postgres, literal, sql, start_server};
use crate::failure::{Result, io, program};
use crate::programs::{collect, end_group};

/// What all our slots are called in front.
const OURS: &str = "berth_";

/// How long a new slot is waited for: until every transaction has ended that had begun before it.
const PATIENCE: Duration = Duration::from_secs(300);

/// The most that a piece may have, in bytes: it lies on the disk of a machine whose services go on.
const MAX_PIECE: u64 = 4 << 30;

/// How values are written, and read: the same whatever the database's own settings are.
pub(crate) const SESSION: &str = "-c client_encoding=UTF8 -c standard_conforming_strings=on -c datestyle=ISO \
    -c intervalstyle=postgres -c extra_float_digits=3 -c bytea_output=hex -c timezone=UTC -c lc_monetary=C -c search_path=pg_catalog \
    -c statement_timeout=0 -c lock_timeout=0 -c idle_in_transaction_session_timeout=0 -c client_min_messages=error";

/// A slot that was just made, as long as its first look at the database is held.
pub(crate) struct Fresh {
    session: Child,
    /// What others take the same look by.
    pub(crate) snapshot: String,
    /// From where on it keeps what changes.
    pub(crate) at: Lsn,
}

impl Drop for Fresh {
    fn drop(&mut self) {
        // It waits for its next command, and ends once there is none.
        drop(self.session.stdin.take());
        let _ = self.session.wait();
    }
}

/// Makes a slot.
pub(crate) fn create(slot: &str, database: &str) -> Result<Fresh> {
    let mut psql = as_postgres("psql")?;
    psql.args(["--no-psqlrc", "--quiet", "--tuples-only", "--no-align", "--set=ON_ERROR_STOP=1"]);
    psql.arg(format!("dbname='{database}' replication=database"));
    psql.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut session = psql.spawn().map_err(io("cannot start psql"))?;
    let command = format!("CREATE_REPLICATION_SLOT {slot} LOGICAL test_decoding EXPORT_SNAPSHOT;\n");
    let told = session.stdin.as_mut().map(|stdin| stdin.write_all(command.as_bytes()));
    told.transpose().map_err(io("cannot speak to psql"))?;
    let (send, answers) = mpsc::channel();
    if let Some(stdout) = session.stdout.take() {
        thread::spawn(move || {
            let mut line = String::new();
            let _ = BufReader::new(stdout.take(4096)).read_line(&mut line);
            let _ = send.send(line);
        });
    }
    let Ok(line) = answers.recv_timeout(PATIENCE) else {
        let _ = session.kill();
        let _ = session.wait();
        let why = format!("transactions that had begun before did not end within {} s", PATIENCE.as_secs());
        return Err(program("CREATE_REPLICATION_SLOT", &why));
    };
    // Name, place, snapshot, plugin.
    let fields: Vec<&str> = line.trim().split('|').collect();
    match (fields.as_slice(), fields.get(1).and_then(|at| at.parse().ok())) {
        ([_, _, snapshot, ..], Some(at)) => Ok(Fresh { snapshot: (*snapshot).to_owned(), session, at }),
        _ => {
            drop(session.stdin.take());
            let why = collect(session.stderr.take());
            let _ = session.wait();
            Err(program("CREATE_REPLICATION_SLOT", why.trim()))
        }
    }
}

/// How a slot stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Standing {
    /// Up to where it was taken from.
    pub(crate) taken: Lsn,
    /// Whether the server still has everything since.
    pub(crate) is_whole: bool,
}

/// How a slot of a database stands; nothing where there is none.
pub(crate) fn standing(slot: &str, database: &str) -> Result<Option<Standing>> {
    let question = format!(
        "SELECT confirmed_flush_lsn, coalesce(wal_status, '') FROM pg_replication_slots \
         WHERE slot_name = {} AND database = {} AND plugin = 'test_decoding'",
        literal(slot),
        literal(database)
    );
    let told = sql("postgres", &[&question])?;
    let Some((taken, status)) = told.trim().split_once('|') else { return Ok(None) };
    let taken = taken.parse().map_err(|()| program("psql", &format!("{taken} is no place in a log")))?;
    Ok(Some(Standing { taken, is_whole: matches!(status, "reserved" | "extended") }))
}

/// The end of the log as it is now, everything before it being on the disk.
pub(crate) fn end_of_log() -> Result<Lsn> {
    // A transaction that is waited for takes along those that were not (`synchronous_commit`).
    let flush = "SET synchronous_commit = on; SELECT pg_logical_emit_message(true, 'berth', '')";
    sql("postgres", &[flush])?;
    let told = sql("postgres", &["SELECT pg_current_wal_flush_lsn()"])?;
    told.trim().parse().map_err(|()| program("psql", &format!("{} is no place in a log", told.trim())))
}

/// Writes what changed up to a place into a file, a change a line ([`segment`](super::segment)), or about as many changes as are
/// asked for; the slot keeps them. More than a piece may have is an error.
pub(crate) fn peek(
    slot: &str,
    database: &str,
    upto: Lsn,
    changes: Option<u32>,
    into: &mut File,
) -> Result<()> {
    let copy = format!(
        "COPY (SELECT lsn, data FROM pg_logical_slot_peek_changes({}, {}, {}, 'include-xids', '0', 'skip-empty-xacts', '1')) TO STDOUT",
        literal(slot),
        literal(&upto.to_string()),
        changes.map_or_else(|| "NULL".into(), |changes| changes.to_string())
    );
    let mut psql = as_postgres("psql")?;
    psql.env("PGOPTIONS", SESSION);
    psql.args([
        "--no-psqlrc",
        "--quiet",
        "--set=ON_ERROR_STOP=1",
        &format!("--command={copy}"),
        "--",
        database,
    ]);
    psql.stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
    let mut child = psql.spawn().map_err(io("cannot start psql"))?;
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let words = thread::spawn(move || collect(stderr));
    let is_whole = stdout.map_or(Ok(true), |stdout| copy_up_to(MAX_PIECE, stdout, into));
    if !matches!(is_whole, Ok(true)) {
        end_group(&mut child);
    }
    let status = child.wait().map_err(io("cannot wait for psql"))?;
    let words = words.join().unwrap_or_default();
    match is_whole.map_err(io("cannot write what has changed"))? {
        false => {
            Err(program("psql", &format!("more has changed than a piece may have ({} MiB)", MAX_PIECE >> 20)))
        }
        true if status.success() => Ok(()),
        true => Err(program("psql", &format!("{} ({status})", words.trim()))),
    }
}

/// Copies what there is to a file, if that is not more than so many bytes; whether it was not.
fn copy_up_to(bytes: u64, from: impl Read, into: &mut File) -> std::io::Result<bool> {
    Ok(std::io::copy(&mut from.take(bytes.saturating_add(1)), into)? <= bytes)
}

/// Lets go of what was changed up to a place: somebody else has it.
pub(crate) fn take(slot: &str, upto: Lsn) -> Result<()> {
    let advance =
        format!("SELECT pg_replication_slot_advance({}, {})", literal(slot), literal(&upto.to_string()));
    sql("postgres", &[&advance]).map(drop)
}

/// Has nobody use our slots any more: what a killed process began may go on in the server.
pub(crate) fn disturb() -> Result<()> {
    sql("postgres", &[&format!("SELECT pg_terminate_backend(active_pid, 5000) {} AND active", ours("slots"))])
        .map(drop)
}

/// Drops those of our slots whose names begin so, or, where nothing is said, all of them but those.
pub(crate) fn drop_all(which: Which<'_>) -> Result<()> {
    start_server()?;
    disturb()?;
    let which = match which {
        Which::All => String::new(),
        Which::Of { prefix, database } => {
            format!(
                " AND starts_with(slot_name::text, {}) AND database = {}",
                literal(prefix),
                literal(database)
            )
        }
        Which::With(prefix) => format!(" AND starts_with(slot_name::text, {})", literal(prefix)),
        Which::Without(prefix) => format!(" AND NOT starts_with(slot_name::text, {})", literal(prefix)),
    };
    sql("postgres", &[&format!("SELECT pg_drop_replication_slot(slot_name) {}{which}", ours("slots"))])
        .map(drop)
}

/// Some of our slots.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Which<'a> {
    All,
    /// Whose names begin so, and that are of this database.
    Of {
        prefix: &'a str,
        database: &'a str,
    },
    /// Whose names begin so.
    With(&'a str),
    /// Whose names begin otherwise.
    Without(&'a str),
}

/// Whether one of ours is there.
pub(crate) fn any() -> Result<bool> {
    sql("postgres", &[&format!("SELECT 1 {} LIMIT 1", ours("slots"))]).map(|told| !told.trim().is_empty())
}

fn ours(what: &str) -> String {
    format!("FROM pg_replication_{what} WHERE starts_with(slot_name::text, {})", literal(OURS))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_piece_has_no_more_than_it_may() {
        let folder = tempfile::tempdir().unwrap();
        let mut file = File::create_new(folder.path().join("x")).unwrap();
        assert!(copy_up_to(3, &b"abc"[..], &mut file).unwrap());
        assert!(!copy_up_to(3, std::io::repeat(b'x'), &mut file).unwrap(), "without an end");
        assert_eq!(file.metadata().unwrap().len(), 3 + 4);
    }
}
