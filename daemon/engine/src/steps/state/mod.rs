//! The tenant's state: into its vault, and back.
//!
//! The machine's agent does the work, as the manifest of the system that runs there says. It reaches the vault through a
//! port of its own that leads to this daemon over the session's connection, as long as the step goes on, with a token that
//! is worth as little as the step needs.

mod buckets;
mod bundle;
mod capture;
mod prune;
mod restore;
mod tenant_part;
mod vault;

use berth_domain::{Snapshot, SnapshotPart};

use crate::ports::{Report, Sink};

pub(super) use buckets::{Meter, put_back as put_buckets_back};
pub(super) use bundle::bundle;
pub(super) use capture::{capture, captured, failed, is_whole, pass, precopy, warn};
pub(super) use prune::prune;
pub(super) use restore::{Bringing, restore, restore_part, restore_parts};
pub(super) use vault::Depot;

/// Says what a snapshot does not hold.
pub(super) fn tell_what_is_missing(snapshot: &Snapshot, sink: &Sink) {
    for (service, part) in &snapshot.services {
        if let SnapshotPart::Failed { message } = part {
            sink(Report::Warning(format!("{service} is not in the snapshot: {message}")));
        }
    }
}
