//! A rollout's events from any number on, then live.
//!
//! A rollout reports a few events for each tenant, so its followers read the database, once for all that want the same;
//! they are told when that is worth it.

use std::sync::Arc;
use std::time::Duration;

use berth_domain::{RolloutEvent, RolloutId};
use berth_store::RolloutEventPage;
use tokio::sync::Semaphore;

use crate::flights::{Flights, Outcome};
use crate::records::Records;
use crate::rollouts::news::Reader;

/// How many events one batch holds at the most.
const BATCH: u32 = 500;

/// How often the database is asked although nobody told of news: another daemon may have written.
const POLL: Duration = Duration::from_secs(1);

/// What a follower is given.
#[derive(Debug, Clone, PartialEq)]
pub enum RolloutBatch {
    /// The next events, without a hole.
    Events(Vec<RolloutEvent>),
    /// The rollout has ended and every event was handed out.
    End,
}

/// What followers of rollouts read, by the rollout and the number after which they want its events.
pub(super) type Reads = Flights<(RolloutId, i64), Arc<RolloutEventPage>>;

/// Follows one rollout.
pub struct RolloutFollower {
    pub(super) records: Arc<dyn Records>,
    /// Bounds how many reads take place at once.
    pub(super) turns: Arc<Semaphore>,
    pub(super) reads: Arc<Reads>,
    pub(super) news: Reader,
    pub(super) rollout: RolloutId,
    pub(super) cursor: i64,
    pub(super) ended: bool,
}

impl RolloutFollower {
    /// The next batch; waits for one. After [`RolloutBatch::End`] it answers `None`. Safe to drop while it waits.
    ///
    /// # Errors
    /// The database failed; everybody who asked it for the same has the same error.
    pub async fn next(&mut self) -> Outcome<Option<RolloutBatch>> {
        while !self.ended {
            // Before the look, so that nothing falls between looking and waiting.
            self.news.mark_seen();
            let page = self.read().await?;
            if let Some(last) = page.events.last() {
                self.cursor = last.seq;
                return Ok(Some(RolloutBatch::Events(page.events.clone())));
            }
            if page.status.is_final() && page.last_seq <= self.cursor {
                self.ended = true;
                return Ok(Some(RolloutBatch::End));
            }
            let _ = tokio::time::timeout(POLL, self.news.changed()).await;
        }
        Ok(None)
    }

    async fn read(&self) -> Outcome<Arc<RolloutEventPage>> {
        let (rollout, cursor) = (self.rollout, self.cursor);
        let read = |_| {
            let (records, turns) = (Arc::clone(&self.records), Arc::clone(&self.turns));
            async move {
                // Nobody closes it.
                let _turn = turns.acquire().await;
                records.rollout_events(rollout, cursor, BATCH).await.map(Arc::new)
            }
        };
        self.reads.read((rollout, cursor), read, |page| !page.events.is_empty()).await
    }
}
