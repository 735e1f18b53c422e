//! Directories of the newest snapshots, restored beside what is there while whoever makes the snapshots still makes newer ones:
//! what is left for the restore is what has changed since.
//!
//! restic decides by a file's size and time of change whether it is the same, so whoever relies on it compares in the end.
//! Nothing that anybody uses is changed, so that it needs no lock; it gives way to whatever else is done to the state.

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use berth_domain::ServiceName;
use berth_domain::manifest::ServiceManifest;
use berth_protocol::{Repository, RestoredAhead, TransferPhase};
use uuid::Uuid;

use super::capture::{check, service_tag};
use super::exchange::{Exchange, Mounts};
use super::fingerprint::sum_room;
use super::notes::Meter;
use super::record::{Files, Kind, Name, State};
use super::restic::{Listed, Restic, Status, newest};
use super::tree::{outermost_of, walk};
use super::unit;
use super::work::Job;
use crate::client::Client as _;
use crate::failure::{Result, io};
use crate::system::System;

/// How the disk's use of a file is counted (stat(2)).
const BLOCK: u64 = 512;

/// Restores each service's newest snapshot over what the one before has brought; nothing where restic cannot do that.
pub(super) fn run(job: &mut Job, system: &str, repository: &Repository) -> Result<Option<RestoredAhead>> {
    let before = job.record.ahead.clone();
    let manifest = System::open(system)?.manifest()?;
    let restic = Restic::of(repository)?;
    if !restic.overwrites() {
        return Ok(None);
    }
    let mut restored = RestoredAhead::default();
    if !restic.is_there()? {
        return Ok(Some(restored));
    }
    let (mounts, snapshots) = (Mounts::read()?, restic.snapshots()?);
    for (service, contract) in &manifest.services {
        check(contract)?;
        let tag = service_tag(service);
        let own = snapshots.iter().filter(|snapshot| snapshot.tags.contains(&tag));
        let Some(snapshot) = newest(own) else { continue };
        let one = OneService { service, contract, restic: &restic, mounts: &mounts };
        let bytes = match before.snapshots.get(&snapshot.id) {
            Some(bytes) => *bytes,
            None => one.restore(job, snapshot)?,
        };
        restored.snapshots.insert(snapshot.id.clone(), bytes);
    }
    Ok(Some(restored))
}

/// The snapshots whose directories an operation has restored ahead.
pub(super) fn restored_by(operation: Uuid) -> Result<RestoredAhead> {
    let record = Files::of(Name { operation, kind: Kind::Ahead }).read()?;
    Ok(record.map(|record| record.restored_ahead()).unwrap_or_default())
}

/// Ends what others restore ahead: rooms are nobody's but the newest's.
pub(super) fn end_others(own: Option<Name>) -> Result<()> {
    let any = Files::of(Name { operation: Uuid::nil(), kind: Kind::Ahead });
    let of_others = |files: &Files| files.name.kind == Kind::Ahead && Some(files.name) != own;
    for files in any.all().into_iter().filter(of_others) {
        if files.read()?.is_some_and(|record| record.state == State::Running) {
            unit::end(files.name)?;
        }
    }
    Ok(())
}

struct OneService<'a> {
    service: &'a ServiceName,
    contract: &'a ServiceManifest,
    restic: &'a Restic<'a>,
    mounts: &'a Mounts,
}

impl OneService<'_> {
    /// Tells how many bytes it takes on the disk.
    fn restore(&self, job: &mut Job, snapshot: &Listed) -> Result<u64> {
        let declared = outermost_of(&self.contract.state.directories);
        let mut bytes = 0;
        for path in declared.into_iter().filter(|path| snapshot.paths.iter().any(|p| p == path)) {
            let exchange = Exchange::of(path, job.files.name.operation, self.mounts);
            // What is in a mount point would be taken for a part of it if it were left behind.
            if exchange.is_mounted() || self.mounts.below(path).is_some() {
                continue;
            }
            let room = exchange.take_room()?;
            let mut meter = Meter::of(&mut job.notes, TransferPhase::Restore, self.service);
            meter.say(Status::default());
            let target = room.to_string_lossy();
            let what = (snapshot.id.as_str(), path);
            if let Err(failure) = self.restic.restore(what, &target, true, &mut |status| meter.at(status)) {
                // It may be what fills the disk.
                exchange.leave_room()?;
                return Err(failure);
            }
            bytes += on_disk(&room)?;
            // What the fingerprint will ask for is read while nobody waits for it.
            let operation = job.files.name.operation;
            if let Err(error) = sum_room(operation, self.service, path, &exchange.new_one(), &mut job.notes) {
                job.notes.line(&format!("{path} was not read ahead: {error}"));
            }
        }
        Ok(bytes)
    }
}

fn on_disk(folder: &Path) -> Result<u64> {
    let mut bytes = 0;
    walk(folder, &mut |_, found| {
        bytes += found.blocks() * BLOCK;
        Ok(())
    })
    .map_err(io(format!("cannot look through {}", folder.display())))?;
    Ok(bytes)
}
