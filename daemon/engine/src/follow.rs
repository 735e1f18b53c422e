//! An operation's events from any number on, then live.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use berth_domain::{Event, EventKind, OperationId};
use berth_store::{Store, StoreError};
use tokio::sync::watch;

use crate::hub::Channel;

/// How many events one batch holds at the most.
const BATCH: usize = 500;

/// How often the database is asked although nobody told of news: another daemon may have written.
const POLL: Duration = Duration::from_secs(2);

/// What a follower is given.
#[derive(Debug, Clone, PartialEq)]
pub enum Batch {
    /// Events up to the one before `oldest` were trimmed; those from `oldest` on follow.
    Gap {
        /// The oldest event that is left.
        oldest: i64,
    },
    /// The next events, without a hole.
    Events(Vec<Arc<Event>>),
    /// The operation has ended and every event was handed out.
    End,
}

/// Follows one operation.
#[derive(Debug)]
pub struct Follower {
    store: Store,
    operation: OperationId,
    channel: Arc<Channel>,
    news: watch::Receiver<i64>,
    cursor: i64,
    queue: VecDeque<Batch>,
    ended: bool,
}

impl Follower {
    /// Follows `operation` from the event after number `after`.
    pub(crate) fn new(store: Store, channel: Arc<Channel>, operation: OperationId, after: i64) -> Self {
        // Subscribed before the first look, so that nothing falls between looking and waiting.
        let news = channel.subscribe();
        Self { store, operation, channel, news, cursor: after, queue: VecDeque::new(), ended: false }
    }

    /// The next batch; waits for one. After [`Batch::End`] it answers `None`. Safe to drop while it waits.
    ///
    /// # Errors
    /// The database failed.
    pub async fn next(&mut self) -> Result<Option<Batch>, StoreError> {
        loop {
            if let Some(batch) = self.queue.pop_front() {
                return Ok(Some(batch));
            }
            if self.ended {
                return Ok(None);
            }
            self.news.borrow_and_update();
            let events = self.channel.after(self.cursor, BATCH);
            if events.is_empty() && !self.read_store().await? {
                // A closed channel cannot be: this follower holds it.
                let _ = tokio::time::timeout(POLL, self.news.changed()).await;
            } else if !events.is_empty() {
                self.hand_out(events);
            }
        }
    }

    /// Queues what the database has after the cursor; false if there is nothing new.
    async fn read_store(&mut self) -> Result<bool, StoreError> {
        let page = self.store.events(self.operation, self.cursor, BATCH as u32).await?;
        let Some(first) = page.events.first().map(|event| event.seq) else {
            return self.end_if_over().await;
        };
        if first > self.cursor + 1 {
            self.queue.push_back(Batch::Gap { oldest: first });
        }
        self.hand_out(page.events.into_iter().map(Arc::new).collect());
        Ok(true)
    }

    fn hand_out(&mut self, events: Vec<Arc<Event>>) {
        let Some(last) = events.last() else { return };
        self.cursor = last.seq;
        let over = last.kind == EventKind::Finished;
        self.queue.push_back(Batch::Events(events));
        if over {
            self.end();
        }
    }

    /// A client that comes back after the last event has nothing to wait for.
    async fn end_if_over(&mut self) -> Result<bool, StoreError> {
        let operation = self.store.operation(self.operation).await?;
        let over = operation.status.is_final() && operation.last_seq <= self.cursor;
        if over {
            self.end();
        }
        Ok(over)
    }

    fn end(&mut self) {
        self.ended = true;
        self.queue.push_back(Batch::End);
    }
}
