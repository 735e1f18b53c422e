//! A tenant's state on its way off a machine and onto another: captures, restores, and the proof that both are equal.

use std::collections::BTreeMap;

use berth_domain::ServiceName;
use berth_domain::manifest::DataVersion;
use serde::{Deserialize, Serialize};

use crate::SecretText;

/// A restic repository, and what opens it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Repository {
    /// Where it is: the URL of a REST server (restic's manual, “REST Backend”), `http` or `https`, with neither user nor
    /// password in it and without restic's own prefix `rest:`; or, starting with `/`, a folder of the machine.
    pub url: String,
    /// The user that the server knows; empty for one that asks nobody.
    pub user: String,
    /// The user's password.
    pub password: SecretText,
    /// The password that the repository is encrypted with.
    pub key: SecretText,
}

/// What a capture does to the services.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Pass {
    /// Nothing: they go on, and only directories are copied. What it copies is of no use by itself, but what follows it has
    /// little left to copy.
    Live,
    /// Each is quiet while its databases and directories are copied, and serves again afterwards.
    Quiesced,
    /// The same, but none serves again, until [`Request::Resume`](crate::Request::Resume) or until nobody has said
    /// [`Request::KeepQuiet`](crate::Request::KeepQuiet) in time.
    Final {
        /// How long they stay quiet after the capture unless more is asked for, in seconds.
        quiet_seconds: u64,
    },
}

impl Pass {
    /// Its word in names.
    pub fn word(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Quiesced => "quiesced",
            Self::Final { .. } => "final",
        }
    }

    /// The tag of its snapshots in a repository.
    pub fn tag(self) -> String {
        format!("pass:{}", self.word())
    }
}

/// Who follows a capture.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Follower {
    /// Nobody.
    #[default]
    Nobody,
    /// Somebody who restores each pass ahead ([`Request::RestoreAhead`](crate::Request::RestoreAhead)) and follows what changes from
    /// pass to pass: a pass then makes a snapshot of that first, and a [`Pass::Live`] where it can nothing else.
    Restores,
    /// Somebody who also makes snapshots of everything of them: no pass has to, and the last makes one of what is no file of the
    /// service beside what has changed.
    Merges,
}

/// Which databases a capture tells by what changes in them: first as a dump while the services go on, then piece by piece. What of it
/// cannot be had is captured as ever, and said.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Replicate {
    /// Those that are larger, in bytes.
    pub above: u64,
    /// Of a [`Pass::Final`], the ids of the snapshots that the follower has put in place: of a database that it does not have up to the
    /// last piece, everything is captured.
    #[serde(default)]
    pub followed: Vec<String>,
}

/// A database that is told by what changes in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Replica {
    /// Its name.
    pub database: String,
    /// The id of the newest snapshot of it: whoever has this in place has all that was told so far.
    pub newest: String,
}

/// What a capture came to, for each service that was asked for. One that failed does not keep the others from being captured.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Capture {
    /// By service.
    pub services: BTreeMap<ServiceName, ServiceCapture>,
}

/// What became of one service in a capture.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum ServiceCapture {
    /// It was captured.
    Captured(Captured),
    /// It was not, and there is no snapshot of it.
    Failed {
        /// Why.
        message: String,
    },
}

/// A service that was captured.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Captured {
    /// The restic snapshot's whole id; nothing where there was nothing to copy, as in a live pass of a service without
    /// directories.
    pub snapshot: Option<String>,
    /// What was sent to the repository, in bytes.
    pub bytes_added: u64,
    /// What the snapshot holds, in bytes.
    pub bytes_total: u64,
    /// How many files the snapshot holds.
    pub files_total: u64,
    /// The databases that it holds.
    pub databases: Vec<String>,
    /// Those of a [`Pass::Live`] that are told by what changes in them; of a pass in which the service is quiet, those of `databases` of
    /// which the snapshot holds only what changed last.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub replicas: Vec<Replica>,
    /// The version that the data is of, where the service tells it.
    pub data_version: Option<DataVersion>,
    /// How long the service was quiet, in milliseconds; of a final pass, until the end of its copy.
    pub quiet_ms: u64,
    /// What belongs to the service and is not in the snapshot, in words.
    pub left_out: Vec<String>,
    /// The names of its buckets of object stores, which a machine copies nothing of.
    #[serde(default)]
    pub buckets: Vec<String>,
    /// Units that were stopped for the capture and did not come up again.
    pub not_started: Vec<String>,
    /// Of a followed [`Pass::Final`] of a single service, what tells the state from another: it was found out while everything was
    /// copied. Told once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fingerprint: Option<Box<ServiceFingerprint>>,
}

/// A snapshot to bring back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RestorePart {
    /// The service that it is of.
    pub service: ServiceName,
    /// The snapshot's id.
    pub snapshot: String,
}

/// Secrets to bring back: those in the tenant's own part of a snapshot ([`TenantFile`](crate::TenantFile)).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecretsPart {
    /// The id of the restic snapshot that the file is in.
    pub snapshot: String,
    /// The services whose secrets they are; all without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub services: Option<Vec<ServiceName>>,
}

/// What was restored beside what is there.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RestoredAhead {
    /// The whole ids of the snapshots that it is of, and how many bytes the files of each take on the disk: one for each service that
    /// has some, and those of databases that are followed, which take none that a restore would need again.
    pub snapshots: BTreeMap<String, u64>,
    /// Databases that could not be followed, and why not. Their snapshots are not in place, and never will be.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub refused: BTreeMap<String, String>,
}

/// What is being done to a service's state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TransferPhase {
    /// Databases are written to files.
    Dump,
    /// Files are copied to the repository.
    Backup,
    /// Files are copied from the repository.
    Restore,
    /// Databases are made of files.
    Load,
    /// Everything is read, to be compared.
    Fingerprint,
}

/// How far a transfer is. What nobody knows yet is 0.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Transfer {
    /// What is being done.
    pub phase: TransferPhase,
    /// The service.
    pub service: ServiceName,
    /// Bytes that are done.
    pub bytes_done: u64,
    /// Bytes that there are.
    pub bytes_expected: u64,
    /// Files, or databases, that are done.
    pub files_done: u64,
    /// Files, or databases, that there are.
    pub files_expected: u64,
}

/// What tells two machines' states apart: equal state has an equal fingerprint, whatever the numbers of its owners.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fingerprint {
    /// By service.
    pub services: BTreeMap<ServiceName, ServiceFingerprint>,
}

/// One service's part of a [`Fingerprint`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceFingerprint {
    /// By the database's name; one that does not exist is not there.
    pub databases: BTreeMap<String, DatabaseFingerprint>,
    /// By the directory's path.
    pub directories: BTreeMap<String, DirectoryFingerprint>,
}

/// What a database holds.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DatabaseFingerprint {
    /// How many rows each table has, by its name with its schema's, such as `public.users`.
    pub tables: BTreeMap<String, u64>,
    /// Each sequence's last value; nothing for one that gave none yet.
    pub sequences: BTreeMap<String, Option<i64>>,
    /// How many large objects there are.
    pub large_objects: u64,
    /// Their bytes.
    pub large_object_bytes: u64,
}

/// What a directory holds. One that does not exist is as one that is empty.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DirectoryFingerprint {
    /// How many entries there are below it, of every kind but sockets, which no copy can bring along.
    pub files: u64,
    /// The bytes of its regular files; each name of a file with many counts.
    pub bytes: u64,
    /// The SHA-256, in hexadecimal digits, over every entry in the order of its path's bytes: path, kind, mode, size, and the
    /// SHA-256 of a file's content, or where a link leads.
    pub sha256: String,
}
