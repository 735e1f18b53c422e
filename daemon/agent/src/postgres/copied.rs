//! A copy of a database that is brought from where it is to where the other one is, piece by piece.
//!
//! Where it is stands in the database's own comment, which changes in the very transaction that changes the rows: a piece that comes
//! twice, or not to its end, does no harm. What changes rows has the rights of the database's owner alone, as what made them
//! comes from another provider; triggers and references are at rest meanwhile (`session_replication_role`), which an administrator
//! says of the database, and takes back before it becomes the tenant's ([`finish`]).

use std::fs::File;
use std::io::BufReader;
use std::path::Path;
use std::process::Stdio;

use berth_protocol::{Failure, FailureCode};
use serde::{Deserialize, Serialize};

use super::apply::Shapes;
use super::copy::{self, Properties, disconnect};
use super::decoding::Change;
use super::lsn::Lsn;
use super::quote::within_text;
use super::segment::read;
use super::tell::{Untold, tell};
use super::{account, as_user, identifier, literal, rows, script, sql};
use crate::failure::{Result, io};

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

/// Makes a copy of a dump, which is at `position` then.
pub(crate) fn load(
    database: &str,
    dump: &Path,
    (properties, like): (&Properties, Option<&str>),
    position: &Position,
) -> std::result::Result<(), Untold> {
    copy::load(database, dump, properties, like).map_err(untold)?;
    Ok(begin(database, position)?)
}

/// What `pg_restore` could not do. It says in words alone whether it was the connection: words of PostgreSQL's library, which speaks
/// English here whatever the server speaks. Of a full disk the server says what its system does.
fn untold(failure: Failure) -> Untold {
    const PASSING: [&str; 4] = [
        "server closed the connection",
        "connection to server",
        "no connection to the server",
        "No space left on device",
    ];
    let is_passing =
        failure.code != FailureCode::Program || PASSING.iter().any(|words| failure.message.contains(words));
    if is_passing { Untold::Passing(failure) } else { Untold::Refused(failure) }
}

/// Makes a database that was loaded a copy, which is here.
fn begin(database: &str, position: &Position) -> Result<()> {
    let rest = format!("ALTER DATABASE {} SET session_replication_role = replica", identifier(database));
    sql("postgres", &[&rest, &position.comment(database)]).map(drop)
}

/// Makes all changes of a piece, or none of them; from then on the copy is at `position`.
pub(crate) fn advance(
    database: &str,
    owner: &str,
    piece: &Path,
    position: &Position,
) -> std::result::Result<(), Untold> {
    let shapes = Shapes::of(database)?;
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
    rows(&script(database, SEQUENCES)?, "a sequence")
}

/// A view that is made of tables.
#[derive(Debug, Deserialize)]
struct View {
    schema: String,
    name: String,
}

/// Those that are filled, each behind those that it may be made of.
const VIEWS: &str = "SELECT json_build_object('schema', n.nspname, 'name', c.relname) FROM pg_class c \
    JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind = 'm' AND c.relispopulated ORDER BY c.oid";

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
        copy::run_restore(restore)?;
    }
    let views: Vec<View> = rows(&sql(database, &[VIEWS])?, "a view")?;
    tell(database, owner, &mut |psql| {
        for Sequence { schema, name, last, called } in sequences {
            let sequence = literal(&format!("{}.{}", within_text(schema), within_text(name)));
            psql.say(&format!("SELECT setval({sequence}::regclass, {last}, {called})"))?;
        }
        views.iter().try_for_each(|View { schema, name }| {
            psql.say(&format!("REFRESH MATERIALIZED VIEW {}.{}", identifier(schema), identifier(name)))
        })
    })
    .map_err(Untold::failure)?;
    let name = identifier(database);
    let again = format!("ALTER DATABASE {name} RESET session_replication_role");
    sql("postgres", &[&again, &format!("COMMENT ON DATABASE {name} IS NULL")]).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failure::program;

    #[test]
    fn a_dump_whose_server_went_away_is_loaded_again_and_one_that_is_refused_is_not() {
        let passing = |words: &str| matches!(untold(program("pg_restore", words)), Untold::Passing(_));
        assert!(passing("error: could not execute query: server closed the connection unexpectedly"));
        assert!(passing(
            "error: COPY failed: ERROR:  could not extend file \"base/5/1\": No space left on device"
        ));
        assert!(!passing("error: could not execute query: ERROR:  type \"other\" does not exist"));
        assert!(matches!(untold(io("cannot start it")(std::io::Error::other("x"))), Untold::Passing(_)));
    }
}
