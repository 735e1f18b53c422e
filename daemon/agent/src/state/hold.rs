//! Services that stay quiet after a final pass, and what has them serve again: a request, or a dead-man timer that is
//! systemd's, so that a daemon that goes away leaves no service stopped for ever.

use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::Duration;

use berth_protocol::{Claim, Failure, FailureCode};

use super::record::{Files, Kind, Name, Record, State};
use super::replica::slots;
use super::{delta, quiet, settle, unit};
use crate::activation::starting;
use crate::clock::now_ms;
use crate::entry::Myself;
use crate::failure::{Result, failure, io};
use crate::fence;
use crate::files::{json_if_any, replace_unsynced};
use crate::places::VOLATILE;

/// How often it is looked whether the deadline has moved or the services serve again.
const LOOK: Duration = Duration::from_millis(500);

/// Writes down until when the services stay quiet.
pub(super) fn begin(name: Name, seconds: u64) -> Result<()> {
    write(name, now_ms().saturating_add(seconds.saturating_mul(1000)))
}

/// Sees to it that quiet services have a timer that waits. What is written down counts: they may have been asked to serve again since
/// the caller looked.
pub(super) fn ensure(files: &Files, myself: &Myself) -> Result<()> {
    let record = files.read()?;
    if !record.is_some_and(|record| matches!(record.state, State::Quiet(_)) && record.is_of_this_boot()) {
        return Ok(());
    }
    let left = due(files.name)?.unwrap_or(0).saturating_sub(now_ms());
    unit::start_timer(files.name, left.div_ceil(1000), myself)
}

/// Stops the timer of an earlier try, whose services are captured again. The unit itself answers for them now.
pub(super) fn let_go(name: Name) -> Result<()> {
    unit::stop_timer(name)?;
    forget(name);
    Ok(())
}

/// Makes the timer wait at least so long from now.
pub(crate) fn keep_quiet(claim: &Claim, seconds: u64) -> Result<()> {
    fence::check(claim)?;
    let files = files(claim);
    let _starting = starting()?;
    let record =
        files.read()?.filter(|record| matches!(record.state, State::Quiet(_)) && record.is_of_this_boot());
    let record = record.ok_or_else(|| not_quiet("the services serve again"))?;
    if let Some(unit) = quiet::running(&record.stopped)?.first() {
        return Err(not_quiet(&format!("{unit} was started meanwhile")));
    }
    let later = now_ms().saturating_add(seconds.saturating_mul(1000));
    write(files.name, due(files.name)?.unwrap_or(0).max(later))
}

/// Has the services serve again now; returns units that did not come up. A capture that is still under way is ended: what would come
/// of it is of no use to whoever asks, and until then nobody is served, or nobody else can work with the machine. What passes have
/// sent is gone on from by the next one, unless that is to begin anew.
pub(crate) fn resume(claim: &Claim, anew: bool) -> Result<Vec<String>> {
    fence::check(claim)?;
    let files = files(claim);
    for kind in [Kind::Live, Kind::Quiesced, Kind::Final] {
        // What systemd runs in the unit afterwards has the services serve again.
        unit::end(Name { operation: claim.operation, kind })?;
    }
    let begun = {
        let _starting = starting()?;
        release(&files)?
    };
    if anew {
        delta::forget()?;
    }
    let served = begun.map_or(Ok(Vec::new()), |record| serve_again(&files, record));
    // Services need not wait for a server that does not answer: whatever works with the state next tries it again.
    let _ = slots::release(claim.operation);
    served
}

/// What the timer starts: waits for the deadline, then has the services serve again. If it is killed, systemd starts it anew.
pub(crate) fn resume_when_over(name: Name) -> Result<()> {
    let files = Files::of(name);
    loop {
        let left = {
            let _starting = starting()?;
            let Some(record) = files.read()? else { return Ok(()) };
            // Whatever else it is, such as another try that is under way, answers for the services itself.
            let is_ours = match record.state {
                State::Quiet(_) => true,
                State::Captured(_) => !record.stopped.is_empty(),
                _ => false,
            };
            match due(name)?.unwrap_or(0).saturating_sub(now_ms()) {
                _ if !is_ours => return Ok(()),
                0 => release(&files)?.ok_or(0),
                left => Err(left),
            }
        };
        match left {
            Ok(record) => return serve_again(&files, record).map(drop),
            Err(left) => sleep(Duration::from_millis(left).min(LOOK)),
        }
    }
}

/// From here on nobody may take the services for quiet; the caller holds the lock. Nothing where there is nothing to do.
fn release(files: &Files) -> Result<Option<Record>> {
    let Some(mut record) = files.read()? else { return Ok(None) };
    match record.state {
        State::Quiet(capture) => record.state = State::Captured(capture),
        // It was begun before, and is to be ended.
        State::Captured(_) if !record.stopped.is_empty() => return Ok(Some(record)),
        _ => return Ok(None),
    }
    files.write(&record)?;
    Ok(Some(record))
}

fn serve_again(files: &Files, mut record: Record) -> Result<Vec<String>> {
    let not_started = quiet::start(&record.stopped);
    record.stopped.clear();
    files.write(&record)?;
    settle::forget(files.name);
    forget(files.name);
    // The last thing: whatever ended before it would have left it to the timer.
    unit::stop_timer(files.name)?;
    Ok(not_started)
}

fn files(claim: &Claim) -> Files {
    Files::of(Name { operation: claim.operation, kind: Kind::Final })
}

fn not_quiet(why: &str) -> Failure {
    failure(FailureCode::NotQuiet, format!("what was captured is not the newest state any more: {why}"))
}

/// When the timer is over, in milliseconds of the monotonic clock. It stands in `/run`: after a boot nothing is quiet.
fn due(name: Name) -> Result<Option<u64>> {
    json_if_any(&path(name))
}

fn write(name: Name, due_ms: u64) -> Result<()> {
    let path = path(name);
    replace_unsynced(&path, due_ms.to_string().as_bytes())
        .map_err(io(format!("cannot write {}", path.display())))
}

fn forget(name: Name) {
    let _ = std::fs::remove_file(path(name));
}

fn path(name: Name) -> PathBuf {
    Path::new(VOLATILE).join("quiet").join(format!("{name}.json"))
}
