//! Objects on their way from one bucket into another: several at once, of which memory holds a bounded part.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use tokio::sync::{Semaphore, mpsc};
use tokio_util::sync::CancellationToken;

use super::super::error::BucketError;
use super::super::listing::Listed;
use super::super::put::{PART, Parts, largest_of, part_of};
use super::super::{News, Tell};
use super::ledger::{self, Noted, State};
use super::look::{Chunk, Expected, Wanted};
use super::pieces::Pieces;
use super::{Left, Moving};

/// How many objects are under way at once.
const AT_ONCE: usize = 8;

/// How much of them is in memory at once, in MiB.
const ROOM: u32 = 64;

/// How long an object may be, in bytes: the parts of a longer one have no room in memory. It is for a foreign store to say how long an
/// object is, so this is no matter of trust.
pub(super) const LARGEST: u64 = largest_of((ROOM as u64) << 20);

/// How often an object is begun anew that changes while it is read.
const CHANGES: usize = 3;

/// How often it is said how far it is, and how long what came stays unwritten at the most.
const TICK: Duration = Duration::from_millis(500);

/// How often it is said in words.
const WORDS: Duration = Duration::from_secs(10);

/// How long the store may take to throw parts away that are not needed any more.
const ABORT: Duration = Duration::from_secs(3);

/// What became of all that was to be sent.
#[derive(Default)]
pub(super) struct Sent {
    pub(super) objects: u64,
    pub(super) bytes: u64,
    /// What was not sent.
    pub(super) left: Left,
    /// The keys of what the old store does not give out.
    pub(super) archived: Vec<String>,
}

/// What became of one object.
enum Ended {
    Put(Noted),
    Left { key: String, why: &'static str, archived: bool },
}

/// Sends what a pass has to send, as somebody hands it on who looks for it.
pub(super) async fn send(
    moving: &Moving,
    mut chunks: mpsc::Receiver<Chunk>,
    expected: &Expected,
    tell: &mut Tell,
) -> Result<Sent, BucketError> {
    let sender = Sender {
        moving,
        stop: moving.cancel.child_token(),
        room: Semaphore::new(ROOM as usize),
        done: AtomicU64::new(0),
    };
    let mut over = false;
    let (mut intended, mut under_way) = (Vec::new().into_iter(), FuturesUnordered::new());
    let mut count = Count {
        moving,
        tell,
        expected,
        sent: Sent::default(),
        unwritten: Vec::new(),
        written: Instant::now(),
        said: Instant::now(),
    };
    let mut failed = None;
    let mut fail = |error| {
        // The others throw away what they have begun.
        sender.stop.cancel();
        failed.get_or_insert(error);
    };
    loop {
        while under_way.len() < AT_ONCE
            && !sender.stop.is_cancelled()
            && let Some(Wanted { listed, .. }) = intended.next()
        {
            under_way.push(sender.send(listed));
        }
        let stopped = sender.stop.is_cancelled();
        if under_way.is_empty() && (over || stopped) {
            break;
        }
        let wants_more = intended.len() == 0 && !over && !stopped;
        tokio::select! {
            Some(ended) = under_way.next(), if !under_way.is_empty() => match ended {
                Ok(ended) => count.take(ended),
                Err(error) => fail(error),
            },
            chunk = chunks.recv(), if wants_more => match chunk {
                Some(Ok(chunk)) => match sender.intend(&chunk).await {
                    Ok(()) => intended = chunk.into_iter(),
                    Err(error) => fail(error),
                },
                Some(Err(error)) => fail(error),
                None => over = true,
            },
            () = tokio::time::sleep(TICK) => {}
        }
        count.go_on(sender.done.load(Ordering::Relaxed), false).await.unwrap_or_else(&mut fail);
    }
    count.go_on(sender.done.load(Ordering::Relaxed), true).await.unwrap_or_else(&mut fail);
    match failed {
        _ if moving.cancel.is_cancelled() => Err(BucketError::Cancelled),
        Some(error) => Err(error),
        None => Ok(count.sent),
    }
}

/// How much of an object is in memory at once, in MiB.
fn held(size: u64) -> u32 {
    let held = size.min(part_of(size)).div_ceil(1 << 20).clamp(1, u64::from(ROOM));
    held as u32
}

/// Counts what came, writes it down, and says how far it is.
struct Count<'a> {
    moving: &'a Moving,
    tell: &'a mut Tell,
    expected: &'a Expected,
    sent: Sent,
    unwritten: Vec<Noted>,
    written: Instant,
    said: Instant,
}

impl Count<'_> {
    fn take(&mut self, ended: Ended) {
        match ended {
            Ended::Put(noted) => {
                self.sent.objects += 1;
                self.sent.bytes = self.sent.bytes.saturating_add(noted.size);
                self.unwritten.push(noted);
            }
            Ended::Left { key, why, archived } => {
                self.sent.left.add(&key, why);
                self.sent.archived.extend(archived.then_some(key));
            }
        }
    }

    async fn go_on(&mut self, done: u64, end: bool) -> Result<(), BucketError> {
        let due = end || self.unwritten.len() >= ledger::AT_ONCE || self.written.elapsed() >= TICK;
        if !due {
            return Ok(());
        }
        ledger::note(&*self.moving.ledger, &self.unwritten).await?;
        self.unwritten.clear();
        self.written = Instant::now();
        let expected = self.expected.bytes.load(Ordering::Relaxed);
        (self.tell)(News::Progress { done, expected: expected.max(done) });
        if !end && self.said.elapsed() >= WORDS {
            self.said = Instant::now();
            let (sent, objects) = (self.sent.objects, self.expected.objects.load(Ordering::Relaxed));
            let line = match self.expected.counted {
                true => format!("{sent} of {objects} objects"),
                false => format!("{sent} objects"),
            };
            (self.tell)(News::Line(line));
        }
        Ok(())
    }
}

struct Sender<'a> {
    moving: &'a Moving,
    /// Nothing more is begun, and what was begun is thrown away.
    stop: CancellationToken,
    room: Semaphore,
    /// How many bytes are there.
    done: AtomicU64,
}

impl Sender<'_> {
    /// Writes down that objects are going to be sent.
    async fn intend(&self, chunk: &[Wanted]) -> Result<(), BucketError> {
        let intended: Vec<Noted> = chunk.iter().map(|wanted| wanted.intended.clone()).collect();
        self.until_stopped(ledger::note(&*self.moving.ledger, &intended)).await
    }

    /// Sends an object; anew where it changes meanwhile.
    async fn send(&self, listed: Listed) -> Result<Ended, BucketError> {
        let room = async { Ok(self.room.acquire_many(held(listed.size)).await) };
        let room = self.until_stopped(room).await?;
        let _room = room.map_err(|_| BucketError::Cancelled)?;
        let left = |why, archived| Ok(Ended::Left { key: listed.key.clone(), why, archived });
        for _ in 0..CHANGES {
            match self.send_once(&listed).await {
                Err(BucketError::Changed) => {}
                Err(error) => {
                    let archived = matches!(error, BucketError::Archived);
                    let why = error.without().ok_or_else(|| error.of(&listed.key))?;
                    return left(why, archived);
                }
                Ok(noted) => return Ok(Ended::Put(noted)),
            }
        }
        left("it changes while it is read", false)
    }

    async fn send_once(&self, listed: &Listed) -> Result<Noted, BucketError> {
        let opened = self.until_stopped(self.moving.from.open(&listed.key)).await;
        let mut pieces = Pieces::of(opened.map_err(BucketError::in_the_old)?);
        let e_tag = match listed.size > PART {
            true => self.in_parts(listed, &mut pieces).await?,
            false => self.until_stopped(self.at_once(listed, &mut pieces)).await?,
        };
        Ok(pieces.noted(listed, State::Put { e_tag }))
    }

    async fn at_once(&self, listed: &Listed, pieces: &mut Pieces<'_>) -> Result<Option<String>, BucketError> {
        let bytes = pieces.next(listed.size).await?;
        // It is longer than it was.
        if !pieces.next(1).await?.is_empty() {
            return Err(BucketError::Changed);
        }
        pieces.is_all_of(listed)?;
        let (headers, size) = (pieces.told().attributes.headers()?, bytes.len() as u64);
        let e_tag = self.moving.into.put(&listed.key, headers, bytes).await;
        let e_tag = e_tag.map_err(BucketError::in_the_new)?;
        self.done.fetch_add(size, Ordering::Relaxed);
        Ok(e_tag)
    }

    async fn in_parts(
        &self,
        listed: &Listed,
        pieces: &mut Pieces<'_>,
    ) -> Result<Option<String>, BucketError> {
        let headers = pieces.told().attributes.headers()?;
        let begun = self.until_stopped(self.moving.into.begin(&listed.key, headers)).await;
        let mut parts = begun.map_err(BucketError::in_the_new)?;
        let mut sent = 0;
        let e_tag = self.until_stopped(self.each_part(listed, pieces, &mut parts, &mut sent)).await;
        if e_tag.is_err() {
            self.done.fetch_sub(sent, Ordering::Relaxed);
            if tokio::time::timeout(ABORT, parts.abort()).await.is_err() {
                tracing::warn!("parts of an object are left in a bucket, whose store does not answer");
            }
        }
        e_tag
    }

    async fn each_part(
        &self,
        listed: &Listed,
        pieces: &mut Pieces<'_>,
        parts: &mut Parts<'_>,
        sent: &mut u64,
    ) -> Result<Option<String>, BucketError> {
        loop {
            let bytes = pieces.next(part_of(listed.size)).await?;
            if bytes.is_empty() {
                break;
            }
            let size = bytes.len() as u64;
            // It is longer than it was, and may never end.
            if sent.saturating_add(size) > listed.size {
                return Err(BucketError::Changed);
            }
            parts.send(bytes).await.map_err(BucketError::in_the_new)?;
            *sent += size;
            self.done.fetch_add(size, Ordering::Relaxed);
        }
        pieces.is_all_of(listed)?;
        parts.complete().await.map_err(BucketError::in_the_new)
    }

    async fn until_stopped<T>(
        &self,
        work: impl Future<Output = Result<T, BucketError>>,
    ) -> Result<T, BucketError> {
        self.stop.run_until_cancelled(work).await.ok_or(BucketError::Cancelled)?
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_object_that_is_sent_takes_more_memory_than_there_is_room() {
        for size in [0, 1, PART, PART + 1, 500 << 30, LARGEST] {
            let in_memory = size.min(part_of(size));
            assert!(u64::from(held(size)) << 20 >= in_memory, "{size}");
        }
        assert_eq!((held(0), held(PART), held(LARGEST)), (1, 16, ROOM));
        assert!(part_of(LARGEST + 1) > u64::from(ROOM) << 20);
    }
}
