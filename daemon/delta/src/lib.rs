//! What has changed between two states of a service's files, as snapshots of a restic repository tell it: the agent of a migration's
//! source writes it, and both the agent and the daemon of the target read it.
//!
//! | snapshot | tags | holds |
//! | --- | --- | --- |
//! | of everything | [`whole_tag`], [`at_tag`] | what any snapshot of a service holds |
//! | a delta | [`delta_tag`], [`from_tag`], [`at_tag`] | the files that are new or changed since the state `from`, and the file [`CHANGES`] |
//! | the rest | [`rest_tag`], [`at_tag`] | the staging folder of a pass whose files the repository holds already |
//!
//! | module | subject |
//! | --- | --- |
//! | [`chain`] | which snapshots lead from one state to another |
//! | [`changes`] | the file that says what a delta changes |
//! | [`paths`] | paths that come from elsewhere |

pub mod chain;
pub mod changes;
pub mod paths;

use uuid::Uuid;

pub use chain::{Chain, Snapshot, Way, newest};
pub use changes::{Fate, Folder};
pub use paths::{is_plain, read_path, write_path};

/// The name of the file that says what a delta changes. It stands in the staging folder of the pass.
pub const CHANGES: &str = "changes";

/// The folder in which passes have their staging folders, on every machine.
pub const STAGING: &str = "/var/lib/berth/capture";

const AT: &str = "at:";
const FROM: &str = "from:";
const DELTA: &str = "delta:";

/// The tag of every snapshot of everything of a service.
pub fn whole_tag(service: &str) -> String {
    format!("service:{service}")
}

/// The tag of a service's deltas.
pub fn delta_tag(service: &str) -> String {
    format!("{DELTA}{service}")
}

/// The tag of a snapshot of everything that was made of what has changed.
pub const MERGED: &str = "merged";

/// Whether a snapshot with these tags brings files that no other has brought.
pub fn brings_files(tags: &[String]) -> bool {
    !tags.iter().any(|tag| tag == MERGED || tag.starts_with(REST))
}

/// How the tag begins of what a pass adds to files that the repository holds.
pub const REST: &str = "rest:";

/// The tag of what a pass adds to a service's files.
pub fn rest_tag(service: &str) -> String {
    format!("{REST}{service}")
}

/// The tag that names the state to which a snapshot leads.
pub fn at_tag(state: Uuid) -> String {
    format!("{AT}{state}")
}

/// The tag that names the state from which a delta goes on.
pub fn from_tag(state: Uuid) -> String {
    format!("{FROM}{state}")
}
