//! Switching to a system, and going back.
//!
//! The switch runs in a transient systemd unit, named after the operation, so that a connection that is lost, or an
//! SSH server that the switch itself restarts, changes nothing. Before the switcher is started, a **dead-man timer** is: a
//! transient systemd timer that has the previous system put back unless the commit came in time. What becomes of an
//! operation stands in a record of its own; [`activate`] and [`revert`] follow it, whether they started anything or found
//! it running or ended.
//!
//! docs/src/activation.md goes through what a crash at each point leaves behind.
//!
//! | module | subject |
//! | --- | --- |
//! | [`record`] | the files: what was asked, where it stands, the output |
//! | [`deadline`] | until when the timer waits |
//! | [`unit`] | the transient units |
//! | [`inside`] | what runs in the unit that switches |
//! | [`guard`] | what the timer starts |
//! | [`back`] | putting the previous system back |
//! | [`end`] | an operation that has ended: its timer stopped, its record final |

mod back;
pub(crate) mod deadline;
mod end;
mod guard;
mod inside;
pub(crate) mod record;
pub(crate) mod unit;

use std::path::PathBuf;

use berth_protocol::{
    Activation, ActivationOutcome, Claim, Deadline, Failure, FailureCode, GivenSecret, Outcome, Reverted,
    RevertedBy,
};
use uuid::Uuid;

use crate::client::Client;
use crate::entry::Myself;
use crate::failure::{Result, failure};
use crate::follow::{self, Work};
use crate::profile;
use crate::system::{self, System};
use crate::{data_versions, fence, secrets, units};
use record::{Asked, Files, Record, State};
use unit::Unit;

pub(crate) use end::{committed, may_commit};
pub(crate) use guard::run as guard;
pub(crate) use inside::run;
pub(crate) use record::{boot_id, starting};

/// Puts a system's secrets in place. Those whose owners the switch is yet to make belong to root until then.
pub(crate) fn prepare_secrets(claim: &Claim, path: &str, given: &[GivenSecret]) -> Result<()> {
    fence::check(claim)?;
    let Some(manifest) = System::open(path)?.manifest_if_any()? else { return Ok(()) };
    secrets::bring(&manifest, given)?;
    secrets::ensure(&manifest).map(drop)
}

/// Switches to a system and waits for the end, or finds the switch that this operation asked for before.
pub(crate) fn activate(
    claim: &Claim,
    asked: Asked,
    deadline: Deadline,
    myself: &Myself,
    client: &mut impl Client,
) -> Result<Activation> {
    let system = System::open(&asked.system)?;
    system.switcher()?;
    let manifest = system.manifest_if_any()?;
    fence::check(claim)?;
    manifest.as_ref().map_or(Ok(()), data_versions::check)?;
    let files = Files::of(claim.operation);
    start_unless_there(&files, &asked, deadline, myself)?;
    let exit_code = follow::to_the_end(&Switch { files: &files }, &files.log(), client)??;
    let outcome = ActivationOutcome::of(exit_code);
    let failed_units = match outcome {
        // Whether its services serve is told by their probes.
        ActivationOutcome::Done | ActivationOutcome::NeedsReboot => Vec::new(),
        _ => {
            let units: Vec<_> = manifest.iter().flat_map(system::units).map(|(_, unit)| unit).collect();
            units::failed_among(&units)?
        }
    };
    Ok(Activation { exit_code, outcome, failed_units })
}

/// Starts the unit, unless this operation's switch to this very system runs or has ended.
fn start_unless_there(files: &Files, asked: &Asked, deadline: Deadline, myself: &Myself) -> Result<()> {
    let _starting = starting()?;
    let operation = files.operation();
    let known = files.read()?;
    if let Some(known) = &known {
        refuse_reverted(known)?;
        let runs = Unit::Activate.is_running(operation)?;
        if known.asked != *asked && runs {
            return Err(failure(FailureCode::Busy, "this operation is still switching to another system"));
        }
        let this_boot = known.boot == boot_id();
        let ended = matches!(known.state, State::Switched { .. } | State::Committed { .. }) && this_boot;
        if known.asked == *asked && (runs || ended) {
            return Ok(());
        }
    }
    let pending = known.filter(Record::is_pending);
    let touched = pending.is_some();
    let before = match pending {
        Some(known) => known.before,
        None => back::before(files, &asked.system)?,
    };
    let record = Record {
        asked: asked.clone(),
        touched,
        before,
        boot: boot_id(),
        commit_seconds: deadline.commit_seconds,
        state: State::Switching,
    };
    files.begin(&record)?;
    let seconds = deadline.switch_seconds.saturating_add(deadline.commit_seconds);
    deadline::write(operation, deadline::Deadline::in_seconds(seconds))?;
    unit::start_switch(operation, myself)
}

/// An operation whose activation was reverted has come to its end, but for a machine that was merely booted.
fn refuse_reverted(record: &Record) -> Result<()> {
    let by = match record.state {
        State::Reverting { by } | State::Reverted { by, .. } if by != RevertedBy::Reboot => by,
        _ => return Ok(()),
    };
    Err(end::reverted(by, record))
}

/// Makes the dead-man timer wait at least so long from now.
pub(crate) fn extend(claim: &Claim, seconds: u64) -> Result<Outcome> {
    fence::check(claim)?;
    let pending = Files::of(claim.operation).read()?.is_some_and(|record| record.is_pending());
    if pending {
        let _starting = starting()?;
        let later = deadline::Deadline::in_seconds(seconds);
        let now = deadline::read(claim.operation)?.unwrap_or(later);
        deadline::write(claim.operation, now.or_later(later))?;
    }
    outcome(claim.operation)
}

/// Puts the machine back on the system before this operation, and waits for the end. `from` is what others were switching to
/// and may not have finished.
pub(crate) fn revert(
    claim: &Claim,
    from: Option<String>,
    myself: &Myself,
    client: &mut impl Client,
) -> Result<Outcome> {
    fence::check(claim)?;
    let files = Files::of(claim.operation);
    if let Some(ended) = back::begin(&files, from)? {
        return Ok(ended);
    }
    deadline::write(claim.operation, deadline::Deadline::requested())?;
    unit::start_guard(claim.operation, myself)?;
    follow::to_the_end(&WayBack { files: &files }, &files.way_back_log(), client)
}

/// What became of an operation's activation.
pub(crate) fn outcome(operation: Uuid) -> Result<Outcome> {
    let Some(record) = Files::of(operation).read()? else { return Ok(Outcome::Unknown) };
    Ok(match &record.state {
        State::Committed { generation } => Outcome::Committed { generation: *generation },
        State::NeverSwitched { failure } => Outcome::NeverSwitched { message: failure.message.clone() },
        State::Reverted { by, problem } => reverted(*by, &record, problem.clone()),
        // A commit sets the profile first: what boots is this system, and only the boot entry may be missing.
        _ if record.boot != boot_id() && profile::committed().as_ref() == Some(&record.asked.system) => {
            Outcome::Switched { exit_code: 0 }
        }
        _ if record.boot != boot_id() => reverted(RevertedBy::Reboot, &record, None),
        State::Reverting { by } => reverted(*by, &record, Some("it is still under way".into())),
        State::Switched { exit_code } => Outcome::Switched { exit_code: *exit_code },
        State::Switching if Unit::Activate.is_running(operation)? => Outcome::Switching,
        State::Switching => Outcome::Killed,
    })
}

fn reverted(by: RevertedBy, record: &Record, problem: Option<String>) -> Outcome {
    let to = record.before.as_ref().map(|before| before.system.clone());
    Outcome::Reverted(Reverted { by, to, problem })
}

/// The unit that switches.
struct Switch<'a> {
    files: &'a Files,
}

impl Work for Switch<'_> {
    type End = std::result::Result<i32, Failure>;

    fn record(&self) -> PathBuf {
        self.files.path()
    }

    fn ended(&self) -> Result<Option<Self::End>> {
        Ok(match self.files.read()?.map(|record| (record.state.clone(), record)) {
            Some((State::Switched { exit_code }, _)) => Some(Ok(exit_code)),
            Some((State::Committed { .. }, _)) => Some(Ok(0)),
            Some((State::NeverSwitched { failure }, _)) => Some(Err(failure)),
            Some((State::Reverting { by } | State::Reverted { by, .. }, record)) => {
                Some(Err(end::reverted(by, &record)))
            }
            Some((State::Switching, _)) => None,
            None => Some(self.vanished()?),
        })
    }

    fn is_running(&self) -> Result<bool> {
        Unit::Activate.is_running(self.files.operation())
    }

    fn vanished(&self) -> Result<Self::End> {
        Ok(Err(failure(FailureCode::Program, "the switch was killed before it ended")))
    }
}

/// The unit that puts the previous system back.
struct WayBack<'a> {
    files: &'a Files,
}

impl Work for WayBack<'_> {
    type End = Outcome;

    fn record(&self) -> PathBuf {
        self.files.path()
    }

    fn ended(&self) -> Result<Option<Outcome>> {
        let ended = self.files.read()?.is_none_or(|record| !record.is_pending());
        ended.then(|| outcome(self.files.operation())).transpose()
    }

    fn is_running(&self) -> Result<bool> {
        Unit::Guard.is_running(self.files.operation())
    }

    fn vanished(&self) -> Result<Outcome> {
        Err(failure(FailureCode::Program, "the way back was killed before it ended"))
    }
}
