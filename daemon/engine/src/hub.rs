//! Who waits for news of which operation.
//!
//! Every running operation has a channel: the newest events, and the number of the last one. A follower that keeps
//! up is served from here without touching the database; what one that is behind reads there is shared as well
//! ([`Past`]).

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use berth_domain::{Event, OperationId};
use tokio::sync::futures::Notified;
use tokio::sync::{Notify, Semaphore};

use crate::follow::Follower;
use crate::past::{Past, Reader, Source};
use crate::published::Published;
use crate::tail::Tail;

/// How many reads for followers take place at once, whatever they follow. Fewer than there are connections to the
/// database: the others are for requests.
const READS: usize = 2;

/// All channels.
#[derive(Debug)]
pub struct Hub {
    channels: Mutex<BTreeMap<OperationId, Arc<Channel>>>,
    turns: Arc<Semaphore>,
}

/// One operation's newest events.
#[derive(Debug, Default)]
pub struct Channel {
    tail: Mutex<Tail>,
    last: AtomicI64,
    /// Wakes in the order in which they began to wait, so that a simulation can be repeated.
    news: Notify,
    /// What those who follow have read, for as long as somebody does.
    past: Mutex<Weak<Past>>,
}

impl Default for Hub {
    fn default() -> Self {
        Self { channels: Mutex::default(), turns: Arc::new(Semaphore::new(READS)) }
    }
}

impl Hub {
    /// Follows an operation from the event after number `after`.
    pub fn follow(&self, source: impl Source + 'static, operation: OperationId, after: i64) -> Follower {
        let channel = self.channel(operation);
        let past = channel.past(|| Past::new(Reader::new(source, self.turns()), operation));
        Follower::new(channel, past, after)
    }

    /// What every read for followers waits for, so that only so many take place at once.
    pub fn turns(&self) -> Arc<Semaphore> {
        Arc::clone(&self.turns)
    }

    /// The operation's channel; made where there is none.
    fn channel(&self, operation: OperationId) -> Arc<Channel> {
        let mut channels = locked(&self.channels);
        // Channels that nobody holds any more go whenever one is made: the map stays as small as what is followed.
        if !channels.contains_key(&operation) {
            channels.retain(|_, channel| Arc::strong_count(channel) > 1);
        }
        Arc::clone(channels.entry(operation).or_default())
    }

    /// The operation's channel, where somebody follows it.
    pub fn followed(&self, operation: OperationId) -> Option<Arc<Channel>> {
        let channels = locked(&self.channels);
        channels.get(&operation).filter(|channel| channel.is_followed()).cloned()
    }

    /// Has the database be looked at for every operation that is followed: events may have come of which nobody told.
    pub fn doubt_all(&self) {
        locked(&self.channels).values().for_each(|channel| channel.doubt());
    }

    /// Hands out events that are in the database.
    pub fn publish(&self, operation: OperationId, events: &[Event]) {
        self.channel(operation).publish(events);
    }
}

impl Channel {
    /// The number of the newest event that came this way; 0 for none.
    pub fn last(&self) -> i64 {
        self.last.load(Ordering::Acquire)
    }

    /// What those who follow have read; `new` where nobody does.
    fn past(&self, new: impl FnOnce() -> Past) -> Arc<Past> {
        let mut past = locked(&self.past);
        past.upgrade().unwrap_or_else(|| {
            let new = Arc::new(new());
            *past = Arc::downgrade(&new);
            new
        })
    }

    fn is_followed(&self) -> bool {
        locked(&self.past).strong_count() > 0
    }

    /// Has its followers look at the database.
    pub fn doubt(&self) {
        let past = locked(&self.past).upgrade();
        if let Some(past) = past {
            past.doubt();
            self.news.notify_waiters();
        }
    }

    /// Hands out events that are in the database.
    pub fn publish(&self, events: &[Event]) {
        let Some(newest) = events.last().map(|event| event.seq) else { return };
        locked(&self.tail).extend(events);
        if self.last.fetch_max(newest, Ordering::AcqRel) < newest {
            self.news.notify_waiters();
        }
    }

    /// Ends when there is something that was not there when this was called.
    pub fn news(&self) -> Notified<'_> {
        self.news.notified()
    }

    /// The events that follow number `after` without a hole, at most `limit`; empty where what is kept here does not
    /// reach back that far.
    pub fn after(&self, after: i64, limit: usize) -> Vec<Arc<Published>> {
        locked(&self.tail).after(after, limit)
    }
}

/// The lock's content; a panic elsewhere leaves it whole, as every critical section here is a few plain moves.
pub(crate) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
