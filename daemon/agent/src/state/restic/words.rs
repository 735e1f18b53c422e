//! What restic prints.

use berth_delta::Snapshot;
use serde::Deserialize;

use crate::failure::{Result, program};

/// From 0.17 on, restic ends with 10 where there is no repository; before, only its words tell, and it asks also where a server has
/// refused to say.
const NO_REPOSITORY: i32 = 10;
const NO_REPOSITORY_WORDS: &str = "Is there a repository at the following location?";
const REFUSED_BY_A_SERVER: &str = "unexpected HTTP response";

/// How far a transfer is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(in crate::state) struct Status {
    pub(in crate::state) bytes_done: u64,
    pub(in crate::state) total_bytes: u64,
    pub(in crate::state) files_done: u64,
    pub(in crate::state) total_files: u64,
    /// The same, as `restore` tells it.
    pub(in crate::state) bytes_restored: u64,
    pub(in crate::state) files_restored: u64,
}

/// What `backup` came to.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub(in crate::state) struct Summary {
    pub(in crate::state) snapshot_id: String,
    #[serde(default)]
    data_added: u64,
    /// From 0.17 on: what it came to once it was compressed.
    data_added_packed: Option<u64>,
    #[serde(default)]
    pub(in crate::state) total_bytes_processed: u64,
    #[serde(default)]
    pub(in crate::state) total_files_processed: u64,
}

impl Summary {
    /// What it comes to where a snapshot is there already.
    pub(in crate::state) fn of(snapshot_id: &str) -> Self {
        Self { snapshot_id: snapshot_id.to_owned(), ..Self::default() }
    }

    pub(in crate::state) fn bytes_added(&self) -> u64 {
        self.data_added_packed.unwrap_or(self.data_added)
    }
}

/// A line of restic's that matters.
pub(super) enum Message {
    Status(Status),
    Summary(Summary),
    Error(String),
    /// What `snapshots` lists.
    Snapshots(Vec<Snapshot>),
}

pub(super) fn parse(line: &str) -> Option<Message> {
    let value: serde_json::Value = serde_json::from_str(line).ok()?;
    if value.is_array() {
        return serde_json::from_value(value).ok().map(Message::Snapshots);
    }
    match value.get("message_type")?.as_str()? {
        "status" => {
            let mut status: Status = serde_json::from_value(value).ok()?;
            status.bytes_done = status.bytes_done.max(status.bytes_restored);
            status.files_done = status.files_done.max(status.files_restored);
            Some(Message::Status(status))
        }
        "summary" if value.get("snapshot_id").is_some() => {
            serde_json::from_value(value).ok().map(Message::Summary)
        }
        "error" => problem(line).map(Message::Error),
        _ => None,
    }
}

/// The words of an error that is told as JSON.
pub(super) fn problem(line: &str) -> Option<String> {
    let value: serde_json::Value = serde_json::from_str(line).ok()?;
    let text = |at: &str| value.pointer(at).and_then(|text| text.as_str());
    let words = text("/error/message").or_else(|| text("/message"))?;
    Some(text("/item").map_or_else(|| words.to_owned(), |item| format!("{item}: {words}")))
}

pub(super) fn listed(json: &str) -> Result<Vec<Snapshot>> {
    serde_json::from_str(json).map_err(|error| program("restic snapshots", &error.to_string()))
}

pub(super) fn version(words: &str) -> Option<(u32, u32)> {
    let mut numbers = words.split_whitespace().nth(1)?.split('.').map(|part| part.parse().ok());
    Some((numbers.next()??, numbers.next()??))
}

/// Whether a call that failed has found no repository. Whoever is not let in any more, as the daemon ended, knows nothing of that.
pub(super) fn is_missing(version: (u32, u32), code: Option<i32>, words: &str) -> bool {
    match version >= (0, 17) {
        true => code == Some(NO_REPOSITORY),
        false => words.contains(NO_REPOSITORY_WORDS) && !words.contains(REFUSED_BY_A_SERVER),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_restic_prints_is_read() {
        let status = r#"{"message_type":"status","percent_done":0.5,"total_files":4,"files_done":2,"total_bytes":10,"bytes_done":5,"current_files":["/x"]}"#;
        let Some(Message::Status(status)) = parse(status) else { panic!() };
        assert_eq!(
            (status.bytes_done, status.total_bytes, status.files_done, status.total_files),
            (5, 10, 2, 4)
        );
        let status = r#"{"message_type":"status","total_files":4,"files_restored":3,"total_bytes":10,"bytes_restored":7}"#;
        let Some(Message::Status(status)) = parse(status) else { panic!() };
        assert_eq!((status.bytes_done, status.files_done), (7, 3));
        // As 0.18 and 0.14 print it.
        let summary = r#"{"message_type":"summary","data_added":30,"data_added_packed":20,"total_files_processed":2,"total_bytes_processed":9,"snapshot_id":"ab"}"#;
        let Some(Message::Summary(summary)) = parse(summary) else { panic!() };
        assert_eq!((summary.bytes_added(), summary.total_bytes_processed), (20, 9));
        let summary = r#"{"message_type":"summary","data_added":30,"total_files_processed":2,"total_bytes_processed":9,"snapshot_id":"ab"}"#;
        let Some(Message::Summary(summary)) = parse(summary) else { panic!() };
        assert_eq!(summary.bytes_added(), 30);
        let error = r#"{"message_type":"error","error":{"message":"permission denied"},"during":"archival","item":"/x"}"#;
        let Some(Message::Error(error)) = parse(error) else { panic!() };
        assert_eq!(error, "/x: permission denied");
        let listed = r#"[{"time":"2026-11-26T12:00:00.5Z","paths":["/srv"],"id":"ab","short_id":"ab"}]"#;
        let Some(Message::Snapshots(listed)) = parse(listed) else { panic!() };
        assert_eq!((listed.len(), listed[0].id.as_str(), listed[0].tags.len()), (1, "ab", 0));
        assert!(parse("no JSON").is_none() && parse(r#"{"message_type":"verbose_status"}"#).is_none());
        assert_eq!(version("restic 0.14.0 compiled with go1.19 on linux/amd64"), Some((0, 14)));
        assert_eq!(version("nonsense"), None);
    }

    #[test]
    fn a_repository_that_lets_nobody_in_is_not_a_missing_one() {
        let none = "Fatal: unable to open config file: <config/> does not exist\nIs there a repository at the following location?\nx";
        let refused = "Fatal: unable to open config file: unexpected HTTP response (401): 401 Unauthorized\nIs there a repository at the following location?\nx";
        assert!(is_missing((0, 18), Some(10), none) && is_missing((0, 14), Some(1), none));
        assert!(!is_missing((0, 18), Some(1), refused) && !is_missing((0, 14), Some(1), refused));
        assert!(!is_missing((0, 14), Some(1), "Fatal: wrong password or no key found"));
    }
}
