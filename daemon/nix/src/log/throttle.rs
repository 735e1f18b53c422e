//! Not more progress than anybody can see.

use std::time::Duration;

use berth_domain::Progress;
use berth_domain::progress::Unit;
use tokio::time::Instant;

/// The shortest time between two reports of one unit.
pub(crate) const PAUSE: Duration = Duration::from_millis(50);

/// Lets a value pass when it differs from the last one of its unit and that one is at least [`PAUSE`] old; keeps it
/// until then otherwise.
#[derive(Debug, Default)]
pub(crate) struct Throttle {
    lanes: Vec<Lane>,
}

#[derive(Debug)]
struct Lane {
    unit: Unit,
    last: Progress,
    at: Instant,
    waiting: Option<Progress>,
}

impl Throttle {
    /// The value itself if it may pass now.
    pub(crate) fn offer(&mut self, progress: Progress, now: Instant) -> Option<Progress> {
        let Some(lane) = self.lanes.iter_mut().find(|lane| lane.unit == progress.unit) else {
            self.lanes.push(Lane { unit: progress.unit, last: progress, at: now, waiting: None });
            return Some(progress);
        };
        lane.waiting = (lane.last != progress).then_some(progress);
        lane.release(now)
    }

    /// When a value that waits may pass.
    pub(crate) fn due(&self) -> Option<Instant> {
        self.lanes.iter().filter(|lane| lane.waiting.is_some()).map(|lane| lane.at + PAUSE).min()
    }

    /// The values that waited long enough.
    pub(crate) fn release(&mut self, now: Instant) -> Vec<Progress> {
        self.lanes.iter_mut().filter_map(|lane| lane.release(now)).collect()
    }

    /// The values that wait, however long: for the end.
    pub(crate) fn flush(&mut self) -> Vec<Progress> {
        self.lanes.iter_mut().filter_map(|lane| lane.waiting.take()).collect()
    }
}

impl Lane {
    fn release(&mut self, now: Instant) -> Option<Progress> {
        if now < self.at + PAUSE {
            return None;
        }
        let progress = self.waiting.take()?;
        (self.last, self.at) = (progress, now);
        Some(progress)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_spaced_and_the_last_one_is_never_lost() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let of = |done| Progress::of(done, 9, Unit::Builds);
        let mut throttle = Throttle::default();
        assert_eq!(throttle.offer(of(1), at(0)), Some(of(1)));
        assert_eq!(throttle.offer(of(2), at(10)), None);
        assert_eq!(throttle.offer(of(3), at(20)), None);
        assert_eq!(throttle.due(), Some(at(50)));
        assert_eq!(throttle.release(at(49)), []);
        assert_eq!(throttle.release(at(50)), [of(3)]);
        assert_eq!(throttle.offer(of(3), at(200)), None);
        assert_eq!(throttle.due(), None);
        assert_eq!(throttle.offer(of(4), at(210)), Some(of(4)));
        assert_eq!(throttle.offer(of(5), at(211)), None);
        assert_eq!(throttle.flush(), [of(5)]);
        assert_eq!(throttle.flush(), []);
    }

    #[test]
    fn units_do_not_hold_each_other_up() {
        let now = Instant::now();
        let mut throttle = Throttle::default();
        for unit in [Unit::Builds, Unit::Paths, Unit::Bytes] {
            assert!(throttle.offer(Progress::open(1, unit), now).is_some());
        }
    }
}
