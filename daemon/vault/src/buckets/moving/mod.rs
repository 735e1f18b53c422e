//! Objects straight from one bucket into another, in passes: each sends what is new or changed since the one before. Whoever reads the old
//! bucket goes on writing to it meanwhile; the last pass comes once they have stopped, and ends with both being equal.
//!
//! Nothing is written to the old bucket. In the new one only that is removed which an earlier pass of the same move has put there.
//!
//! Both buckets and what was written down come in the order of their keys, page by page: however many objects there are, memory holds a few
//! thousand of them.
//!
//! | module | subject |
//! | --- | --- |
//! | `origin` | the old bucket, which is only read |
//! | [`ledger`] | what was put where, written down before and after it is |
//! | `merged` | both buckets and what was written down, object by object |
//! | `plan` | what is to be done about an object |
//! | `look` | everything is looked at, and what is to be sent handed on |
//! | `left` | what stays behind |
//! | `send`, `pieces` | objects on their way |
//! | `probe` | whether objects could be moved at all |

pub mod ledger;
mod left;
mod look;
mod merged;
mod origin;
mod pieces;
mod plan;
mod probe;
mod send;

use std::collections::HashSet;
use std::sync::Arc;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

pub use ledger::{Entry, Ledger, LedgerError};
pub use left::Left;
pub use origin::Origin;
pub use probe::can_move;

use super::error::BucketError;
use super::{Bucket, Tell};
use look::{Expected, Looking};
use merged::Merged;
use plan::differs;

/// How many passes the last one consists of at the most, each of which should find less to do than the one before.
const ROUNDS: usize = 4;

/// Which pass of a move it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pass {
    /// The first one, for which somebody waits who wants to know how far it is: what there is to do is counted beforehand.
    First,
    /// One of those that follow.
    Further,
    /// Nobody writes to the old bucket any more: what is gone there goes from the new one, and then both are compared.
    Last,
}

/// Objects that are to be moved.
pub struct Moving {
    /// The bucket that has them.
    pub from: Origin,
    /// The one that gets them.
    pub into: Bucket,
    /// What earlier passes have put there.
    pub ledger: Arc<dyn Ledger>,
    /// Which pass it is.
    pub pass: Pass,
    /// Ends it.
    pub cancel: CancellationToken,
}

/// What was moved.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Moved {
    /// How many objects were missing in the new bucket, or others, and were sent.
    pub objects: u64,
    /// How long these are together, in bytes.
    pub bytes: u64,
    /// How many were there already.
    pub there: u64,
    /// How many were removed again, as they are gone from the old bucket.
    pub removed: u64,
    /// What is not in the new bucket or should not be there.
    pub left: Left,
}

/// What one round did.
struct Round {
    moved: Moved,
    /// Whether there was nothing to do.
    idle: bool,
    /// What differed when it was looked at.
    differing: Left,
}

/// Makes a pass.
///
/// # Errors
/// [`BucketError::Differs`] where the buckets are not equal after the last one; [`BucketError`]
pub async fn move_objects(moving: &Moving, tell: Tell) -> Result<Moved, BucketError> {
    moving.all(tell).await
}

fn are_equal(differing: Left) -> Result<(), BucketError> {
    let Left { objects, named } = differing;
    if objects == 0 { Ok(()) } else { Err(BucketError::Differs { objects, named: named.join(", ") }) }
}

impl Moved {
    /// Adds what a further round did: what is there and what is left is as that one found it.
    fn add(&mut self, later: Self) {
        let Self { objects, bytes, there, removed, left } = later;
        self.objects += objects;
        self.bytes = self.bytes.saturating_add(bytes);
        self.removed += removed;
        (self.there, self.left) = (there, left);
    }
}

impl Moving {
    async fn all(&self, mut tell: Tell) -> Result<Moved, BucketError> {
        // What turns out to be in an archive is so in every round.
        let mut out = HashSet::new();
        if self.pass != Pass::Last {
            return Ok(self.round(&mut out, &mut tell).await?.moved);
        }
        let mut all = Moved::default();
        for _ in 0..ROUNDS {
            let Round { moved, idle, differing } = self.round(&mut out, &mut tell).await?;
            all.add(moved);
            if idle {
                return are_equal(differing).map(|()| all);
            }
        }
        are_equal(self.differing(&out).await?).map(|()| all)
    }

    /// One round, but for what is out of reach for good.
    async fn round(&self, out: &mut HashSet<String>, tell: &mut Tell) -> Result<Round, BucketError> {
        let expected = match self.pass {
            Pass::First => Expected::counted(self, out).await?,
            Pass::Further | Pass::Last => Expected::default(),
        };
        let (hand, chunks) = mpsc::channel(1);
        let looking = Looking::new(self, out, &expected, hand).run();
        let (seen, sent) = tokio::join!(looking, send::send(self, chunks, &expected, tell));
        let sent = sent?;
        out.extend(sent.archived);
        let (there, removed, left) = (seen.there, seen.removed, seen.left.and(sent.left));
        let moved = Moved { objects: sent.objects, bytes: sent.bytes, there, removed, left };
        Ok(Round { moved, idle: seen.todo == 0, differing: seen.differing })
    }

    /// What the new bucket does not have as the old one has it.
    async fn differing(&self, out: &HashSet<String>) -> Result<Left, BucketError> {
        let (mut differing, mut merged) = (Left::default(), Merged::of(self));
        while let Some(found) = self.until_cancelled(merged.next()).await? {
            if differs(&found, out) {
                differing.name(&found.key);
            }
        }
        Ok(differing)
    }

    async fn until_cancelled<T>(
        &self,
        work: impl Future<Output = Result<T, BucketError>>,
    ) -> Result<T, BucketError> {
        self.cancel.run_until_cancelled(work).await.ok_or(BucketError::Cancelled)?
    }
}
