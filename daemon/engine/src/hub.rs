//! Who waits for news of which operation.
//!
//! Every running operation has a channel: the newest events, and the number of the last one. A follower that keeps
//! up is served from here without touching the database; one that is behind reads the database first.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use berth_domain::{Event, OperationId};
use tokio::sync::watch;

/// How many events a channel keeps for followers that are a little behind.
const TAIL: usize = 2048;

/// All channels.
#[derive(Debug, Default)]
pub struct Hub {
    channels: Mutex<HashMap<OperationId, Arc<Channel>>>,
}

/// One operation's newest events.
#[derive(Debug)]
pub struct Channel {
    tail: Mutex<VecDeque<Arc<Event>>>,
    last: watch::Sender<i64>,
}

impl Hub {
    /// The operation's channel; made where there is none.
    pub fn channel(&self, operation: OperationId) -> Arc<Channel> {
        let mut channels = locked(&self.channels);
        // Channels that nobody holds any more go whenever one is made: the map stays as small as what is followed.
        if !channels.contains_key(&operation) {
            channels.retain(|_, channel| Arc::strong_count(channel) > 1);
        }
        Arc::clone(channels.entry(operation).or_default())
    }

    /// Hands out events that are in the database.
    pub fn publish(&self, operation: OperationId, events: &[Event]) {
        self.channel(operation).publish(events);
    }
}

impl Default for Channel {
    fn default() -> Self {
        Self { tail: Mutex::default(), last: watch::Sender::new(0) }
    }
}

impl Channel {
    fn publish(&self, events: &[Event]) {
        let Some(newest) = events.last().map(|event| event.seq) else { return };
        {
            let mut tail = locked(&self.tail);
            tail.extend(events.iter().cloned().map(Arc::new));
            // Two writers may publish in another order than they committed.
            if !tail.iter().zip(tail.iter().skip(1)).all(|(a, b)| a.seq < b.seq) {
                tail.make_contiguous().sort_by_key(|event| event.seq);
            }
            let surplus = tail.len().saturating_sub(TAIL);
            tail.drain(..surplus);
        }
        self.last.send_if_modified(|last| {
            let newer = newest > *last;
            *last = newest.max(*last);
            newer
        });
    }

    /// Told whenever there is something new.
    pub fn subscribe(&self) -> watch::Receiver<i64> {
        self.last.subscribe()
    }

    /// The events that follow number `after` without a hole, at most `limit`; empty where the tail does not reach
    /// back that far.
    pub fn after(&self, after: i64, limit: usize) -> Vec<Arc<Event>> {
        let tail = locked(&self.tail);
        let start = tail.partition_point(|event| event.seq <= after);
        tail.iter()
            .skip(start)
            .zip(after + 1..)
            .take_while(|(event, expected)| event.seq == *expected)
            .map(|(event, _)| Arc::clone(event))
            .take(limit)
            .collect()
    }
}

/// The lock's content; a panic elsewhere leaves it whole, as every critical section here is a few plain moves.
pub(crate) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use berth_domain::event::{EventKind, NewEvent};

    fn event(seq: i64) -> Event {
        NewEvent::new(chrono::Utc::now(), EventKind::Log, "x").numbered(OperationId::nil(), seq)
    }

    fn seqs(channel: &Channel, after: i64) -> Vec<i64> {
        channel.after(after, 100).iter().map(|e| e.seq).collect()
    }

    #[test]
    fn the_tail_never_hands_out_a_hole() {
        let channel = Channel::default();
        channel.publish(&[event(4), event(5)]);
        assert_eq!(seqs(&channel, 3), [4, 5]);
        assert_eq!(seqs(&channel, 4), [5]);
        assert!(seqs(&channel, 2).is_empty(), "3 is not here, so nothing is");
        channel.publish(&[event(7)]);
        assert_eq!(seqs(&channel, 3), [4, 5]);
        channel.publish(&[event(6)]);
        assert_eq!(seqs(&channel, 3), [4, 5, 6, 7]);
        assert_eq!(*channel.subscribe().borrow(), 7);
    }

    #[test]
    fn the_tail_is_bounded() {
        let channel = Channel::default();
        for seq in 1..=3 * TAIL as i64 {
            channel.publish(&[event(seq)]);
        }
        assert_eq!(locked(&channel.tail).len(), TAIL);
    }
}
