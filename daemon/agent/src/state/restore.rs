//! Snapshots, into databases and directories.
//!
//! What takes long is done beside what is there, while the services go on: directories are restored next to those that they
//! replace, databases are made under other names. Then the services are stopped, everything is exchanged within moments, and
//! they serve again. All of it succeeds, or the machine is as it was.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use berth_delta::Snapshot as Listed;
use berth_domain::manifest::Command;
use berth_protocol::{Repository, TransferPhase};

use super::ahead;
use super::delta::{forget_state, state_of};
use super::notes::Meter;
use super::owners::Mapping;
use super::plan::{NewDatabase, NewDirectory, Part, plan};
use super::quiet;
use super::record::RestoreAsked;
use super::replica::Receiving;
use super::restic::{Restic, Status};
use super::secrets::Former;
use super::settle;
use super::undo::Undo;
use super::unsettled;
use super::work::Job;
use crate::accounts::Accounts;
use crate::client::Client as _;
use crate::entry::Myself;
use crate::failure::{Result, bad_manifest, failure, io, program};
use crate::places::RESTORE;
use crate::postgres::copy;
use crate::programs::{command, run_ok};
use crate::system::System;

/// How long one command may take that makes something anew.
const COMMAND_LIMIT: Duration = Duration::from_secs(4 * 3600);

/// Brings all parts back.
pub(super) fn run(
    job: &mut Job,
    asked: &RestoreAsked,
    repository: &Repository,
    myself: &Myself,
) -> Result<()> {
    let manifest = System::open(&asked.system)?.manifest()?;
    let restic = Restic::of(repository)?;
    let operation = job.files.name.operation;
    let parts = plan(&manifest, &asked.parts, &restic, operation)?;
    let former = match &asked.secrets {
        Some(secrets) => Former::read(&manifest, secrets, &restic, operation)?,
        None => Former::default(),
    };
    // From here on there is something to be undone.
    job.record.undo = Some(undo_of(&parts, &former));
    job.save()?;
    let reuse = asked.reuse && restic.overwrites();
    let ahead = if reuse { ahead::restored_by(operation)?.snapshots } else { BTreeMap::new() };
    let is_told = parts.iter().any(|part| !part.snapshot.replicas.is_empty());
    let snapshots = if is_told { restic.snapshots()? } else { Vec::new() };
    for part in &parts {
        let folder = Path::new(RESTORE).join(operation.to_string());
        let ahead = ahead.contains_key(&part.part.snapshot);
        Preparation { part, restic: &restic, folder, reuse, ahead, snapshots: &snapshots }.run(job)?;
    }
    former.make_ready()?;
    // A boot that comes from here on finds what is half exchanged.
    unsettled::keep(myself)?;
    stop(job, &parts, &former)?;
    exchange(&parts)?;
    former.put()?;
    former.said().iter().for_each(|what| job.notes.line(what));
    start(job, &parts)?;
    after_restore(job, &parts)?;
    commit(job)
}

fn undo_of(parts: &[Part<'_>], former: &Former<'_>) -> Undo {
    let directories =
        parts.iter().flat_map(|part| &part.directories).map(|directory| directory.exchange.clone());
    let databases = parts.iter().flat_map(|part| &part.databases).map(|database| database.exchange.clone());
    // Nothing was stopped yet, and nothing has to be before it is undone.
    Undo {
        units: Vec::new(),
        directories: directories.collect(),
        databases: databases.collect(),
        secrets: former.exchanges(),
        committed: false,
    }
}

/// One service's part, made ready beside what is there.
struct Preparation<'a> {
    part: &'a Part<'a>,
    restic: &'a Restic<'a>,
    folder: PathBuf,
    /// Whether directories that were restored ahead are gone on with.
    reuse: bool,
    /// Whether they are this very snapshot's already.
    ahead: bool,
    /// All snapshots of the repository, where databases are told by what changed in them.
    snapshots: &'a [Listed],
}

impl Preparation<'_> {
    fn run(&self, job: &mut Job) -> Result<()> {
        for directory in &self.part.directories {
            self.directory(job, directory)?;
        }
        if self.part.databases.is_empty() {
            return Ok(());
        }
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&self.folder)
            .map_err(io(format!("cannot make {}", self.folder.display())))?;
        let staging = self.part.staging.folder().to_string_lossy().into_owned();
        self.restore(job, &staging, &self.folder, false)?;
        let mut status = Status { total_files: self.part.databases.len() as u64, ..Status::default() };
        status.total_bytes = self.part.databases.iter().map(|database| database.properties.bytes).sum();
        for database in &self.part.databases {
            Meter::of(&mut job.notes, TransferPhase::Load, &self.part.part.service).say(status);
            self.load(job, database)?;
            status.files_done += 1;
            status.bytes_done += database.properties.bytes;
        }
        Meter::of(&mut job.notes, TransferPhase::Load, &self.part.part.service).say(status);
        // The dumps may be as large as the databases.
        let _ = std::fs::remove_dir_all(self.part.staging.below(&self.folder).folder());
        Ok(())
    }

    fn directory(&self, job: &mut Job, directory: &NewDirectory<'_>) -> Result<()> {
        let reuse = self.reuse && directory.there.present;
        let exchange = &directory.exchange;
        let new = exchange.new_one();
        let ahead = reuse && self.ahead && new.exists();
        let room = if reuse { exchange.take_room()? } else { exchange.make_room()? };
        // What has changed may have arrived, and been followed, before the snapshot of everything was there.
        let ahead = ahead || (reuse && self.part.state.is_some() && state_of(&room) == self.part.state);
        // From here on it is not as the source had it: owners are those of here.
        forget_state(&room)?;
        if ahead {
            job.notes.line(&format!("{} was restored ahead", directory.here.path));
        } else if directory.there.present {
            self.restore(job, &directory.here.path, &room, reuse)?;
        } else {
            std::fs::create_dir_all(&new).map_err(io(format!("cannot make {}", new.display())))?;
        }
        let accounts = Accounts::read();
        Mapping::of(&self.part.snapshot.owners, &accounts, &directory.there, directory.here)?.apply(&new)
    }

    fn restore(&self, job: &mut Job, path: &str, target: &Path, reuse: bool) -> Result<()> {
        let mut meter = Meter::of(&mut job.notes, TransferPhase::Restore, &self.part.part.service);
        meter.say(Status::default());
        let target = target.to_string_lossy();
        let what = (self.part.part.snapshot.as_str(), path);
        self.restic.restore(what, &target, reuse, &mut |status| meter.at(status))
    }

    fn load(&self, job: &mut Job, database: &NewDatabase) -> Result<()> {
        let NewDatabase { exchange, properties } = database;
        let (service, scratch) = (&self.part.part.service, self.folder.join("database"));
        let staging = self.part.staging.below(&self.folder);
        let like = exchange.existed.then_some(exchange.name.as_str());
        let receiving = Receiving { service, restic: self.restic, scratch };
        if let Some(last) = self.part.snapshot.replicas.get(&exchange.name) {
            let (names, how) = (
                (exchange.name.as_str(), exchange.new.as_str(), like),
                (self.snapshots, properties, self.reuse),
            );
            return receiving.finish(job, names, (last, &staging), how);
        }
        copy::load(&exchange.new, &staging.dump(&exchange.name), properties, like)?;
        receiving.is_of_no_use(&exchange.name)
    }
}

/// Stops whatever may use the state. Which of it ran stands in the record before.
fn stop(job: &mut Job, parts: &[Part<'_>], former: &Former<'_>) -> Result<()> {
    let units = parts.iter().flat_map(|part| quiet::all(part.contract));
    let mut seen = BTreeSet::new();
    let units = units.chain(former.units().iter().cloned()).filter(|unit| seen.insert(unit.clone()));
    let units: Vec<String> = units.collect();
    job.record.stopped = quiet::running(&units)?;
    if let Some(undo) = &mut job.record.undo {
        undo.units.clone_from(&units);
    }
    job.save()?;
    quiet::stop(&units)
}

fn exchange(parts: &[Part<'_>]) -> Result<()> {
    for part in parts {
        part.databases.iter().try_for_each(|database| database.exchange.put())?;
        part.directories.iter().try_for_each(|directory| directory.exchange.put())?;
    }
    Ok(())
}

/// Starts what ran before. What does not start on what was brought back is no success.
fn start(job: &mut Job, parts: &[Part<'_>]) -> Result<()> {
    let not_started = quiet::start(&job.record.stopped);
    if not_started.is_empty() {
        return Ok(());
    }
    let services: Vec<&str> = parts.iter().map(|part| part.part.service.as_str()).collect();
    let message = format!(
        "{} did not start on what was brought back of {}",
        not_started.join(", "),
        services.join(", ")
    );
    Err(failure(berth_protocol::FailureCode::Program, message))
}

/// Makes anew what is no state. The services serve already: some of the commands need one of their parts, such as a cache.
fn after_restore(job: &mut Job, parts: &[Part<'_>]) -> Result<()> {
    for made in parts.iter().flat_map(|part| &part.contract.state.after_restore) {
        job.notes.line(&made.title);
        run_command(made)?;
    }
    Ok(())
}

fn run_command(made: &Command) -> Result<()> {
    let (program_file, arguments) =
        made.argv.split_first().ok_or_else(|| bad_manifest(format!("“{}” has no program", made.title)))?;
    let mut call = command("runuser")?;
    call.args(["-u", &made.user, "--", program_file]).args(arguments);
    run_ok(call, COMMAND_LIMIT).map(drop).map_err(|failure| program(&made.title, &failure.message))
}

/// From here on there is no way back. Databases that were replaced are dropped by what systemd runs once this has ended
/// ([`settle::settle`]): PostgreSQL makes a checkpoint for each, and whoever asked for the restore need not wait for that.
fn commit(job: &mut Job) -> Result<()> {
    job.record.stopped.clear();
    let Some(undo) = &mut job.record.undo else { return job.save() };
    undo.committed = true;
    let undo = undo.clone();
    job.save()?;
    settle::tell_what_stays(job, undo.forget_files());
    Ok(())
}
