//! Databases and directories, into a snapshot for each service.

mod followed;

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

use berth_delta::{Snapshot as Listed, rest_tag, whole_tag};
use berth_domain::manifest::{Probe, ServiceManifest};
use berth_domain::{Manifest, ServiceName};
use berth_protocol::{
    Capture, Captured, FailureCode, Pass, Replica, Repository, ServiceCapture, TransferPhase,
};
use chrono::Utc;

use super::delta::Made;
use super::notes::Meter;
use super::record::CaptureAsked;
use super::replica::{Last, Told};
use super::restic::{Backup, Restic, Status, Summary, What, check_path};
use super::snapshot::{self, FORMAT, Snapshot, Staging, WITH_DUMPS};
use super::tree::outermost_of;
use super::work::Job;
use super::{owners, quiet};
use crate::accounts::Accounts;
use crate::client::Client as _;
use crate::entry::Myself;
use crate::failure::{Result, failure, io};
use crate::postgres::copy::{Extent, Properties};
use crate::system::System;
use crate::{directories, postgres, probe, units};
use followed::Sent;

/// How long a service is waited for that answered before it was stopped.
const BACK: Duration = Duration::from_secs(60);

/// What stands for the tenant of a machine that has none.
const VACANT: &str = "vacant";

/// Captures each service that was asked for. One that fails does not keep the others from being captured.
pub(super) fn run(
    job: &mut Job,
    asked: &CaptureAsked,
    repository: &Repository,
    myself: &Myself,
) -> Result<Capture> {
    let manifest = System::open(&asked.system)?.manifest()?;
    let services = wanted(&manifest, asked.services.as_deref())?;
    let restic = Restic::of(repository)?;
    restic.ensure_there()?;
    let mut capture = job.record.earlier.clone();
    let host = manifest.tenant.as_deref().unwrap_or(VACANT);
    let alone = services.len() == 1;
    for (service, contract) in services {
        if capture.services.contains_key(service) {
            continue;
        }
        let tenant = manifest.tenant.as_deref();
        let work = Service { asked, restic: &restic, host, tenant, service, contract, alone, myself };
        let outcome = match work.capture(job) {
            Ok(captured) => ServiceCapture::Captured(captured),
            Err(failure) => {
                job.notes.line(&format!("{service}: {failure}"));
                ServiceCapture::Failed { message: failure.message }
            }
        };
        capture.services.insert(service.clone(), outcome);
    }
    Ok(capture)
}

fn wanted<'a>(
    manifest: &'a Manifest,
    names: Option<&[ServiceName]>,
) -> Result<Vec<(&'a ServiceName, &'a ServiceManifest)>> {
    let unknown = names.into_iter().flatten().find(|name| !manifest.services.contains_key(*name));
    if let Some(name) = unknown {
        return Err(failure(FailureCode::BadCall, format!("/services: this system has no service {name}")));
    }
    let is_wanted = |name: &ServiceName| names.is_none_or(|names| names.contains(name));
    Ok(manifest.services.iter().filter(|(name, _)| is_wanted(name)).collect())
}

/// One service that is captured.
pub(super) struct Service<'a> {
    pub(super) asked: &'a CaptureAsked,
    pub(super) restic: &'a Restic<'a>,
    pub(super) host: &'a str,
    tenant: Option<&'a str>,
    pub(super) service: &'a ServiceName,
    pub(super) contract: &'a ServiceManifest,
    pub(super) myself: &'a Myself,
    /// Whether no other service is captured, and may write while or after this one is.
    alone: bool,
}

impl Service<'_> {
    fn capture(&self, job: &mut Job) -> Result<Captured> {
        check(self.contract)?;
        // While the service still serves.
        let known = self.known(job);
        if self.asked.pass == Pass::Live {
            let captured = self.copy_live(job, known.clone())?;
            let Told { bytes_added, replicas } = self.tell_changes(job, known.as_deref())?;
            return Ok(Captured { bytes_added: captured.bytes_added + bytes_added, replicas, ..captured });
        }
        let served = probe::answered(self.service.as_str(), &self.contract.probes);
        let begun = Instant::now();
        let before = job.record.stopped.len();
        let copied = self.stop(job).and_then(|()| self.copy_quiet(job, known));
        let mut not_started = Vec::new();
        if self.asked.pass == Pass::Quiesced {
            not_started = quiet::start(&job.record.stopped[before..]);
            job.record.stopped.truncate(before);
            job.save()?;
            self.wait_until_it_serves(&served, job);
        }
        let quiet_ms = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        copied.map(|captured| Captured { quiet_ms, not_started, ..captured })
    }

    /// A unit may be up long before it answers, and the next service is not stopped before this one serves again.
    fn wait_until_it_serves(&self, served: &[&Probe], job: &mut Job) {
        if !probe::are_answered_within(BACK, self.service.as_str(), served) {
            job.notes.line(&format!("{}: it was started and does not answer yet", self.service));
        }
    }

    /// Stops the units that must be quiet. Which of them ran stands in the record before the first is stopped.
    fn stop(&self, job: &mut Job) -> Result<()> {
        let quiesce = &self.contract.state.quiesce;
        let running = quiet::running(quiesce)?;
        let new = running.into_iter().filter(|unit| !job.record.stopped.contains(unit)).collect::<Vec<_>>();
        job.record.stopped.extend(new);
        job.save()?;
        quiet::stop(quiesce)
    }

    fn copy_live(&self, job: &mut Job, known: Option<Vec<Listed>>) -> Result<Captured> {
        let paths = self.present();
        if paths.is_empty() {
            return Ok(self.captured(None, Vec::new()));
        }
        let sent = self.send_what_changed(job, &paths, known);
        if let Some(summary) = sent.as_ref().and_then(Sent::enough).cloned() {
            self.go_on_from(sent, Made::Delta, job);
            return Ok(self.captured(Some(summary), Vec::new()));
        }
        let summary = self.backup(job, paths, sent.as_ref())?;
        let before = sent.as_ref().map_or(0, Sent::bytes);
        self.go_on_from(sent, Made::Whole { quiet: false }, job);
        let captured = self.captured(Some(summary), Vec::new());
        Ok(Captured { bytes_added: captured.bytes_added + before, ..captured })
    }

    fn copy_quiet(&self, job: &mut Job, known: Option<Vec<Listed>>) -> Result<Captured> {
        let (captured, fingerprint) = self.look_meanwhile(job, |job| self.copy_all(job, known));
        Ok(Captured { fingerprint: fingerprint.map(Box::new), ..captured? })
    }

    fn copy_all(&self, job: &mut Job, known: Option<Vec<Listed>>) -> Result<Captured> {
        let mut paths = self.present();
        let sent = self.send_what_changed(job, &paths, known.clone());
        let staging = Staging::of(job.files.name.operation, self.service);
        let completed_there = sent.as_ref().filter(|sent| sent.is_completed_there());
        let copied = self.stage(job, &staging, known.as_deref()).and_then(|staged| {
            if completed_there.is_some() {
                paths.clear();
            }
            paths.push(staging.folder().display().to_string());
            Ok((self.backup(job, paths, sent.as_ref())?, staged))
        });
        // It is of no use any more, and may be as large as the databases.
        let _ = std::fs::remove_dir_all(staging.folder());
        let (summary, (databases, replicas)) = copied?;
        let before = sent.as_ref().map_or(0, Sent::bytes);
        let (files, bytes) = completed_there.map_or((0, 0), Sent::total);
        let made = if completed_there.is_some() { Made::Delta } else { Made::Whole { quiet: true } };
        self.go_on_from(sent, made, job);
        let captured = self.captured(Some(summary), databases);
        Ok(Captured {
            bytes_added: captured.bytes_added + before,
            bytes_total: captured.bytes_total + bytes,
            files_total: captured.files_total + files,
            replicas,
            ..captured
        })
    }

    /// Writes down what is no file yet: databases, and what the snapshot says of itself. Gives the databases, and those of them that are
    /// told by what changed last.
    fn stage(
        &self,
        job: &mut Job,
        staging: &Staging,
        known: Option<&[Listed]>,
    ) -> Result<(Vec<String>, Vec<Replica>)> {
        make_folder(staging)?;
        let declared = &self.contract.state.databases;
        let names: Vec<&str> = declared.iter().map(String::as_str).collect();
        let there = postgres::existing(&names)?;
        if let Some(missing) = declared.iter().find(|name| !there.contains(name)) {
            return Err(failure(FailureCode::Io, format!("the database {missing} does not exist")));
        }
        let properties = declared.iter().map(|name| Ok((name.clone(), postgres::copy::properties(name)?)));
        let properties: Vec<(String, Properties)> = properties.collect::<Result<_>>()?;
        let total_bytes = properties.iter().map(|(_, found)| found.bytes).sum();
        let mut status = Status { total_bytes, total_files: properties.len() as u64, ..Status::default() };
        let (mut told, mut replicas) = (BTreeMap::new(), Vec::new());
        Meter::of(&mut job.notes, TransferPhase::Dump, self.service).say(status);
        for (name, found) in &properties {
            match self.last_piece(job, (name, staging), known) {
                Some((last, newest)) => {
                    told.insert(name.clone(), last);
                    replicas.push(Replica { database: name.clone(), newest });
                }
                None => postgres::copy::dump(name, Extent::Whole, new_file(&staging.dump(name))?)?,
            }
            status.bytes_done += found.bytes;
            status.files_done += 1;
            Meter::of(&mut job.notes, TransferPhase::Dump, self.service).say(status);
        }
        self.describe(staging, properties, told)?;
        Ok((declared.clone(), replicas))
    }

    fn describe(
        &self,
        staging: &Staging,
        databases: Vec<(String, Properties)>,
        replicas: BTreeMap<String, Last>,
    ) -> Result<()> {
        let declared = &self.contract.state.directories;
        let present = |path: &str| Path::new(path).is_dir();
        let directories = declared.iter().map(|directory| snapshot::Captured {
            declared: directory.clone(),
            present: present(&directory.path),
        });
        let snapshot = Snapshot {
            format: if replicas.is_empty() { WITH_DUMPS } else { FORMAT },
            tenant: self.tenant.map(str::to_owned),
            service: self.service.clone(),
            pass: self.asked.pass.word().into(),
            at: Utc::now(),
            agent_version: env!("CARGO_PKG_VERSION").into(),
            data_version: self.contract.data_version.clone(),
            databases: databases.into_iter().collect(),
            replicas,
            directories: directories.collect(),
            owners: owners::of(outermost_of(declared).into_iter(), &Accounts::read(), &|path, found| {
                self.restic.copies(path, found)
            })?,
        };
        let path = staging.file();
        let problem = || io(format!("cannot write {}", path.display()));
        let bytes = serde_json::to_vec_pretty(&snapshot).map_err(|error| problem()(error.into()))?;
        new_file(&path)?.write_all(&bytes).map_err(problem())
    }

    fn backup(&self, job: &mut Job, paths: Vec<String>, sent: Option<&Sent>) -> Result<Summary> {
        let rest = sent.is_some_and(Sent::is_completed_there) && self.asked.pass != Pass::Live;
        let what = if rest { rest_tag } else { whole_tag };
        let mut tags = vec![self.asked.tag.clone(), what(self.service.as_str()), self.asked.pass.tag()];
        tags.extend(sent.map(Sent::tag));
        let parent = match sent {
            Some(sent) => sent.whole.clone().filter(|_| !rest),
            None => self.restic.newest(self.host, &whole_tag(self.service.as_str())),
        };
        let mut meter = Meter::of(&mut job.notes, TransferPhase::Backup, self.service);
        meter.say(Status::default());
        let tolerant = self.asked.pass == Pass::Live;
        let backup = Backup { host: self.host, tags, what: What::Everything { paths, parent }, tolerant };
        let summary = self.restic.backup(&backup, &mut |status| meter.at(status))?;
        let (bytes, files) = (summary.total_bytes_processed, summary.total_files_processed);
        meter.say(Status {
            bytes_done: bytes,
            total_bytes: bytes,
            files_done: files,
            total_files: files,
            ..Status::default()
        });
        Ok(summary)
    }

    /// The directories that exist.
    fn present(&self) -> Vec<String> {
        let declared = outermost_of(&self.contract.state.directories);
        declared.into_iter().filter(|path| Path::new(path).is_dir()).map(str::to_owned).collect()
    }

    fn captured(&self, summary: Option<Summary>, databases: Vec<String>) -> Captured {
        let found = summary.as_ref();
        let mut left_out = Vec::new();
        if self.asked.pass == Pass::Live {
            left_out.extend(
                self.contract
                    .state
                    .databases
                    .iter()
                    .map(|name| format!("database {name}: the service is not quiet")),
            );
        }
        Captured {
            bytes_added: found.map_or(0, Summary::bytes_added),
            bytes_total: found.map_or(0, |found| found.total_bytes_processed),
            files_total: found.map_or(0, |found| found.total_files_processed),
            snapshot: summary.map(|summary| summary.snapshot_id),
            databases,
            replicas: Vec::new(),
            data_version: self.contract.data_version.clone(),
            quiet_ms: 0,
            left_out,
            buckets: self.contract.state.buckets.iter().map(|bucket| bucket.name.clone()).collect(),
            not_started: Vec::new(),
            fingerprint: None,
        }
    }
}

/// Refuses a contract that claims what is not a tenant's, before anything of it is touched.
pub(super) fn check(contract: &ServiceManifest) -> Result<()> {
    for directory in &contract.state.directories {
        directories::check(&directory.path)?;
        directories::check_way(&directory.path)?;
        check_path(&directory.path)?;
    }
    contract.state.databases.iter().try_for_each(|name| postgres::check(name))?;
    quiet::all(contract).iter().try_for_each(|unit| units::check_name(unit))
}

/// Makes the folder empty; nobody but root can enter it.
fn make_folder(staging: &Staging) -> Result<()> {
    let _ = std::fs::remove_dir_all(staging.folder());
    staging.make_room()
}

pub(super) fn new_file(path: &Path) -> Result<std::fs::File> {
    let file = OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(path);
    file.map_err(io(format!("cannot write {}", path.display())))
}
