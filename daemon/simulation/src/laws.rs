//! What must always be so, whatever happens. A law that is broken is written down, and the seed has failed.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Mutex, MutexGuard, PoisonError};

use berth_domain::{Event, MachineName, OperationId, Rollout, RolloutEvent, RolloutId};
use berth_store::Hold;

use crate::waves::History;

/// What was seen of the world so far.
#[derive(Debug, Default)]
pub struct Laws {
    seen: Mutex<Seen>,
}

/// What was counted.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Counts {
    /// Operations that ended.
    pub operations: u64,
    /// Of these, those that succeeded.
    pub succeeded: u64,
    /// Events that were written.
    pub events: u64,
    /// Times that an operation was taken over.
    pub taken_over: u64,
    /// Calls of stale holders that were refused, by the database or by a machine.
    pub refused: u64,
    /// Daemons that were killed.
    pub killed: u64,
    /// Times that something failed, was lost or came twice.
    pub faults: u64,
    /// Operations that ended with a machine that could not be asked, and puts itself back.
    pub unattended: u64,
    /// Snapshots that were made.
    pub snapshots: u64,
    /// Restores that succeeded.
    pub restores: u64,
    /// Rollouts that ended.
    pub rollouts: u64,
    /// Of these, those that succeeded.
    pub rolled_out: u64,
    /// Those with an operation that their abort had cancelled.
    pub broken_off: u64,
}

#[derive(Debug)]
struct Seen {
    broken: Vec<String>,
    counts: Counts,
    fences: BTreeMap<MachineName, u64>,
    writers: BTreeMap<OperationId, u64>,
    rollouts: BTreeMap<RolloutId, History>,
    digest: DefaultHasher,
}

impl Default for Seen {
    fn default() -> Self {
        Self {
            broken: Vec::new(),
            counts: Counts::default(),
            fences: BTreeMap::new(),
            writers: BTreeMap::new(),
            rollouts: BTreeMap::new(),
            // Without a key: the same events have the same digest.
            digest: DefaultHasher::new(),
        }
    }
}

impl Laws {
    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes down that a law is broken, unless it is kept.
    pub fn hold(&self, kept: bool, law: impl FnOnce() -> String) {
        if !kept {
            self.seen().broken.push(law());
        }
    }

    /// Counts something.
    pub fn count(&self, count: impl FnOnce(&mut Counts)) {
        count(&mut self.seen().counts);
    }

    /// Fences only grow.
    pub fn claimed(&self, machine: &MachineName, fence: u64) {
        let mut seen = self.seen();
        let before = seen.fences.insert(machine.clone(), fence).unwrap_or(0);
        if before >= fence {
            seen.broken.push(format!("the fence of {machine} did not grow: {fence} after {before}"));
        }
    }

    /// An operation is written by its newest holder only.
    pub fn wrote(&self, hold: Hold) {
        let (mut seen, Hold { operation, fence }) = (self.seen(), hold);
        let newest =
            *seen.writers.entry(operation).and_modify(|newest| *newest = fence.max(*newest)).or_insert(fence);
        if fence < newest {
            seen.broken.push(format!("{operation} was written with the fence {fence} after {newest}"));
        }
    }

    /// An event was written.
    pub fn told(&self, event: &Event) {
        let mut seen = self.seen();
        seen.counts.events += 1;
        let stamp = (event.operation, event.seq, event.at, event.kind.word(), event.message.as_str());
        stamp.hash(&mut seen.digest);
    }

    /// A rollout told of something.
    pub fn rolled(&self, rollout: &Rollout, events: &[RolloutEvent]) {
        let mut seen = self.seen();
        for event in events {
            seen.counts.events += 1;
            let stamp = (event.rollout, event.seq, event.at, event.kind.word(), event.message.as_str());
            stamp.hash(&mut seen.digest);
            let history = seen.rollouts.entry(rollout.id).or_insert_with(|| History::of(rollout));
            if let Err(law) = history.add(event) {
                seen.broken.push(format!("{law}: {event:?} of {rollout:?}"));
            }
        }
    }

    /// The laws that were broken.
    pub fn broken(&self) -> Vec<String> {
        self.seen().broken.clone()
    }

    /// What was counted, and a number that is the same only for the same history.
    pub fn summary(&self) -> (Counts, u64) {
        let seen = self.seen();
        (seen.counts.clone(), seen.digest.finish())
    }
}
