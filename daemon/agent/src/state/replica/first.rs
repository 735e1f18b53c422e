//! What a source begins with: a dump of a database at the very place from which on its server keeps what changes.

use berth_protocol::TransferPhase;

use super::send::Stop;
use super::{Said, prefix, slots, stream};
use crate::client::Client as _;
use crate::postgres::copy::{self, Dumping, Extent, Given};
use crate::postgres::waiting::Waiting;
use crate::postgres::{emptied, fitness, schema, slot};
use crate::state::capture::Service;
use crate::state::notes::Meter;
use crate::state::restic::Status;
use crate::state::work::Job;

/// How often it is begun anew as a table was emptied just then.
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
            slots::release_one(&stream)?;
            first?;
        }
        Err(Stop::Dump("tables of it are emptied again and again".into()))
    }

    /// Nothing where a table was emptied just when it began.
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
        let dumped = match dumping.wait_until_it_writes(&mut others) {
            Ok(()) if emptied::since(&fresh.snapshot, database)? => return Ok(None),
            Ok(()) => dumping.finish_before(&mut others),
            given => given,
        };
        if let Err(given) = dumped {
            others.let_go()?;
            let _ = std::fs::remove_file(&path);
            return Err(given.into());
        }
        let sum = schema::sum(database, Some(&fresh.snapshot))?;
        let said = Said { stream, since: None, until: fresh.at };
        drop(fresh);
        self.kept(job, database, said, (path, Some(sum)), bytes_added).map(Some)
    }
}
