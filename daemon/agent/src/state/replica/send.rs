//! The source: tells what has changed since a database was dumped.

use std::cmp::Ordering;
use std::fs::File;
use std::io::{BufReader, Seek as _};
use std::path::PathBuf;

use berth_delta::Snapshot as Listed;
use berth_protocol::{Failure, Pass, Replica, TransferPhase};
use uuid::Uuid;

use super::{Chain, Last, SCHEMA, Said, Step, prefix, slots};
use crate::client::Client as _;
use crate::failure::io;
use crate::postgres::apply::{ApplyError, Shapes};
use crate::postgres::copy::Extent;
use crate::postgres::lsn::Lsn;
use crate::postgres::segment::{self, SegmentError};
use crate::postgres::{copied, copy, fitness, schema, slot};
use crate::state::capture::{Service, new_file};
use crate::state::notes::Meter;
use crate::state::record::{Files, Kind, Name};
use crate::state::restic::{Backup, Summary, What};
use crate::state::snapshot::Staging;
use crate::state::work::{Job, tell_what_is_kept};

/// About how many changes a piece has: each is one transaction for whoever follows.
const CHANGES: u32 = 200_000;

/// Why a database is not told by what changes in it.
pub(super) enum Stop {
    /// It is dumped, as this stands in the way.
    Dump(String),
    /// It may be told when it is tried again.
    Again(Failure),
}

/// What stands in the way at the server is final: it would at every pass.
impl From<Failure> for Stop {
    fn from(failure: Failure) -> Self {
        Self::Dump(failure.message)
    }
}

impl From<SegmentError> for Stop {
    fn from(error: SegmentError) -> Self {
        Self::Dump(format!("what changed cannot be told: {error}"))
    }
}

impl From<ApplyError> for Stop {
    fn from(error: ApplyError) -> Self {
        Self::Dump(format!("what changed cannot be done again: {error}"))
    }
}

/// What one pass has told of databases.
#[derive(Default)]
pub(in crate::state) struct Told {
    pub(in crate::state) bytes_added: u64,
    pub(in crate::state) replicas: Vec<Replica>,
}

impl Service<'_> {
    /// Tells what has changed in those databases that are large enough, beginning with all of it.
    pub(in crate::state) fn tell_changes(
        &self,
        job: &mut Job,
        known: Option<&[Listed]>,
    ) -> Result<Told, Failure> {
        let mut told = Told::default();
        let Some(replicate) = &self.asked.replicate else {
            // Nobody follows any more.
            tell_what_is_kept(job, slots::release(job.files.name.operation));
            return Ok(told);
        };
        let Some(known) = known else { return Ok(told) };
        for database in &self.contract.state.databases {
            if let Some(why) = job.record.dumped.get(database).cloned() {
                self.is_dumped(job, database, &why);
                continue;
            }
            let own = prefix(job.files.name.operation);
            let chain = Chain::of((self.service, database), known, |stream| stream.starts_with(&own));
            let newest = match &chain {
                Some(chain) => self.go_on(job, database, chain, &mut told.bytes_added),
                None if self.is_large(database, replicate.above) => {
                    self.begin(job, database, &mut told.bytes_added)
                }
                None => continue,
            };
            match newest {
                Ok(newest) => told.replicas.push(Replica { database: database.clone(), newest }),
                Err(Stop::Again(failure)) => return Err(failure),
                Err(Stop::Dump(why)) => {
                    self.is_dumped(job, database, &why);
                    // It would take its time at every pass, and be so each time.
                    job.record.dumped.insert(database.clone(), why);
                    job.save()?;
                }
            }
        }
        slots::renew(self.myself)?;
        Ok(told)
    }

    fn is_dumped(&self, job: &mut Job, database: &str, why: &str) {
        job.notes.line(&format!("{}: the database {database} goes as a dump: {why}", self.service));
    }

    fn is_large(&self, database: &str, above: u64) -> bool {
        // One that is not there is somebody else's to complain of.
        copy::properties(database).is_ok_and(|found| found.bytes > above)
    }

    /// Tells what has changed since the last piece; gives the newest one.
    fn go_on(
        &self,
        job: &mut Job,
        database: &str,
        chain: &Chain<'_>,
        bytes_added: &mut u64,
    ) -> Result<String, Stop> {
        let told = self.pieces(job, database, chain, bytes_added);
        if let Err(Stop::Dump(_)) = told {
            slots::release_one(chain.stream)?;
        }
        told
    }

    fn pieces(
        &self,
        job: &mut Job,
        database: &str,
        chain: &Chain<'_>,
        bytes_added: &mut u64,
    ) -> Result<String, Stop> {
        let Step { snapshot, until } = self.still_good(database, chain)?;
        // While services go on, they need the disk as well. What is kept already only becomes less with the last piece.
        if let Some(why) = fitness::no_room()? {
            return Err(Stop::Dump(why));
        }
        let (mut newest, mut since) = (snapshot.id.clone(), until);
        let end = slot::end_of_log()?;
        loop {
            let (path, file) = self.piece_file(job, database, "changes")?;
            let Some(until) = taken(chain.stream, database, (end, Some(CHANGES)), file)? else {
                return Ok(newest);
            };
            let said = Said { stream: chain.stream, since: Some(since), until };
            newest = self.kept(job, database, said, (path, None), bytes_added)?;
            // Whoever comes after a crash in between finds it in the repository, and lets go of it then.
            slot::take(chain.stream, until)?;
            since = until;
        }
    }

    /// The last that was told, if the server has everything since, of the database as it was made then.
    fn still_good<'s>(&self, database: &str, chain: &Chain<'s>) -> Result<Step<'s>, Stop> {
        let stop = |why: &str| Stop::Dump(why.to_owned());
        let last = chain.last().ok_or_else(|| stop("nothing was told of it"))?;
        let standing = slot::standing(chain.stream, database)?;
        let standing = standing
            .ok_or_else(|| stop("the server does not keep any more what changes (its slot is gone)"))?;
        if !standing.is_whole {
            return Err(stop("more has changed meanwhile than the server keeps (max_slot_wal_keep_size)"));
        }
        if let Some(obstacle) = fitness::obstacle(database)? {
            return Err(Stop::Dump(obstacle));
        }
        if chain.schema() != Some(schema::sum(database, None)?.as_str()) {
            return Err(stop("its tables were made otherwise meanwhile"));
        }
        slot::disturb()?;
        if is_to_be_taken(standing.taken, last.until)? {
            slot::take(chain.stream, last.until)?;
        }
        Ok(last)
    }

    /// The last piece, where whoever follows has all others: nobody changes the database any more. Nothing where it was not told so.
    pub(in crate::state) fn last_piece(
        &self,
        job: &mut Job,
        (database, staging): (&str, &Staging),
        known: Option<&[Listed]>,
    ) -> Option<(Last, String)> {
        let (replicate, known) = (self.asked.replicate.as_ref()?, known?);
        if let Some(why) = refused_before(job.files.name.operation, database) {
            self.is_dumped(job, database, &why);
            return None;
        }
        let own = prefix(job.files.name.operation);
        let chain = Chain::of((self.service, database), known, |stream| stream.starts_with(&own))?;
        let told = self.last_of(&chain, database, staging, &replicate.followed);
        match told {
            Ok(last) => {
                let what =
                    format!("{}: of the database {database} only what changed last is sent", self.service);
                job.notes.line(&what);
                Some((last, chain.last()?.snapshot.id.clone()))
            }
            Err(Stop::Dump(why) | Stop::Again(Failure { message: why, .. })) => {
                self.is_dumped(job, database, &why);
                staging.forget(database);
                None
            }
        }
    }

    fn last_of(
        &self,
        chain: &Chain<'_>,
        database: &str,
        staging: &Staging,
        followed: &[String],
    ) -> Result<Last, Stop> {
        let Step { snapshot, until } = self.still_good(database, chain)?;
        if !followed.contains(&snapshot.id) {
            return Err(Stop::Dump("the target has not followed what changed".into()));
        }
        let end = slot::end_of_log()?;
        taken(chain.stream, database, (end, None), new_file(&staging.changes(database))?)?;
        let objects = copied::has_objects(database)?;
        if objects {
            copy::dump(database, Extent::LargeObjects, new_file(&staging.objects(database))?)?;
        }
        let sequences = copied::sequences(database)?;
        Ok(Last { stream: chain.stream.to_owned(), since: until, sequences, objects })
    }

    /// An empty file in the pass's folder, where there may be one of an earlier try.
    pub(super) fn piece_file(
        &self,
        job: &Job,
        database: &str,
        kind: &str,
    ) -> Result<(PathBuf, File), Failure> {
        let staging = Staging::of(job.files.name.operation, self.service);
        staging.make_room()?;
        let path = match kind {
            "dump" => staging.dump(database),
            _ => staging.changes(database),
        };
        let _ = std::fs::remove_file(&path);
        let file = new_file(&path)?;
        Ok((path, file))
    }

    /// A file in the pass's folder that is gone once nobody uses it.
    pub(super) fn unnamed_file(&self, job: &Job, database: &str) -> Result<File, Failure> {
        let (path, file) = self.piece_file(job, database, "changes")?;
        std::fs::remove_file(&path).map_err(io(format!("cannot remove {}", path.display())))?;
        Ok(file)
    }

    /// Brings a file to the repository; gives the snapshot's id.
    pub(super) fn kept(
        &self,
        job: &mut Job,
        database: &str,
        said: Said<'_>,
        (path, schema): (PathBuf, Option<String>),
        bytes_added: &mut u64,
    ) -> Result<String, Stop> {
        let mut tags = vec![self.asked.tag.clone(), Pass::Live.tag()];
        tags.extend(said.tags(self.service, database));
        tags.extend(schema.map(|schema| format!("{SCHEMA}{schema}")));
        let paths = vec![path.display().to_string()];
        let what = What::Everything { paths, parent: None };
        let mut meter = Meter::of(&mut job.notes, TransferPhase::Backup, self.service);
        let backup = Backup { host: self.host, tags, what, tolerant: false };
        let summary = self.restic.backup(&backup, &mut |status| meter.at(status));
        // It may be as large as the database.
        let _ = std::fs::remove_file(&path);
        let summary: Summary = summary.map_err(Stop::Again)?;
        *bytes_added += summary.bytes_added();
        Ok(summary.snapshot_id)
    }
}

/// Why passes while the services went on have not told of a database.
fn refused_before(operation: Uuid, database: &str) -> Option<String> {
    let live = Files::of(Name { operation, kind: Kind::Live }).read().ok()?;
    live?.dumped.remove(database)
}

/// Whether the server still keeps what is in the repository already. Where it has let go of more than that, something is nowhere.
fn is_to_be_taken(taken: Lsn, told: Lsn) -> Result<bool, Stop> {
    match taken.cmp(&told) {
        Ordering::Less => Ok(true),
        Ordering::Equal => Ok(false),
        Ordering::Greater => Err(Stop::Dump(format!(
            "what changed from {told} to {taken} in the log is not in the repository"
        ))),
    }
}

/// Writes what a slot holds into a file, and looks whether it can be done to tables as they are here; where its last transaction ends, if
/// it has one.
fn taken(slot: &str, database: &str, part: (Lsn, Option<u32>), file: File) -> Result<Option<Lsn>, Stop> {
    let changes = peeked(slot, database, part, file)?;
    let shapes = Shapes::of(database)?;
    segment::read(changes, &mut |change| Ok::<_, Stop>(shapes.statement(change).map(drop)?))
}

/// Writes what a slot holds into a file, and opens that.
pub(super) fn peeked(
    slot: &str,
    database: &str,
    (upto, changes): (Lsn, Option<u32>),
    mut file: File,
) -> Result<BufReader<File>, Stop> {
    slot::peek(slot, database, upto, changes, &mut file)?;
    file.rewind().map_err(|error| Stop::from(SegmentError::Io(error)))?;
    Ok(BufReader::new(file))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_neither_the_server_nor_the_repository_has_is_not_passed_over() {
        assert!(matches!(is_to_be_taken(Lsn(1), Lsn(2)), Ok(true)));
        assert!(matches!(is_to_be_taken(Lsn(2), Lsn(2)), Ok(false)));
        let gap = is_to_be_taken(Lsn(3), Lsn(2));
        assert!(matches!(&gap, Err(Stop::Dump(why)) if why.contains("from 0/2 to 0/3")));
    }
}
