//! What a bucket's snapshot says of its objects: lines of JSON, of which the first is about the bucket.

use std::collections::HashMap;
use std::io::{self, BufRead as _, Read};
use std::path::Path;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::attributes::ObjectAttributes;
use super::error::BucketError;
use super::listing::{Listed, same_e_tag};
use crate::reader::{Pieces, ReadError, Reader};

/// The number of this format. Another one is not read.
pub const FORMAT: u32 = 1;

/// The file with it in a snapshot, from its root.
pub const PATH: &str = "/berth/bucket.jsonl";

/// How long a line may be, in bytes: a key has 1024, and metadata 2048, some of which JSON writes as six.
pub(super) const LINE: u64 = 256 * 1024;

/// How long all lines together may be, in bytes: all of them are in memory at once where a bucket is copied or put back. Nothing longer is
/// written.
pub(super) const LONGEST: u64 = 3 * 1024 * 1024 * 1024;

/// There are too many objects, or too much is said of them.
pub(super) const TOO_MANY: &str = "the bucket has more objects than a snapshot can hold";

/// The first line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BucketRecord {
    /// [`FORMAT`].
    pub format: u32,
    /// The bucket's name.
    pub bucket: String,
    /// The store's address.
    pub endpoint: String,
    /// The store's region.
    pub region: String,
    /// How many objects there are; a line for each follows.
    pub objects: u64,
    /// How long they are together, in bytes.
    pub bytes: u64,
}

/// One object's line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObjectRecord {
    /// Its key.
    pub key: String,
    /// How long it is, in bytes.
    pub size: u64,
    /// What the store calls its content by, as the store writes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub e_tag: Option<String>,
    /// When it was put there.
    pub last_modified: DateTime<Utc>,
    /// The MD5 of its content, in hexadecimal digits.
    pub md5: String,
    /// Where its content is, from the root of the snapshot, if that is not where its key would be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// What it has beside its content.
    #[serde(flatten)]
    pub attributes: ObjectAttributes,
}

impl ObjectRecord {
    /// Whether a listing tells of the very same.
    pub(super) fn is(&self, listed: &Listed) -> bool {
        self.size == listed.size
            && same_e_tag(self.e_tag.as_ref(), listed.e_tag.as_ref())
            && self.last_modified == listed.last_modified
    }

    /// Whether what a listing tells of has the same content, as far as that can be told without reading it: an ETag is the MD5 of what
    /// was sent at once, in most stores.
    pub(super) fn has_the_content_of(&self, listed: &Listed) -> bool {
        let Some(e_tag) = &listed.e_tag else { return false };
        let plain = e_tag.trim_matches('"');
        self.size == listed.size && (same_e_tag(self.e_tag.as_ref(), Some(e_tag)) || self.md5 == plain)
    }
}

/// The lines, made while they are read.
pub(super) struct Lines<'a> {
    objects: std::slice::Iter<'a, ObjectRecord>,
    line: io::Cursor<Vec<u8>>,
    length: u64,
}

impl<'a> Lines<'a> {
    pub(super) fn new(bucket: &BucketRecord, objects: &'a [ObjectRecord]) -> Result<Self, BucketError> {
        let line = line(bucket).map_err(|error| BucketError::Record(error.to_string()))?;
        let length = line.len() as u64;
        Ok(Self { objects: objects.iter(), line: io::Cursor::new(line), length })
    }
}

impl Read for Lines<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let read = self.line.read(buffer)?;
            if read > 0 || buffer.is_empty() {
                return Ok(read);
            }
            match self.objects.next() {
                Some(object) => {
                    let line = line(object)?;
                    self.length += line.len() as u64;
                    if self.length > LONGEST {
                        return Err(io::Error::other(TOO_MANY));
                    }
                    self.line = io::Cursor::new(line);
                }
                None => return Ok(0),
            }
        }
    }
}

/// Something as a line; refused where nobody would read it.
pub(super) fn line(what: &impl Serialize) -> serde_json::Result<Vec<u8>> {
    let mut line = serde_json::to_vec(what)?;
    line.push(b'\n');
    match line.len() as u64 > LINE {
        true => Err(serde::ser::Error::custom("too much is said of it")),
        false => Ok(line),
    }
}

/// The first line of the file in a bucket's snapshot whose root has this tree.
///
/// # Errors
/// [`BucketError::Record`] where it is none, or has none; [`BucketError::Read`]
pub fn head(reader: &Reader, root: [u8; 32]) -> Result<BucketRecord, BucketError> {
    let bad = |why: &dyn std::fmt::Display| BucketError::Record(why.to_string());
    let pieces = reader.file_pieces(root, Path::new(PATH))?;
    let pieces = pieces.ok_or_else(|| bad(&"it does not say what is in it"))?;
    let mut line = Vec::new();
    let file = io::BufReader::new(Pieces::new(reader, pieces));
    file.take(LINE).read_until(b'\n', &mut line).map_err(unread)?;
    let bucket: BucketRecord = serde_json::from_slice(&line).map_err(|error| bad(&error))?;
    match bucket.format {
        FORMAT => Ok(bucket),
        other => Err(bad(&format!("its format is {other}, and only {FORMAT} is known"))),
    }
}

/// Why the file's pieces cannot be read, where that is it.
fn unread(error: io::Error) -> BucketError {
    match error.downcast::<ReadError>() {
        Ok(error) => BucketError::Read(error),
        Err(error) => BucketError::Record(error.to_string()),
    }
}

/// Reads the lines; objects by their keys.
pub(super) fn read(file: impl Read) -> Result<(BucketRecord, HashMap<String, ObjectRecord>), BucketError> {
    let bad = |error: &dyn std::fmt::Display| BucketError::Record(error.to_string());
    let mut file = io::BufReader::new(file.take(LONGEST));
    let mut text = Vec::new();
    let mut next = || -> Result<Option<Vec<u8>>, BucketError> {
        text.clear();
        (&mut file).take(LINE).read_until(b'\n', &mut text).map_err(unread)?;
        match text.last() {
            None => Ok(None),
            Some(b'\n') => Ok(Some(text.clone())),
            Some(_) => Err(bad(&"a line does not end")),
        }
    };
    let first = next()?.ok_or_else(|| bad(&"it is empty"))?;
    let bucket: BucketRecord = serde_json::from_slice(&first).map_err(|error| bad(&error))?;
    if bucket.format != FORMAT {
        return Err(bad(&format!("its format is {}, and only {FORMAT} is known", bucket.format)));
    }
    let mut objects = HashMap::new();
    while let Some(line) = next()? {
        let object: ObjectRecord = serde_json::from_slice(&line).map_err(|error| bad(&error))?;
        objects.insert(object.key.clone(), object);
    }
    if objects.len() as u64 != bucket.objects {
        return Err(bad(&"objects are missing in it"));
    }
    Ok((bucket, objects))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::StorageError;

    fn object(key: &str) -> ObjectRecord {
        ObjectRecord {
            key: key.into(),
            size: 3,
            e_tag: Some("\"abc-2\"".into()),
            last_modified: DateTime::UNIX_EPOCH,
            md5: "00".into(),
            path: None,
            attributes: ObjectAttributes { content_type: Some("image/png".into()), ..Default::default() },
        }
    }

    fn bucket(format: u32, objects: u64) -> BucketRecord {
        let (endpoint, region) = ("https://s3.example.net".into(), "garage".into());
        BucketRecord { format, bucket: "media".into(), endpoint, region, objects, bytes: 6 }
    }

    #[test]
    fn what_was_written_is_read_and_what_is_not_whole_is_refused() {
        let objects = [object("a/b"), ObjectRecord { path: Some("/x".into()), ..object("\u{e4}\n") }];
        let mut text = Vec::new();
        Lines::new(&bucket(1, 2), &objects).unwrap().read_to_end(&mut text).unwrap();
        assert_eq!(text.iter().filter(|byte| **byte == b'\n').count(), 3);
        let (told, read_back) = read(&text[..]).unwrap();
        assert_eq!(
            (told, &read_back["a/b"], &read_back["\u{e4}\n"]),
            (bucket(1, 2), &objects[0], &objects[1])
        );

        let mut other = Vec::new();
        Lines::new(&bucket(2, 2), &objects).unwrap().read_to_end(&mut other).unwrap();
        for wrong in [&other[..], b"", b"{}\n", &text[..text.len() - 1], &text[..text.len() / 2]] {
            assert!(matches!(read(wrong), Err(BucketError::Record(_))));
        }
        let lines = text.iter().position(|byte| *byte == b'\n').unwrap() + 1;
        assert!(read(&text[..lines]).is_err(), "objects are missing");
    }

    #[test]
    fn why_pieces_cannot_be_read_is_told_as_it_is() {
        struct Ends(fn() -> io::Error);
        impl Read for Ends {
            fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
                Err((self.0)())
            }
        }
        let far = read(Ends(|| io::Error::other(ReadError::Storage(StorageError::BrokenOff))));
        assert!(
            matches!(far, Err(BucketError::Read(ReadError::Storage(StorageError::BrokenOff)))),
            "{far:?}"
        );
        let other = read(Ends(|| io::ErrorKind::BrokenPipe.into()));
        assert!(matches!(other, Err(BucketError::Record(_))), "{other:?}");
    }

    #[test]
    fn an_object_is_the_same_by_all_that_a_listing_tells_and_its_content_by_size_and_sum() {
        let known = ObjectRecord { md5: "0f".into(), ..object("a") };
        let (key, size) = ("a".to_owned(), 3);
        let listed = Listed { key, size, e_tag: known.e_tag.clone(), last_modified: known.last_modified };
        assert!(known.is(&listed) && known.has_the_content_of(&listed));
        let anew = Listed { last_modified: Utc::now(), ..listed.clone() };
        assert!(!known.is(&anew) && known.has_the_content_of(&anew));
        let at_once = Listed { e_tag: Some("\"0f\"".into()), ..listed.clone() };
        assert!(!known.is(&at_once) && known.has_the_content_of(&at_once));
        for other in [
            Listed { size: 4, ..listed.clone() },
            Listed { e_tag: None, ..listed.clone() },
            Listed { e_tag: Some("\"1f\"".into()), ..listed },
        ] {
            assert!(!known.is(&other) && !known.has_the_content_of(&other));
        }
        let nameless = ObjectRecord { e_tag: None, ..known };
        assert!(!nameless.is(&Listed { e_tag: None, ..anew }));
    }
}
