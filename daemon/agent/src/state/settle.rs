//! What is put right when a piece of work has ended, however it did: a restore that was not finished is undone, services that
//! were stopped serve again, and what was only of use meanwhile is removed.

use std::path::Path;
use std::thread::sleep;
use std::time::Duration;

use berth_protocol::FailureCode;

use super::record::{Files, Kind, Name, State};
use super::replica::slots;
use super::work::Job;
use super::{hold, killed, quiet, unit, unsettled};
use crate::client::Client as _;
use crate::entry::Myself;
use crate::failure::{Result, failure};
use crate::lock::Lock;
use crate::places::{CAPTURE, RESTORE};
use crate::roots;

/// How long to wait before it is tried again. What stood in the way may pass by itself.
const PAUSES: [Duration; 4] =
    [Duration::from_secs(1), Duration::from_secs(2), Duration::from_secs(5), Duration::from_secs(10)];

/// How long whoever changes the machine is waited for.
const PATIENCE: Duration = Duration::from_secs(900);

/// In which state the machine is while something is put right.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Machine {
    /// It runs: units are stopped before what they use is exchanged, and serve again when this is over.
    Runs,
    /// It boots, and the units wait for this: they may be told to start, but not be waited for.
    Boots,
}

/// Waits until no restore runs, and nothing is put right after one; before the machine's lock is taken, which that may need.
///
/// # Errors
/// [`FailureCode::Busy`] where that takes long.
pub(crate) fn await_restores() -> Result<()> {
    let all = nobodys().all().into_iter().map(|files| files.name);
    all.filter(|name| name.kind == Kind::Restore).try_for_each(unit::wait_for_end)
}

/// Ends every restore that is not over, before all of the state is removed: undone later, one would bring its state back, and what one
/// has replaced would stay. No service is started for it.
///
/// # Errors
/// Why something cannot be undone, or removed. Everything else is, then.
pub(crate) fn leave_nothing() -> Result<()> {
    let nobodys = nobodys();
    let each = nobodys.all().into_iter().map(|files| leave_nothing_of(&files));
    let ended = each.fold(Ok(()), Result::and);
    unsettled::release(&nobodys);
    ended
}

fn leave_nothing_of(files: &Files) -> Result<()> {
    if files.read()?.is_none_or(|record| record.undo.is_none()) {
        return Ok(());
    }
    if unit::is_running(files.name)? {
        return Err(failure(FailureCode::Busy, "a restore is not over yet"));
    }
    let mut job = Job::open(files.name)?;
    match job.record.undo.clone() {
        Some(undo) if undo.committed => {
            undo.forget()?;
            job.record.state = State::Restored;
        }
        Some(undo) => {
            quiet::stop(&undo.units)?;
            undo.put_back()?;
        }
        None => {}
    }
    job.record.undo = None;
    job.record.stopped.clear();
    end(&mut job)
}

/// Files of no work that anybody asked for, next to which all others stand.
fn nobodys() -> Files {
    Files::of(Name { operation: uuid::Uuid::nil(), kind: Kind::Restore })
}

/// Puts right what one piece of work left undone; systemd starts this whenever its unit ends.
pub(crate) fn settle(name: Name, machine: Machine, myself: &Myself) -> Result<()> {
    if Files::of(name).read()?.is_none() {
        return Ok(());
    }
    let mut job = Job::open(name)?;
    let mut pauses = PAUSES.into_iter();
    loop {
        let Err(failure) = settle_job(&mut job, machine, myself) else { return Ok(()) };
        job.notes.line(&failure.message);
        let Some(pause) = pauses.next() else { return Err(failure) };
        sleep(pause);
    }
}

/// The same for every piece of work that does not run; for a machine that was started anew in the middle. One that cannot be
/// put right keeps none of the others from it.
pub(crate) fn settle_all(machine: Machine, myself: &Myself) -> Result<()> {
    let nowhere = nobodys();
    let mut ended = Ok(());
    for files in nowhere.all() {
        if let Err(failure) = settle_what_ended(&files, machine, myself) {
            ended = Err(failure);
        }
    }
    if machine == Machine::Boots {
        // Nobody follows any more. The services need not wait for a server that does not answer: the timer tries it again, which
        // the boot has ended.
        if slots::release_all().is_err()
            && let Err(failure) = slots::renew(myself)
        {
            ended = Err(failure);
        }
    }
    unsettled::release(&nowhere);
    ended
}

fn settle_what_ended(files: &Files, machine: Machine, myself: &Myself) -> Result<()> {
    // What began since the boot has a unit that sees to it, and may be what starts the services right now.
    let is_new = || Ok(files.read()?.is_some_and(|record| record.is_of_this_boot()));
    if (machine == Machine::Boots && is_new()?) || unit::is_running(files.name)? {
        return Ok(());
    }
    settle(files.name, machine, myself)
}

/// Puts right what others left undone and nobody asked for again, as far as that can be had. A restore is refused while an
/// earlier one is not undone: undone later, that would put its own old state over the new one.
pub(super) fn others(own: &Files) -> Result<()> {
    for files in own.all().into_iter().filter(|files| files.name != own.name) {
        if matches!(unit::is_running(files.name), Ok(false))
            && let Ok(mut job) = Job::open(files.name)
            && is_open(&job)
            && let Err(failure) = put_right(&mut job, Machine::Runs).and_then(|()| end(&mut job))
        {
            job.notes.line(&failure.message);
            if own.name.kind == Kind::Restore && job.record.undo.is_some() {
                let message = format!("an earlier restore cannot be undone yet: {}", failure.message);
                return Err(crate::failure::failure(failure.code, message));
            }
        }
    }
    Ok(())
}

fn is_open(job: &Job) -> bool {
    let held = matches!(job.record.state, State::Quiet(_)) && job.record.is_of_this_boot();
    !held
        && (job.record.state == State::Running || !job.record.stopped.is_empty() || job.record.undo.is_some())
}

fn settle_job(job: &mut Job, machine: Machine, myself: &Myself) -> Result<()> {
    // What is quiet on purpose has a timer that waits.
    hold::ensure(&job.files, myself)?;
    if is_open(job) {
        // Nobody else may change what is put back. What only has to be removed is in nobody's way.
        let _lock = match &job.record.undo {
            Some(undo) if !undo.committed => {
                Some(Lock::machine_within("a restore that is undone", patience(machine))?)
            }
            _ => None,
        };
        put_right(job, machine)?;
    }
    end(job)
}

/// Whoever changes a machine that boots may itself wait for a service, and that for this.
fn patience(machine: Machine) -> Duration {
    if machine == Machine::Boots { Duration::ZERO } else { PATIENCE }
}

/// Undoes a restore that was not finished, removes what one that was finished replaced, and has services that were stopped serve again.
pub(super) fn put_right(job: &mut Job, machine: Machine) -> Result<()> {
    match job.record.undo.clone() {
        Some(undo) if undo.committed => {
            job.record.state = State::Restored;
            // While the machine boots, PostgreSQL is not there yet.
            if machine == Machine::Boots || !tell_what_stays(job, undo.forget()) {
                // The next capture or restore removes it.
                return job.save();
            }
        }
        Some(undo) => {
            match machine {
                Machine::Runs => quiet::stop(&undo.units)?,
                // To stop a unit that is yet to start would keep it from that.
                Machine::Boots => quiet::stop(&quiet::running(&undo.units)?)?,
            }
            undo.put_back()?;
        }
        None => {}
    }
    if job.record.undo.take().is_some() {
        job.save()?;
        unsettled::release(&job.files);
    }
    if !job.record.stopped.is_empty() {
        let not_started = match machine {
            Machine::Runs => quiet::start(&job.record.stopped),
            Machine::Boots => quiet::have_started(&job.record.stopped),
        };
        for unit in not_started {
            job.notes.line(&format!("{unit} did not start"));
        }
        job.record.stopped.clear();
        job.save()?;
    }
    Ok(())
}

/// Says where a restore that succeeded did not wholly remove what it replaced, and whether it did. It succeeded all the same.
pub(super) fn tell_what_stays(job: &mut Job, removed: Result<()>) -> bool {
    if let Err(failure) = &removed {
        job.notes.line(&format!("what was there before is not wholly removed yet: {failure}"));
    }
    removed.is_ok()
}

/// Writes the end down where the work itself did not, and removes what was of use only meanwhile.
fn end(job: &mut Job) -> Result<()> {
    match job.record.state {
        State::Running => job.record.state = State::Failed(killed()),
        // The machine was started anew, and its services with it.
        State::Quiet(ref capture) if !job.record.is_of_this_boot() => {
            job.record.state = State::Captured(capture.clone());
        }
        State::Quiet(_) => return Ok(()),
        _ => {}
    }
    job.save()?;
    forget(job.files.name);
    Ok(())
}

/// Removes what a piece of work needed for itself.
pub(super) fn forget(name: Name) {
    tidy(name);
    roots::release(unit::root(name));
}

/// Removes the folder of its own.
pub(super) fn tidy(name: Name) {
    let folder = if name.kind == Kind::Restore { RESTORE } else { CAPTURE };
    // What stays is in nobody's way, and is removed with the next.
    let _ = std::fs::remove_dir_all(Path::new(folder).join(name.operation.to_string()));
}
