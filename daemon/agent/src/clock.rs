//! The kernel's monotonic clock: one that is set changes nothing about it.

use rustix::time::{ClockId, clock_gettime};

/// Milliseconds since some moment of this boot.
pub(crate) fn now_ms() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    let (seconds, nanos) = (u64::try_from(now.tv_sec), u64::try_from(now.tv_nsec));
    seconds.unwrap_or(0) * 1000 + nanos.unwrap_or(0) / 1_000_000
}
