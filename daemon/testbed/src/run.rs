//! A run: what one process boots, written down so that any later process can put it away.
//!
//! ```text
//! /run/berth-testbed/lock                     held while a run or a network is taken or given back
//! /run/berth-testbed/networks/N               who has network N: a run, and a random id
//! /run/berth-testbed/PID-XXXXXX/run.json      whose run it is, and whether it is to be kept
//! /run/berth-testbed/PID-XXXXXX/machines/NAME machine.json, console.log, and root/, where its tree is mounted
//! /var/lib/berth-testbed/PID-XXXXXX/NAME      its disk: what it wrote
//! ```
//!
//! What is made is written down before it is made; putting away takes as gone what is not there.

use std::fs;
use std::io::Write;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::error::{Context, Result, TestbedError};
use crate::lock::FileLock;
use crate::machine::record::MachineRecord;
use crate::mounts::remove_tree;
use crate::network::Network;
use crate::owner::Owner;
use crate::teardown;

const LOCK_TIMEOUT: Duration = Duration::from_secs(60);

/// What `run.json` says.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct RunRecord {
    owner: Owner,
    /// Whether the machines outlive their owner.
    kept: bool,
    /// Where the machines' disks are.
    disks: PathBuf,
}

/// A run's folder.
#[derive(Debug, Clone)]
pub(crate) struct RunFolder {
    pub(crate) path: PathBuf,
    pub(crate) disks: PathBuf,
}

impl RunFolder {
    /// Makes a run of this process.
    pub(crate) async fn create(state: &Path, disks: &Path) -> Result<Self> {
        make(&state.join("networks"))?;
        let _lock = lock(state).await?;
        let owner = Owner::current()?;
        let folder = tempfile::Builder::new()
            .prefix(&format!("{}-", owner.pid()))
            .tempdir_in(state)
            .context(|| format!("cannot make a folder in {}", state.display()))?
            .keep();
        let disks = disks.join(folder.file_name().unwrap_or_default());
        write_json(&folder.join("run.json"), &RunRecord { owner, kept: false, disks: disks.clone() })?;
        make(&folder.join("machines"))?;
        Ok(Self { path: folder, disks })
    }

    /// Opens the folder of a run that may be another process'.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let record: RunRecord = read_json(&path.join("run.json"))?;
        Ok(Self { path: path.to_owned(), disks: record.disks })
    }

    /// Writes down that the machines are to outlive this process.
    pub(crate) fn keep(&self) -> Result<()> {
        let path = self.path.join("run.json");
        let record: RunRecord = read_json(&path)?;
        write_json(&path, &RunRecord { kept: true, ..record })
    }

    fn state(&self) -> &Path {
        self.path.parent().unwrap_or(&self.path)
    }

    fn name(&self) -> &str {
        self.path.file_name().and_then(|name| name.to_str()).unwrap_or_default()
    }

    pub(crate) fn machine(&self, name: &str) -> PathBuf {
        self.path.join("machines").join(name)
    }

    /// Takes a free network of the range; the result tells this claim from all others.
    pub(crate) async fn claim_network(&self, range: &RangeInclusive<u8>) -> Result<(Network, String)> {
        let _lock = lock(self.state()).await?;
        let claim = format!("{} {}", self.name(), random_id()?);
        for network in range.clone().map(Network).filter(|network| network.is_unused()) {
            let path = self.claim_path(network);
            match fs::File::create_new(&path).and_then(|mut file| file.write_all(claim.as_bytes())) {
                Ok(()) => return Ok((network, claim)),
                Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error).context(|| format!("cannot write {}", path.display())),
            }
        }
        Err(TestbedError::NoFreeNetwork { first: *range.start(), last: *range.end() })
    }

    fn claim_path(&self, network: Network) -> PathBuf {
        self.state().join("networks").join(network.0.to_string())
    }

    /// Whether the machine's network is still its own.
    pub(crate) fn owns(&self, record: &MachineRecord) -> bool {
        fs::read_to_string(self.claim_path(record.network)).is_ok_and(|claim| claim == record.claim)
    }

    /// Gives a network back.
    pub(crate) fn release_network(&self, network: Network, claim: &str) {
        let path = self.claim_path(network);
        if fs::read_to_string(&path).is_ok_and(|found| found == claim) {
            let _ = fs::remove_file(path);
        }
    }

    /// The machines that are written down.
    pub(crate) fn machines(&self) -> Result<Vec<MachineRecord>> {
        let folders = list(&self.path.join("machines"))?;
        let records = folders.into_iter().map(|folder| folder.join("machine.json"));
        records.filter(|record| record.exists()).map(|record| read_json(&record)).collect()
    }

    /// Puts all of the run away: machines first, at once, then its folders. Blocks for as long as that takes.
    pub(crate) fn remove(&self) -> Result<()> {
        let Some(_lock) = FileLock::acquire_folder(&self.path, teardown::PATIENCE)? else {
            return Ok(());
        };
        let machines = self.machines()?;
        let each = |record: &MachineRecord| teardown::machine(self, record);
        let outcomes: Vec<Result<()>> = std::thread::scope(|scope| {
            let threads: Vec<_> = machines.iter().map(|record| scope.spawn(move || each(record))).collect();
            threads.into_iter().filter_map(|thread| thread.join().ok()).collect()
        });
        outcomes.into_iter().collect::<Result<()>>()?;
        remove_tree(&self.disks)?;
        self.release_all_networks()?;
        remove_tree(&self.path)
    }

    /// Also those that were claimed by a process that ended before it wrote the machine down.
    fn release_all_networks(&self) -> Result<()> {
        for path in list(&self.state().join("networks"))? {
            let owner = fs::read_to_string(&path).unwrap_or_default();
            if owner.split(' ').next() == Some(self.name()) {
                fs::remove_file(&path).context(|| format!("cannot remove {}", path.display()))?;
            }
        }
        Ok(())
    }
}

/// Puts away the runs whose process is gone, except kept ones; of an earlier boot of the host also those.
/// What one run refuses does not stop the others; the first refusal is the result.
pub(crate) async fn sweep(state: &Path) -> Result<usize> {
    if !state.exists() {
        return Ok(0);
    }
    let left = {
        let _lock = lock(state).await?;
        remove_unfinished(state)?;
        runs(state)?.into_iter().filter(|(_, record)| is_left_over(record)).collect::<Vec<_>>()
    };
    let sweeping = left.into_iter().map(|(path, record)| {
        let run = RunFolder { path, disks: record.disks };
        tokio::task::spawn_blocking(move || {
            tracing::info!("putting away what {} left behind", run.path.display());
            run.remove()
        })
    });
    let sweeping: Vec<_> = sweeping.collect();
    let (mut count, mut outcome) = (0, Ok(()));
    for swept in sweeping {
        match swept
            .await
            .unwrap_or_else(|error| Err(std::io::Error::other(error)).context(|| "sweeping".to_owned()))
        {
            Ok(()) => count += 1,
            Err(error) => outcome = outcome.and(Err(error)),
        }
    }
    outcome.map(|()| count)
}

/// Run folders without a record are of processes that were killed while making them: who makes one holds the lock,
/// and now we do. Nothing is in them yet.
fn remove_unfinished(state: &Path) -> Result<()> {
    let is_run = |path: &PathBuf| path.is_dir() && !path.ends_with("networks");
    let unfinished = list(state)?.into_iter().filter(|path| is_run(path) && !path.join("run.json").exists());
    unfinished.into_iter().try_for_each(|path| remove_tree(&path))
}

fn is_left_over(record: &RunRecord) -> bool {
    if record.kept { !record.owner.is_of_this_boot() } else { !record.owner.is_alive() }
}

/// The runs that are kept.
pub(crate) fn kept(state: &Path) -> Result<Vec<PathBuf>> {
    if !state.exists() {
        return Ok(Vec::new());
    }
    let kept = |(path, record): (PathBuf, RunRecord)| (record.kept && !is_left_over(&record)).then_some(path);
    Ok(runs(state)?.into_iter().filter_map(kept).collect())
}

fn runs(state: &Path) -> Result<Vec<(PathBuf, RunRecord)>> {
    let folders = list(state)?.into_iter().filter(|path| path.join("run.json").exists());
    folders.map(|path| Ok((path.clone(), read_json(&path.join("run.json"))?))).collect()
}

async fn lock(state: &Path) -> Result<FileLock> {
    FileLock::acquire(&state.join("lock"), LOCK_TIMEOUT, || ()).await
}

/// 32 random hexadecimal digits.
pub(crate) fn random_id() -> Result<String> {
    let path = "/proc/sys/kernel/random/uuid";
    let id = fs::read_to_string(path).context(|| format!("cannot read {path}"))?;
    Ok(id.trim().replace('-', ""))
}

pub(crate) fn make(path: &Path) -> Result<()> {
    fs::create_dir_all(path).context(|| format!("cannot create {}", path.display()))
}

fn list(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.context(|| format!("cannot list {}", folder.display()))?,
    };
    Ok(entries.flatten().map(|entry| entry.path()).collect())
}

/// Writes a record so that a reader sees the old or the new one, never a part.
pub(crate) fn write_json(path: &Path, record: &impl Serialize) -> Result<()> {
    let partial = path.with_extension("partial");
    let written = || {
        fs::write(&partial, serde_json::to_vec_pretty(record)?)?;
        fs::rename(&partial, path)
    };
    written().context(|| format!("cannot write {}", path.display()))
}

fn read_json<T: DeserializeOwned>(path: &Path) -> Result<T> {
    let bytes = fs::read(path).context(|| format!("cannot read {}", path.display()))?;
    serde_json::from_slice(&bytes)
        .map_err(|error| TestbedError::BadRecord { path: path.to_owned(), reason: error.to_string() })
}
