//! When what failed is tried again: only what may pass by itself, a bounded number of times, each time later.

use std::time::Duration;

use berth_domain::OperationId;

/// How often, and how long after one another, a step is attempted whose failure may pass by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Retries {
    /// How many attempts a step has; 1 for no retries.
    pub attempts: u32,
    /// How long to wait after the first attempt; four times as long after each further one.
    pub first: Duration,
    /// The longest wait.
    pub longest: Duration,
}

impl Default for Retries {
    /// Enough for a machine that starts anew: about 40 seconds, and what the attempts themselves wait for.
    fn default() -> Self {
        Self { attempts: 4, first: Duration::from_secs(2), longest: Duration::from_secs(30) }
    }
}

impl Retries {
    /// Every step is tried once.
    pub fn never() -> Self {
        Self { attempts: 1, ..Self::default() }
    }

    /// How long to wait after attempt number `attempt`, from 1; nothing after the last. Up to a quarter is added, another
    /// one for every operation, so that not all of them come back to a shared cause at once.
    pub(crate) fn pause_after(&self, attempt: u32, operation: OperationId) -> Option<Duration> {
        if attempt >= self.attempts {
            return None;
        }
        let grown = 4_u32.checked_pow(attempt - 1).and_then(|factor| self.first.checked_mul(factor));
        let pause = grown.map_or(self.longest, |pause| pause.min(self.longest));
        // The end of an id is random.
        let random = u32::from(operation.as_bytes()[15].rotate_left(attempt));
        Some(pause + pause * random / 1024)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_up_to_a_bound_and_end() {
        let retries = Retries { attempts: 5, ..Retries::default() };
        let seconds = |attempt| retries.pause_after(attempt, OperationId::nil()).map(|pause| pause.as_secs());
        assert_eq!((1..=5).map(seconds).collect::<Vec<_>>(), [Some(2), Some(8), Some(30), Some(30), None]);
        assert_eq!(Retries { attempts: 1, ..retries }.pause_after(1, OperationId::nil()), None);
    }

    #[test]
    fn operations_do_not_all_come_back_at_once() {
        let retries = Retries::default();
        let pauses: std::collections::BTreeSet<_> =
            (0..=255).map(|n| retries.pause_after(1, OperationId::from_bytes([n; 16]))).collect();
        assert!(
            pauses.len() > 100 && pauses.iter().flatten().all(|pause| *pause < Duration::from_millis(2500))
        );
    }
}
