//! A bucket's snapshot, once its objects are in the repository.

use std::io::Read;

use super::error::BucketError;
use super::held::relative;
use super::place::{BUCKETS, ODD};
use super::record::PATH;
use crate::author::{Attributes, Author, Title};

/// Makes it of the record of a bucket's objects, and of the trees of those that have a place by their key and of the odd ones. Gives its
/// id.
pub(super) fn written(
    author: &mut Author,
    title: &Title,
    bucket: &str,
    record: &mut dyn Read,
    (by_key, odd): ([u8; 32], Option<[u8; 32]>),
) -> Result<String, BucketError> {
    let (folder, file) = (Attributes::of_root(0o700, title.at), Attributes::of_root(0o600, title.at));
    author.file(relative(PATH), &file, record)?;
    if let Some(odd) = odd {
        author.graft(ODD.as_bytes(), &folder, odd)?;
    }
    author.graft(format!("{BUCKETS}/{bucket}").as_bytes(), &folder, by_key)?;
    Ok(author.snapshot(title)?)
}
