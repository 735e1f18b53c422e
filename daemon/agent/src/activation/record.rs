//! What was asked, the output and the result of an operation's switch, as files.

use std::fs::File;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use berth_protocol::{Failure, SwitchAction};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::failure::{Result, io};
use crate::files::write_whole;

/// Where the records stand; `/run` is empty after a boot, when the running system is another one anyway.
const FOLDER: &str = "/run/berth/activations";

/// How many operations' records are kept.
const KEPT: usize = 32;

/// What was asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Asked {
    pub(super) system: String,
    pub(super) action: SwitchAction,
}

/// How it ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Ended {
    /// The switcher ran.
    Switched { exit_code: i32 },
    /// It was not started.
    Failed(Failure),
}

/// One operation's files.
#[derive(Debug)]
pub(super) struct Record {
    folder: PathBuf,
    operation: Uuid,
}

impl Record {
    pub(super) fn of(operation: Uuid) -> Self {
        Self { folder: FOLDER.into(), operation }
    }

    pub(super) fn operation(&self) -> Uuid {
        self.operation
    }

    /// What the switcher writes.
    pub(super) fn log(&self) -> PathBuf {
        self.file("log")
    }

    pub(super) fn asked(&self) -> Result<Option<Asked>> {
        read(&self.file("asked.json"))
    }

    pub(super) fn ended(&self) -> Result<Option<Ended>> {
        read(&self.file("ended.json"))
    }

    /// Makes a new record in place of an older one.
    pub(super) fn begin(&self, asked: &Asked) -> Result<()> {
        self.forget();
        prune(&self.folder);
        let log = self.log();
        std::fs::create_dir_all(&self.folder)
            .and_then(|()| File::create(&log))
            .map_err(io(format!("cannot write {}", log.display())))?;
        write(&self.file("asked.json"), asked)
    }

    pub(super) fn end(&self, ended: &Ended) -> Result<()> {
        write(&self.file("ended.json"), ended)
    }

    /// Removes the record.
    pub(super) fn forget(&self) {
        for kind in ["ended.json", "asked.json", "log"] {
            // What stays is overwritten by the next record.
            let _ = std::fs::remove_file(self.file(kind));
        }
    }

    fn file(&self, kind: &str) -> PathBuf {
        self.folder.join(format!("{}.{kind}", self.operation))
    }
}

/// Held while an agent decides whether to start a unit, so that two who are asked at once start one.
pub(super) fn starting() -> Result<File> {
    let path = Path::new(FOLDER).join("starting");
    let lock = || {
        std::fs::create_dir_all(FOLDER)?;
        let file = File::create(&path)?;
        file.lock()?;
        Ok(file)
    };
    lock().map_err(io(format!("cannot lock {}", path.display())))
}

fn read<T: DeserializeOwned>(path: &Path) -> Result<Option<T>> {
    let problem = || io(format!("cannot read {}", path.display()));
    match std::fs::read(path) {
        Ok(bytes) => serde_json::from_slice(&bytes).map(Some).map_err(|error| problem()(error.into())),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(problem()(error)),
    }
}

fn write(path: &Path, value: &impl Serialize) -> Result<()> {
    let problem = || io(format!("cannot write {}", path.display()));
    let bytes = serde_json::to_vec(value).map_err(|error| problem()(error.into()))?;
    write_whole(path, &bytes).map_err(problem())
}

/// Removes the oldest records beyond [`KEPT`] that have ended.
fn prune(folder: &Path) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    let mut ended: Vec<(SystemTime, PathBuf)> = entries
        .flatten()
        .filter(|entry| entry.file_name().to_string_lossy().ends_with(".ended.json"))
        .filter_map(|entry| Some((entry.metadata().ok()?.modified().ok()?, entry.path())))
        .collect();
    ended.sort();
    let excess = (ended.len() + 1).saturating_sub(KEPT);
    for (_, path) in ended.into_iter().take(excess) {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if let Some(operation) = name.strip_suffix(".ended.json").and_then(|id| id.parse().ok()) {
            Record { folder: folder.to_owned(), operation }.forget();
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in crate::activation) fn record(folder: &Path) -> Record {
        Record { folder: folder.to_owned(), operation: Uuid::now_v7() }
    }

    #[test]
    fn a_record_is_found_again_and_replaced_by_the_next() {
        let folder = tempfile::tempdir().unwrap();
        let record = record(folder.path());
        assert_eq!((record.asked().unwrap(), record.ended().unwrap()), (None, None));
        let asked = Asked { system: "/nix/store/x".into(), action: SwitchAction::Test };
        record.begin(&asked).unwrap();
        record.end(&Ended::Switched { exit_code: 4 }).unwrap();
        assert_eq!(record.asked().unwrap(), Some(asked.clone()));
        assert_eq!(record.ended().unwrap(), Some(Ended::Switched { exit_code: 4 }));
        record.begin(&asked).unwrap();
        assert_eq!(record.ended().unwrap(), None);
    }

    #[test]
    fn records_do_not_pile_up() {
        let folder = tempfile::tempdir().unwrap();
        let asked = Asked { system: "/nix/store/x".into(), action: SwitchAction::Test };
        for _ in 0..KEPT + 10 {
            let record = record(folder.path());
            record.begin(&asked).unwrap();
            record.end(&Ended::Switched { exit_code: 0 }).unwrap();
        }
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), KEPT * 3);
    }
}
