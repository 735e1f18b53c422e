//! Lengths of time and counts, as people say them. `page.js` says them in the same way.

use berth_domain::Progress;
use berth_domain::progress::Unit;
use chrono::TimeDelta;

/// A length of time: `7 s`, `2 min 5 s`, `1 h 2 min`.
pub fn length(of: TimeDelta) -> String {
    let seconds = of.num_seconds().max(0);
    match seconds {
        0 => "less than a second".into(),
        1..=59 => format!("{seconds} s"),
        60..=3599 => format!("{} min {} s", seconds / 60, seconds % 60),
        _ => format!("{} h {} min", seconds / 3600, seconds % 3600 / 60),
    }
}

/// How far something is: `3 of 7`, or `3 so far` where nobody knows the end. What is counted are pieces of no meaning to
/// a customer, so they have no name; only sizes say that they are some.
pub fn count(progress: &Progress) -> String {
    let say = |amount| if progress.unit == Unit::Bytes { size(amount) } else { amount.to_string() };
    match progress.expected {
        Some(expected) => format!("{} of {}", say(progress.done), say(expected)),
        None => format!("{} so far", say(progress.done)),
    }
}

/// A number of bytes, in millions: `0.4 MB`, `12.0 MB`.
fn size(bytes: u64) -> String {
    // Exact to a tenth up to 2^53 bytes, which is more than anybody waits for.
    format!("{:.1} MB", bytes as f64 / 1e6)
}

/// Which part of it is done, from 0 to 1; nothing where the end is not known.
pub fn part(progress: &Progress) -> Option<f64> {
    let expected = progress.expected.filter(|expected| *expected > 0)?;
    Some((progress.done as f64 / expected as f64).min(1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_of_time_are_as_exact_as_is_useful() {
        let of = |seconds| length(TimeDelta::seconds(seconds));
        assert_eq!(of(-3), "less than a second");
        assert_eq!(of(59), "59 s");
        assert_eq!(of(61), "1 min 1 s");
        assert_eq!(of(3599), "59 min 59 s");
        assert_eq!(of(3720), "1 h 2 min");
    }

    #[test]
    fn a_count_without_an_end_claims_none() {
        assert_eq!(count(&Progress::of(3, 7, Unit::Builds)), "3 of 7");
        assert_eq!(count(&Progress::open(3, Unit::Paths)), "3 so far");
        assert_eq!(count(&Progress::of(1_250_000, 40_000_000, Unit::Bytes)), "1.2 MB of 40.0 MB");
        assert_eq!(part(&Progress::open(3, Unit::Paths)), None);
        assert_eq!(part(&Progress::of(0, 0, Unit::Paths)), None);
        assert_eq!(part(&Progress::of(1, 4, Unit::Paths)), Some(0.25));
    }
}
