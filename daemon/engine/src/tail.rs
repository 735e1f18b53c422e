//! The newest events of an operation, in memory.

use std::collections::VecDeque;
use std::sync::Arc;

use berth_domain::Event;

use crate::published::Published;

/// How many events are kept for followers that are a little behind.
const EVENTS: usize = 8192;

/// About how many bytes they may take.
const BYTES: usize = 4 << 20;

/// The newest events, by their numbers.
#[derive(Debug, Default)]
pub(crate) struct Tail {
    events: VecDeque<Arc<Published>>,
    /// About how many bytes they take.
    weight: usize,
}

impl Tail {
    /// Adds events.
    pub fn extend(&mut self, events: &[Event]) {
        let last = self.events.back().map_or(0, |event| event.seq);
        let new: Vec<_> = events.iter().cloned().map(Published::from).map(Arc::new).collect();
        self.weight += new.iter().map(|event| event.weight()).sum::<usize>();
        let in_order = new.iter().try_fold(last, |last, event| (event.seq > last).then_some(event.seq));
        self.events.extend(new);
        // Two writers may publish in another order than they committed, and news of other daemons tell again what is
        // known.
        if in_order.is_none() {
            self.sort();
        }
        self.trim();
    }

    /// The events that follow number `after` without a hole, at most `limit`; empty where they do not reach back that
    /// far.
    pub fn after(&self, after: i64, limit: usize) -> Vec<Arc<Published>> {
        let start = self.events.partition_point(|event| event.seq <= after);
        let rest = self.events.range(start..).zip(after + 1..);
        let dense = rest.take_while(|(event, expected)| event.seq == *expected);
        dense.map(|(event, _)| Arc::clone(event)).take(limit).collect()
    }

    fn sort(&mut self) {
        self.events.make_contiguous().sort_by_key(|event| event.seq);
        let (mut known, mut weight) = (None, 0);
        self.events.retain(|event| {
            let is_new = known.replace(event.seq) != Some(event.seq);
            weight += if is_new { event.weight() } else { 0 };
            is_new
        });
        self.weight = weight;
    }

    fn trim(&mut self) {
        while self.events.len() > EVENTS || self.weight > BYTES {
            let Some(oldest) = self.events.pop_front() else { return };
            self.weight -= oldest.weight();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use berth_domain::OperationId;
    use berth_domain::event::{EventKind, NewEvent};

    fn event(seq: i64, message: &str) -> Event {
        NewEvent::new(chrono::Utc::now(), EventKind::Log, message).numbered(OperationId::nil(), seq)
    }

    fn with(seqs: &[&[i64]]) -> Tail {
        let mut tail = Tail::default();
        for batch in seqs {
            tail.extend(&batch.iter().map(|seq| event(*seq, "x")).collect::<Vec<_>>());
        }
        tail
    }

    fn seqs(tail: &Tail, after: i64) -> Vec<i64> {
        tail.after(after, 100).iter().map(|event| event.seq).collect()
    }

    fn weighed(tail: &Tail) -> usize {
        tail.events.iter().map(|event| event.weight()).sum()
    }

    #[test]
    fn a_hole_is_never_handed_out() {
        let mut tail = with(&[&[4, 5]]);
        assert_eq!(seqs(&tail, 3), [4, 5]);
        assert_eq!(seqs(&tail, 4), [5]);
        assert!(seqs(&tail, 2).is_empty(), "3 is not here, so nothing is");
        tail.extend(&[event(7, "x")]);
        assert_eq!(seqs(&tail, 3), [4, 5]);
        tail.extend(&[event(6, "x")]);
        assert_eq!(seqs(&tail, 3), [4, 5, 6, 7]);
    }

    #[test]
    fn what_is_told_again_is_kept_and_counted_once() {
        let tail = with(&[&[1, 2, 3], &[2, 3, 4], &[4]]);
        assert_eq!(seqs(&tail, 0), [1, 2, 3, 4]);
        assert_eq!(tail.weight, weighed(&tail));
    }

    #[test]
    fn the_newest_stay_within_both_bounds() {
        let mut tail = Tail::default();
        for seq in 1..=2 * EVENTS as i64 {
            tail.extend(&[event(seq, "")]);
        }
        assert_eq!(tail.events.back().unwrap().seq, 2 * EVENTS as i64);
        assert!(tail.events.len() <= EVENTS && tail.weight <= BYTES, "{} {}", tail.events.len(), tail.weight);
        assert_eq!(tail.weight, weighed(&tail));
        tail.extend(&[event(2 * EVENTS as i64 + 1, &"x".repeat(BYTES / 3))]);
        assert!(tail.weight <= BYTES);
        assert_eq!(tail.events.back().unwrap().seq, 2 * EVENTS as i64 + 1);
    }
}
