//! The tenant's own part of a snapshot: what a daemon needs beside the services' state to set the tenant up again. One file
//! in a restic snapshot of its own; the daemon writes it, and the agent takes secrets out of it.
//!
//! It is as secret as what is in it: it stands in the repository alone, which encrypts it, and passes through memory.

use berth_domain::{RevisionId, SnapshotId, TenantDraft, Timestamp};
use secrecy::zeroize::Zeroizing;
use serde::{Deserialize, Serialize};

use crate::secret::{GivenSecret, SecretText};

/// Where the file stands in its restic snapshot.
pub const PATH: &str = "/berth/tenant.json";

/// The tag of such restic snapshots.
pub const TAG: &str = "berth:tenant";

/// The format's version.
pub const FORMAT: u32 = 1;

/// What the file holds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TenantFile {
    /// The format's version: [`FORMAT`].
    pub format: u32,
    /// The version of the daemon that wrote it.
    pub daemon_version: String,
    /// The snapshot that it is a part of; the services' parts have this as a tag.
    pub snapshot: SnapshotId,
    /// When that was begun.
    pub at: Timestamp,
    /// The revision that the tenant was deployed with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<RevisionId>,
    /// The platform that the revision names, as a flake reference.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<String>,
    /// The tenant as it was deployed; a number stands in the place of each secret that somebody gave.
    pub specification: TenantDraft,
    /// The secrets that somebody gave.
    pub given: Vec<GivenSetting>,
    /// The secrets that services made of chance, and whose loss would cost something.
    pub secrets: Vec<GivenSecret>,
}

/// A setting that somebody gave in confidence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GivenSetting {
    /// The service's name.
    pub service: String,
    /// Its JSON pointer within the service's settings, such as `/smtp/password`.
    pub setting: String,
    /// The number that stands there in its place.
    pub version: u64,
    /// What was given.
    pub value: SecretText,
}

/// Why such a file cannot be used. What is in it is never shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TenantFileError {
    /// A newer daemon wrote it.
    #[error("it is of format {0}, which only a newer version of Berth reads")]
    Newer(u32),
    /// It is none.
    #[error("it is not what a daemon writes")]
    Unreadable,
}

impl TenantFile {
    /// Reads the file's text.
    ///
    /// # Errors
    /// [`TenantFileError`]
    pub fn parse(text: &str) -> Result<Self, TenantFileError> {
        #[derive(Deserialize)]
        struct Versioned {
            format: u32,
        }
        // What serde says of a text may quote it.
        let unreadable = |_| TenantFileError::Unreadable;
        let Versioned { format } = serde_json::from_str(text).map_err(unreadable)?;
        match format {
            FORMAT => serde_json::from_str(text).map_err(unreadable),
            newer if newer > FORMAT => Err(TenantFileError::Newer(newer)),
            _ => Err(TenantFileError::Unreadable),
        }
    }

    /// The file's text.
    ///
    /// # Errors
    /// [`TenantFileError::Unreadable`] where a setting is none that JSON can say.
    pub fn text(&self) -> Result<Zeroizing<Vec<u8>>, TenantFileError> {
        serde_json::to_vec(self).map(Zeroizing::new).map_err(|_| TenantFileError::Unreadable)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use secrecy::SecretString;

    fn file() -> TenantFile {
        let value = || SecretText::from(SecretString::from("hunter2"));
        TenantFile {
            format: FORMAT,
            daemon_version: "0.1.0".into(),
            snapshot: SnapshotId::from_u128(7),
            at: Timestamp::from_timestamp(1_800_000_000, 0).unwrap(),
            revision: None,
            platform: None,
            specification: TenantDraft { name: "acme".into(), ..TenantDraft::default() },
            given: vec![GivenSetting {
                service: "gitea".into(),
                setting: "/smtp/password".into(),
                version: 1,
                value: value(),
            }],
            secrets: vec![GivenSecret { service: "gitea".into(), name: "key".into(), value: value() }],
        }
    }

    #[test]
    fn what_is_written_is_read_again_and_no_debug_output_shows_a_secret() {
        let text = file().text().unwrap();
        let read = TenantFile::parse(std::str::from_utf8(&text).unwrap()).unwrap();
        assert_eq!(read, file());
        assert!(!format!("{read:?}").contains("hunter2"));
    }

    #[test]
    fn a_newer_file_is_told_from_one_that_is_none_and_neither_is_quoted() {
        assert_eq!(TenantFile::parse(r#"{"format":2,"all":"new"}"#), Err(TenantFileError::Newer(2)));
        for bad in ["", "[]", r#"{"format":0}"#, r#"{"format":1,"secrets":"hunter2"}"#] {
            let error = TenantFile::parse(bad).unwrap_err();
            assert_eq!(error, TenantFileError::Unreadable, "{bad}");
            assert!(!error.to_string().contains("hunter2"));
        }
    }
}
