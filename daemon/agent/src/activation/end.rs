//! An operation that has ended: its record is final, and nothing waits for it any more.

use berth_protocol::{Failure, FailureCode, RevertedBy};
use uuid::Uuid;

use super::record::{Files, Record, State, boot_id};
use super::{deadline, unit};
use crate::failure::{Result, failure};
use crate::{profile, roots};

/// Refuses to commit what an operation switched to and the machine was put back from.
pub(crate) fn may_commit(operation: Uuid, system: &str) -> Result<()> {
    let Some(record) = Files::of(operation).read()? else { return Ok(()) };
    super::refuse_reverted(&record)?;
    let begun = matches!(record.state, State::Switching | State::Switched { .. });
    // A commit sets the profile first: one that a boot interrupted is finished.
    if begun && record.boot != boot_id() && profile::committed().as_deref() != Some(system) {
        return Err(reverted(RevertedBy::Reboot, &record));
    }
    Ok(())
}

/// Writes down that an operation committed; whatever other operation was pending is not any more.
pub(crate) fn committed(operation: Uuid, system: &str, generation: u64) -> Result<()> {
    let files = Files::of(operation);
    end_others(&files, Some((system, generation)))?;
    if let Some(mut record) = files.read()?.filter(|record| record.asked.system == system) {
        record.state = State::Committed { generation };
        files.write(&record)?;
        clear_away(operation)?;
    }
    Ok(())
}

/// Ends the operations that were pending when this one took the machine over.
pub(super) fn supersede_others(own: &Files) -> Result<()> {
    end_others(own, None)
}

/// The same; one that had switched to what is committed now was committed with it.
fn end_others(own: &Files, committed: Option<(&str, u64)>) -> Result<()> {
    for files in own.all().into_iter().filter(|files| files.operation() != own.operation()) {
        if let Some(mut record) = files.read()?.filter(Record::is_pending) {
            record.state = match committed {
                Some((system, generation)) if system == record.asked.system => {
                    State::Committed { generation }
                }
                _ => State::Reverted { by: RevertedBy::Operation, problem: None },
            };
            files.write(&record)?;
            clear_away(files.operation())?;
        }
    }
    Ok(())
}

/// Stops the dead-man timer and lets go of what was kept for it. The record is final before: a timer that elapses
/// meanwhile finds nothing to do.
pub(super) fn clear_away(operation: Uuid) -> Result<()> {
    unit::stop_timer(operation)?;
    deadline::forget(operation);
    roots::release(operation);
    Ok(())
}

/// Why an operation that was reverted does not go on.
pub(super) fn reverted(by: RevertedBy, record: &Record) -> Failure {
    let code = if by == RevertedBy::Timer { FailureCode::RevertedByTimer } else { FailureCode::Reverted };
    failure(code, words(by, record))
}

/// What put the previous system back, in words.
fn words(by: RevertedBy, record: &Record) -> String {
    let what = match by {
        RevertedBy::Timer => "the machine put its previous system back by itself, as no commit came in time",
        RevertedBy::Request => "the machine was put back on its previous system",
        RevertedBy::Reboot => "the machine was started anew before the commit, and runs its previous system",
        RevertedBy::Operation => "another operation has switched the machine since",
    };
    match record.before {
        Some(_) => what.to_owned(),
        None => format!("{what}; there was none, so the services of the new one were stopped"),
    }
}
