//! A copy of a database that is brought from where it is to where the other one is, piece by piece.
//!
//! Where it is stands in the database's own comment, which changes in the very transaction that changes the rows: a piece that comes
//! twice, or not to its end, does no harm. What changes rows has the rights of the database's owner alone, as what made them
//! comes from another provider; triggers and references are at rest meanwhile (`session_replication_role`), which an administrator
//! says of the database, and takes back before it becomes the tenant's ([`finish`]).

use std::fs::File;
use std::io::{BufReader, BufWriter, Write as _};
use std::path::Path;
use std::process::{ChildStdin, Stdio};

use serde::{Deserialize, Serialize};

use super::apply::{ApplyError, SHAPES, Shapes};
use super::copy::{LIMIT, disconnect};
use super::decoding::Change;
use super::lsn::Lsn;
use super::segment::read;
use super::slot::SESSION;
use super::{account, as_user, identifier, literal, script, sql};
use crate::failure::{Result, io, program};
use crate::programs::run_ok;

/// How the comment of a copy begins.
const MARK: &str = "berth copy";

/// Where a copy is: of what, and up to which place of the other's log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Position {
    pub(crate) stream: String,
    pub(crate) at: Lsn,
}

impl Position {
    fn comment(&self, database: &str) -> String {
        let told = format!("{MARK} {} {}", self.stream, self.at);
        format!("COMMENT ON DATABASE {} IS {}", identifier(database), literal(&told))
    }
}

/// Where a copy is; nothing where there is none, or none that was made to its end.
pub(crate) fn position(database: &str) -> Result<Option<Position>> {
    // What somebody began who was killed may still come to its end.
    disconnect(database)?;
    let question = format!(
        "SELECT shobj_description(oid, 'pg_database') FROM pg_database WHERE datname = {}",
        literal(database)
    );
    let told = sql("postgres", &[&question])?;
    let mut words = told.trim().strip_prefix(MARK).unwrap_or_default().split_whitespace();
    let (stream, at) = (words.next(), words.next().and_then(|at| at.parse().ok()));
    Ok(stream.zip(at).map(|(stream, at)| Position { stream: stream.to_owned(), at }))
}

/// Makes a database that was loaded a copy, which is here.
pub(crate) fn begin(database: &str, position: &Position) -> Result<()> {
    let rest = format!("ALTER DATABASE {} SET session_replication_role = replica", identifier(database));
    sql("postgres", &[&rest, &position.comment(database)]).map(drop)
}

/// Makes all changes of a piece, or none of them; from then on the copy is at `position`.
pub(crate) fn advance(database: &str, owner: &str, piece: &Path, position: &Position) -> Result<()> {
    let shapes =
        Shapes::parse(&script(database, SHAPES)?).map_err(|error| program("psql", &error.to_string()))?;
    let input = File::open(piece).map_err(io(format!("cannot read {}", piece.display())))?;
    tell(database, owner, &mut |psql| {
        psql.say("BEGIN")?;
        read(BufReader::new(&input), &mut |change: &Change| {
            shapes.statement(change)?.map_or(Ok(()), |statement| psql.say(&statement))
        })?;
        psql.say(&position.comment(database))?;
        psql.say("COMMIT")
    })
}

/// A sequence, and what it gave last.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Sequence {
    schema: String,
    name: String,
    last: i64,
    /// Whether it gave that already.
    called: bool,
}

/// What is asked of sequences; `\gexec` (psql's manual) runs what a query answers.
const SEQUENCES: &str = r"
SELECT format('SELECT json_build_object(''schema'', %L, ''name'', %L, ''last'', last_value, ''called'', is_called) FROM %I.%I',
  n.nspname, c.relname, n.nspname, c.relname)
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
  WHERE c.relkind = 'S' AND c.relpersistence <> 't' AND n.nspname <> 'information_schema' AND n.nspname !~ '^pg_'
\gexec
";

/// What all sequences of a database gave last.
pub(crate) fn sequences(database: &str) -> Result<Vec<Sequence>> {
    let told = script(database, SEQUENCES)?;
    let read =
        |line| serde_json::from_str(line).map_err(|error| program("psql", &format!("a sequence: {error}")));
    told.lines().filter(|line| !line.trim().is_empty()).map(read).collect()
}

/// Whether a database has large objects.
pub(crate) fn has_objects(database: &str) -> Result<bool> {
    sql(database, &["SELECT 1 FROM pg_largeobject_metadata LIMIT 1"]).map(|told| !told.trim().is_empty())
}

/// Makes of a copy a database as any other: sequences, large objects and what is made of tables are not told as changes.
pub(crate) fn finish(
    database: &str,
    owner: &str,
    sequences: &[Sequence],
    objects: Option<File>,
) -> Result<()> {
    if let Some(objects) = objects {
        let mut restore = as_user("pg_restore", account(owner))?;
        restore.args(["--exit-on-error", "--no-owner", "--no-privileges", "--no-password"]);
        restore
            .arg(format!("--role={owner}"))
            .arg(format!("--dbname={database}"))
            .stdin(Stdio::from(objects));
        run_ok(restore, LIMIT)?;
    }
    let views = sql(
        database,
        &["SELECT format('REFRESH MATERIALIZED VIEW %I.%I', n.nspname, c.relname) FROM pg_class c \
        JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind = 'm' AND c.relispopulated ORDER BY c.oid"],
    )?;
    tell(database, owner, &mut |psql| {
        for Sequence { schema, name, last, called } in sequences {
            let sequence = literal(&format!("{}.{}", identifier(schema), identifier(name)));
            psql.say(&format!("SELECT setval({sequence}::regclass, {last}, {called})"))?;
        }
        views.lines().filter(|view| !view.trim().is_empty()).try_for_each(|view| psql.say(view))
    })?;
    let name = identifier(database);
    let again = format!("ALTER DATABASE {name} RESET session_replication_role");
    sql("postgres", &[&again, &format!("COMMENT ON DATABASE {name} IS NULL")]).map(drop)
}

/// A psql that is told statements.
struct Psql(BufWriter<ChildStdin>);

impl Psql {
    fn say(&mut self, statement: &str) -> std::result::Result<(), ApplyError> {
        let said = self.0.write_all(statement.as_bytes()).and_then(|()| self.0.write_all(b";\n"));
        said.map_err(ApplyError::Ended)
    }
}

/// Has the database's owner say something to it, all of which has to be done.
fn tell(
    database: &str,
    owner: &str,
    say: &mut dyn FnMut(&mut Psql) -> std::result::Result<(), ApplyError>,
) -> Result<()> {
    let mut psql = as_user("psql", account(owner))?;
    psql.env("PGOPTIONS", SESSION);
    psql.args(["--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1", "--", database]);
    psql.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = psql.spawn().map_err(io("cannot start psql"))?;
    let said = child.stdin.take().map(BufWriter::new).map_or(Ok(()), |stdin| {
        // Where it is not told everything, its input ends before it was to make anything last.
        let mut psql = Psql(stdin);
        psql.say(&format!("SET ROLE {}", identifier(owner)))?;
        say(&mut psql)?;
        psql.0.flush().map_err(ApplyError::Ended)
    });
    let output = child.wait_with_output().map_err(io("cannot wait for psql"))?;
    let words = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    match said {
        Ok(()) | Err(ApplyError::Ended(_)) if !output.status.success() => {
            Err(program("psql", &format!("{words} ({})", output.status)))
        }
        Err(error) => Err(program("what has changed", &error.to_string())),
        Ok(()) => Ok(()),
    }
}
