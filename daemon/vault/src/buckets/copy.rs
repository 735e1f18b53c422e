//! From a bucket into a vault. What the last snapshot has of it is not fetched again.

use std::pin::Pin;
use std::time::Instant;

use bytes::Bytes;
use chrono::Utc;
use futures_util::{Stream, StreamExt as _, stream};
use tokio::runtime::Handle;
use tokio_util::task::AbortOnDropHandle;

use super::error::BucketError;
use super::fetch::{Content, Fetched, Told, md5_of};
use super::listing::{Listed, same_e_tag};
use super::place::Place;
use super::plan::{Plan, Planned, plan};
use super::record::{BucketRecord, FORMAT, Lines, ObjectRecord};
use super::written::written;
use super::{Bucket, Copied, Copying, News, Tell};
use crate::author::{Attributes, Author, AuthorError};
use crate::reader::Reader;

/// How many small objects are fetched at once.
const AT_ONCE: usize = 8;

/// How often an object is begun anew that changes while it is read.
const CHANGES: usize = 3;

/// The tag of a snapshot for which there was not time enough.
const INCOMPLETE: &str = "incomplete";

/// Small objects, in the order in which they are wanted.
type Coming = Pin<Box<dyn Stream<Item = Result<Fetched, BucketError>> + Send>>;

/// Copies what was listed, on a thread of its own.
pub(super) fn copy(
    copying: &Copying,
    listed: Vec<Listed>,
    runtime: Handle,
    reader: &Reader,
    author: &mut Author,
    mut tell: Tell,
) -> Result<Copied, BucketError> {
    let Plan { placed: planned, out } = plan(reader, copying, listed, &mut tell)?;
    let fetched = planned.iter().filter(|(_, one)| one.held.is_none());
    let fetched: Vec<Listed> = fetched.map(|(_, one)| one.listed.clone()).collect();
    let expected = fetched.iter().fold(0_u64, |sum, listed| sum.saturating_add(listed.size));
    let coming = coming(copying.bucket.clone(), fetched);
    let before = author.written();
    let (skipped, until) = (Vec::new(), Instant::now().checked_add(copying.limit));
    let mut copier = Copier { copying, runtime, author, tell, coming, skipped, until, done: 0, expected };
    for key in out {
        copier.skip(&key, "no client of HTTP can ask for such a key");
    }
    copier.copy(planned, before)
}

fn coming(bucket: Bucket, wanted: Vec<Listed>) -> Coming {
    let fetch = move |listed: Listed| {
        let bucket = bucket.clone();
        AbortOnDropHandle::new(tokio::spawn(async move { bucket.fetch(&listed).await }))
    };
    let coming = stream::iter(wanted).map(fetch).buffered(AT_ONCE);
    Box::pin(coming.map(|ended| ended.unwrap_or(Err(BucketError::Cancelled))))
}

struct Copier<'a> {
    copying: &'a Copying,
    runtime: Handle,
    author: &'a mut Author,
    tell: Tell,
    coming: Coming,
    skipped: Vec<String>,
    /// When nothing more is fetched.
    until: Option<Instant>,
    done: u64,
    expected: u64,
}

impl Copier<'_> {
    fn copy(mut self, planned: Vec<(Place, Planned)>, before: u64) -> Result<Copied, BucketError> {
        self.say();
        let mut records = Vec::with_capacity(planned.len());
        let (mut by_key, mut fetched, mut complete) = (None, false, true);
        for (place, one) in planned {
            // One is fetched in any case, so that whoever goes on from it comes to an end.
            if one.held.is_none() && fetched && self.until.is_some_and(|until| Instant::now() >= until) {
                complete = false;
                continue;
            }
            fetched |= one.held.is_none();
            if by_key.is_none() && matches!(place, Place::Odd(_)) {
                by_key = Some(self.author.detach()?);
            }
            records.extend(self.add(&place, one)?);
        }
        let last = self.author.detach()?;
        let (by_key, odd) = match by_key {
            None => (last, None),
            Some(by_key) => (by_key, Some(last)),
        };
        let bytes = records.iter().map(|record| record.size).sum();
        let bucket = BucketRecord {
            format: FORMAT,
            bucket: self.copying.bucket.name().to_owned(),
            endpoint: self.copying.endpoint.clone(),
            region: self.copying.bucket.region().to_owned(),
            objects: records.len() as u64,
            bytes,
        };
        let mut title = self.copying.title.clone();
        if !complete {
            title.tags.push(INCOMPLETE.into());
        }
        let mut lines = Lines::new(&bucket, &records)?;
        let restic = written(self.author, &title, &bucket.bucket, &mut lines, (by_key, odd))?;
        let bytes_added = self.author.written() - before;
        Ok(Copied { restic, objects: bucket.objects, bytes, bytes_added, skipped: self.skipped, complete })
    }

    fn add(&mut self, place: &Place, one: Planned) -> Result<Option<ObjectRecord>, BucketError> {
        if self.copying.cancel.is_cancelled() {
            return Err(BucketError::Cancelled);
        }
        if let Some((known, pieces)) = one.held {
            let record = ObjectRecord { path: place.apart(), ..known };
            if let Some(path) = self.path(place, &record)? {
                self.author.file_of(&path, &attributes(&record), record.size, &pieces)?;
            }
            return Ok(Some(record));
        }
        let record = match self.next()? {
            Fetched::Not(why) => Err(why),
            Fetched::Small(told, bytes) => Ok(self.small(place, &one.listed, *told, &bytes)?),
            Fetched::Large => self.large(place, &one.listed)?,
        };
        match &record {
            Err(why) => self.skip(&one.listed.key, why),
            Ok(record) => self.done += record.size,
        }
        self.say();
        Ok(record.ok())
    }

    fn next(&mut self) -> Result<Fetched, BucketError> {
        let next = self.copying.cancel.run_until_cancelled(self.coming.next());
        self.runtime.block_on(next).flatten().ok_or(BucketError::Cancelled)?
    }

    fn small(
        &mut self,
        place: &Place,
        listed: &Listed,
        told: Told,
        bytes: &Bytes,
    ) -> Result<ObjectRecord, BucketError> {
        let record = record(place, listed, told, bytes.len() as u64, md5_of(bytes));
        is_as_long(listed, record.e_tag.as_ref(), record.size).map_err(|error| error.of(&listed.key))?;
        match self.path(place, &record)? {
            Some(path) => self.author.file(&path, &attributes(&record), &mut &bytes[..])?,
            // Its content came after it was listed without one.
            None if !bytes.is_empty() => return Err(BucketError::Changed.of(&listed.key)),
            None => {}
        }
        Ok(record)
    }

    /// An object piece by piece; anew where it changes meanwhile. Where nobody can have it, why.
    fn large(
        &mut self,
        place: &Place,
        listed: &Listed,
    ) -> Result<Result<ObjectRecord, &'static str>, BucketError> {
        let mut tries = CHANGES;
        loop {
            tries -= 1;
            match self.large_once(place, listed) {
                Err(BucketError::Changed) if tries > 0 => {
                    (self.tell)(News::Line(format!(
                        "{} changed while it was read, and is read again",
                        listed.key.escape_debug()
                    )));
                }
                Err(error) => return error.without().map(Err).ok_or_else(|| error.of(&listed.key)),
                Ok(copied) => return Ok(Ok(copied)),
            }
        }
    }

    fn large_once(&mut self, place: &Place, listed: &Listed) -> Result<ObjectRecord, BucketError> {
        let (bucket, cancel, runtime) = (&self.copying.bucket, &self.copying.cancel, self.runtime.clone());
        let mut content = Content::open(bucket, &listed.key, &runtime, cancel)?;
        let known = record(place, listed, content.told(), 0, String::new());
        let Some(path) = self.path(place, &known)? else { return Err(BucketError::Changed) };
        let (done, expected) = (self.done, self.expected);
        let mut meter = Meter { content: &mut content, tell: &mut self.tell, done, expected };
        self.author.file(&path, &attributes(&known), &mut meter).map_err(of_the_bucket)?;
        is_as_long(listed, known.e_tag.as_ref(), content.read)?;
        Ok(ObjectRecord { size: content.read, md5: content.md5(), ..known })
    }

    /// Where the content goes; nothing where the place has none, and is there by now.
    fn path(&mut self, place: &Place, record: &ObjectRecord) -> Result<Option<Vec<u8>>, BucketError> {
        match place {
            Place::File(path) => Ok(Some(path.as_bytes().to_owned())),
            Place::Odd(name) => Ok(Some(name.clone().into_bytes())),
            Place::Folder(path) => {
                let made = Attributes { mode: 0o700, ..attributes(record) };
                self.author.folder(path.as_bytes(), made)?;
                Ok(None)
            }
        }
    }

    fn skip(&mut self, key: &str, why: &str) {
        let words = format!("{}: {why}", key.escape_debug());
        (self.tell)(News::Line(format!("left out: {words}")));
        self.skipped.push(words);
    }

    fn say(&mut self) {
        self.expected = self.expected.max(self.done);
        (self.tell)(News::Progress { done: self.done, expected: self.expected });
    }
}

/// Says how far an object is that is not small.
struct Meter<'a, 'b> {
    content: &'a mut Content<'b>,
    tell: &'a mut Tell,
    done: u64,
    expected: u64,
}

impl std::io::Read for Meter<'_, '_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let before = self.content.read >> 20;
        let read = self.content.read(buffer)?;
        if self.content.read >> 20 != before {
            let done = self.done + self.content.read;
            (self.tell)(News::Progress { done, expected: self.expected.max(done) });
        }
        Ok(read)
    }
}

/// Refuses what is called as the object that was listed and is not as long: a connection that was cut may look like an end.
fn is_as_long(listed: &Listed, e_tag: Option<&String>, size: u64) -> Result<(), BucketError> {
    let same = same_e_tag(e_tag, listed.e_tag.as_ref());
    if same && size != listed.size { Err(BucketError::Changed) } else { Ok(()) }
}

/// What the snapshot says of an object that came. A listing tells its time more exactly.
fn record(place: &Place, listed: &Listed, told: Told, size: u64, md5: String) -> ObjectRecord {
    let same = listed.is_told_of(told.e_tag.as_ref(), told.last_modified);
    let (e_tag, key) = (told.e_tag.or_else(|| listed.e_tag.clone()), listed.key.clone());
    let last_modified = if same { listed.last_modified } else { told.last_modified.unwrap_or_else(Utc::now) };
    ObjectRecord { key, size, e_tag, last_modified, md5, path: place.apart(), attributes: told.attributes }
}

fn attributes(record: &ObjectRecord) -> Attributes {
    Attributes::of_root(0o600, record.last_modified)
}

/// What kept an object's content from being read.
fn of_the_bucket(error: AuthorError) -> BucketError {
    match error {
        AuthorError::Content(error) => match error.downcast::<BucketError>() {
            Ok(error) => error,
            Err(error) => AuthorError::Content(error).into(),
        },
        error => error.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::DateTime;

    #[test]
    fn what_is_called_the_same_is_as_long_with_and_without_quotes() {
        let e_tag = Some("\"x\"".to_owned());
        let listed = Listed { key: "a".into(), size: 3, e_tag, last_modified: DateTime::<Utc>::UNIX_EPOCH };
        let (same, other) = ("x".to_owned(), "y".to_owned());
        assert!(is_as_long(&listed, Some(&same), 3).is_ok() && is_as_long(&listed, Some(&other), 2).is_ok());
        assert!(matches!(is_as_long(&listed, Some(&same), 2), Err(BucketError::Changed)));
    }
}
