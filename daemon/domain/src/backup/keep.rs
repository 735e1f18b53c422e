//! Which snapshots may go.
//!
//! The rule is that of restic's `forget` since 0.16: from the newest to the oldest, a snapshot is kept when it is the first one
//! seen of its day, week or month, and that many days, weeks or months have not been kept yet; and as long as there are fewer
//! of them altogether, so is the oldest.

use std::collections::BTreeSet;

use chrono::{DateTime, Datelike as _};
use chrono_tz::Tz;

use super::BackupPlan;
use crate::Timestamp;
use crate::snapshot::{Snapshot, SnapshotId};

/// How many are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Keep {
    /// The newest so many.
    pub last: u32,
    /// The newest of so many days.
    pub daily: u32,
    /// The newest of so many weeks.
    pub weekly: u32,
    /// The newest of so many months.
    pub monthly: u32,
    /// Whether what somebody asked for is counted as well.
    pub also_by_hand: bool,
}

/// So many spans of time of one kind, of which the newest snapshot is kept.
struct Bucket {
    left: u32,
    span: fn(DateTime<Tz>, usize) -> i64,
    last: Option<i64>,
}

impl Bucket {
    fn new(left: u32, span: fn(DateTime<Tz>, usize) -> i64) -> Self {
        Self { left, span, last: None }
    }

    /// Whether this one is kept; `number` counts from the newest.
    fn keeps(&mut self, at: DateTime<Tz>, number: usize, oldest: bool) -> bool {
        let span = (self.span)(at, number);
        if self.left == 0 || (self.last == Some(span) && !oldest) {
            return false;
        }
        self.last = Some(span);
        self.left -= 1;
        true
    }
}

impl Keep {
    /// Which of these are kept, in the same order. They are sorted from the newest to the oldest; `zone` says when a day ends.
    pub fn decide(&self, zone: Tz, times: &[Timestamp]) -> Vec<bool> {
        let mut buckets = [
            Bucket::new(self.last, |_, number| number.try_into().unwrap_or(i64::MAX)),
            Bucket::new(self.daily, |at, _| i64::from(at.num_days_from_ce())),
            Bucket::new(self.weekly, |at, _| {
                let week = at.iso_week();
                i64::from(week.year()) * 100 + i64::from(week.week())
            }),
            Bucket::new(self.monthly, |at, _| i64::from(at.year()) * 100 + i64::from(at.month())),
        ];
        let decide = |(number, at): (usize, &Timestamp)| {
            let oldest = number + 1 == times.len();
            // Each is asked: a snapshot takes a place in every kind of span that it is the first of.
            let keeps = |bucket: &mut Bucket| bucket.keeps(at.with_timezone(&zone), number, oldest);
            buckets.iter_mut().map(keeps).filter(|keeps| *keeps).count() > 0
        };
        times.iter().enumerate().map(decide).collect()
    }
}

/// The newest whole snapshot, which is never forgotten.
pub fn newest_whole(snapshots: &[Snapshot]) -> Option<&Snapshot> {
    snapshots
        .iter()
        .filter(|snapshot| snapshot.whole && !snapshot.forgetting)
        .max_by_key(|snapshot| age(snapshot))
}

fn age(snapshot: &Snapshot) -> (Timestamp, SnapshotId) {
    (snapshot.created_at, snapshot.id)
}

impl BackupPlan {
    /// The snapshots of a tenant that the plan lets go. Those that are not whole take nobody's place: they go once a whole one
    /// is newer. The newest whole one is never among them, and neither is what is on its way already.
    pub fn lets_go(&self, snapshots: &[Snapshot]) -> BTreeSet<SnapshotId> {
        let (Some(keep), Some(newest)) = (self.keep, newest_whole(snapshots)) else { return BTreeSet::new() };
        let concerned =
            |snapshot: &&Snapshot| !snapshot.forgetting && (snapshot.due_at.is_some() || keep.also_by_hand);
        let (mut whole, partial): (Vec<&Snapshot>, Vec<&Snapshot>) =
            snapshots.iter().filter(concerned).partition(|snapshot| snapshot.whole);
        whole.sort_by_key(|snapshot| std::cmp::Reverse(age(snapshot)));
        let times: Vec<Timestamp> = whole.iter().map(|snapshot| snapshot.created_at).collect();
        let kept = keep.decide(self.schedule.zone(), &times);
        let superfluous = whole.into_iter().zip(kept).filter(|(_, kept)| !kept).map(|(snapshot, _)| snapshot);
        let overtaken = partial.into_iter().filter(|snapshot| age(snapshot) < age(newest));
        superfluous.chain(overtaken).map(|snapshot| snapshot.id).filter(|id| *id != newest.id).collect()
    }
}

#[cfg(test)]
mod tests;
