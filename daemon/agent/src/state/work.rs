//! What runs in the unit: what was left undone before is put right, then the work is done and its end written down.

use berth_protocol::{FailureCode, Pass, Repository};

use super::handover;
use super::hold;
use super::notes::Notebook;
use super::record::{Asked, Files, Kind, Name, Record, State};
use super::replica::slots;
use super::settle::{self, Machine};
use super::{ahead, capture, is_whole, restore};
use crate::client::Client as _;
use crate::entry::Myself;
use crate::failure::{Result, failure};
use crate::lock::Lock;

/// A piece of work and its record, which is written at every change.
pub(super) struct Job {
    pub(super) files: Files,
    pub(super) record: Record,
    pub(super) notes: Notebook,
}

impl Job {
    pub(super) fn open(name: Name) -> Result<Self> {
        let files = Files::of(name);
        let missing = || failure(FailureCode::BadCall, "nothing is recorded under this name");
        let record = files.read()?.ok_or_else(missing)?;
        let notes = Notebook::open(&files.log())?;
        Ok(Self { files, record, notes })
    }

    /// Writes the record as it is now.
    pub(super) fn save(&self) -> Result<()> {
        self.files.write(&self.record)
    }
}

/// Does what is recorded, and writes down how it ended. Killed in the middle, it leaves the rest to [`settle()`](settle::settle).
pub(crate) fn run(name: Name, myself: &Myself) -> Result<()> {
    let mut job = Job::open(name)?;
    // Taken at once, as whoever gives it waits.
    let repository = handover::take(name);
    let _lock = match lock(name) {
        Ok(lock) => lock,
        Err(failure) => {
            job.record.state = State::Failed(failure);
            return job.save();
        }
    };
    match repository.and_then(|repository| work(&mut job, &repository, myself)) {
        Ok(state) => job.record.state = state,
        Err(failure) => {
            // The services first, and the undoing of what was done: whoever hears of the failure finds it done.
            job.notes.line(&failure.message);
            settle::put_right(&mut job, Machine::Runs)?;
            job.record.state = State::Failed(failure);
        }
    }
    settle::tidy(name);
    job.save()?;
    // Only now, as a timer that elapsed before would have found nothing that is quiet. Where this process ends in between, the
    // timer is started afterwards.
    hold::ensure(&job.files, myself)
}

/// Nobody else changes the machine meanwhile; what is only restored ahead changes nothing of it.
fn lock(name: Name) -> Result<Option<Lock>> {
    if name.kind == Kind::Ahead {
        return Ok(None);
    }
    Lock::machine(&format!("the work on its state for operation {}", name.operation)).map(Some)
}

fn work(job: &mut Job, repository: &Repository, myself: &Myself) -> Result<State> {
    ahead::end_others(Some(job.files.name))?;
    settle::others(&job.files)?;
    let released = slots::release_others(job.files.name.operation);
    tell_what_is_kept(job, released);
    match job.record.asked.clone() {
        Asked::Capture(asked) => {
            // Services that an earlier try left quiet are quiet already; of any other pass they serve first.
            match asked.pass {
                Pass::Final { .. } => hold::let_go(job.files.name)?,
                Pass::Live | Pass::Quiesced => settle::put_right(job, Machine::Runs)?,
            }
            let capture = capture::run(job, &asked, repository, myself)?;
            Ok(match asked.pass {
                // Also where no unit ran that could be stopped: nothing changes then either.
                Pass::Final { quiet_seconds } => {
                    if is_whole(&capture) {
                        // What changed last is sent.
                        let released = slots::release(job.files.name.operation);
                        tell_what_is_kept(job, released);
                    }
                    hold::begin(job.files.name, quiet_seconds)?;
                    State::Quiet(capture)
                }
                Pass::Live | Pass::Quiesced => State::Captured(capture),
            })
        }
        Asked::Restore(asked) => {
            settle::put_right(job, Machine::Runs)?;
            restore::run(job, &asked, repository, myself).map(|()| State::Restored)
        }
        Asked::Ahead(system) => ahead::run(job, &system, repository).map(State::Ahead),
    }
}

/// Whatever works with the state next, or the next boot, tries it again.
pub(super) fn tell_what_is_kept(job: &mut Job, released: Result<()>) {
    if let Err(failure) = released {
        job.notes.line(&format!("the database server may still keep what nobody follows: {failure}"));
    }
}
