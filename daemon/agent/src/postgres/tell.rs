//! Statements that come from another provider, told to a database by its owner.
//!
//! What the database says of a failure is not repeated but for its number: its words have what stands in rows, which is nobody's
//! business who reads of the failure. Functions of the database may say as much as they like.

use std::io::{BufWriter, Write as _};
use std::process::{ChildStdin, ExitStatus, Stdio};
use std::thread;

use berth_protocol::{Failure, FailureCode};

use super::apply::ApplyError;
use super::segment::SegmentError;
use super::slot::SESSION;
use super::{account, as_user, identifier};
use crate::failure::{io, program};
use crate::programs::collect;

/// How psql ends when the database refuses a statement (psql's manual, “Exit Status”).
const REFUSED: i32 = 3;

/// Classes of failures that say nothing of the statement: no connection, another was in the way, no resources, an administrator was, and the
/// system's own (PostgreSQL's manual, appendix A).
const PASSING: [&str; 5] = ["08", "40", "53", "57", "58"];

/// Why a database was not told everything.
#[derive(Debug)]
pub(crate) enum Untold {
    /// It would be so another time.
    Refused(Failure),
    /// It may pass by itself.
    Passing(Failure),
}

impl From<Failure> for Untold {
    fn from(failure: Failure) -> Self {
        Self::Passing(failure)
    }
}

impl Untold {
    /// The failure alone, for whoever does not try again.
    pub(crate) fn failure(self) -> Failure {
        match self {
            Self::Refused(failure) | Self::Passing(failure) => failure,
        }
    }
}

/// A psql that is told statements.
pub(super) struct Psql(BufWriter<ChildStdin>);

impl Psql {
    pub(super) fn say(&mut self, statement: &str) -> Result<(), ApplyError> {
        let said = self.0.write_all(statement.as_bytes()).and_then(|()| self.0.write_all(b";\n"));
        said.map_err(ApplyError::Ended)
    }
}

/// Has the database's owner say something to it, all of which has to be done.
pub(super) fn tell(
    database: &str,
    owner: &str,
    say: &mut dyn FnMut(&mut Psql) -> Result<(), ApplyError>,
) -> Result<(), Untold> {
    let mut psql = as_user("psql", account(owner))?;
    psql.env("PGOPTIONS", SESSION);
    psql.args([
        "--no-psqlrc",
        "--quiet",
        "--set=ON_ERROR_STOP=1",
        "--set=VERBOSITY=sqlstate",
        "--",
        database,
    ]);
    psql.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = psql.spawn().map_err(io("cannot start psql"))?;
    let (stdin, stderr) = (child.stdin.take(), child.stderr.take());
    let (said, words) = thread::scope(|scope| {
        // Whoever says much would wait for a reader otherwise, and psql with it.
        let words = scope.spawn(|| collect(stderr));
        let said = stdin.map(BufWriter::new).map_or(Ok(()), |stdin| {
            // Where it is not told everything, its input ends before it was to make anything last.
            let mut psql = Psql(stdin);
            psql.say(&format!("SET ROLE {}", identifier(owner)))?;
            say(&mut psql)?;
            psql.0.flush().map_err(ApplyError::Ended)
        });
        (said, words.join().unwrap_or_default())
    });
    let status = child.wait().map_err(io("cannot wait for psql"))?;
    match said {
        Ok(()) if status.success() => Ok(()),
        Ok(()) | Err(ApplyError::Ended(_)) => Err(ended(status, &words)),
        Err(error @ ApplyError::Segment(SegmentError::Io(_))) => {
            Err(Untold::Passing(crate::failure::failure(FailureCode::Io, error.to_string())))
        }
        Err(error) => Err(Untold::Refused(program("what has changed", &error.to_string()))),
    }
}

/// What it means that psql ended so.
fn ended(status: ExitStatus, words: &str) -> Untold {
    let number = number(words);
    match number {
        Some(number) if status.code() == Some(REFUSED) => {
            let failure = program("psql", &format!("the database refuses it: {}", meaning(number)));
            match PASSING.iter().any(|class| number.starts_with(class)) {
                true => Untold::Passing(failure),
                false => Untold::Refused(failure),
            }
        }
        _ => Untold::Passing(program("psql", &format!("it lost the database before it was done ({status})"))),
    }
}

/// The number of the last failure (SQLSTATE), which is all that psql repeats of it.
fn number(words: &str) -> Option<&str> {
    let mut numbers =
        words.lines().filter_map(|line| line.trim_end().rsplit_once(":  ")).map(|(_, number)| number);
    let is_one = |number: &&str| {
        number.len() == 5 && number.bytes().all(|b| b.is_ascii_digit() || b.is_ascii_uppercase())
    };
    numbers.rfind(is_one)
}

/// A number in words, where it is one that our own statements have a meaning for.
fn meaning(number: &str) -> String {
    let words = match number {
        "22P02" => "a row that changes is not there exactly once, or a value is none of its column's",
        "23505" => "a row is there already",
        "42501" => "its owner may not do that",
        _ => "it has its reason",
    };
    format!("{words} (SQLSTATE {number})")
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt as _;

    use super::*;

    fn message(code: i32, words: &str) -> (bool, String) {
        match ended(ExitStatus::from_raw(code << 8), words) {
            Untold::Passing(failure) => (true, failure.message),
            Untold::Refused(failure) => (false, failure.message),
        }
    }

    #[test]
    fn of_what_a_database_says_only_the_number_is_repeated() {
        let words = "INFO:  00000\nERROR:  23505\nDETAIL:  Key (email)=(a@example.org) already exists.\n";
        let (passing, message) = message(3, words);
        assert!(!passing && message.contains("23505") && !message.contains("example.org"), "{message}");
    }

    #[test]
    fn what_may_pass_is_told_from_what_stays_so() {
        for (code, words, passing) in [
            (3, "ERROR:  22P02", false),
            (3, "FEHLER:  23514\n", false),
            (3, "ERROR:  53100", true),
            (3, "ERROR:  40P01", true),
            (2, "FATAL:  57P01\nserver closed the connection unexpectedly", true),
            (2, "psql: error: connection to server on socket failed", true),
            (3, "nothing that is known", true),
        ] {
            assert_eq!(message(code, words).0, passing, "{words}");
        }
    }
}
