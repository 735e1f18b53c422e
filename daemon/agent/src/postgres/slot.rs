//! Logical replication slots: from the moment that one is made, the server keeps what changes in a database until it was taken.
//!
//! They are read with `test_decoding`, which every PostgreSQL brings along: unlike `pgoutput` it needs no publication, so that
//! nothing at all stands in the customer's database, and no table of theirs behaves otherwise because it is copied.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::process::{Child, ChildStderr, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use super::lsn::Lsn;
use super::{as_postgres, literal, sql, start_server};
use crate::failure::{Result, io, program};

/// What all our slots are called in front.
const OURS: &str = "berth_";

/// How long a new slot is waited for: until every transaction has ended that had begun before it.
const PATIENCE: Duration = Duration::from_secs(300);

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
            let why = words(session.stderr.take());
            let _ = session.wait();
            Err(program("CREATE_REPLICATION_SLOT", &why))
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
/// asked for; the slot keeps them.
pub(crate) fn peek(slot: &str, database: &str, upto: Lsn, changes: Option<u32>, into: File) -> Result<()> {
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
    psql.stdout(Stdio::from(into)).stderr(Stdio::piped());
    let child = psql.spawn().map_err(io("cannot start psql"))?;
    let output = child.wait_with_output().map_err(io("cannot wait for psql"))?;
    match output.status.success() {
        true => Ok(()),
        false => Err(program(
            "psql",
            &format!("{} ({})", String::from_utf8_lossy(&output.stderr).trim(), output.status),
        )),
    }
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

fn words(stream: Option<ChildStderr>) -> String {
    let mut words = String::new();
    if let Some(stream) = stream {
        let _ = stream.take(64 * 1024).read_to_string(&mut words);
    }
    words.trim().to_owned()
}
