//! Capturing a service's state into a restic repository, bringing it back, and proving that both are equal.
//!
//! Each capture and each restore is a piece of work with a name, made of its operation and its kind. It runs in a transient
//! systemd unit, so that a connection that is lost changes nothing; whoever asks again follows it. When the unit ends, however
//! it does, systemd starts `run-settle` in it, which has services that were stopped serve again and undoes a restore that was
//! not finished. What has to be put right stands in the record before it is done.
//!
//! docs/src/state.md goes through what a crash at each point leaves behind.
//!
//! | module | subject |
//! | --- | --- |
//! | [`record`] | the files: what was asked, where it stands, what is to be put right |
//! | [`unit`] | the transient units |
//! | `handover` | what opens the repository, on its way into the unit |
//! | `work` | what runs in the unit |
//! | `settle` | what is put right afterwards |
//! | `hold` | services that stay quiet after a final pass, and when they serve again |
//! | `quiet` | stopping and starting units |
//! | `capture` | databases and directories, into a snapshot |
//! | `snapshot` | what a snapshot says of itself |
//! | `plan` | what a restore would do, checked before anything is done |
//! | `restore` | a snapshot, into databases and directories |
//! | `ahead` | directories of newest snapshots, beside what is there, before the restore |
//! | [`delta`] | what has changed from pass to pass, for whoever follows |
//! | [`replica`] | databases that are told by what changes in them, for whoever follows |
//! | `fetched` | one file of a snapshot |
//! | `exchange` | directories put in place of others |
//! | `secrets` | secrets that come back with the state that needs them |
//! | `undo` | what a restore exchanged, put back |
//! | `unsettled` | what a boot runs while a restore is not over |
//! | `tree` | walking through directories |
//! | `owners` | whose files these are, here and there |
//! | `fingerprint` | what tells two states apart |
//! | `sums` | what is known of files' contents from an earlier look |
//! | `stamp` | what tells that a file is still what it was |
//! | `restic` | the program |
//! | `notes` | what is said on the way |

mod ahead;
mod capture;
mod delta;
mod exchange;
mod fetched;
mod fingerprint;
mod handover;
mod hold;
mod notes;
mod owners;
mod plan;
mod quiet;
mod record;
mod replica;
mod restic;
mod restore;
mod secrets;
mod settle;
mod snapshot;
mod stamp;
mod sums;
mod tree;
mod undo;
mod unit;
mod unsettled;
mod work;

use std::path::PathBuf;

use berth_protocol::{Capture, Claim, Failure, FailureCode, Pass, Repository, RestoredAhead, ServiceCapture};

use crate::activation::starting;
use crate::client::Client;
use crate::entry::Myself;
use crate::failure::{Result, failure};
use crate::fence;
use crate::follow::{self, Work};
use crate::system::System;
use handover::Handover;
use notes::Reader;
use record::{Asked, Files, Kind, Record, State};

pub(crate) use delta::forget as forget_listings;
pub(crate) use exchange::forget_rooms;
pub(crate) use fingerprint::{fingerprint, sum_ahead};
pub(crate) use hold::{keep_quiet, resume, resume_when_over};
pub(crate) use record::{CaptureAsked, Name, RestoreAsked};
pub(crate) use replica::forget as forget_copies;
pub(crate) use replica::slots::release_all as release_slots;
pub(crate) use settle::{Machine, await_restores, leave_nothing, settle, settle_all};
pub(crate) use sums::forget as forget_sums;
pub(crate) use work::run;

/// How a piece of work is asked for.
pub(crate) struct Call {
    pub(crate) claim: Claim,
    pub(crate) repository: Repository,
    pub(crate) limit_seconds: u64,
}

/// Captures, or finds the same capture that this operation asked for before.
pub(crate) fn capture(
    call: Call,
    asked: CaptureAsked,
    myself: &Myself,
    client: &mut impl Client,
) -> Result<Capture> {
    check_tag(&asked.tag)?;
    let kind = Kind::of(asked.pass);
    match perform(&call, kind, Asked::Capture(asked), myself, client)? {
        Ended::Captured(capture) => Ok(capture),
        _ => Err(other_kind()),
    }
}

/// Restores, or finds the same restore that this operation asked for before.
pub(crate) fn restore(
    call: Call,
    asked: RestoreAsked,
    myself: &Myself,
    client: &mut impl Client,
) -> Result<()> {
    perform(&call, Kind::Restore, Asked::Restore(asked), myself, client).map(|_| ())
}

/// Restores beside what is there, or finds that this operation is at it.
pub(crate) fn restore_ahead(
    call: Call,
    system: String,
    myself: &Myself,
    client: &mut impl Client,
) -> Result<Option<RestoredAhead>> {
    match perform(&call, Kind::Ahead, Asked::Ahead(system), myself, client)? {
        Ended::Ahead(restored) => Ok(restored),
        _ => Err(other_kind()),
    }
}

fn other_kind() -> Failure {
    failure(FailureCode::Program, "the record is of another kind")
}

/// How a piece of work ended well.
enum Ended {
    Captured(Capture),
    Restored,
    Ahead(Option<RestoredAhead>),
}

fn perform(
    call: &Call,
    kind: Kind,
    asked: Asked,
    myself: &Myself,
    client: &mut impl Client,
) -> Result<Ended> {
    System::open(asked.system())?.manifest()?;
    fence::check(&call.claim)?;
    let files = Files::of(Name { operation: call.claim.operation, kind });
    if let Some(handover) = start_unless_there(&files, asked, call.limit_seconds, myself)? {
        handover.give(&call.repository)?;
    }
    follow::to_the_end(&Following { files: &files }, &files.log(), &mut Reader(client))?
}

/// Starts the unit, unless this very work runs or has ended well; what it needs is to be handed over then.
fn start_unless_there(
    files: &Files,
    asked: Asked,
    limit_seconds: u64,
    myself: &Myself,
) -> Result<Option<Handover>> {
    let _starting = starting()?;
    let known = files.read()?;
    let mut record = Record::new(asked);
    if let Some(known) = known {
        let runs = known.state == State::Running && unit::is_running(files.name)?;
        if known.asked != record.asked && runs {
            return Err(failure(FailureCode::Busy, "this operation is still at another such work"));
        }
        if known.asked == record.asked && (runs || has_ended_well(&known)) {
            if !runs {
                forget_fingerprints(files, known)?;
            }
            return Ok(None);
        }
        // It has told its end, and may still be putting things right.
        unit::wait_for_end(files.name)?;
        let mut known = files.read()?.unwrap_or(known);
        // Of a restore that succeeded, only what was there before is left. It would be taken for this one's success.
        if let Some(undo) = known.undo.take_if(|undo| undo.committed) {
            undo.forget()?;
        }
        if known.asked == record.asked {
            record.earlier = captured_before(&known);
            record.ahead = known.restored_ahead();
        }
        // What was left undone is put right before anything else is done.
        record.stopped = known.stopped;
        record.undo = known.undo;
        record.dumped = known.dumped;
    }
    let handover = Handover::prepare(files.name)?;
    files.begin(&record)?;
    unit::start(files.name, &record.asked, limit_seconds, myself)?;
    Ok(Some(handover))
}

/// Whoever is told once more of what has ended looks at what there is by then.
fn forget_fingerprints(files: &Files, mut record: Record) -> Result<()> {
    let State::Quiet(capture) = &mut record.state else { return Ok(()) };
    let captured = capture.services.values_mut().filter_map(|service| match service {
        ServiceCapture::Captured(captured) => Some(captured),
        ServiceCapture::Failed { .. } => None,
    });
    let found = captured.filter_map(|captured| captured.fingerprint.take()).count();
    if found > 0 { files.write(&record) } else { Ok(()) }
}

/// Whether nothing is gained by doing it again.
fn has_ended_well(record: &Record) -> bool {
    let is_final = matches!(&record.asked, Asked::Capture(asked) if matches!(asked.pass, Pass::Final { .. }));
    match &record.state {
        State::Restored => true,
        State::Quiet(capture) => is_whole(capture) && record.is_of_this_boot(),
        // After a final pass whose services serve again, its snapshots are not the newest state any more.
        State::Captured(capture) => is_whole(capture) && !is_final,
        // There may be newer snapshots by now.
        State::Ahead(_) | State::Running | State::Failed(_) => false,
    }
}

fn is_whole(capture: &Capture) -> bool {
    capture.services.values().all(|service| matches!(service, ServiceCapture::Captured(_)))
}

/// What an earlier try captured and need not be captured again: while services are quiet, nothing of it has changed.
fn captured_before(record: &Record) -> Capture {
    let is_of_use = match &record.state {
        State::Quiet(_) => record.is_of_this_boot(),
        State::Captured(_) => {
            !matches!(&record.asked, Asked::Capture(asked) if matches!(asked.pass, Pass::Final { .. }))
        }
        _ => false,
    };
    let (State::Captured(capture) | State::Quiet(capture)) = &record.state else { return Capture::default() };
    let mut capture = if is_of_use { capture.clone() } else { Capture::default() };
    capture.services.retain(|_, service| matches!(service, ServiceCapture::Captured(_)));
    capture
}

/// A tag that restic takes as one.
fn check_tag(tag: &str) -> Result<()> {
    let good = |b: u8| b.is_ascii_alphanumeric() || b".:_-".contains(&b);
    match (1..=100).contains(&tag.len()) && tag.bytes().all(good) {
        true => Ok(()),
        false => Err(failure(
            FailureCode::BadCall,
            "/tag: it must be 1 to 100 letters, digits and the characters .:_-",
        )),
    }
}

/// The unit of a piece of work.
struct Following<'a> {
    files: &'a Files,
}

impl Work for Following<'_> {
    type End = Result<Ended>;

    fn record(&self) -> PathBuf {
        self.files.path()
    }

    fn ended(&self) -> Result<Option<Self::End>> {
        let Some(record) = self.files.read()? else { return self.vanished().map(Some) };
        Ok(match record.state {
            State::Captured(capture) | State::Quiet(capture) => Some(Ok(Ended::Captured(capture))),
            State::Restored => Some(Ok(Ended::Restored)),
            State::Ahead(restored) => Some(Ok(Ended::Ahead(restored))),
            State::Failed(failure) => Some(Err(failure)),
            State::Running => None,
        })
    }

    fn is_running(&self) -> Result<bool> {
        unit::is_running(self.files.name)
    }

    fn vanished(&self) -> Result<Self::End> {
        Ok(Err(killed()))
    }
}

/// What is said of work that did not come to an end of its own.
fn killed() -> Failure {
    failure(FailureCode::Program, "it was ended before it was over")
}

#[cfg(test)]
mod tests {
    use super::*;
    use berth_protocol::{Captured, Follower};

    fn record(pass: Pass, state: State) -> Record {
        let asked = CaptureAsked {
            system: "/nix/store/x".into(),
            pass,
            services: None,
            tag: "x".into(),
            follower: Follower::Nobody,
            replicate: None,
        };
        Record { state, ..Record::new(Asked::Capture(asked)) }
    }

    fn capture(failed: bool) -> Capture {
        let captured = Captured {
            snapshot: Some("ab".into()),
            bytes_added: 1,
            bytes_total: 1,
            files_total: 1,
            databases: Vec::new(),
            replicas: Vec::new(),
            data_version: None,
            quiet_ms: 0,
            left_out: Vec::new(),
            buckets: Vec::new(),
            not_started: Vec::new(),
            fingerprint: None,
        };
        let mut capture = Capture::default();
        capture.services.insert("good".parse().unwrap(), ServiceCapture::Captured(captured));
        if failed {
            capture.services.insert("bad".parse().unwrap(), ServiceCapture::Failed { message: "why".into() });
        }
        capture
    }

    #[test]
    fn only_what_failed_is_captured_again_and_nothing_that_is_still_as_it_was() {
        let last = Pass::Final { quiet_seconds: 60 };
        assert!(has_ended_well(&record(Pass::Quiesced, State::Captured(capture(false)))));
        assert!(has_ended_well(&record(last, State::Quiet(capture(false)))));
        let half = record(Pass::Quiesced, State::Captured(capture(true)));
        assert!(!has_ended_well(&half));
        assert_eq!(captured_before(&half), capture(false));
        assert_eq!(captured_before(&record(last, State::Quiet(capture(true)))), capture(false));
        // Its services serve again: what it captured is not the newest any more.
        let over = record(last, State::Captured(capture(false)));
        assert!(!has_ended_well(&over));
        assert_eq!(captured_before(&over), Capture::default());
        let booted = Record { boot: "another".into(), ..record(last, State::Quiet(capture(false))) };
        assert!(!has_ended_well(&booted) && captured_before(&booted) == Capture::default());
    }

    #[test]
    fn a_tag_that_restic_would_take_for_two_is_refused() {
        check_tag("migration:2026-01.1_x").unwrap();
        for bad in ["", "a,b", "a b", &"x".repeat(101)] {
            assert_eq!(check_tag(bad).unwrap_err().code, FailureCode::BadCall, "{bad}");
        }
    }
}
