//! At the target: where the tenant gets another bucket here than it has at the source, its objects come along.
//!
//! The daemon reaches both stores by itself, the old one with what the source has told in confidence; no source's daemon has anything to
//! do with it. The first pass copies everything before the source is let send anything, so that the services go on however long that
//! takes. Further passes copy what changes while the source sends. The last one comes once the source has signed, its services stopped:
//! then both buckets have the same.
//!
//! | module | subject |
//! | --- | --- |
//! | `pair` | which buckets are others here, and what opens both |
//! | `mover` | what moves them, and what it has put where, in the database |
//! | `passes` | the passes of an operation |

mod mover;
mod pair;
mod passes;

use berth_store::StoreError;

use super::super::Context;
use crate::error::StepError;
use crate::ports::{Report, Sink};

pub(super) use pair::Pair;
pub(super) use passes::{Further, Last, first};

impl Context {
    /// Whether the objects that have to come along could; before anything of the machine is changed.
    pub(super) async fn objects_can_come(&self, sink: &Sink) -> Result<(), StepError> {
        let pairs = self.pairs().await?;
        self.are_their_own(&pairs).await?;
        for pair in self.apart(pairs, sink).await? {
            let what = match self.tries_out() {
                true => "could be reached; a rehearsal copies none",
                false => "will be copied",
            };
            sink(Report::Line(format!("{pair}: the objects {what}")));
        }
        Ok(())
    }

    /// The buckets whose objects come along. A rehearsal takes none.
    async fn moves(&self, sink: &Sink) -> Result<Vec<Pair>, StepError> {
        match self.tries_out() {
            true => Ok(Vec::new()),
            false => self.apart(self.pairs().await?, sink).await,
        }
    }

    /// Those of which each is really two buckets, whatever the settings call them; both can be reached.
    async fn apart(&self, pairs: Vec<Pair>, sink: &Sink) -> Result<Vec<Pair>, StepError> {
        let mut apart = Vec::new();
        for pair in pairs {
            if pair.can_be_moved(self).await? {
                apart.push(pair);
            } else {
                sink(Report::Line(format!("{pair}: this is the same bucket, and no objects are copied")));
            }
        }
        Ok(apart)
    }

    /// What was moved is not to be gone on with any more.
    pub(super) async fn forget_moved_objects(&self) -> Result<(), StepError> {
        let forgotten = self.shared.records.forget_moved_objects(self.hold(), self.migration()?).await;
        forgotten.map_err(|error: StoreError| error.into())
    }
}
