//! What is brought of a service's buckets. All of it may be a stranger's: names and keys are looked at before anything is made of them.

use std::collections::BTreeMap;

use berth_bundle::{Entry, Kind};
use berth_domain::BundledBucket;
use berth_domain::manifest::Bucket;
use berth_vault::buckets::ObjectAttributes;

use crate::buckets::targets;

/// How many buckets a service may have.
const MOST: usize = 100;

/// How long a key may be, in bytes, as Amazon has it.
const LONGEST_KEY: usize = 1024;

/// How long the text may be that says where a bucket was, in bytes.
const LONGEST_TEXT: usize = 1024;

/// Where in a service's buckets an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum InBuckets<'a> {
    /// It is a bucket's own folder.
    Bucket(&'a str),
    /// It is an object of a bucket, at this path below its folder.
    Object(&'a str, &'a [u8]),
}

/// Where an entry is; nothing where no bucket has such a name.
pub(crate) fn place(below: &[u8]) -> Option<InBuckets<'_>> {
    let (name, path) = match below.iter().position(|byte| *byte == b'/') {
        Some(at) => (&below[..at], Some(&below[at + 1..])),
        None => (below, None),
    };
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._".contains(byte);
    let name = std::str::from_utf8(name).ok().filter(|name| name.bytes().all(|byte| plain(&byte)))?;
    Some(path.map_or(InBuckets::Bucket(name), |path| InBuckets::Object(name, path)))
}

/// The key of an object, as far as it can have one. A folder's ends with a slash.
pub(crate) fn key(path: &[u8], kind: &Kind) -> Option<String> {
    let path = std::str::from_utf8(path).ok()?;
    let key = match kind {
        Kind::File { .. } => path.to_owned(),
        Kind::Directory => format!("{path}/"),
        Kind::Symlink { .. } => return None,
    };
    (key.len() <= LONGEST_KEY).then_some(key)
}

/// Takes in an entry. False where it is none that a bucket could hold.
pub(super) fn add(
    buckets: &mut BTreeMap<String, BundledBucket>,
    entry: &Entry,
    place: InBuckets<'_>,
) -> bool {
    let (InBuckets::Bucket(name) | InBuckets::Object(name, _)) = place;
    if !buckets.contains_key(name) && buckets.len() >= MOST {
        return false;
    }
    let bucket = buckets.entry(name.to_owned()).or_default();
    match place {
        InBuckets::Bucket(_) => {
            let about = entry.meta.bucket.clone().unwrap_or_default();
            (bucket.endpoint, bucket.region) = (text(about.endpoint), text(about.region));
            entry.kind == Kind::Directory
        }
        InBuckets::Object(_, path) => {
            bucket.objects += 1;
            if let Kind::File { size, .. } = entry.kind {
                bucket.bytes = bucket.bytes.saturating_add(size);
            }
            key(path, &entry.kind).is_some() && ObjectAttributes::carried(&entry.meta).can_be_told()
        }
    }
}

/// The buckets whose objects have none of a service's own to come into, each with why.
pub(super) fn without_target<'a>(
    held: &'a BTreeMap<String, BundledBucket>,
    own: &'a [Bucket],
) -> impl Iterator<Item = String> + 'a {
    let all = targets(own, held, |bucket| (&bucket.endpoint, bucket.objects));
    all.into_iter().filter_map(|(name, _, target)| match target {
        None => Some(format!("the settings name no bucket for the objects of {name}")),
        Some(own) if own.secret_key_file.is_none() => Some(format!(
            "the settings give no key to {}, into which the objects of {name} would come",
            own.name
        )),
        Some(_) => None,
    })
}

/// What people may read; nothing in the place of anything else.
fn text(text: String) -> String {
    let readable = text.len() <= LONGEST_TEXT && text.bytes().all(|byte| byte.is_ascii_graphic());
    if readable { text } else { String::new() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use berth_bundle::{BucketAbout, BundlePath, FileMode, Meta, ObjectAbout, Target};

    fn entry(path: &str, kind: Kind) -> Entry {
        let meta = Meta::made(FileMode::FILE, 0);
        Entry { path: BundlePath::try_from(path).unwrap(), kind, meta }
    }

    fn file() -> Kind {
        Kind::File { size: 3, sha256: [1; 32].into() }
    }

    #[test]
    fn names_and_keys_that_no_store_has_are_none() {
        assert_eq!(place(b"media"), Some(InBuckets::Bucket("media")));
        assert_eq!(place(b"media/a/b"), Some(InBuckets::Object("media", b"a/b")));
        assert_eq!((place(b"me dia/a"), place(b"\xff"), place(b"a,b/c")), (None, None, None));
        assert_eq!(key("\u{e4}".as_bytes(), &file()).as_deref(), Some("\u{e4}"));
        assert_eq!(key(b"a", &Kind::Directory).as_deref(), Some("a/"));
        let link = Kind::Symlink { target: Target::new(*b"b").unwrap() };
        assert_eq!((key(b"\xff", &file()), key(b"a", &link)), (None, None));
        assert_eq!(key(&[b'a'; LONGEST_KEY], &Kind::Directory), None);
    }

    #[test]
    fn buckets_without_objects_need_no_place() {
        let held = |objects: &[(&str, u64)]| -> BTreeMap<String, BundledBucket> {
            let bucket = |objects| BundledBucket { objects, ..BundledBucket::default() };
            objects.iter().map(|(name, objects)| ((*name).to_owned(), bucket(*objects))).collect()
        };
        let own: Vec<Bucket> = serde_json::from_value(serde_json::json!([{
            "name": "new", "endpoint": "https://s3", "region": "r", "access_key": "GK1", "secret_key_file": "/run/key"
        }]))
        .unwrap();
        let without = |objects: &[(&str, u64)], own: &[Bucket]| without_target(&held(objects), own).count();
        assert_eq!(without(&[("empty", 0)], &[]), 0);
        assert_eq!(without(&[("media", 3)], &[]), 1);
        assert_eq!(without(&[("empty", 0), ("media", 3)], &own), 0, "it is the only one with objects");
        assert_eq!(without(&[("media", 3), ("other", 1)], &own), 2);
    }

    #[test]
    fn objects_are_counted_and_where_the_bucket_was_is_known() {
        let mut found = BTreeMap::new();
        let mut add = |path: &str, kind: Kind, change: &dyn Fn(&mut Meta)| {
            let mut entry = entry(path, kind);
            change(&mut entry.meta);
            super::add(&mut found, &entry, place(path.as_bytes()).unwrap())
        };
        let was = |endpoint: &str| {
            let about = BucketAbout { endpoint: endpoint.into(), region: "r".into() };
            move |meta: &mut Meta| meta.bucket = Some(about.clone())
        };
        assert!(add("media", Kind::Directory, &was("https://s3")));
        assert!(add("media/a", file(), &|_| ()) && add("media/b", Kind::Directory, &|_| ()));
        assert!(add("odd", Kind::Directory, &was("an\u{1b}other")));
        assert!(!add("odd", file(), &|_| ()), "no bucket is a file");
        let forged = ObjectAbout { cache_control: Some("a\nb: c".into()), ..ObjectAbout::default() };
        assert!(!add("media/c", file(), &|meta| meta.object = Some(forged.clone())));
        let media = &found["media"];
        assert_eq!((media.endpoint.as_str(), media.region.as_str()), ("https://s3", "r"));
        assert_eq!((media.objects, media.bytes, found["odd"].endpoint.as_str()), (3, 6, ""));
        let mut many = BTreeMap::new();
        for number in 0..=MOST {
            let name = format!("b{number}");
            let here = super::add(&mut many, &entry(&name, Kind::Directory), place(name.as_bytes()).unwrap());
            assert_eq!(here, number < MOST);
        }
    }
}
