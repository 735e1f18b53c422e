//! What tells whether a database is still made as it was: only what changes of rows is told, and a table that was made since would
//! not be there.

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};
use std::thread;

use sha2::{Digest as _, Sha256};

use super::{as_postgres, looking};
use crate::failure::{Result, io, program};
use crate::programs::collect;

/// Which number each table and column has: one that was made anew looks as before. Nor is it told when rows are written otherwise by
/// what makes a table otherwise, even if it looks as before in the end:
///
/// - by which transaction each column was described last (`ALTER COLUMN … TYPE … USING`), and each table named last (two that change names);
/// - where large values stand (TOAST): elsewhere after `SET UNLOGGED` and `SET LOGGED`, between which nothing is told, and in the same place
///   after `TRUNCATE` and `VACUUM FULL`. A table without such has its rows elsewhere after any of them;
/// - whether a view that is made of tables is filled.
const NUMBERS: &str = "SELECT c.oid, c.relkind, c.relreplident, c.relispopulated, t.xmin, \
      CASE WHEN c.relkind = 'r' THEN c.reltoastrelid END, CASE WHEN c.relkind = 'r' AND c.reltoastrelid = 0 THEN c.relfilenode END, \
      a.attnum, a.attname, a.atttypid, a.atttypmod, a.xmin FROM pg_class c \
    JOIN pg_namespace n ON n.oid = c.relnamespace LEFT JOIN pg_type t ON t.oid = c.reltype \
    LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped \
    WHERE c.relkind IN ('r', 'p', 'm', 'S') AND c.relpersistence <> 't' AND n.nspname <> 'information_schema' AND n.nspname !~ '^pg_' \
    ORDER BY c.oid, a.attnum";

/// A sum over how a database is made, as it is or as a snapshot of it shows it.
pub(crate) fn sum(database: &str, snapshot: Option<&str>) -> Result<String> {
    let mut sum = Sha256::new();
    let mut dump = as_postgres("pg_dump")?;
    dump.args(["--schema-only", "--no-password"])
        .args(snapshot.map(|snapshot| format!("--snapshot={snapshot}")));
    dump.arg("--").arg(database);
    add(&mut sum, dump, "pg_dump")?;
    add(&mut sum, looking(database, snapshot, NUMBERS)?, "psql")?;
    Ok(sum.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}

/// Adds what a program says, but for what it says only of itself.
fn add(sum: &mut Sha256, mut command: Command, name: &str) -> Result<()> {
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(io(format!("cannot start {name}")))?;
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let (read, words) = thread::scope(|scope| {
        let words = scope.spawn(|| collect(stderr));
        let read = stdout.map(BufReader::new).map_or(Ok(()), |lines| {
            lines.split(b'\n').try_for_each(|line| {
                let line = line?;
                if !is_of_itself(&line) {
                    sum.update((line.len() as u64).to_be_bytes());
                    sum.update(line);
                }
                Ok(())
            })
        });
        (read, words.join().unwrap_or_default())
    });
    let status = child.wait().map_err(io(format!("cannot wait for {name}")))?;
    read.map_err(io(format!("cannot read what {name} says")))?;
    if status.success() { Ok(()) } else { Err(program(name, &format!("{} ({status})", words.trim()))) }
}

/// Comments, which tell versions, and a word that is another each time (CVE-2025-8714).
fn is_of_itself(line: &[u8]) -> bool {
    [&b"--"[..], b"\\restrict ", b"\\unrestrict "].iter().any(|word| line.starts_with(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_program_says_of_itself_makes_no_difference_and_all_else_does() {
        let sum_of = |text: &str| {
            let mut command = crate::programs::command("printf").unwrap();
            command.arg(text);
            let mut sum = Sha256::new();
            add(&mut sum, command, "printf").unwrap();
            sum.finalize()
        };
        let first = sum_of("-- by 17.6\\n\\\\restrict abc\\nCREATE TABLE a;\\n");
        assert_eq!(sum_of("-- by 17.7\\n\\\\restrict xyz\\nCREATE TABLE a;\\n"), first);
        assert_ne!(sum_of("CREATE TABLE b;\\n"), first);
        let failing = crate::programs::command("false").unwrap();
        assert!(add(&mut Sha256::new(), failing, "false").is_err());
    }
}
