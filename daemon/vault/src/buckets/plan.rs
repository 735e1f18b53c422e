//! What a bucket's next snapshot is to hold, and what of it the vault has already.

use std::collections::HashSet;

use super::client::is_out_of_reach;
use super::error::BucketError;
use super::held::{Content, Held};
use super::listing::Listed;
use super::place::{Place, arranged};
use super::record::ObjectRecord;
use super::{Copying, News, Tell};
use crate::reader::Reader;

/// An object that the snapshot is to hold.
pub(super) struct Planned {
    pub(super) listed: Listed,
    /// What is known of it, with its pieces; it is fetched where nothing is.
    pub(super) held: Option<(ObjectRecord, Content)>,
    /// Whether it is still in the bucket.
    there: bool,
}

/// What is to be in a snapshot.
pub(super) struct Plan {
    /// The objects, in the snapshot's order.
    pub(super) placed: Vec<(Place, Planned)>,
    /// The keys of what cannot be in it.
    pub(super) out: Vec<String>,
}

/// Plans the next snapshot.
pub(super) fn plan(
    reader: &Reader,
    copying: &Copying,
    listed: Vec<Listed>,
    tell: &mut Tell,
) -> Result<Plan, BucketError> {
    let (held, stays) = earlier(reader, copying, tell).unzip();
    let (out, listed): (Vec<_>, Vec<_>) = listed.into_iter().partition(|listed| is_out_of_reach(&listed.key));
    let mut all: Vec<Planned> =
        listed.into_iter().map(|listed| Planned { listed, held: None, there: true }).collect();
    if let Some(held) = held.as_ref().filter(|_| stays == Some(true)) {
        let there: HashSet<&str> = all.iter().map(|one| one.listed.key.as_str()).collect();
        let gone = held.objects.values().filter(|object| !there.contains(object.key.as_str()));
        let gone: Vec<Planned> =
            gone.map(|object| Planned { listed: listed_of(object), held: None, there: false }).collect();
        all.extend(gone);
    }
    let mut placed = arranged(all, |one| (&one.listed.key, one.listed.size));
    if let Some(held) = &held {
        for (_, one) in &mut placed {
            // What is damaged is fetched anew.
            one.held = known(held, &one.listed).unwrap_or_default();
        }
    }
    placed.retain(|(_, one)| one.there || one.held.is_some());
    Ok(Plan { placed, out: out.into_iter().map(|listed| listed.key).collect() })
}

/// The best snapshot that can be gone on from, and whether all of it stays. One that cannot be read is no reason not to make another.
fn earlier<'a>(reader: &'a Reader, copying: &Copying, tell: &mut Tell) -> Option<(Held<'a>, bool)> {
    copying.earlier.iter().find_map(|earlier| match Held::of(reader, &earlier.restic) {
        Ok(held) => Some((held, earlier.stays)),
        Err(error) => {
            tell(News::Line(format!(
                "it is not gone on from an earlier snapshot, which cannot be read: {error}"
            )));
            None
        }
    })
}

fn known(held: &Held<'_>, listed: &Listed) -> Result<Option<(ObjectRecord, Content)>, BucketError> {
    let Some(known) = held.objects.get(&listed.key).filter(|known| known.is(listed)) else {
        return Ok(None);
    };
    Ok(held.pieces(known)?.map(|pieces| (known.clone(), pieces)))
}

fn listed_of(object: &ObjectRecord) -> Listed {
    Listed {
        key: object.key.clone(),
        size: object.size,
        e_tag: object.e_tag.clone(),
        last_modified: object.last_modified,
    }
}
