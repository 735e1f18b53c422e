//! A bucket whose objects come from elsewhere than a store, such as out of a bundle: a snapshot as a copy of the bucket would be one.

use std::io::{self, Read, Seek as _, Write as _};

use berth_bundle::BundlePath;
use chrono::{DateTime, Utc};
use md5::{Digest as _, Md5};
use tempfile::SpooledTempFile;

use super::attributes::ObjectAttributes;
use super::crowds::Crowds;
use super::error::BucketError;
use super::fetch::digits;
use super::place::{ODD, odd};
use super::record::{BucketRecord, FORMAT, LINE, LONGEST, ObjectRecord, TOO_MANY, line};
use super::written::written;
use crate::author::{Attributes, Author, Title};
use crate::storage::StorageError;

/// How much of the record is in memory before it goes into a temporary file that has no name.
const IN_MEMORY: usize = 1024 * 1024;

/// A bucket that is being written into a repository. Nothing else is written there meanwhile.
pub struct Bringing {
    bucket: BucketRecord,
    /// The lines of its objects.
    lines: SpooledTempFile,
    length: u64,
    /// How much was written before it.
    before: u64,
    crowds: Crowds,
    /// What there was no room for at its key's place.
    odd: Vec<Odd>,
}

/// A content that is to be in the folder of what has no place by its key.
struct Odd {
    place: String,
    at: DateTime<Utc>,
    size: u64,
    pieces: Vec<[u8; 32]>,
}

/// An object that comes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Coming {
    /// Its key.
    pub key: String,
    /// When it was put where it was.
    pub at: DateTime<Utc>,
    /// What it has beside its content.
    pub attributes: ObjectAttributes,
}

/// A bucket that was brought.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Brought {
    /// The snapshot's id.
    pub restic: String,
    /// How many objects it holds.
    pub objects: u64,
    /// How long they are together, in bytes.
    pub bytes: u64,
    /// How many bytes went into the repository.
    pub bytes_added: u64,
}

impl Bringing {
    /// Begins with a bucket of this name, of a store at this address and in this region.
    pub fn begin(author: &Author, name: &str, endpoint: &str, region: &str) -> Self {
        let bucket = BucketRecord {
            format: FORMAT,
            bucket: name.to_owned(),
            endpoint: endpoint.to_owned(),
            region: region.to_owned(),
            objects: 0,
            bytes: 0,
        };
        let lines = tempfile::spooled_tempfile(IN_MEMORY);
        let (before, crowds, odd) = (author.written(), Crowds::default(), Vec::new());
        Self { bucket, lines, length: 0, before, crowds, odd }
    }

    /// Adds an object. They come in the order of their paths; one whose key ends with a slash is a folder, and has no content.
    ///
    /// # Errors
    /// [`BucketError::Record`] where its key is no path or too much is said of it; [`BucketError::Author`] where it comes out of order,
    /// its content cannot be read, or the repository does not take it.
    pub fn object(
        &mut self,
        author: &mut Author,
        coming: Coming,
        content: &mut dyn Read,
    ) -> Result<(), BucketError> {
        let Coming { key, at, attributes } = coming;
        let path = BundlePath::try_from(key.strip_suffix('/').unwrap_or(&key));
        let path = path.map_err(|why| BucketError::Record(why.to_string()).of(&key))?;
        let mut summed = Summed { content, sum: Md5::new(), size: 0 };
        let mut apart = None;
        if key.ends_with('/') {
            if self.crowds.have_room(&path, 0) {
                author.folder(path.as_bytes(), Attributes::of_root(0o700, at))?;
            } else {
                apart = Some(self.apart(&key, at, (Vec::new(), 0)));
            }
        } else {
            let (pieces, size) = author.content(&mut summed)?;
            if self.crowds.have_room(&path, size) {
                author.file_of(path.as_bytes(), &Attributes::of_root(0o600, at), size, &pieces)?;
            } else {
                apart = Some(self.apart(&key, at, (pieces, size)));
            }
        }
        let (size, md5) = (summed.size, digits(&summed.sum.finalize()));
        let (e_tag, path, last_modified) = (None, apart, at);
        self.note(&ObjectRecord { key, size, e_tag, last_modified, md5, path, attributes })
    }

    /// Keeps a content for the folder of what has no place by its key; gives where that is, from the root of the snapshot.
    fn apart(&mut self, key: &str, at: DateTime<Utc>, (pieces, size): (Vec<[u8; 32]>, u64)) -> String {
        let place = odd(key);
        let path = format!("/{ODD}/{place}");
        self.odd.push(Odd { place, at, size, pieces });
        path
    }

    fn note(&mut self, object: &ObjectRecord) -> Result<(), BucketError> {
        let bad = |why: &dyn std::fmt::Display| BucketError::Record(why.to_string()).of(&object.key);
        let line = line(object).map_err(|error| bad(&error))?;
        self.length += line.len() as u64;
        // The first line comes before them.
        if self.length > LONGEST - LINE {
            return Err(bad(&TOO_MANY));
        }
        self.lines.write_all(&line).map_err(unwritten)?;
        self.bucket.objects += 1;
        self.bucket.bytes += object.size;
        Ok(())
    }

    /// Makes the snapshot.
    ///
    /// # Errors
    /// As those of [`Bringing::object`].
    pub fn finish(mut self, author: &mut Author, title: &Title) -> Result<Brought, BucketError> {
        let head = line(&self.bucket).map_err(|error| BucketError::Record(error.to_string()))?;
        self.lines.rewind().map_err(unwritten)?;
        let by_key = author.detach()?;
        self.odd.sort_unstable_by(|one, other| one.place.cmp(&other.place));
        for Odd { place, at, size, pieces } in &self.odd {
            author.file_of(place.as_bytes(), &Attributes::of_root(0o600, *at), *size, pieces)?;
        }
        let odd = if self.odd.is_empty() { None } else { Some(author.detach()?) };
        let mut record = head.as_slice().chain(&mut self.lines);
        let restic = written(author, title, &self.bucket.bucket, &mut record, (by_key, odd))?;
        let BucketRecord { objects, bytes, .. } = self.bucket;
        Ok(Brought { restic, objects, bytes, bytes_added: author.written() - self.before })
    }
}

fn unwritten(source: io::Error) -> BucketError {
    StorageError::Folder { what: "cannot write a temporary file".into(), source }.into()
}

/// Sums up what is read of a content.
struct Summed<'a> {
    content: &'a mut dyn Read,
    sum: Md5,
    size: u64,
}

impl Read for Summed<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.content.read(buffer)?;
        self.sum.update(&buffer[..read]);
        self.size += read as u64;
        Ok(read)
    }
}
