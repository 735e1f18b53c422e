//! Directories of the newest snapshots, restored beside what is there while whoever makes the snapshots still makes newer ones:
//! what is left for the restore is what has changed since.
//!
//! A source that is followed tells what has changed from one state to the next (see `delta`); of any other, restic goes through
//! everything once more. restic decides by a file's size and time of change whether it is the same, so whoever relies on it compares
//! in the end. Nothing that anybody uses is changed, so that it needs no lock; it gives way to whatever else is done to the state.

use std::path::{Path, PathBuf};

use berth_delta::{Chain, Snapshot, Way};
use berth_domain::ServiceName;
use berth_domain::manifest::ServiceManifest;
use berth_protocol::{Repository, RestoredAhead, TransferPhase};
use uuid::Uuid;

use super::capture::check;
use super::delta::{Delta, forget_state, set_state, state_of};
use super::exchange::{Exchange, Mounts};
use super::fingerprint::sum_room;
use super::notes::Meter;
use super::record::{Files, Kind, Name, State};
use super::replica::Receiving;
use super::restic::{Restic, Status};
use super::tree::outermost_of;
use super::unit;
use super::work::Job;
use crate::client::Client as _;
use crate::failure::Result;
use crate::places::CAPTURE;
use crate::system::System;

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
        let chain = Chain::of(service.as_str(), &snapshots);
        let one = OneService { service, contract, restic: &restic, mounts: &mounts };
        one.go_on(job, &chain, &before, &mut restored)?;
    }
    for (service, contract) in &manifest.services {
        let scratch = Path::new(CAPTURE).join(job.files.name.operation.to_string()).join("database");
        let receiving = Receiving { service, restic: &restic, scratch };
        receiving.go_on(job, contract, &snapshots, (&before, &mut restored))?;
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

/// A directory's room.
struct Room<'a> {
    directory: &'a str,
    exchange: Exchange,
    folder: PathBuf,
}

impl<'a> OneService<'a> {
    /// Restores what leads to the newest state, and notes the snapshots that lead there.
    fn go_on(
        &self,
        job: &mut Job,
        chain: &Chain<'_>,
        before: &RestoredAhead,
        restored: &mut RestoredAhead,
    ) -> Result<()> {
        let rooms = self.rooms(job.files.name.operation, chain.whole())?;
        let Some(way) = chain.to_newest(state_of_all(&rooms)) else { return Ok(()) };
        let mut there: Vec<&Snapshot> = match way.state {
            Some(state) => chain.at(state).collect(),
            None => way.whole.into_iter().collect(),
        };
        // One of them has the bytes of all.
        let known = there.iter().filter_map(|snapshot| before.snapshots.get(&snapshot.id)).max();
        let is_there = way.whole.is_none() && way.deltas.is_empty();
        let bytes = match known {
            Some(bytes) if is_there || way.state.is_none() => *bytes,
            _ => self.restore(job, &rooms, &way)?,
        };
        // They are the same files, which take their room once.
        let first = there.pop().map(|snapshot| (snapshot.id.clone(), bytes));
        let others = there.into_iter().map(|snapshot| (snapshot.id.clone(), 0));
        restored.snapshots.extend(first.into_iter().chain(others));
        Ok(())
    }

    /// Those of the directories that a snapshot holds. What is in a mount point would be taken for a part of it if it were left
    /// behind, so it has none.
    fn rooms(&self, operation: Uuid, whole: Option<&Snapshot>) -> Result<Vec<Room<'a>>> {
        let is_held = |path: &&str| whole.is_some_and(|whole| whole.paths.iter().any(|held| held == path));
        let mut rooms = Vec::new();
        for directory in outermost_of(&self.contract.state.directories).into_iter().filter(is_held) {
            let exchange = Exchange::of(directory, operation, self.mounts);
            if !exchange.is_mounted() && self.mounts.below(directory).is_none() {
                let folder = exchange.take_room()?;
                rooms.push(Room { directory, exchange, folder });
            }
        }
        Ok(rooms)
    }

    /// Tells how many bytes it takes on the disk.
    fn restore(&self, job: &mut Job, rooms: &[Room<'_>], way: &Way<'_>) -> Result<u64> {
        rooms.iter().try_for_each(|room| forget_state(&room.folder))?;
        if let Err(failure) = self.follow(job, rooms, way) {
            // It may be what fills the disk.
            rooms.iter().try_for_each(|room| room.exchange.leave_room())?;
            return Err(failure);
        }
        if let Some(state) = way.state {
            rooms.iter().try_for_each(|room| set_state(&room.folder, state))?;
        }
        let mut bytes = 0;
        for Room { directory, exchange, .. } in rooms {
            // What the fingerprint will ask for is read while nobody waits for it.
            let (operation, new) = (job.files.name.operation, exchange.new_one());
            let there = (new.as_path(), way.whole.is_none());
            match sum_room(operation, self.service, directory, there, &mut job.notes) {
                Ok(on_disk) => bytes += on_disk,
                Err(error) => job.notes.line(&format!("{directory} was not read ahead: {error}")),
            }
        }
        Ok(bytes)
    }

    fn follow(&self, job: &mut Job, rooms: &[Room<'_>], way: &Way<'_>) -> Result<()> {
        let scratch = Path::new(CAPTURE).join(job.files.name.operation.to_string());
        let mut meter = Meter::of(&mut job.notes, TransferPhase::Restore, self.service);
        meter.say(Status::default());
        if let Some(whole) = way.whole {
            for Room { directory, folder, .. } in rooms {
                let what = (whole.id.as_str(), *directory);
                self.restic.restore(what, &folder.to_string_lossy(), true, &mut |status| meter.at(status))?;
            }
        }
        for snapshot in &way.deltas {
            let delta = Delta::fetch(self.restic, snapshot, &scratch)?;
            for Room { directory, exchange, folder } in rooms {
                delta.apply(directory, (folder, &exchange.new_one()), &mut |status| meter.at(status))?;
            }
        }
        Ok(())
    }
}

/// The state that all of them are in.
fn state_of_all(rooms: &[Room<'_>]) -> Option<Uuid> {
    let mut states = rooms.iter().map(|room| state_of(&room.folder));
    let first = states.next()??;
    states.all(|state| state == Some(first)).then_some(first)
}
