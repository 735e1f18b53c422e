//! What a source begins with: a dump of a database at the very place from which on its server keeps what changes.

use std::io::BufWriter;
use std::path::PathBuf;

use berth_protocol::TransferPhase;

use super::send::{Stop, peeked};
use super::{Said, prefix, slots, stream};
use crate::client::Client as _;
use crate::postgres::apply::Shapes;
use crate::postgres::copy::{self, Dumping, Extent, Given};
use crate::postgres::emptied::Emptied;
use crate::postgres::lsn::Lsn;
use crate::postgres::slot::{self, Fresh};
use crate::postgres::waiting::Waiting;
use crate::postgres::{fitness, schema, segment};
use crate::state::capture::Service;
use crate::state::notes::Meter;
use crate::state::restic::Status;
use crate::state::snapshot::Staging;
use crate::state::work::Job;

/// How often it is begun anew as a table was made or written anew just then.
const TRIES: usize = 5;

impl From<Given> for Stop {
    fn from(given: Given) -> Self {
        match given {
            Given::Way => {
                Self::Dump("others wait for its tables while it is dumped and services go on".into())
            }
            Given::Failed(failure) => failure.into(),
        }
    }
}

impl Service<'_> {
    /// Dumps it as it was when the slot was made.
    pub(super) fn begin(&self, job: &mut Job, database: &str, bytes_added: &mut u64) -> Result<String, Stop> {
        if let Some(obstacle) = fitness::obstacle(database)? {
            return Err(Stop::Dump(obstacle));
        }
        if let Some(why) = fitness::no_room()? {
            return Err(Stop::Dump(why));
        }
        // What was killed before its dump was kept has left one that nobody can go on from.
        slots::release_of(&prefix(job.files.name.operation), database)?;
        for _ in 0..TRIES {
            slots::expect(self.myself)?;
            let stream = stream(job.files.name.operation);
            let first = self.first(job, database, &stream, bytes_added);
            if let Ok(Some(first)) = first {
                let what = format!("of the database {database} only what changes is sent from here on");
                job.notes.line(&format!("{}: {what}", self.service));
                return Ok(first);
            }
            Staging::of(job.files.name.operation, self.service).forget(database);
            slots::release_one(&stream)?;
            first?;
        }
        Err(Stop::Dump("tables of it are made or written anew again and again".into()))
    }

    /// Nothing where something became of a table just when it began, which is not told.
    fn first(
        &self,
        job: &mut Job,
        database: &str,
        stream: &str,
        bytes_added: &mut u64,
    ) -> Result<Option<String>, Stop> {
        let bytes = copy::properties(database)?.bytes;
        let mut meter = Meter::of(&mut job.notes, TransferPhase::Dump, self.service);
        meter.say(Status { total_bytes: bytes, total_files: 1, ..Status::default() });
        let (path, file) = self.piece_file(job, database, "dump")?;
        if let Some(why) = fitness::no_room_for_dump(path.parent().unwrap_or(&path), bytes)? {
            return Err(Stop::Dump(why));
        }
        let fresh = slot::create(stream, database)?;
        let mut others = Waiting::of(database);
        let extent = Extent::Rows { snapshot: &fresh.snapshot };
        let mut dumping = Dumping::begin(database, extent, file)?;
        if let Err(given) = dumping.wait_until_it_writes(&mut others) {
            return Err(let_go(&others, given));
        }
        let Some(begun) = self.until_it_began(job, database, stream, &fresh)? else { return Ok(None) };
        if let Err(given) = dumping.finish_before(&mut others) {
            return Err(let_go(&others, given));
        }
        let sum = schema::sum(database, Some(&fresh.snapshot))?;
        let first = Said { stream, since: None, until: fresh.at };
        drop(fresh);
        // Nobody begins with the piece, so it is of no use until the first is there as well.
        let next = match begun {
            Beginning::Told { path, until } => {
                let next = Said { stream, since: Some(first.until), until };
                Some(self.kept(job, database, next, (path, None), bytes_added)?)
            }
            Beginning::Whole => None,
        };
        let newest = self.kept(job, database, first, (path, Some(sum)), bytes_added)?;
        Ok(Some(next.unwrap_or(newest)))
    }

    /// Writes down what the dump cannot have where tables were emptied between its snapshot and its beginning. Nothing where something else
    /// became of a table.
    fn until_it_began(
        &self,
        job: &mut Job,
        database: &str,
        stream: &str,
        fresh: &Fresh,
    ) -> Result<Option<Beginning>, Stop> {
        let Some(mut emptied) = Emptied::since(&fresh.snapshot, database)? else { return Ok(None) };
        if emptied.is_none() {
            return Ok(Some(Beginning::Whole));
        }
        let all = self.unnamed_file(job, database)?;
        let changes = peeked(stream, database, (slot::end_of_log()?, None), all)?;
        let (path, file) = self.piece_file(job, database, "changes")?;
        let shapes = Shapes::of(database)?;
        let until = segment::sift(changes, BufWriter::new(file), &mut |change| {
            let keeps = emptied.is_of_the_copy(change);
            if keeps {
                shapes.statement(change)?;
            }
            Ok::<_, Stop>(keeps)
        })?;
        Ok(until.filter(|_| emptied.is_none()).map(|until| Beginning::Told { path, until }))
    }
}

/// What a dump has of what became of tables between its snapshot and the moment from which on it holds them.
enum Beginning {
    /// All of it.
    Whole,
    /// Some were emptied. The file has what is to be done to the dump up to a place in the log.
    Told { path: PathBuf, until: Lsn },
}

/// Ends at the server what has ended here.
fn let_go(others: &Waiting<'_>, given: Given) -> Stop {
    others.let_go().map_or_else(Stop::from, |()| given.into())
}
