//! An operation's events from any number on, then live.

use std::collections::VecDeque;
use std::sync::Arc;

use berth_domain::{EventKind, Operation};

use crate::flights::Outcome;
use crate::hub::Channel;
use crate::past::{PAGE, POLL, Page, Past};
use crate::published::Published;

/// What a follower is given.
#[derive(Debug, Clone, PartialEq)]
pub enum Batch {
    /// Events up to the one before `oldest` were trimmed; those from `oldest` on follow.
    Gap {
        /// The oldest event that is left.
        oldest: i64,
    },
    /// The next events, without a hole.
    Events(Vec<Arc<Published>>),
    /// The operation has ended and every event was handed out.
    End,
}

/// Follows one operation.
///
/// Many may follow the same one: who keeps up is served from memory and leaves the database alone, and what those who
/// do not keep up want of it is read once for all of them.
pub struct Follower {
    channel: Arc<Channel>,
    past: Arc<Past>,
    cursor: i64,
    queue: VecDeque<Batch>,
    ended: bool,
}

impl Follower {
    /// Follows the operation of a channel from the event after number `after`.
    pub(crate) fn new(channel: Arc<Channel>, past: Arc<Past>, after: i64) -> Self {
        Self { channel, past, cursor: after, queue: VecDeque::new(), ended: false }
    }

    /// The next batch; waits for one. After [`Batch::End`] it answers `None`. Safe to drop while it waits.
    ///
    /// # Errors
    /// The database failed; everybody who asked it for the same has the same error.
    pub async fn next(&mut self) -> Outcome<Option<Batch>> {
        loop {
            if let Some(batch) = self.queue.pop_front() {
                return Ok(Some(batch));
            }
            if self.ended {
                return Ok(None);
            }
            self.look_and_wait().await?;
        }
    }

    /// The operation as it ended; to be asked after [`Batch::End`].
    ///
    /// # Errors
    /// The database failed.
    pub async fn ending(&self) -> Outcome<Arc<Operation>> {
        self.past.ending().await
    }

    /// Queues what there is after the cursor; waits where there is nothing, and may return without anything.
    async fn look_and_wait(&mut self) -> Outcome<()> {
        let (channel, past) = (Arc::clone(&self.channel), Arc::clone(&self.past));
        // Registered before looking, so that nothing falls between looking and waiting.
        let news = channel.news();
        tokio::pin!(news);
        let events = channel.after(self.cursor, PAGE);
        if !events.is_empty() {
            self.hand_out(events);
        } else if let Some(page) = past.kept(self.cursor) {
            self.take(&page);
        } else if past.is_over(self.cursor) {
            self.end();
        } else if channel.last() > self.cursor {
            let page = past.read(self.cursor).await?;
            if !self.take(&page) {
                // It was trimmed.
                let _ = tokio::time::timeout(POLL, news).await;
            }
        } else if !past.due_in().is_zero() {
            let _ = tokio::time::timeout(past.due_in(), news).await;
        } else {
            tokio::select! {
                // News are handed out without waiting for the database.
                biased;
                () = news => {}
                looked = past.look(self.cursor) => match looked {
                    Ok(page) => drop(self.take(&page)),
                    // Nothing is known to be missing, so there is time to look again.
                    Err(error) if error.is_transient() => {}
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(())
    }

    /// Queues what a page has after the cursor; false if there is nothing.
    fn take(&mut self, page: &Page) -> bool {
        let events = page.after(self.cursor);
        let Some(first) = events.first().map(|event| event.seq) else { return false };
        if first > self.cursor + 1 {
            self.queue.push_back(Batch::Gap { oldest: first });
        }
        self.hand_out(events);
        true
    }

    fn hand_out(&mut self, events: Vec<Arc<Published>>) {
        let Some(last) = events.last() else { return };
        self.cursor = last.seq;
        let over = last.kind == EventKind::Finished;
        self.queue.push_back(Batch::Events(events));
        if over {
            self.past.ends_with(self.cursor);
            self.end();
        }
    }

    fn end(&mut self) {
        self.ended = true;
        self.queue.push_back(Batch::End);
    }
}

#[cfg(test)]
mod tests;
