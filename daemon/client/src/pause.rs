//! How long to wait before trying again.

use std::time::Duration;

/// The longest pause.
const LONGEST: Duration = Duration::from_secs(10);

/// The pause before attempt `attempt` (1 is the first repetition): doubling from `first`, at most 10 s, and between half
/// and all of that by chance, so that many clients of a daemon that comes back do not all knock at once.
pub(crate) fn before(attempt: u32, first: Duration) -> Duration {
    let full = first.saturating_mul(1 << attempt.saturating_sub(1).min(16)).min(LONGEST);
    // Without randomness the pauses are merely alike.
    let chance = getrandom::u32().unwrap_or(u32::MAX);
    full.mul_f64(0.5 + 0.5 * f64::from(chance) / f64::from(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_ten_seconds() {
        let first = Duration::from_millis(200);
        for (attempt, full) in [(1, 200), (2, 400), (3, 800), (6, 6400), (7, 10_000), (60, 10_000)] {
            let full = Duration::from_millis(full);
            for _ in 0..50 {
                let pause = before(attempt, first);
                assert!(pause >= full / 2 && pause <= full, "{attempt}: {pause:?}");
            }
        }
    }
}
