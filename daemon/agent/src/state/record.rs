//! What is known of a capture or a restore, as one file that is replaced as a whole.
//!
//! Whatever has to be put right after a crash is written down before it is done: the units that are stopped, the directories
//! and databases that are exchanged. Records outlive a boot; what was said on the way stands in `/run`.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::SystemTime;

use berth_domain::ServiceName;
use berth_protocol::{Capture, Failure, Follower, Pass, Replicate, RestorePart, RestoredAhead, SecretsPart};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::undo::Undo;
use crate::activation::boot_id;
use crate::failure::{Result, io};
use crate::files::{json_if_any, write_json};
use crate::places::{STATE_RECORDS, VOLATILE};

/// How many records are kept.
const KEPT: usize = 32;

/// What an operation does to a machine's state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Live,
    Quiesced,
    Final,
    Restore,
    Ahead,
}

impl Kind {
    const ALL: [Self; 5] = [Self::Live, Self::Quiesced, Self::Final, Self::Restore, Self::Ahead];

    pub(super) fn of(pass: Pass) -> Self {
        match pass {
            Pass::Live => Self::Live,
            Pass::Quiesced => Self::Quiesced,
            Pass::Final { .. } => Self::Final,
        }
    }

    fn word(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Quiesced => "quiesced",
            Self::Final => "final",
            Self::Restore => "restore",
            Self::Ahead => "ahead",
        }
    }
}

/// The name of one piece of work, such as `0198…-final`: of its record, its units, its folders.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Name {
    pub(super) operation: Uuid,
    pub(super) kind: Kind,
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.operation, self.kind.word())
    }
}

impl FromStr for Name {
    type Err = ();

    fn from_str(text: &str) -> std::result::Result<Self, ()> {
        let (operation, word) = text.rsplit_once('-').ok_or(())?;
        let kind = Kind::ALL.into_iter().find(|kind| kind.word() == word).ok_or(())?;
        Ok(Self { operation: operation.parse().map_err(|_| ())?, kind })
    }
}

/// A capture as the daemon asked for it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct CaptureAsked {
    pub(crate) system: String,
    pub(crate) pass: Pass,
    pub(crate) services: Option<Vec<ServiceName>>,
    pub(crate) tag: String,
    /// Who follows what changes from pass to pass.
    #[serde(default)]
    pub(crate) follower: Follower,
    /// Which databases are told by what changes in them.
    #[serde(default)]
    pub(crate) replicate: Option<Replicate>,
}

/// By whom it is followed, and how far, is not what is asked for: whoever asks again may know more of that by then.
impl PartialEq for CaptureAsked {
    fn eq(&self, other: &Self) -> bool {
        let what =
            |asked: &Self| (asked.pass, asked.system.clone(), asked.services.clone(), asked.tag.clone());
        what(self) == what(other)
    }
}

impl Eq for CaptureAsked {}

/// A restore as the daemon asked for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RestoreAsked {
    pub(crate) system: String,
    pub(crate) parts: Vec<RestorePart>,
    /// Whose secrets come back with them.
    #[serde(default)]
    pub(crate) secrets: Option<SecretsPart>,
    /// Whether what was restored ahead is gone on with.
    #[serde(default)]
    pub(crate) reuse: bool,
}

/// What the daemon asked for. Where the repository is, is no part of it: its port is another with every connection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Asked {
    Capture(CaptureAsked),
    Restore(RestoreAsked),
    /// The newest snapshots, beside what is there, for the services of this system.
    Ahead(String),
}

impl Asked {
    pub(super) fn system(&self) -> &str {
        match self {
            Self::Capture(asked) => &asked.system,
            Self::Restore(asked) => &asked.system,
            Self::Ahead(system) => system,
        }
    }
}

/// Where it stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum State {
    /// It goes on, or was killed.
    Running,
    /// A capture has ended, and the services serve or are about to.
    Captured(Capture),
    /// A capture has ended, and the services are quiet until the deadline.
    Quiet(Capture),
    /// A restore has ended.
    Restored,
    /// What could be was restored beside what is there; nothing where this machine's restic cannot do that.
    Ahead(Option<RestoredAhead>),
    /// It came to nothing.
    Failed(Failure),
}

/// What the file holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Record {
    pub(crate) asked: Asked,
    /// The kernel's id of the boot in which it was begun.
    pub(crate) boot: String,
    /// Units that ran and have to run again, in the order in which they were stopped.
    pub(crate) stopped: Vec<String>,
    /// What an earlier try of a capture came to; only what failed then is tried again.
    #[serde(default)]
    pub(crate) earlier: Capture,
    /// What was restored ahead before; only what is newer is restored again.
    #[serde(default)]
    pub(crate) ahead: RestoredAhead,
    /// Databases that this operation does not tell by what changes in them, and why not.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) dumped: BTreeMap<String, String>,
    /// How a restore is undone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) undo: Option<Undo>,
    pub(crate) state: State,
}

impl Record {
    pub(crate) fn new(asked: Asked) -> Self {
        let (boot, earlier) = (boot_id(), Capture::default());
        let (stopped, ahead) = (Vec::new(), RestoredAhead::default());
        Self {
            asked,
            boot,
            stopped,
            earlier,
            ahead,
            dumped: BTreeMap::new(),
            undo: None,
            state: State::Running,
        }
    }

    /// What it has restored ahead. One that was ended in the middle may have left files of a newer snapshot.
    pub(crate) fn restored_ahead(&self) -> RestoredAhead {
        match &self.state {
            State::Ahead(Some(restored)) => restored.clone(),
            _ => RestoredAhead::default(),
        }
    }

    /// Whether it was begun since the machine was started.
    pub(crate) fn is_of_this_boot(&self) -> bool {
        self.boot == boot_id()
    }
}

/// One piece of work's files.
#[derive(Debug, Clone)]
pub(crate) struct Files {
    pub(super) name: Name,
    folder: PathBuf,
    volatile: PathBuf,
}

impl Files {
    pub(crate) fn of(name: Name) -> Self {
        Self { name, folder: STATE_RECORDS.into(), volatile: Path::new(VOLATILE).join("state") }
    }

    /// What is said on the way: a note a line.
    pub(crate) fn log(&self) -> PathBuf {
        self.volatile.join(format!("{}.log", self.name))
    }

    pub(crate) fn read(&self) -> Result<Option<Record>> {
        json_if_any(&self.path())
    }

    pub(crate) fn write(&self, record: &Record) -> Result<()> {
        write_json(&self.path(), record)
    }

    /// Makes a new record and an empty log in place of older ones.
    pub(crate) fn begin(&self, record: &Record) -> Result<()> {
        self.prune();
        std::fs::create_dir_all(&self.volatile)
            .and_then(|()| File::create(self.log()))
            .map_err(io(format!("cannot write {}", self.log().display())))?;
        self.write(record)
    }

    /// Every piece of work that has a record here.
    pub(crate) fn all(&self) -> Vec<Self> {
        let entries = std::fs::read_dir(&self.folder).into_iter().flatten().flatten();
        let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
        let names = names.filter_map(|name| name.strip_suffix(".json")?.parse().ok());
        names.map(|name| Self { name, ..self.clone() }).collect()
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.folder.join(format!("{}.json", self.name))
    }

    /// Removes the oldest records beyond [`KEPT`] of which nothing has to be put right any more.
    fn prune(&self) {
        let is_done = |record: &Record| {
            let has_ended = !matches!(record.state, State::Running | State::Quiet(_));
            has_ended && record.stopped.is_empty() && record.undo.is_none()
        };
        let mut ended: Vec<(SystemTime, Self)> = self
            .all()
            .into_iter()
            .filter(|files| files.name != self.name)
            .filter(|files| !matches!(files.read(), Ok(Some(record)) if !is_done(&record)))
            .filter_map(|files| Some((files.path().metadata().ok()?.modified().ok()?, files)))
            .collect();
        ended.sort_by_key(|(changed, files)| (*changed, files.name.operation));
        let excess = (ended.len() + 1).saturating_sub(KEPT);
        for (_, files) in ended.into_iter().take(excess) {
            // What stays is overwritten by the next record.
            let _ = std::fs::remove_file(files.path());
            let _ = std::fs::remove_file(files.log());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(folder: &Path) -> Files {
        let name = Name { operation: Uuid::now_v7(), kind: Kind::Quiesced };
        Files { name, folder: folder.join("lasting"), volatile: folder.join("volatile") }
    }

    fn record(state: State) -> Record {
        let asked = CaptureAsked {
            system: "/nix/store/x".into(),
            pass: Pass::Quiesced,
            services: None,
            tag: "x".into(),
            follower: Follower::Nobody,
            replicate: None,
        };
        Record { state, ..Record::new(Asked::Capture(asked)) }
    }

    #[test]
    fn a_name_is_read_as_it_is_written() {
        for kind in Kind::ALL {
            let name = Name { operation: Uuid::now_v7(), kind };
            assert_eq!(name.to_string().parse(), Ok(name));
        }
        for bad in ["", "final", "x-final", "../../etc/passwd", "0198c0de-0000-7000-8000-000000000000-other"]
        {
            assert!(bad.parse::<Name>().is_err(), "{bad}");
        }
    }

    #[test]
    fn records_do_not_pile_up_and_what_has_to_be_put_right_stays() {
        let folder = tempfile::tempdir().unwrap();
        let quiet = files(folder.path());
        quiet.begin(&record(State::Quiet(Capture::default()))).unwrap();
        let stopped = files(folder.path());
        let stopped_record =
            Record { stopped: vec!["web.service".into()], ..record(State::Captured(Capture::default())) };
        stopped.begin(&stopped_record).unwrap();
        for _ in 0..KEPT + 5 {
            files(folder.path()).begin(&record(State::Restored)).unwrap();
        }
        assert_eq!(quiet.all().len(), KEPT + 2);
        assert_eq!(stopped.read().unwrap(), Some(stopped_record));
        assert!(quiet.read().unwrap().is_some());
    }
}
