//! Where in a snapshot an object's content is.
//!
//! As in a [bundle](berth_bundle::layout): a key is a path below the bucket's folder, and one with a slash at its end, which programs
//! make to show an empty folder, is a folder. What cannot be one of both is elsewhere, under the sum of its key.

use std::cmp::Ordering;

use berth_bundle::BundlePath;
use berth_bundle::layout::object_in;
use sha2::{Digest as _, Sha256};

use super::crowds::Crowds;
use crate::object::Sum;

/// The folder of what has no place by its key, from the root of the snapshot.
pub(super) const ODD: &str = "berth/objects";

/// The folder of all buckets' folders, from the root of the snapshot.
pub(super) const BUCKETS: &str = "buckets";

/// Where an object's content is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Place {
    /// A file at this path below the bucket's folder.
    File(BundlePath),
    /// A folder there: it has no content.
    Folder(BundlePath),
    /// A file at this path in [`ODD`].
    Odd(String),
}

impl Place {
    fn of(key: &str, size: u64) -> Self {
        // Any folder will do: what leads out of one, leads out of all.
        let path = BundlePath::try_from(key.strip_suffix('/').unwrap_or(key));
        match (path, key.ends_with('/')) {
            (Ok(path), false) => Self::File(path),
            (Ok(path), true) if size == 0 => Self::Folder(path),
            _ => Self::odd(key),
        }
    }

    fn odd(key: &str) -> Self {
        Self::Odd(odd(key))
    }

    /// Where it is, from the root of the snapshot, if its key does not say so.
    pub(super) fn apart(&self) -> Option<String> {
        match self {
            Self::Odd(name) => Some(format!("/{ODD}/{name}")),
            Self::File(_) | Self::Folder(_) => None,
        }
    }

    fn cmp(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Odd(one), Self::Odd(other)) => one.cmp(other),
            (Self::Odd(_), _) => Ordering::Greater,
            (_, Self::Odd(_)) => Ordering::Less,
            (Self::File(one) | Self::Folder(one), Self::File(other) | Self::Folder(other)) => one.cmp(other),
        }
    }
}

/// Where in [`ODD`] an object is: in one of 256 folders, as each may have [only so many](Crowds).
pub(super) fn odd(key: &str) -> String {
    let sum = Sum::new(Sha256::digest(key.as_bytes()).into()).to_string();
    format!("{}/{sum}", sum.get(..2).unwrap_or_default())
}

/// Where the content of an object of a bucket is, from the root of the snapshot, unless its line says so itself.
pub(super) fn path_by_key(bucket: &str, key: &str) -> Option<BundlePath> {
    let folder = BundlePath::new(format!("{BUCKETS}/{bucket}")).ok()?;
    object_in(&folder, key).ok()
}

/// Gives each object its place, and brings them in the order in which an author takes them: those of the bucket's folder first.
pub(super) fn arranged<T>(objects: Vec<T>, of: impl Fn(&T) -> (&str, u64)) -> Vec<(Place, T)> {
    let mut placed: Vec<(Place, T)> = objects
        .into_iter()
        .map(|object| {
            let (key, size) = of(&object);
            (Place::of(key, size), object)
        })
        .collect();
    placed.sort_by(|(one, _), (other, _)| one.cmp(other));
    let inner = |one: &Place, next: &Place| match (one, next) {
        (Place::File(one), Place::File(next) | Place::Folder(next)) => next.is_within(one),
        // One key of a folder and the same without its slash.
        (Place::Folder(one), Place::File(next) | Place::Folder(next)) => next == one,
        _ => false,
    };
    let mut moved = false;
    for at in 1..placed.len() {
        if inner(&placed[at - 1].0, &placed[at].0) {
            let key = of(&placed[at - 1].1).0.to_owned();
            placed[at - 1].0 = Place::odd(&key);
            moved = true;
        }
    }
    let mut crowds = Crowds::default();
    for (place, object) in &mut placed {
        let (key, size) = of(object);
        if let Place::File(path) | Place::Folder(path) = place
            && !crowds.have_room(path, size)
        {
            *place = Place::odd(key);
            moved = true;
        }
    }
    if moved {
        placed.sort_by(|(one, _), (other, _)| one.cmp(other));
    }
    placed
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(keys: &[(&'static str, u64)]) -> Vec<(String, &'static str)> {
        let arranged = arranged(keys.to_vec(), |(key, size)| (key, *size));
        let shown = |place: &Place| match place {
            Place::File(path) => path.encoded(),
            Place::Folder(path) => format!("{}/", path.encoded()),
            Place::Odd(_) => "odd".into(),
        };
        arranged.iter().map(|(place, (key, _))| (shown(place), *key)).collect()
    }

    #[test]
    fn each_object_has_one_place_and_they_come_in_the_order_of_paths() {
        let found =
            places(&[("b", 1), ("a-c", 1), ("a/b", 1), ("a/", 0), ("x//y", 1), ("d/", 3), ("../e", 1)]);
        let by_key: Vec<_> = found[..4].iter().map(|(place, _)| place.as_str()).collect();
        assert_eq!(by_key, ["a/", "a/b", "a-c", "b"]);
        assert!(found[4..].iter().all(|(place, _)| place == "odd") && found.len() == 7, "{found:?}");
    }

    #[test]
    fn what_is_a_file_and_a_folder_at_once_keeps_the_folder() {
        let found = places(&[("a", 1), ("a/b", 1), ("a/b/c", 1), ("a/b/", 0), ("e/", 0), ("e", 2)]);
        let of = |key: &str| found.iter().find(|(_, found)| *found == key).unwrap().0.clone();
        assert_eq!(of("a/b/c"), "a/b/c");
        assert_eq!((of("a"), of("a/b")), ("odd".into(), "odd".into()));
        // One of both is carried apart.
        assert_eq!([of("e/"), of("e")].iter().filter(|place| *place == "odd").count(), 1);
        assert_eq!(found.len(), 6);
    }

    #[test]
    fn what_a_folder_has_no_room_for_is_elsewhere() {
        let keys: Vec<String> = (0..120_000).map(|number| format!("a/{number:08}")).collect();
        let arranged = arranged(keys, |key| (key, 1));
        let (here, apart): (Vec<_>, Vec<_>) =
            arranged.iter().partition(|(place, _)| matches!(place, Place::File(_)));
        assert!(here.len() > 80_000 && apart.len() > 1_000, "{} {}", here.len(), apart.len());
        assert!(arranged.is_sorted_by(|(one, _), (other, _)| one.cmp(other).is_le()));
    }

    #[test]
    fn the_place_of_a_key_is_found_again() {
        assert_eq!(path_by_key("media", "a/\u{e4}").unwrap().encoded(), "buckets/media/a/%C3%A4");
        assert!(path_by_key("media", "a//b").is_none() && path_by_key("a/..", "b").is_none());
        let Place::Odd(name) = Place::of("a//b", 1) else { panic!() };
        assert_eq!(
            (name.len(), Place::Odd(name.clone()).apart()),
            (67, Some(format!("/berth/objects/{name}")))
        );
    }
}
