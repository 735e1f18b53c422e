//! Looks at everything once: does what is done without sending anything, and hands on what is to be sent while it looks further.

use std::collections::HashSet;
use std::sync::atomic::{AtomicU64, Ordering};

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use tokio::sync::mpsc;

use super::super::error::BucketError;
use super::super::listing::Listed;
use super::ledger::{self, Noted, State};
use super::merged::{Found, Merged};
use super::plan::{Todo, differs, todo};
use super::{Left, Moving, Pass};

/// How many objects are removed at once.
const REMOVED_AT_ONCE: usize = 8;

/// An object that is to be sent, and what is written down before it is.
#[derive(Debug, Clone)]
pub(super) struct Wanted {
    pub(super) listed: Listed,
    pub(super) intended: Noted,
}

impl Wanted {
    fn of(listed: Listed, known: Option<&Noted>) -> Self {
        let intended = Noted::of(&listed, State::Intended).after(known);
        Self { listed, intended }
    }
}

/// What is to be sent, or why nothing more is known of that.
pub(super) type Chunk = Result<Vec<Wanted>, BucketError>;

/// How much is to be sent: all of it where it was counted beforehand, otherwise what was found so far.
#[derive(Debug, Default)]
pub(super) struct Expected {
    pub(super) objects: AtomicU64,
    pub(super) bytes: AtomicU64,
    pub(super) counted: bool,
}

impl Expected {
    fn add(&self, listed: &Listed) {
        self.objects.fetch_add(1, Ordering::Relaxed);
        // It is for a foreign store to say how long an object is.
        let add = |bytes: u64| Some(bytes.saturating_add(listed.size));
        let _ = self.bytes.fetch_update(Ordering::Relaxed, Ordering::Relaxed, add);
    }

    /// Counts what a pass is going to send.
    pub(super) async fn counted(moving: &Moving, out: &HashSet<String>) -> Result<Self, BucketError> {
        let (expected, mut merged) = (Self { counted: true, ..Self::default() }, Merged::of(moving));
        while let Some(found) = moving.until_cancelled(merged.next()).await? {
            if let (Todo::Send, Some(listed)) = (todo(&found, false, out), &found.old) {
                expected.add(listed);
            }
        }
        Ok(expected)
    }
}

/// What somebody has seen who has looked at everything.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// How many objects were to be sent or removed.
    pub(super) todo: u64,
    /// How many are there already.
    pub(super) there: u64,
    /// How many were removed.
    pub(super) removed: u64,
    /// What nothing is done about.
    pub(super) left: Left,
    /// The objects of the old bucket that the new one did not have in the same size.
    pub(super) differing: Left,
}

/// Somebody who looks at everything.
pub(super) struct Looking<'a> {
    moving: &'a Moving,
    /// What turned out to be in an archive.
    out: &'a HashSet<String>,
    expected: &'a Expected,
    hand: mpsc::Sender<Chunk>,
    seen: Seen,
    wanted: Vec<Wanted>,
    confirmed: Vec<Noted>,
    gone: Vec<Noted>,
}

impl<'a> Looking<'a> {
    pub(super) fn new(
        moving: &'a Moving,
        out: &'a HashSet<String>,
        expected: &'a Expected,
        hand: mpsc::Sender<Chunk>,
    ) -> Self {
        let (seen, wanted, confirmed, gone) = (Seen::default(), Vec::new(), Vec::new(), Vec::new());
        Self { moving, out, expected, hand, seen, wanted, confirmed, gone }
    }

    /// Looks at everything. Whoever sends is told what fails, and tells it.
    pub(super) async fn run(mut self) -> Seen {
        if let Err(error) = self.look().await {
            // Whoever has stopped sending has a failure of their own.
            let _ = self.hand.send(Err(error)).await;
        }
        self.seen
    }

    async fn look(&mut self) -> Result<(), BucketError> {
        let moving = self.moving;
        let mut merged = Merged::of(moving);
        while let Some(found) = moving.until_cancelled(merged.next()).await? {
            self.take(found);
            self.go_on(ledger::AT_ONCE).await?;
        }
        self.go_on(1).await
    }

    fn take(&mut self, found: Found) {
        if differs(&found, self.out) {
            self.seen.differing.name(&found.key);
        }
        match (todo(&found, self.moving.pass == Pass::Last, self.out), found.old) {
            (Todo::Send, Some(listed)) => {
                self.seen.todo += 1;
                if !self.expected.counted {
                    self.expected.add(&listed);
                }
                self.wanted.push(Wanted::of(listed, found.known.as_ref()));
            }
            (Todo::Remove(noted), _) => {
                self.seen.todo += 1;
                self.gone.push(noted);
            }
            (Todo::Confirm(noted), _) => {
                self.seen.there += 1;
                self.confirmed.push(noted);
            }
            (Todo::There, _) => self.seen.there += 1,
            (Todo::Leave(why), _) => self.seen.left.add(&found.key, why),
            (Todo::Nothing | Todo::Send, _) => {}
        }
    }

    /// Does what so many objects wait for.
    async fn go_on(&mut self, enough: usize) -> Result<(), BucketError> {
        if self.confirmed.len() >= enough {
            let confirmed = std::mem::take(&mut self.confirmed);
            self.moving.until_cancelled(ledger::note(&*self.moving.ledger, &confirmed)).await?;
        }
        if self.gone.len() >= enough {
            let gone = std::mem::take(&mut self.gone);
            self.seen.removed += self.moving.until_cancelled(self.remove(&gone)).await?;
        }
        if self.wanted.len() >= enough {
            let wanted = std::mem::take(&mut self.wanted);
            let handed = self.hand.send(Ok(wanted));
            // Nobody takes it any more: whoever has stopped sending has a failure of their own.
            return handed.await.map_err(|_| BucketError::Cancelled);
        }
        Ok(())
    }

    /// Removes what this move has put into the new bucket, and is gone from the old one.
    async fn remove(&self, gone: &[Noted]) -> Result<u64, BucketError> {
        let remove = |noted: &Noted| {
            let noted = noted.removed();
            async move {
                let removed = self.moving.into.remove(&noted.key).await;
                removed.map_err(|error| error.of(&noted.key).in_the_new()).map(|()| noted)
            }
        };
        let removals = stream::iter(gone).map(remove).buffer_unordered(REMOVED_AT_ONCE);
        let removed: Vec<Noted> = removals.try_collect().await?;
        ledger::note(&*self.moving.ledger, &removed).await?;
        Ok(removed.len() as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::{DateTime, Utc};

    #[test]
    fn sizes_that_a_store_makes_up_are_no_overflow() {
        let (size, last_modified) = (u64::MAX, DateTime::<Utc>::UNIX_EPOCH);
        let listed = Listed { key: "a".into(), size, e_tag: None, last_modified };
        let expected = Expected::default();
        expected.add(&listed);
        expected.add(&listed);
        assert_eq!(expected.bytes.into_inner(), u64::MAX);
    }
}
