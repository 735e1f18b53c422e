//! Times, counts and sizes as people say them.

use std::time::Duration;

use berth_domain::progress::Unit;
use berth_domain::{Obstacle, Progress};
use berth_transfer::brief;
use chrono::{DateTime, Utc};
use indicatif::BinaryBytes;

/// A duration, as exact as is useful: `0.3 s`, `12 s`, `2 min 05 s`, `1 h 02 min`.
pub fn duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match seconds {
        0..=9 => format!("{:.1} s", duration.as_secs_f64()),
        10..=59 => format!("{seconds} s"),
        60..=3599 => format!("{} min {:02} s", seconds / 60, seconds % 60),
        _ => format!("{} h {:02} min", seconds / 3600, seconds % 3600 / 60),
    }
}

/// The time between two instants; nothing where clocks disagree.
pub fn between(start: DateTime<Utc>, end: DateTime<Utc>) -> Duration {
    (end - start).to_std().unwrap_or_default()
}

/// An instant, in UTC.
pub fn instant(at: DateTime<Utc>) -> String {
    at.format("%Y-%m-%d %H:%M:%S UTC").to_string()
}

/// A time of the day, in UTC.
pub fn clock(at: DateTime<Utc>) -> String {
    at.format("%H:%M:%S").to_string()
}

/// A size.
pub fn bytes(count: u64) -> String {
    BinaryBytes(count).to_string()
}

/// How far something is: `3 of 7 builds`, `1.20 MiB`.
pub fn progress(progress: &Progress) -> String {
    let noun = match progress.unit {
        Unit::Bytes => {
            return match progress.expected {
                Some(expected) => format!("{} of {}", bytes(progress.done), bytes(expected)),
                None => bytes(progress.done),
            };
        }
        Unit::Builds => ("build", "builds"),
        Unit::Paths => ("path", "paths"),
        Unit::Units => ("unit", "units"),
        Unit::Probes => ("probe", "probes"),
        Unit::Holdings => ("thing", "things"),
    };
    let noun = if progress.expected.unwrap_or(progress.done) == 1 { noun.0 } else { noun.1 };
    match progress.expected {
        Some(expected) => format!("{} of {expected} {noun}", progress.done),
        None => format!("{} {noun}", progress.done),
    }
}

/// What somebody else wrote: nothing in it moves the cursor.
pub fn line(text: &str) -> String {
    berth_bundle::path::for_people(text.as_bytes()).into_owned()
}

/// What keeps a tenant from coming, of which a stranger may have written any part.
pub fn obstacle(obstacle: &Obstacle) -> String {
    let field = obstacle.field.as_deref().map(|field| format!("{}  ", brief(field))).unwrap_or_default();
    format!("{field}{} ({})", brief(&obstacle.message), brief(&obstacle.code))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_as_exact_as_is_useful() {
        let said = |ms: u64| duration(Duration::from_millis(ms));
        assert_eq!(said(340), "0.3 s");
        assert_eq!(said(12_300), "12 s");
        assert_eq!(said(125_000), "2 min 05 s");
        assert_eq!(said(3_720_000), "1 h 02 min");
    }

    #[test]
    fn a_count_without_a_known_end_does_not_pretend_one() {
        assert_eq!(progress(&Progress::open(3, Unit::Paths)), "3 paths");
        assert_eq!(progress(&Progress::of(1, 1, Unit::Builds)), "1 of 1 build");
        assert_eq!(progress(&Progress::of(512, 2048, Unit::Bytes)), "512 B of 2.00 KiB");
    }

    #[test]
    fn nothing_of_an_obstacle_moves_the_cursor() {
        let text = |text: &str| text.to_owned();
        let said = obstacle(&Obstacle {
            code: text("a\x1b[2J"),
            message: text("b\r\nc"),
            field: Some(text("/services/\u{202e}\x07x")),
        });
        assert_eq!(said, "/services/ x  b c (a [2J)");
    }
}
