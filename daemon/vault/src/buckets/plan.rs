//! What a bucket's next snapshot is to hold, and what of it the vault has already.

use std::collections::HashSet;

use super::client::is_out_of_reach;
use super::error::BucketError;
use super::held::{Content, Held, newest};
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

/// Plans the next snapshot. What is in the last one of the same operation stays, as what was captured since may refer to it.
pub(super) fn plan(
    reader: &Reader,
    copying: &Copying,
    listed: Vec<Listed>,
    tell: &mut Tell,
) -> Result<Plan, BucketError> {
    let held = last(reader, copying, tell);
    let (out, listed): (Vec<_>, Vec<_>) = listed.into_iter().partition(|listed| is_out_of_reach(&listed.key));
    let mut all: Vec<Planned> =
        listed.into_iter().map(|listed| Planned { listed, held: None, there: true }).collect();
    if let Some(held) = held.as_ref().filter(|held| held.has_tag(&copying.together)) {
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

/// The bucket's last snapshot. One that cannot be read is no reason not to make another.
fn last<'a>(reader: &'a Reader, copying: &Copying, tell: &mut Tell) -> Option<Held<'a>> {
    let found =
        newest(reader, &copying.of).and_then(|found| found.map(|found| Held::of(reader, found)).transpose());
    found.unwrap_or_else(|error| {
        tell(News::Line(format!("everything is fetched, as the last snapshot cannot be read: {error}")));
        None
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
