//! What runs in the unit that switches: the dead-man timer first, then secrets, then the switcher.

use std::fs::{File, OpenOptions};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use berth_domain::Manifest;
use berth_protocol::{Failure, FailureCode, RevertedBy};
use uuid::Uuid;

use super::back::before;
use super::end::{clear_away, supersede_others};
use super::record::{Files, Record, State, starting};
use super::{deadline, unit};
use crate::entry::Myself;
use crate::failure::{Result, failure, io};
use crate::lock::Lock;
use crate::programs::{exit_code, prepare, wait_at_most};
use crate::system::System;
use crate::{roots, secrets};

/// How often owners are looked for that the switcher makes: often enough that a secret has its own before the units start
/// that the switcher starts after it has made the users.
const LOOK: Duration = Duration::from_millis(5);

/// How long it is waited for the switcher at a time where nothing else is to be done; it is noticed at once when it ends.
const LONG: Duration = Duration::from_secs(60);

/// Switches as recorded and writes down how it ended. Killed in the middle, it leaves the record as it is, and the
/// dead-man timer.
pub(crate) fn run(operation: Uuid, myself: &Myself) -> Result<()> {
    let files = Files::of(operation);
    let missing = || failure(FailureCode::BadCall, "nothing is recorded for this operation");
    let mut record = files.read()?.ok_or_else(missing)?;
    let lock = Lock::machine(&format!("operation {operation}"));
    let begun = lock.and_then(|lock| Ok((Switch::begin(&files, &mut record, myself)?, lock)));
    let (mut switch, _lock) = match begun {
        Ok(begun) => begun,
        Err(failure) => return never_switched(&files, record, failure),
    };
    let exit_code = switch.wait()?;
    record.state = State::Switched { exit_code };
    // First, as it needs no room on the disk: a machine whose disk is full is put back no later than any other.
    wait_for_the_commit(operation, record.commit_seconds)?;
    files.write(&record)
}

/// The switcher was not started. Where an earlier try of this operation had started it, there is still something to
/// guard.
fn never_switched(files: &Files, mut record: Record, failure: Failure) -> Result<()> {
    if record.touched {
        return Err(failure);
    }
    record.state = State::NeverSwitched { failure };
    files.write(&record)?;
    clear_away(files.operation())
}

/// From here on, the timer waits for the commit only.
fn wait_for_the_commit(operation: Uuid, seconds: u64) -> Result<()> {
    let _starting = starting()?;
    match deadline::read(operation)? {
        Some(wish) if wish.by == RevertedBy::Request => Ok(()),
        _ => deadline::write(operation, deadline::Deadline::in_seconds(seconds)),
    }
}

/// A switcher that runs.
struct Switch {
    child: Child,
    manifest: Option<Manifest>,
    /// A sentence for each secret that still waits for an owner.
    ownerless: Vec<String>,
    log: File,
}

impl Switch {
    fn begin(files: &Files, record: &mut Record, myself: &Myself) -> Result<Self> {
        let system = System::open(&record.asked.system)?;
        if record.before.is_none() {
            record.before = before(files, &record.asked.system)?;
            files.write(record)?;
        }
        arm(files.operation(), record, myself)?;
        supersede_others(files)?;
        let manifest = system.manifest_if_any()?;
        let ownerless = manifest.as_ref().map_or(Ok(Vec::new()), secrets::ensure)?;
        let log = OpenOptions::new().append(true).create(true).open(files.log());
        let log = log.map_err(io(format!("cannot write {}", files.log().display())))?;
        let stream = || log.try_clone().map(Stdio::from).map_err(io("cannot write the switch's output"));
        let mut command = Command::new(system.switcher()?);
        prepare(&mut command);
        command.arg(record.asked.action.word()).stdout(stream()?).stderr(stream()?).stdin(Stdio::null());
        let child = command.spawn().map_err(io("cannot start switch-to-configuration"))?;
        Ok(Self { child, manifest, ownerless, log })
    }

    fn wait(&mut self) -> Result<i32> {
        let status = loop {
            let pause = if self.ownerless.is_empty() { LONG } else { LOOK };
            let ended = wait_at_most(&mut self.child, pause);
            if let Some(status) = ended.map_err(io("cannot wait for switch-to-configuration"))? {
                break status;
            }
            self.settle();
        };
        self.settle_finally();
        Ok(exit_code(status))
    }

    fn settle(&mut self) {
        if let Some(manifest) = &self.manifest {
            self.ownerless = secrets::settle(manifest).unwrap_or_else(|failure| vec![failure.message]);
        }
    }

    /// The last try; what is left without an owner then is said in the log. The units that need it fail, and
    /// the outcome tells which.
    fn settle_finally(&mut self) {
        use std::io::Write as _;
        self.settle();
        for sentence in &self.ownerless {
            let _ = writeln!(self.log, "warning: {sentence}");
        }
    }
}

/// Starts the dead-man timer, whose program and systems stay in the store meanwhile.
fn arm(operation: Uuid, record: &Record, myself: &Myself) -> Result<()> {
    let program = myself.program()?;
    let before = record.before.as_ref().map(|before| Path::new(&before.system));
    let kept = [("agent", program.as_path()), ("system", Path::new(&record.asked.system))];
    roots::keep(operation, kept.into_iter().chain(before.map(|before| ("before", before))))?;
    unit::start_timer(operation, record.commit_seconds, myself)
}
