//! What is known of an operation's activation, as one file that is replaced as a whole.
//!
//! Records outlive a boot: a daemon that comes back after one learns from them what became of its operation. Only the
//! switcher's output does not; it stands in `/run`.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use berth_protocol::{Failure, RevertedBy, SwitchAction};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::failure::{Result, io};
use crate::files::{json_if_any, write_json};
use crate::places::{RECORDS, VOLATILE};

/// How many operations' records are kept.
const KEPT: usize = 32;

/// What the daemon asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Asked {
    pub(crate) system: String,
    pub(crate) action: SwitchAction,
}

/// Where the way back leads.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Before {
    pub(crate) system: String,
    /// The profile's generation, where it was a committed one.
    pub(crate) generation: Option<u64>,
}

/// Where an activation stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum State {
    /// The unit that switches was asked for.
    Switching,
    /// The switcher ended; the commit is awaited.
    Switched { exit_code: i32 },
    /// The previous system is being put back.
    Reverting { by: RevertedBy },
    /// The system was committed.
    Committed { generation: u64 },
    /// The previous system was put back.
    Reverted { by: RevertedBy, problem: Option<String> },
    /// The switcher was not started.
    NeverSwitched { failure: Failure },
}

/// What the file holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Record {
    pub(crate) asked: Asked,
    /// Nothing where there is no system to go back to.
    pub(crate) before: Option<Before>,
    /// The kernel's id of the boot in which it was begun; what was not committed then is gone after the next.
    pub(crate) boot: String,
    /// How long the commit may take to come after the switch has ended.
    pub(crate) commit_seconds: u64,
    /// An earlier try of this operation may have changed the machine.
    #[serde(default)]
    pub(crate) touched: bool,
    pub(crate) state: State,
}

impl Record {
    /// Whether the dead-man timer has something to guard.
    pub(crate) fn is_pending(&self) -> bool {
        self.is_open() && self.boot == boot_id()
    }

    /// Whether no end was written down, in whichever boot.
    pub(crate) fn is_open(&self) -> bool {
        matches!(self.state, State::Switching | State::Switched { .. } | State::Reverting { .. })
    }
}

/// One operation's files.
#[derive(Debug, Clone)]
pub(crate) struct Files {
    folder: PathBuf,
    volatile: PathBuf,
    operation: Uuid,
}

impl Files {
    pub(crate) fn of(operation: Uuid) -> Self {
        Self { folder: RECORDS.into(), volatile: Path::new(VOLATILE).join("activations"), operation }
    }

    pub(crate) fn operation(&self) -> Uuid {
        self.operation
    }

    /// What the switcher writes on its way to the new system.
    pub(crate) fn log(&self) -> PathBuf {
        self.volatile.join(format!("{}.log", self.operation))
    }

    /// What the previous system's switcher writes on the way back.
    pub(crate) fn way_back_log(&self) -> PathBuf {
        self.volatile.join(format!("{}.back.log", self.operation))
    }

    pub(crate) fn read(&self) -> Result<Option<Record>> {
        json_if_any(&self.path())
    }

    /// Replaces the record.
    pub(crate) fn write(&self, record: &Record) -> Result<()> {
        write_json(&self.path(), record)
    }

    /// Makes a new record and empty logs in place of older ones.
    pub(crate) fn begin(&self, record: &Record) -> Result<()> {
        prune(self);
        std::fs::create_dir_all(&self.volatile)
            .and_then(|()| File::create(self.log()))
            .and_then(|_| File::create(self.way_back_log()))
            .map_err(io(format!("cannot write {}", self.log().display())))?;
        self.write(record)
    }

    /// Every operation that has a record here.
    pub(crate) fn all(&self) -> Vec<Self> {
        let entries = std::fs::read_dir(&self.folder).into_iter().flatten().flatten();
        let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
        let ids = names.filter_map(|name| name.strip_suffix(".json")?.parse().ok());
        ids.map(|operation| Self { operation, ..self.clone() }).collect()
    }

    fn forget(&self) {
        for path in [self.path(), self.log(), self.way_back_log()] {
            // What stays is overwritten by the next record.
            let _ = std::fs::remove_file(path);
        }
    }

    pub(super) fn path(&self) -> PathBuf {
        self.folder.join(format!("{}.json", self.operation))
    }
}

/// Held while an agent decides whether to start a unit, so that two who are asked at once start one.
pub(crate) fn starting() -> Result<File> {
    let path = Path::new(VOLATILE).join("starting");
    let lock = || {
        std::fs::create_dir_all(VOLATILE)?;
        let file = File::create(&path)?;
        file.lock()?;
        Ok(file)
    };
    lock().map_err(io(format!("cannot lock {}", path.display())))
}

/// The kernel's id of this boot (random(4)).
pub(crate) fn boot_id() -> String {
    std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default().trim().to_owned()
}

/// Removes the oldest records beyond [`KEPT`] that nothing is awaited of.
fn prune(own: &Files) {
    let mut ended: Vec<(SystemTime, Files)> = own
        .all()
        .into_iter()
        .filter(|files| files.operation != own.operation)
        // What cannot be read is of no use to anybody.
        .filter(|files| !matches!(files.read(), Ok(Some(record)) if record.is_pending()))
        .filter_map(|files| Some((files.path().metadata().ok()?.modified().ok()?, files)))
        .collect();
    ended.sort_by_key(|(changed, files)| (*changed, files.operation));
    let excess = (ended.len() + 1).saturating_sub(KEPT);
    for (_, files) in ended.into_iter().take(excess) {
        files.forget();
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn files(folder: &Path) -> Files {
        Files { folder: folder.join("lasting"), volatile: folder.join("volatile"), operation: Uuid::now_v7() }
    }

    pub(crate) fn record(state: State) -> Record {
        let asked = Asked { system: "/nix/store/x".into(), action: SwitchAction::Test };
        Record { asked, before: None, boot: boot_id(), commit_seconds: 60, touched: false, state }
    }

    #[test]
    fn a_record_is_found_again_and_replaced_by_the_next() {
        let folder = tempfile::tempdir().unwrap();
        let files = files(folder.path());
        assert_eq!(files.read().unwrap(), None);
        let mut record = record(State::Switching);
        files.begin(&record).unwrap();
        record.state = State::Switched { exit_code: 4 };
        files.write(&record).unwrap();
        assert_eq!(files.read().unwrap(), Some(record));
    }

    #[test]
    fn what_was_begun_before_the_last_boot_is_not_pending_any_more() {
        let begun = record(State::Switched { exit_code: 0 });
        assert!(begun.is_pending());
        assert!(!Record { boot: "another".into(), ..begun }.is_pending());
        assert!(!record(State::Committed { generation: 1 }).is_pending());
    }

    #[test]
    fn records_do_not_pile_up_and_one_that_is_pending_stays() {
        let folder = tempfile::tempdir().unwrap();
        let pending = files(folder.path());
        pending.begin(&record(State::Switched { exit_code: 0 })).unwrap();
        for _ in 0..KEPT + 10 {
            files(folder.path()).begin(&record(State::Committed { generation: 1 })).unwrap();
        }
        assert_eq!(pending.all().len(), KEPT + 1);
        assert!(pending.read().unwrap().is_some());
        assert_eq!(std::fs::read_dir(folder.path().join("volatile")).unwrap().count(), (KEPT + 1) * 2);
    }
}
