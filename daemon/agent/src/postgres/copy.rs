//! Databases written to files, and made of them again under another name.

use std::fs::File;
use std::io::Write as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::{JoinHandle, sleep, spawn};
use std::time::Duration;

use berth_protocol::Failure;
use serde::{Deserialize, Serialize};

use super::waiting::{self, Waiting};
use super::{account, as_postgres, as_user, identifier, literal, sql};
use crate::accounts::Accounts;
use crate::failure::{Result, io, program};
use crate::files::Draft;
use crate::places::VOLATILE;
use crate::programs::{collect, end_group, run, run_ok};

/// A large database takes its time; the whole work has a limit of its own.
pub(super) const LIMIT: Duration = Duration::from_secs(24 * 3600);

/// How often it is looked whether a dump has begun.
const LOOK: Duration = Duration::from_millis(20);

/// What a database is like, apart from what it holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Properties {
    pub(crate) owner: String,
    pub(crate) encoding: String,
    pub(crate) collate: String,
    pub(crate) ctype: String,
    /// Whose collations it uses; `c` for the C library's (PostgreSQL's manual, `pg_database`).
    pub(crate) provider: String,
    /// Its size when it was looked at, in bytes.
    pub(crate) bytes: u64,
}

/// A database that exists.
pub(crate) fn properties(name: &str) -> Result<Properties> {
    let question = format!(
        "SELECT json_build_object('owner', pg_get_userbyid(datdba), 'encoding', pg_encoding_to_char(encoding), \
         'collate', datcollate, 'ctype', datctype, 'provider', datlocprovider, 'bytes', pg_database_size(oid)) \
         FROM pg_database WHERE datname = {}",
        literal(name)
    );
    let told = sql("postgres", &[&question])?;
    serde_json::from_str(told.trim()).map_err(|error| program("psql", &format!("database {name}: {error}")))
}

/// What of a database is dumped.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Extent<'a> {
    /// All of it, as it is.
    Whole,
    /// As a snapshot of it shows it, without large objects.
    Rows { snapshot: &'a str },
    /// Large objects alone.
    LargeObjects,
}

/// Why a dump did not come to its end.
pub(crate) enum Given {
    /// To others, who waited for it.
    Way,
    Failed(Failure),
}

/// A database that is being written to a file. Where it is not wanted any more, it ends.
pub(crate) struct Dumping {
    name: String,
    child: Child,
    file: File,
    /// What it complains of. Whoever reads none of it would have it wait.
    words: Option<JoinHandle<String>>,
}

impl Dumping {
    /// In PostgreSQL's own format. It is not compressed: restic does that, and finds again what it has stored already only in what is
    /// not.
    pub(crate) fn begin(name: &str, extent: Extent<'_>, file: File) -> Result<Self> {
        let kept = file.try_clone().map_err(io("cannot look at a dump"))?;
        let mut dump = as_postgres("pg_dump")?;
        dump.args(["--format=custom", "--compress=0", "--no-password"]);
        match extent {
            Extent::Whole => {}
            Extent::Rows { snapshot } => drop(dump.arg("--no-blobs").arg(format!("--snapshot={snapshot}"))),
            Extent::LargeObjects => drop(dump.args(["--data-only", "--blobs", "--exclude-table-data=*.*"])),
        }
        dump.arg("--").arg(name).stdout(Stdio::from(file)).stderr(Stdio::piped()).process_group(0);
        dump.env("PGAPPNAME", waiting::DUMP);
        let mut child = dump.spawn().map_err(io("cannot start pg_dump"))?;
        let stderr = child.stderr.take();
        Ok(Self { name: name.to_owned(), child, file: kept, words: Some(spawn(|| collect(stderr))) })
    }

    /// Waits until it writes: from then on nobody empties a table, or makes one otherwise. Ends where others wait for it.
    pub(crate) fn wait_until_it_writes(
        &mut self,
        others: &mut Waiting<'_>,
    ) -> std::result::Result<(), Given> {
        self.wait_until(others, |file| file.metadata().is_ok_and(|found| found.len() > 0))
    }

    /// Waits until all of it is written. Ends where others wait for it.
    pub(crate) fn finish_before(mut self, others: &mut Waiting<'_>) -> std::result::Result<(), Given> {
        self.wait_until(others, |_| false)?;
        self.finish().map_err(Given::Failed)
    }

    /// Waits until something is so, or it has ended.
    fn wait_until(
        &mut self,
        others: &mut Waiting<'_>,
        is_so: impl Fn(&File) -> bool,
    ) -> std::result::Result<(), Given> {
        while !is_so(&self.file)
            && self.child.try_wait().map_err(io("cannot look at a dump")).map_err(Given::Failed)?.is_none()
        {
            if others.are_kept_for_long().map_err(Given::Failed)? {
                return Err(Given::Way);
            }
            sleep(LOOK);
        }
        Ok(())
    }

    /// Waits until all of it is written.
    pub(crate) fn finish(mut self) -> Result<()> {
        let status = self.child.wait().map_err(io("cannot wait for pg_dump"))?;
        let words = self.words.take().and_then(|words| words.join().ok()).unwrap_or_default();
        match status.success() {
            true => Ok(()),
            false => Err(program("pg_dump", &format!("{}: {} ({status})", self.name, words.trim()))),
        }
    }
}

impl Drop for Dumping {
    fn drop(&mut self) {
        if !matches!(self.child.try_wait(), Ok(Some(_))) {
            end_group(&mut self.child);
            let _ = self.child.wait();
        }
    }
}

/// Writes a database to a file.
pub(crate) fn dump(name: &str, extent: Extent<'_>, file: File) -> Result<()> {
    Dumping::begin(name, extent, file)?.finish()
}

/// Makes a database of a file. It gets no other name while that may fail, so there is nothing to undo but itself, and no
/// transaction that would hold a lock for every large object.
///
/// `like` is what it replaces, whose extensions it keeps: some of them only an administrator can make.
pub(crate) fn load(name: &str, file: &Path, properties: &Properties, like: Option<&str>) -> Result<()> {
    super::drop(name)?;
    sql("postgres", &[&creation(name, properties)])?;
    let made = like.map(|like| copy_extensions(like, name)).transpose()?.unwrap_or_default();
    let user = account(&properties.owner);
    let list = list_without(file, &made, user)?;
    let mut restore = as_user("pg_restore", user)?;
    restore.args(["--exit-on-error", "--no-owner", "--no-privileges", "--no-tablespaces", "--no-password"]);
    restore.arg(format!("--role={}", properties.owner)).arg(format!("--dbname={name}"));
    if let Some(list) = &list {
        restore.arg("--use-list").arg(&list.path);
    }
    restore.stdin(open(file)?);
    run_restore(restore)?;
    // Without it the first queries are slow; where it takes too long, PostgreSQL does it by and by.
    let _ = sql(name, &["ANALYZE"]);
    Ok(())
}

/// Runs `pg_restore` to its end.
pub(super) fn run_restore(restore: Command) -> Result<()> {
    let output = run(restore, LIMIT)?;
    match output.status.success() {
        true => Ok(()),
        false => {
            Err(program("pg_restore", &format!("{} ({})", without_contents(&output.stderr), output.status)))
        }
    }
}

/// What `pg_restore` says of a failure, without what stands in rows: PostgreSQL has that in lines of their own (`DETAIL`, `CONTEXT`), the
/// statement with the values it was given behind `Command was`, and a value that it could not read at a line's end, quoted, behind a colon.
fn without_contents(words: &str) -> String {
    let lines = words.lines().filter(|line| line.starts_with("pg_restore: "));
    let lines = lines.filter(|line| !line.contains(" detail: ") && !line.contains(" from TOC entry "));
    let told: Vec<&str> = lines.map(|line| line.split(": \"").next().unwrap_or(line)).collect();
    told.join("\n")
}

/// Whether a role exists.
pub(crate) fn has_role(name: &str) -> Result<bool> {
    let found = sql("postgres", &[&format!("SELECT 1 FROM pg_roles WHERE rolname = {}", literal(name))])?;
    Ok(found.trim() == "1")
}

/// Puts a database in another's place, which nobody can use any more under its new name.
pub(crate) fn exchange(name: &str, new: &str, old: Option<&str>) -> Result<()> {
    let mut statements = Vec::new();
    if let Some(old) = old {
        sql("postgres", &[&format!("ALTER DATABASE {} ALLOW_CONNECTIONS false", identifier(name))])?;
        disconnect(name)?;
        statements.push(format!("ALTER DATABASE {} RENAME TO {}", identifier(name), identifier(old)));
    }
    statements.push(format!("ALTER DATABASE {} RENAME TO {}", identifier(new), identifier(name)));
    let statements: Vec<_> = statements.iter().map(String::as_str).collect();
    sql("postgres", &statements).map(|_| ())
}

/// Gives a database that nobody uses another name.
pub(crate) fn rename(name: &str, new: &str) -> Result<()> {
    sql("postgres", &[&format!("ALTER DATABASE {} RENAME TO {}", identifier(name), identifier(new))])
        .map(drop)
}

/// Gives a database that was put aside its name back.
pub(crate) fn take_back(name: &str, old: &str) -> Result<()> {
    disconnect(old)?;
    sql("postgres", &[&format!("ALTER DATABASE {} RENAME TO {}", identifier(old), identifier(name))])?;
    open_again(name)
}

/// Lets everybody use a database again.
pub(crate) fn open_again(name: &str) -> Result<()> {
    sql("postgres", &[&format!("ALTER DATABASE {} ALLOW_CONNECTIONS true", identifier(name))]).map(|_| ())
}

/// Has nobody be connected to a database.
pub(super) fn disconnect(name: &str) -> Result<()> {
    let end = format!(
        "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = {}",
        literal(name)
    );
    sql("postgres", &[&end]).map(|_| ())
}

fn creation(name: &str, properties: &Properties) -> String {
    let Properties { owner, encoding, collate, ctype, provider, .. } = properties;
    // Of others than the C library's, the cluster's own are good enough.
    let locale = match provider.as_str() {
        "c" => format!(" LC_COLLATE {} LC_CTYPE {}", literal(collate), literal(ctype)),
        _ => String::new(),
    };
    format!(
        "CREATE DATABASE {} OWNER {} TEMPLATE template0 ENCODING {}{locale}",
        identifier(name),
        identifier(owner),
        literal(encoding)
    )
}

/// Makes the extensions of one database in another; returns their names.
fn copy_extensions(from: &str, to: &str) -> Result<Vec<String>> {
    let question = "SELECT extname FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace \
                    WHERE n.nspname = 'public' ORDER BY e.oid";
    let names: Vec<String> = sql(from, &[question])?.lines().map(str::to_owned).collect();
    for name in &names {
        let create = format!("CREATE EXTENSION IF NOT EXISTS {} SCHEMA public CASCADE", identifier(name));
        sql(to, &[&create])?;
    }
    Ok(names)
}

/// A file that goes with this value.
struct List {
    path: PathBuf,
}

impl Drop for List {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

/// What of a dump is to be loaded, without extensions that are there already; nothing where that is all.
/// `reader` is the account that is to read it.
fn list_without(file: &Path, extensions: &[String], reader: &str) -> Result<Option<List>> {
    if extensions.is_empty() {
        return Ok(None);
    }
    let mut list = as_postgres("pg_restore")?;
    list.arg("--list").stdin(open(file)?);
    let text = filtered(&run_ok(list, LIMIT)?, extensions);
    let list = List { path: Path::new(VOLATILE).join(format!("lists/{}", uuid::Uuid::now_v7())) };
    let write = || -> std::io::Result<()> {
        let mut draft = Draft::of(&list.path)?;
        draft.file.write_all(text.as_bytes())?;
        // It holds names of tables, and is read by whoever reads all tables anyway.
        std::os::unix::fs::fchown(&draft.file, Accounts::read().user(reader), None)?;
        draft.replace()
    };
    write().map_err(io("cannot write what of a database is to be loaded"))?;
    Ok(Some(list))
}

/// The lines of pg_restore's list but for some extensions and what is said of them:
/// `2; 3079 16385 EXTENSION - pg_trgm`, and `3456; 0 0 COMMENT - EXTENSION pg_trgm`.
fn filtered(list: &str, extensions: &[String]) -> String {
    let is_of = |line: &str| {
        let words: Vec<&str> = line.split_whitespace().skip(3).collect();
        let name = match words.as_slice() {
            ["EXTENSION", "-", name, ..] | ["COMMENT", "-", "EXTENSION", name, ..] => name,
            _ => return false,
        };
        extensions.iter().any(|extension| extension == name)
    };
    let kept: Vec<&str> = list.lines().filter(|line| line.starts_with(';') || !is_of(line)).collect();
    kept.join("\n") + "\n"
}

fn open(file: &Path) -> Result<Stdio> {
    File::open(file).map(Stdio::from).map_err(io(format!("cannot read {}", file.display())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extensions_that_are_there_are_not_loaded_again() {
        let list = ";\n; Archive created\n;\n2; 3079 16385 EXTENSION - pg_trgm \n3456; 0 0 COMMENT - EXTENSION pg_trgm \n\
                    3; 3079 16386 EXTENSION - other \n215; 1259 16390 TABLE public EXTENSION postgres\n";
        let kept = filtered(list, &["pg_trgm".into()]);
        assert_eq!(
            kept,
            ";\n; Archive created\n;\n3; 3079 16386 EXTENSION - other \n215; 1259 16390 TABLE public EXTENSION postgres\n"
        );
    }

    #[test]
    fn of_what_stands_in_rows_nothing_is_repeated() {
        let words = "pg_restore: while PROCESSING TOC:\n\
            pg_restore: from TOC entry 3308; 0 16390 TABLE DATA people web\n\
            pg_restore: error: COPY failed for table \"people\": ERROR:  duplicate key value violates unique constraint \"people_pkey\"\n\
            DETAIL:  Key (email)=(a@example.org) already exists.\nCONTEXT:  COPY people, line 2: \"a@example.org\"\n";
        assert_eq!(
            without_contents(words),
            "pg_restore: while PROCESSING TOC:\n\
             pg_restore: error: COPY failed for table \"people\": ERROR:  duplicate key value violates unique constraint \"people_pkey\""
        );
        let words = "pg_restore: error: COPY failed for table \"a\": ERROR:  invalid input syntax for type integer: \"a@example.org\"\n";
        assert!(without_contents(words).ends_with("invalid input syntax for type integer"));
        let words = "pg_restore: error: could not execute query: ERROR:  relation \"a\" exists\nCommand was: SELECT 'a@example.org';\n'b'\n";
        assert!(without_contents(words).ends_with("relation \"a\" exists"));
    }

    #[test]
    fn a_database_is_made_as_the_one_that_it_replaces() {
        let mut properties = Properties {
            owner: "web".into(),
            encoding: "UTF8".into(),
            collate: "C.UTF-8".into(),
            ctype: "C.UTF-8".into(),
            provider: "c".into(),
            bytes: 1,
        };
        assert_eq!(
            creation("berth-new", &properties),
            "CREATE DATABASE \"berth-new\" OWNER \"web\" TEMPLATE template0 ENCODING 'UTF8' LC_COLLATE 'C.UTF-8' LC_CTYPE 'C.UTF-8'"
        );
        properties.provider = "i".into();
        assert!(creation("berth-new", &properties).ends_with("ENCODING 'UTF8'"));
    }
}
