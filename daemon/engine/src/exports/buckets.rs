//! The objects of buckets, out of a vault into a bundle.

use std::io;

use berth_bundle::{BucketAbout, BundlePath, FileMode, FileWriter, Meta, WriteError, layout};
use berth_domain::{CapturedService, ServiceName};

use crate::error::{EXPORT_FAILED, StepError};
use crate::ports::{HeldBucket, HeldBuckets, ObjectRecord};

/// How many objects are named that no bundle can carry.
const NAMED: usize = 10;

/// Refuses buckets with objects that no bundle can carry, by their names.
///
/// # Errors
/// There are such objects, or it cannot be read what a bucket holds.
pub(crate) fn carriable<'a>(
    services: impl Iterator<Item = (&'a ServiceName, &'a CapturedService)>,
    held: &dyn HeldBuckets,
) -> Result<(), StepError> {
    let (mut named, mut more) = (Vec::new(), 0_u64);
    for (service, captured) in services {
        for (name, bucket) in &captured.buckets {
            let held = held.open(&bucket.restic)?;
            for (key, why) in arranged(service, name, &*held).out {
                match named.len() < NAMED {
                    true => {
                        named.push(format!("{service}, bucket {name}: {}: {why}", key.escape_debug()));
                    }
                    false => more += 1,
                }
            }
        }
    }
    if named.is_empty() {
        return Ok(());
    }
    let others = if more > 0 { format!("; and {more} more") } else { String::new() };
    let message = format!(
        "no bundle can carry objects with these keys, which have to be given others first: {}{others}",
        named.join("; ")
    );
    Err(StepError::failed(EXPORT_FAILED, message))
}

/// Writes a bucket of a service: its own folder, and its objects in the order of their paths.
///
/// # Errors
/// Something cannot be read, or the bundle not be written.
pub(super) fn fill(
    writer: &mut FileWriter<'_>,
    (service, name): (&ServiceName, &str),
    held: &dyn HeldBucket,
    (endpoint, made): (&str, i64),
) -> Result<(), WriteError> {
    let about = BucketAbout { endpoint: endpoint.to_owned(), region: held.region().to_owned() };
    let folder = layout::bucket(service.as_str(), name);
    let folder = folder.map_err(|reason| WriteError::BadPath { name: name.to_owned(), reason })?;
    let meta = Meta { bucket: Some(about), ..Meta::made(FileMode::DIRECTORY, made) };
    writer.directory(folder, meta)?;
    let Arranged { objects, out } = arranged(service, name, held);
    if let Some((key, why)) = out.first() {
        return Err(uncarried(name, key, why));
    }
    objects.into_iter().try_for_each(|(path, object)| add(writer, path, held, object))
}

/// The objects of a bucket.
struct Arranged<'a> {
    /// Those that a bundle can carry, in the order of their paths.
    objects: Vec<(BundlePath, &'a ObjectRecord)>,
    /// The keys of the others, each with why.
    out: Vec<(&'a str, String)>,
}

fn arranged<'a>(service: &ServiceName, bucket: &str, held: &'a dyn HeldBucket) -> Arranged<'a> {
    let (mut objects, mut out) = (Vec::new(), Vec::new());
    for object in held.objects() {
        match placed(service, bucket, object) {
            Ok(path) => objects.push((path, object)),
            Err(why) => out.push((object.key.as_str(), why)),
        }
    }
    objects.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
    for neighbours in objects.windows(2) {
        let [(path, object), (next, _)] = neighbours else { continue };
        if next == path {
            out.push((&object.key, "it is a folder and a file at once".into()));
        } else if next.is_within(path) && !object.key.ends_with('/') {
            out.push((&object.key, "other objects are below it".into()));
        }
    }
    out.sort_unstable();
    Arranged { objects, out }
}

fn add(
    writer: &mut FileWriter<'_>,
    path: BundlePath,
    held: &dyn HeldBucket,
    object: &ObjectRecord,
) -> Result<(), WriteError> {
    let at = object.last_modified.timestamp();
    if object.key.ends_with('/') {
        let meta = object.attributes.clone().carry(Meta::made(FileMode::DIRECTORY, at));
        return writer.directory(path, meta);
    }
    let meta = object.attributes.clone().carry(Meta::made(FileMode::FILE, at));
    let unread = |error: StepError| WriteError::Read { path: path.clone(), source: io::Error::other(error) };
    let content = held.content(object).map_err(unread)?;
    writer.file(path, meta, object.size, content)
}

/// Where an object is in a bundle, or why it cannot be there.
fn placed(service: &ServiceName, bucket: &str, object: &ObjectRecord) -> Result<BundlePath, String> {
    let path = layout::object(service.as_str(), bucket, &object.key).map_err(|why| why.to_string())?;
    if object.key.ends_with('/') && object.size > 0 {
        return Err("it is a folder's, and there is a content".into());
    }
    Ok(path)
}

fn uncarried(bucket: &str, key: &str, why: &str) -> WriteError {
    let what = format!("{bucket}: {}: {why}", key.escape_debug());
    WriteError::Write(io::Error::other(what))
}
