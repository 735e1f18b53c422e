//! Which of Berth's snapshots a repository holds: restic's own, put together by their tags.

use std::collections::BTreeMap;

use berth_domain::{ServiceName, SnapshotId, Timestamp};
use berth_protocol::tenant_file;
use berth_vault::reader::Read;

use crate::buckets::BUCKET_OF;

/// The tags of passes in which services were quiet. What was copied beside is of no use by itself.
const QUIET: [&str; 2] = ["pass:quiesced", "pass:final"];

/// One of Berth's snapshots, by what it consists of.
#[derive(Debug, Clone)]
pub(crate) struct Listed {
    pub(crate) id: SnapshotId,
    pub(crate) at: Timestamp,
    pub(crate) services: BTreeMap<ServiceName, Read>,
    /// By service and name.
    pub(crate) buckets: BTreeMap<(ServiceName, String), Read>,
    /// The tenant's own part.
    pub(crate) tenant: Option<Read>,
}

/// What a restic snapshot is of.
enum Part {
    Service(ServiceName),
    Bucket(ServiceName, String),
    Tenant,
}

impl Listed {
    /// All that there are, the newest first. Ids sort by time.
    pub(crate) fn all(read: Vec<Read>) -> Vec<Self> {
        let mut all: BTreeMap<SnapshotId, Self> = BTreeMap::new();
        for read in read {
            let Some((id, part)) = part(&read.tags) else { continue };
            let listed = all.entry(id).or_insert_with(|| Self::new(id, read.at));
            listed.at = listed.at.min(read.at);
            match part {
                Part::Service(service) => newer(listed.services.entry(service), read),
                Part::Bucket(service, name) => newer(listed.buckets.entry((service, name)), read),
                Part::Tenant => {
                    if listed.tenant.as_ref().is_none_or(|known| known.at < read.at) {
                        listed.tenant = Some(read);
                    }
                }
            }
        }
        // What nothing of is left but buckets or settings is none.
        all.into_values().rev().filter(|listed| !listed.services.is_empty()).collect()
    }

    fn new(id: SnapshotId, at: Timestamp) -> Self {
        Self { id, at, services: BTreeMap::new(), buckets: BTreeMap::new(), tenant: None }
    }
}

/// Of several tries of one pass, the last counts.
fn newer<K: Ord>(entry: std::collections::btree_map::Entry<'_, K, Read>, read: Read) {
    let known = entry.or_insert_with(|| read.clone());
    if known.at < read.at {
        *known = read;
    }
}

/// Which of Berth's snapshots a restic snapshot belongs to, and as what.
fn part(tags: &[String]) -> Option<(SnapshotId, Part)> {
    let id = tags.iter().find_map(|tag| tag.parse::<SnapshotId>().ok())?;
    let after = |prefix: &str| tags.iter().find_map(|tag| tag.strip_prefix(prefix));
    if tags.iter().any(|tag| tag == tenant_file::TAG) {
        return Some((id, Part::Tenant));
    }
    if !tags.iter().any(|tag| QUIET.contains(&tag.as_str())) {
        return None;
    }
    if let (Some(service), Some(name)) = (after(BUCKET_OF), after("bucket:")) {
        return Some((id, Part::Bucket(service.parse().ok()?, name.to_owned())));
    }
    Some((id, Part::Service(after("service:")?.parse().ok()?)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::DateTime;

    fn read(name: &str, second: i64, tags: &[&str]) -> Read {
        Read {
            id: name.into(),
            at: DateTime::from_timestamp(second, 0).unwrap(),
            host: "acme".into(),
            paths: Vec::new(),
            tags: tags.iter().map(|tag| (*tag).to_owned()).collect(),
            tree: [0; 32],
        }
    }

    #[test]
    fn snapshots_are_put_together_by_their_tags_and_what_is_of_no_use_is_left_out() {
        let (one, two) = (SnapshotId::from_u128(1).to_string(), SnapshotId::from_u128(2).to_string());
        let listed = Listed::all(vec![
            read("live", 1, &[&one, "service:web", "pass:live"]),
            read("web", 3, &[&one, "service:web", "pass:quiesced"]),
            read("again", 4, &["service:web", &one, "pass:quiesced"]),
            read("forge", 5, &[&one, "service:forge", "pass:final", "merged"]),
            read("rest", 6, &[&one, "rest:forge", "pass:final"]),
            read("media", 6, &[&one, "bucket:media", "bucket-of:web", "pass:quiesced"]),
            read("ahead", 2, &[&one, "bucket:media", "bucket-of:web", "pass:live"]),
            read("tenant", 2, &[&one, "berth:tenant"]),
            read("later", 9, &[&two, "service:web", "pass:quiesced"]),
            read("theirs", 9, &["laptop"]),
            read("bad", 9, &[&two, "service:../etc", "pass:quiesced"]),
            read("alone", 9, &[&SnapshotId::from_u128(3).to_string(), "berth:tenant"]),
        ]);
        let [second, first] = listed.try_into().unwrap();
        assert_eq!(
            (second.id, second.services.len(), second.tenant.is_none()),
            (SnapshotId::from_u128(2), 1, true)
        );
        let ids: Vec<_> = first.services.values().map(|read| read.id.as_str()).collect();
        assert_eq!(ids, ["forge", "again"]);
        assert_eq!(first.buckets.values().next().unwrap().id, "media");
        assert_eq!((first.tenant.unwrap().id.as_str(), first.at.timestamp()), ("tenant", 2));
    }
}
