//! Objects straight from one bucket into another, in passes: each sends what is new or changed since the one before. Whoever reads the old
//! bucket goes on writing to it meanwhile; the last pass comes once they have stopped, and ends with both being equal.
//!
//! Nothing is written to the old bucket. In the new one only that is removed which an earlier pass of the same move has put there.
//!
//! | module | subject |
//! | --- | --- |
//! | `origin` | the old bucket, which is only read |
//! | [`ledger`] | what was put where, written down before and after it is |
//! | `plan` | what a pass has to do |
//! | `left` | what stays behind |
//! | `send`, `pieces` | objects on their way |
//! | `probe` | whether objects could be moved at all |

pub mod ledger;
mod left;
mod origin;
mod pieces;
mod plan;
mod probe;
mod send;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use futures_util::future::try_join;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use tokio_util::sync::CancellationToken;

pub use ledger::{Ledger, LedgerError};
pub use left::Left;
pub use origin::Origin;
pub use probe::can_move;

use super::error::BucketError;
use super::listing::Listed;
use super::{Bucket, Tell};
use ledger::Noted;
use left::NAMED;
use plan::{Plan, differing};

/// How many passes the last one consists of at the most, each of which should find less to do than the one before.
const ROUNDS: usize = 4;

/// How many objects are removed at once.
const REMOVED_AT_ONCE: usize = 8;

/// Objects that are to be moved.
pub struct Moving {
    /// The bucket that has them.
    pub from: Origin,
    /// The one that gets them.
    pub into: Bucket,
    /// What earlier passes have put there.
    pub ledger: Arc<dyn Ledger>,
    /// Nobody writes to the old bucket any more: what is gone there goes from the new one, and then both are compared.
    pub last: bool,
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

/// Objects in both buckets.
struct Both {
    listed: Vec<Listed>,
    there: HashMap<String, Listed>,
}

/// What one round did, and what differs where there was nothing to do.
struct Round {
    moved: Moved,
    differing: Option<Vec<String>>,
}

/// Makes a pass.
///
/// # Errors
/// [`BucketError::Differs`] where the buckets are not equal after the last one; [`BucketError`]
pub async fn move_objects(moving: &Moving, tell: Tell) -> Result<Moved, BucketError> {
    moving.all(tell).await
}

fn are_equal(differing: &[String]) -> Result<(), BucketError> {
    if differing.is_empty() {
        return Ok(());
    }
    let named: Vec<String> = differing.iter().take(NAMED).map(|key| key.escape_debug().to_string()).collect();
    Err(BucketError::Differs { objects: differing.len(), named: named.join(", ") })
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
        if !self.last {
            return Ok(self.round(&mut out, &mut tell).await?.moved);
        }
        let mut all = Moved::default();
        for _ in 0..ROUNDS {
            let Round { moved, differing } = self.round(&mut out, &mut tell).await?;
            all.add(moved);
            if let Some(differing) = differing {
                return are_equal(&differing).map(|()| all);
            }
        }
        let Both { listed, there } = self.both().await?;
        are_equal(&differing(&listed, &there, &out)).map(|()| all)
    }

    /// One round, but for what is out of reach for good.
    async fn round(&self, out: &mut HashSet<String>, tell: &mut Tell) -> Result<Round, BucketError> {
        let known = self.until_cancelled(ledger::read(&*self.ledger)).await?;
        let Both { listed, there } = self.both().await?;
        let plan = Plan::of(&listed, &there, &known, self.last, out);
        let nothing_to_do = plan.send.is_empty() && plan.gone.is_empty();
        let differing = nothing_to_do.then(|| differing(&listed, &there, out));
        let Plan { send, confirmed, there, gone, left } = plan;
        drop((listed, known));
        self.until_cancelled(ledger::note(&*self.ledger, &confirmed)).await?;
        let sent = send::send(self, &send, left, tell).await?;
        out.extend(sent.archived);
        let removed = self.until_cancelled(self.remove(&gone)).await?;
        let moved = Moved { objects: sent.objects, bytes: sent.bytes, there, removed, left: sent.left };
        Ok(Round { moved, differing })
    }

    async fn both(&self) -> Result<Both, BucketError> {
        let lists = try_join(self.from.list(), self.list_the_new());
        let (listed, there) = self.until_cancelled(lists).await?;
        Ok(Both { listed, there: there.into_iter().map(|listed| (listed.key.clone(), listed)).collect() })
    }

    async fn list_the_new(&self) -> Result<Vec<Listed>, BucketError> {
        self.into.list().await.map_err(BucketError::in_the_new)
    }

    /// Removes what this move has put into the new bucket, and is gone from the old one.
    async fn remove(&self, gone: &[Noted]) -> Result<u64, BucketError> {
        let remove = |noted: &Noted| {
            let noted = noted.removed();
            async move {
                let removed = self.into.remove(&noted.key).await;
                removed.map_err(|error| error.of(&noted.key).in_the_new()).map(|()| noted)
            }
        };
        let removals = stream::iter(gone).map(remove).buffer_unordered(REMOVED_AT_ONCE);
        let removed: Vec<Noted> = removals.try_collect().await?;
        ledger::note(&*self.ledger, &removed).await?;
        Ok(removed.len() as u64)
    }

    async fn until_cancelled<T>(
        &self,
        work: impl Future<Output = Result<T, BucketError>>,
    ) -> Result<T, BucketError> {
        self.cancel.run_until_cancelled(work).await.ok_or(BucketError::Cancelled)?
    }
}
