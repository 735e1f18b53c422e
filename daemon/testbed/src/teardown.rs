//! Puts a machine away: processes, mounts, interfaces, folders. Synchronous, so that it works in `Drop`, and
//! safe to repeat.

use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Duration;

use crate::cgroups;
use crate::error::Result;
use crate::lock::FileLock;
use crate::machine::process;
use crate::machine::record::MachineRecord;
use crate::mounts::remove_tree;
use crate::run::RunFolder;

/// Where systemd-nspawn keeps what it shares between its processes.
const NSPAWN: &str = "/run/systemd/nspawn";

/// How long another may take who is putting the same away.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Puts a machine of a run away, whatever state it is in.
pub(crate) fn machine(run: &RunFolder, record: &MachineRecord) -> Result<()> {
    let folder = run.machine(record.name.as_str());
    let Some(_lock) = FileLock::acquire_folder(&folder, PATIENCE)? else { return Ok(()) };
    if !run.owns(record) {
        // Another has put it away meanwhile; its network may belong to a new machine by now.
        return Ok(());
    }
    process::kill_all(record)?;
    cgroups::remove(&record.cgroups)?;
    remove_lock(&record.root);
    remove_tree(&record.root)?;
    remove_tree(&record.disk)?;
    record.network.remove()?;
    remove_what_nspawn_leaves(&record.nspawn_name())?;
    // The record goes last, so that an attempt that failed can be repeated; then the network may be reused.
    remove_tree(&folder)?;
    run.release_network(record.network, &record.claim);
    Ok(())
}

/// systemd-nspawn removes its own folders only where /run is in memory, and not at all when it is killed.
fn remove_what_nspawn_leaves(name: &str) -> Result<()> {
    for folder in ["propagate", "unix-export"] {
        remove_tree(&Path::new(NSPAWN).join(folder).join(name))?;
    }
    Ok(())
}

/// Its lock on the machine's tree, which is named after device and inode; so this must be done while the tree
/// is mounted.
fn remove_lock(root: &Path) {
    if let Ok(found) = std::fs::metadata(root) {
        let lock = format!("inode-{}:{}", found.dev(), found.ino());
        let _ = std::fs::remove_file(Path::new(NSPAWN).join("locks").join(lock));
    }
}
