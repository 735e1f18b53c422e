//! Putting the previous system back.

use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use berth_protocol::{Outcome, RevertedBy, SwitchAction};

use super::end::clear_away;
use super::record::{Asked, Before, Files, Record, State, boot_id, starting};
use crate::commit;
use crate::failure::{Result, io, program};
use crate::profile::{self, resolved};
use crate::programs::{exit_code, prepare};
use crate::system::System;
use crate::{secrets, services};

const RUNNING: &str = "/run/current-system";

/// How long a commit may still take that is begun on the way back: it is not asked for here.
const NO_COMMIT: u64 = 0;

/// How long to wait before the way is tried again that could not be gone to its end. What stood in it may pass by itself: a
/// disk that is full, memory that is short, a service that another one starts too late for.
const PAUSES: [Duration; 5] = [
    Duration::from_secs(1),
    Duration::from_secs(2),
    Duration::from_secs(4),
    Duration::from_secs(8),
    Duration::from_secs(8),
];

/// Where the way back leads from `system`: to what was committed last. Where nothing ever was, to what ran before, which
/// an earlier operation that is pending knows better than the machine.
pub(super) fn before(files: &Files, system: &str) -> Result<Option<Before>> {
    if let Some(system) = profile::committed() {
        return Ok(Some(Before { system, generation: profile::generation().ok() }));
    }
    for files in files.all() {
        if let Some(record) = files.read()?.filter(Record::is_pending)
            && record.asked.system != system
        {
            return Ok(record.before);
        }
    }
    let runs = resolved(RUNNING).filter(|running| running != system);
    Ok(runs.map(|system| Before { system, generation: None }))
}

/// Makes an operation's record say what to go back from. Nothing is left to do where its end is returned.
pub(super) fn begin(files: &Files, from: Option<String>) -> Result<Option<Outcome>> {
    let _starting = starting()?;
    match files.read()? {
        Some(record) if record.is_pending() => Ok(None),
        Some(record) if was_interrupted_by_a_boot(&record) => {
            let state = State::Switched { exit_code: 0 };
            files.begin(&Record { boot: boot_id(), touched: true, state, ..record })?;
            Ok(None)
        }
        Some(_) => super::outcome(files.operation()).map(Some),
        None => begin_unrecorded(files, from),
    }
}

/// Whether a boot came between the profile and the end of the commit: the profile is still to be set back then.
fn was_interrupted_by_a_boot(record: &Record) -> bool {
    record.is_open() && commit_was_begun(record)
}

/// Somebody switched the machine past this agent, as other drivers do.
fn begin_unrecorded(files: &Files, from: Option<String>) -> Result<Option<Outcome>> {
    let running = from.or_else(|| resolved(RUNNING));
    let Some(system) = running.filter(|running| profile::committed().as_ref() != Some(running)) else {
        return Ok(Some(Outcome::Unknown));
    };
    let before = before(files, &system)?;
    let asked = Asked { system, action: SwitchAction::Test };
    let (boot, state) = (boot_id(), State::Switched { exit_code: 0 });
    files.begin(&Record { asked, before, boot, commit_seconds: NO_COMMIT, touched: true, state })?;
    Ok(None)
}

/// Puts the machine back; the caller has the machine's lock. Begun anew where it was interrupted.
pub(super) fn go(files: &Files, mut record: Record, by: RevertedBy) -> Result<()> {
    let mut log = Log::open(files)?;
    // The services had proved that they serve when the commit was asked for: it is finished rather than undone.
    if by == RevertedBy::Timer && commit_was_begun(&record) {
        match finish_commit(&record, &mut log) {
            Ok(generation) => return finish(files, record, State::Committed { generation }),
            Err(failure) => log.line(&format!("the commit cannot be finished: {failure}")),
        }
    }
    record.state = State::Reverting { by };
    // A disk that is full may be why the machine goes back, and must not keep it from doing so.
    if let Err(failure) = files.write(&record) {
        log.line(&failure.message);
    }
    let problem = put_back_in_the_end(&record, &mut log);
    finish(files, record, State::Reverted { by, problem })
}

fn finish(files: &Files, mut record: Record, state: State) -> Result<()> {
    record.state = state;
    files.write(&record)?;
    clear_away(files.operation())
}

/// The profile is what a commit sets first.
fn commit_was_begun(record: &Record) -> bool {
    let begun = profile::committed().as_ref() == Some(&record.asked.system);
    begun && record.before.as_ref().is_none_or(|before| before.system != record.asked.system)
}

fn finish_commit(record: &Record, log: &mut Log) -> Result<u64> {
    let system = System::open(&record.asked.system)?;
    commit::make_permanent(&system, None, &mut |line| log.line(line))?;
    profile::generation()
}

/// Tries until it succeeds or has often failed; what went wrong the last time is returned.
fn put_back_in_the_end(record: &Record, log: &mut Log) -> Option<String> {
    let mut pauses = PAUSES.into_iter();
    loop {
        let problem = put_back(record, log).err()?.message;
        log.line(&problem);
        let Some(pause) = pauses.next() else { return Some(problem) };
        log.line(&format!("it is tried again in {} s", pause.as_secs()));
        sleep(pause);
    }
}

fn put_back(record: &Record, log: &mut Log) -> Result<()> {
    let Some(before) = &record.before else { return stop_everything(record, log) };
    let system = System::open(&before.system)?;
    if before.system == record.asked.system {
        log.line("this machine boots this very system; it is left running");
        // The boot entry may be missing, where a commit of it was interrupted.
        return commit::make_permanent(&system, None, &mut |line| log.line(line)).map(drop);
    }
    if commit_was_begun(record) {
        commit::take_back(Some((&system, before.generation)), &mut |line| log.line(line))?;
    }
    if let Some(manifest) = system.manifest_if_any()? {
        secrets::ensure(&manifest)?;
    }
    let mut command = Command::new(system.switcher()?);
    prepare(&mut command);
    command.arg(SwitchAction::Test.word());
    command.stdout(log.stream()?).stderr(log.stream()?).stdin(Stdio::null());
    let status = command.status().map_err(io("cannot start switch-to-configuration"))?;
    match exit_code(status) {
        0 => Ok(()),
        code => {
            Err(program("switch-to-configuration test", &format!("the previous system's ended with {code}")))
        }
    }
}

/// There is no system to go back to: what the new one started is stopped, and the next boot starts an empty machine.
fn stop_everything(record: &Record, log: &mut Log) -> Result<()> {
    log.line("there is no earlier system; the services of the new one are stopped");
    if let Some(manifest) = System::open(&record.asked.system)?.manifest_if_any()? {
        services::stop(&manifest)?;
    }
    if commit_was_begun(record) {
        commit::take_back(None, &mut |line| log.line(line))?;
    }
    if resolved(RUNNING).as_ref() == Some(&record.asked.system) {
        std::fs::remove_file(RUNNING).map_err(io(format!("cannot remove {RUNNING}")))?;
    }
    Ok(())
}

/// What is written on the way back, for whoever follows it.
struct Log {
    file: File,
}

impl Log {
    fn open(files: &Files) -> Result<Self> {
        let path = files.way_back_log();
        let file = OpenOptions::new().append(true).create(true).open(&path);
        file.map(|file| Self { file }).map_err(io(format!("cannot write {}", path.display())))
    }

    fn line(&mut self, text: &str) {
        // The way back matters more than what is said of it.
        let _ = writeln!(self.file, "{text}");
    }

    fn stream(&self) -> Result<Stdio> {
        self.file.try_clone().map(Stdio::from).map_err(io("cannot write the way back's output"))
    }
}
