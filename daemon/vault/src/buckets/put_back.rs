//! From a vault back into a bucket: what is missing there, or is another. What the snapshot does not know stays.

use std::collections::HashMap;
use std::io::Read;
use std::sync::Arc;

use bytes::Bytes;
use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::error::BucketError;
use super::held::Held;
use super::listing::Listed;
use super::put::{PART, part_of};
use super::record::ObjectRecord;
use super::{News, PutBack, PuttingBack, Tell};
use crate::reader::Reader;

/// How many objects are sent at once, each of which is in memory.
const AT_ONCE: usize = 4;

/// Puts back, on a thread of its own.
pub(super) fn put_back(
    what: &PuttingBack,
    listed: Vec<Listed>,
    runtime: Handle,
    reader: &Reader,
    tell: Tell,
) -> Result<PutBack, BucketError> {
    let held = Held::of(reader, &what.restic)?;
    let there: HashMap<String, Listed> =
        listed.into_iter().map(|listed| (listed.key.clone(), listed)).collect();
    let differs = |object: &&ObjectRecord| {
        !there.get(&object.key).is_some_and(|listed| object.has_the_content_of(listed))
    };
    let mut missing: Vec<&ObjectRecord> = held.objects.values().filter(differs).collect();
    // Folder by folder.
    missing.sort_by(|one, other| one.key.cmp(&other.key));
    let expected = missing.iter().map(|object| object.size).sum();
    let (turns, sent) = (Arc::new(Semaphore::new(AT_ONCE)), JoinSet::new());
    let mut sender = Sender { what, held: &held, runtime, tell, turns, sent, done: 0, expected };
    sender.say();
    for object in &missing {
        sender.send(object).map_err(|error| error.of(&object.key))?;
    }
    sender.finish()?;
    let (objects, bytes) = (missing.len() as u64, expected);
    Ok(PutBack { objects, bytes, there: held.objects.len() as u64 - objects })
}

struct Sender<'a> {
    what: &'a PuttingBack,
    held: &'a Held<'a>,
    runtime: Handle,
    tell: Tell,
    turns: Arc<Semaphore>,
    /// What is under way; it ends with this.
    sent: JoinSet<Result<u64, BucketError>>,
    done: u64,
    expected: u64,
}

impl Sender<'_> {
    fn send(&mut self, object: &ObjectRecord) -> Result<(), BucketError> {
        if self.what.cancel.is_cancelled() {
            return Err(BucketError::Cancelled);
        }
        let mut content = self.held.content(object)?;
        if object.size > PART {
            return self.send_in_parts(object, &mut content);
        }
        let mut bytes = Vec::with_capacity(object.size as usize);
        content.read_to_end(&mut bytes).map_err(of_the_vault)?;
        is_as_long(object, bytes.len() as u64)?;
        self.send_beside(object, bytes.into())
    }

    /// Sends it while the next one is read.
    fn send_beside(&mut self, object: &ObjectRecord, bytes: Bytes) -> Result<(), BucketError> {
        let (bucket, key, size) = (self.what.bucket.clone(), object.key.clone(), object.size);
        let headers = object.attributes.headers()?;
        let turn = Arc::clone(&self.turns).acquire_owned();
        let turn = self.runtime.block_on(self.what.cancel.run_until_cancelled(turn));
        let turn = turn.and_then(Result::ok).ok_or(BucketError::Cancelled)?;
        let task = async move {
            let _turn = turn;
            bucket.put(&key, headers, bytes).await.map_err(|error| error.of(&key))?;
            Ok(size)
        };
        self.sent.spawn_on(task, &self.runtime);
        while let Some(ended) = self.sent.try_join_next() {
            self.note(ended)?;
        }
        Ok(())
    }

    fn send_in_parts(&mut self, object: &ObjectRecord, content: &mut dyn Read) -> Result<(), BucketError> {
        let (bucket, headers) = (&self.what.bucket, object.attributes.headers()?);
        let begun = bucket.begin(&object.key, headers);
        let begun = self.runtime.block_on(self.what.cancel.run_until_cancelled(begun));
        let mut parts = begun.ok_or(BucketError::Cancelled)??;
        let (mut all, part) = (0, part_of(object.size));
        let sent = loop {
            let mut bytes = Vec::with_capacity(part as usize);
            if let Err(error) = content.take(part).read_to_end(&mut bytes) {
                break Err(of_the_vault(error));
            }
            if bytes.is_empty() {
                let completed = parts.complete();
                break is_as_long(object, all).and_then(|()| self.runtime.block_on(completed).map(drop));
            }
            all += bytes.len() as u64;
            let sending = self.what.cancel.run_until_cancelled(parts.send(bytes.into()));
            if let Err(error) = self.runtime.block_on(sending).unwrap_or(Err(BucketError::Cancelled)) {
                break Err(error);
            }
            let done = self.done + all;
            (self.tell)(News::Progress { done, expected: self.expected.max(done) });
        };
        match sent {
            Ok(()) => self.done += object.size,
            Err(_) => self.runtime.block_on(parts.abort()),
        }
        sent
    }

    fn finish(&mut self) -> Result<(), BucketError> {
        loop {
            let next = self.what.cancel.run_until_cancelled(self.sent.join_next());
            match self.runtime.block_on(next).ok_or(BucketError::Cancelled)? {
                Some(ended) => self.note(ended)?,
                None => return Ok(()),
            }
        }
    }

    fn note(
        &mut self,
        ended: Result<Result<u64, BucketError>, tokio::task::JoinError>,
    ) -> Result<(), BucketError> {
        self.done += ended.unwrap_or(Err(BucketError::Cancelled))?;
        self.say();
        Ok(())
    }

    fn say(&mut self) {
        (self.tell)(News::Progress { done: self.done, expected: self.expected.max(self.done) });
    }
}

fn is_as_long(object: &ObjectRecord, length: u64) -> Result<(), BucketError> {
    if object.size == length {
        return Ok(());
    }
    Err(BucketError::Record(format!("it is {length} bytes long in place of {}", object.size)))
}

fn of_the_vault(error: std::io::Error) -> BucketError {
    match error.downcast::<crate::reader::ReadError>() {
        Ok(error) => error.into(),
        Err(error) => BucketError::Record(error.to_string()),
    }
}
