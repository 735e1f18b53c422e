//! Whoever follows a database: loads what came first beside what is there, and changes it as the other changed.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::Duration;

use berth_delta::Snapshot as Listed;
use berth_domain::ServiceName;
use berth_domain::manifest::ServiceManifest;
use berth_protocol::{Failure, RestoredAhead, TransferPhase};
use sha2::{Digest as _, Sha256};

use super::{Chain, Last, Step};
use crate::client::Client as _;
use crate::failure::{Result, io};
use crate::postgres;
use crate::postgres::copied::{self, Position};
use crate::postgres::copy::{self, Properties};
use crate::postgres::lsn::Lsn;
use crate::postgres::tell::Untold;
use crate::state::fetched::fetched;
use crate::state::notes::Meter;
use crate::state::restic::{Restic, Status};
use crate::state::snapshot::{Staging, mismatch};
use crate::state::work::Job;

/// How all copies are called in front.
const COPIES: &str = "berth-ahead-";

/// How long it is waited before it is tried again what may pass by itself, such as a server that starts anew.
const PAUSES: [Duration; 4] =
    [Duration::from_secs(2), Duration::from_secs(5), Duration::from_secs(15), Duration::from_secs(30)];

/// Where a copy is that has the last piece as well.
const END: Lsn = Lsn(u64::MAX);

/// Removes all copies that nobody made a tenant's database of.
pub(crate) fn forget() -> Result<()> {
    let all = postgres::sql("postgres", &["SELECT datname FROM pg_database"])?;
    all.lines().filter(|name| name.starts_with(COPIES)).try_for_each(postgres::drop)
}

/// The copy of a service's database.
fn copy_of(service: &ServiceName, database: &str) -> String {
    let sum = Sha256::digest(format!("{service}/{database}"));
    let digits: String = sum.iter().take(12).map(|byte| format!("{byte:02x}")).collect();
    format!("{COPIES}{digits}")
}

/// A service whose databases are followed.
pub(in crate::state) struct Receiving<'a> {
    pub(in crate::state) service: &'a ServiceName,
    pub(in crate::state) restic: &'a Restic<'a>,
    /// Where files of snapshots are brought meanwhile.
    pub(in crate::state) scratch: PathBuf,
}

/// Why a copy did not come about.
enum Stop {
    /// It never will.
    Refused(Failure),
    /// It may when all of this is tried again.
    Again(Failure),
    /// It may in a moment.
    Passing(Failure),
}

impl From<Untold> for Stop {
    fn from(untold: Untold) -> Self {
        match untold {
            Untold::Refused(failure) => Self::Refused(failure),
            Untold::Passing(failure) => Self::Passing(failure),
        }
    }
}

impl Receiving<'_> {
    /// Brings all copies to where the newest pieces lead. What cannot be followed is said, and left to a dump.
    pub(in crate::state) fn go_on(
        &self,
        job: &mut Job,
        contract: &ServiceManifest,
        snapshots: &[Listed],
        (before, restored): (&RestoredAhead, &mut RestoredAhead),
    ) -> Result<()> {
        for database in &contract.state.databases {
            let Some(chain) = Chain::of((self.service, database), snapshots, |_| true) else { continue };
            if let Some(why) = before.refused.get(chain.stream) {
                restored.refused.insert(chain.stream.to_owned(), why.clone());
                continue;
            }
            let copy = copy_of(self.service, database);
            match self.ahead(job, database, &copy, &chain) {
                Ok(()) => {
                    restored.snapshots.extend(chain.steps.iter().map(|step| (step.snapshot.id.clone(), 0)));
                }
                Err(Stop::Again(failure)) => return Err(failure),
                Err(Stop::Refused(failure) | Stop::Passing(failure)) => {
                    let why = format!("the database {database} cannot be followed: {failure}");
                    job.notes.line(&format!("{}: {why}", self.service));
                    restored.refused.insert(chain.stream.to_owned(), why);
                    postgres::drop(&copy)?;
                }
            }
        }
        Ok(())
    }

    fn ahead(
        &self,
        job: &mut Job,
        database: &str,
        copy: &str,
        chain: &Chain<'_>,
    ) -> std::result::Result<(), Stop> {
        let there = postgres::existing(&[database]).map_err(Stop::Again)?;
        if there.is_empty() {
            return Err(Stop::Refused(mismatch(format!("there is no database {database} here yet"))));
        }
        let properties = copy::properties(database).map_err(Stop::Again)?;
        self.follow(job, (copy, Some(database)), chain, &properties)
    }

    /// Makes a database of what was told of another, up to the last piece, which stands beside the dumps of the snapshot.
    pub(in crate::state) fn finish(
        &self,
        job: &mut Job,
        (database, new, like): (&str, &str, Option<&str>),
        (last, staging): (&Last, &Staging),
        (snapshots, properties, reuse): (&[Listed], &Properties, bool),
    ) -> Result<()> {
        let lacking =
            || mismatch(format!("what was told of the database {database} before is not in the repository"));
        let chain = Chain::of((self.service, database), snapshots, |stream| stream == last.stream);
        let chain = chain.and_then(|chain| chain.up_to(last.since)).ok_or_else(lacking)?;
        let copy = copy_of(self.service, database);
        if !reuse {
            postgres::drop(&copy)?;
        }
        let followed = self.follow(job, (&copy, like), &chain, properties);
        let failed = |(Stop::Again(failure) | Stop::Refused(failure) | Stop::Passing(failure))| failure;
        followed.map_err(failed)?;
        let end = Position { stream: last.stream.clone(), at: END };
        copied::advance(&copy, &properties.owner, &regular(staging.changes(database))?, &end)
            .map_err(Untold::failure)?;
        let objects = match last.objects {
            true => {
                let path = regular(staging.objects(database))?;
                Some(File::open(&path).map_err(io(format!("cannot read {}", path.display())))?)
            }
            false => None,
        };
        copied::finish(&copy, &properties.owner, &last.sequences, objects)?;
        postgres::drop(new)?;
        copy::rename(&copy, new)
    }

    /// Removes the copy of a database that came otherwise.
    pub(in crate::state) fn is_of_no_use(&self, database: &str) -> Result<()> {
        let copy = copy_of(self.service, database);
        if postgres::existing(&[&copy])?.is_empty() { Ok(()) } else { postgres::drop(&copy) }
    }

    /// Brings a copy to the end of a chain. What may pass by itself is waited for.
    fn follow(
        &self,
        job: &mut Job,
        target: (&str, Option<&str>),
        chain: &Chain<'_>,
        properties: &Properties,
    ) -> std::result::Result<(), Stop> {
        let mut pauses = PAUSES.into_iter();
        loop {
            match (self.try_to_follow(job, target, chain, properties), pauses.next()) {
                (Err(Stop::Passing(failure)), Some(pause)) => {
                    job.notes.line(&format!(
                        "{}: tried again in {} s: {failure}",
                        self.service,
                        pause.as_secs()
                    ));
                    sleep(pause);
                }
                (Err(Stop::Passing(failure)), None) => return Err(Stop::Refused(failure)),
                (done, _) => return done,
            }
        }
    }

    /// Brings a copy to the end of a chain, from where it is if that is on the way.
    fn try_to_follow(
        &self,
        job: &mut Job,
        (copy, like): (&str, Option<&str>),
        chain: &Chain<'_>,
        properties: &Properties,
    ) -> std::result::Result<(), Stop> {
        let position = copied::position(copy).map_err(Stop::Again)?;
        let is_here = |step: &Step<'_>| {
            position
                .as_ref()
                .is_some_and(|position| position.stream == chain.stream && position.at == step.until)
        };
        let done = chain.steps.iter().position(is_here).map_or(0, |index| index + 1);
        let mut meter = Meter::of(&mut job.notes, TransferPhase::Load, self.service);
        let total_files = chain.steps.len() as u64;
        for (index, step) in chain.steps.iter().enumerate().skip(done) {
            meter.say(Status { files_done: index as u64, total_files, ..Status::default() });
            let kind = if index == 0 { "dump" } else { "changes" };
            let is_it = |path: &Path| path.extension().is_some_and(|found| found == kind);
            let file = fetched(self.restic, step.snapshot, is_it, &self.scratch).map_err(Stop::Again)?;
            let lacking = || Stop::Refused(mismatch("a snapshot of a database does not hold what it says"));
            let file = file.ok_or_else(lacking)?;
            let position = Position { stream: chain.stream.to_owned(), at: step.until };
            let made = match index {
                0 => copied::load(copy, &file, (properties, like), &position),
                _ => copied::advance(copy, &properties.owner, &file, &position),
            };
            // It may be as large as the database.
            let _ = std::fs::remove_dir_all(&self.scratch);
            made?;
        }
        meter.say(Status { files_done: total_files, total_files, ..Status::default() });
        Ok(())
    }
}

/// A pipe would keep whoever opens it waiting, and a device might do anything.
fn regular(path: PathBuf) -> Result<PathBuf> {
    let is_file = path.symlink_metadata().is_ok_and(|found| found.is_file());
    if is_file { Ok(path) } else { Err(mismatch("what changed last in a database is not in it")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_has_a_name_that_postgresql_takes_and_no_tenants_database_has() {
        let copy = copy_of(&"web".parse().unwrap(), &"x".repeat(63));
        assert!(copy.len() <= 63 && copy.starts_with(COPIES), "{copy}");
        assert_ne!(copy, copy_of(&"web".parse().unwrap(), "x"));
    }
}
