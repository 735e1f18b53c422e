//! The hours in which a machine may be worked on.

use chrono::{NaiveTime, TimeDelta};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::Timestamp;
use crate::invalid::{Invalid, Rule};

/// A daily span of time in UTC in which a machine may restart services and itself. One that ends before it begins goes
/// past midnight.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"from": "03:00", "to": "05:00"}))]
pub struct MaintenanceWindow {
    /// When it begins: `HH:MM`, UTC.
    #[schema(pattern = "^([01][0-9]|2[0-3]):[0-5][0-9]$")]
    pub from: String,
    /// When it ends: `HH:MM`, UTC.
    #[schema(pattern = "^([01][0-9]|2[0-3]):[0-5][0-9]$")]
    pub to: String,
}

impl MaintenanceWindow {
    /// Whether a time is within it.
    pub fn is_open(&self, at: Timestamp) -> bool {
        let (from, to) = self.bounds();
        let now = at.time();
        if from < to { (from..to).contains(&now) } else { now >= from || now < to }
    }

    /// When it begins for the next time after `at`.
    pub fn next(&self, at: Timestamp) -> Timestamp {
        let (from, _) = self.bounds();
        let days = i64::from(at.time() >= from);
        (at.date_naive() + TimeDelta::days(days)).and_time(from).and_utc()
    }

    /// Both times of the day. They were checked.
    fn bounds(&self) -> (NaiveTime, NaiveTime) {
        let time = |text| {
            let seconds = minutes(text).map(|minutes| u32::from(minutes) * 60).unwrap_or_default();
            NaiveTime::from_num_seconds_from_midnight_opt(seconds, 0).unwrap_or_default()
        };
        (time(&self.from), time(&self.to))
    }

    /// Checks both times, and that there is time between them.
    pub(crate) fn check(&self, at: &str, invalid: &mut Invalid) {
        let from = invalid.take(&format!("{at}/from"), minutes(&self.from));
        let to = invalid.take(&format!("{at}/to"), minutes(&self.to));
        if from.is_some() && from == to {
            invalid.push(format!("{at}/to"), "window", "must be another time than the one it begins at");
        }
    }
}

/// The minutes since midnight.
fn minutes(text: &str) -> Result<u16, Rule> {
    let refuse = || Rule::new("time", "must be a time of the day such as 03:00");
    let (hours, minutes) = text.split_once(':').filter(|_| text.len() == 5).ok_or_else(refuse)?;
    let number = |text: &str, below: u16| {
        let digits = text.len() == 2 && text.bytes().all(|b| b.is_ascii_digit());
        text.parse().ok().filter(|n: &u16| digits && *n < below).ok_or_else(refuse)
    };
    Ok(number(hours, 24)? * 60 + number(minutes, 60)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn broken(from: &str, to: &str) -> Vec<String> {
        let mut invalid = Invalid::default();
        MaintenanceWindow { from: from.into(), to: to.into() }.check("/maintenance_window", &mut invalid);
        invalid.errors().iter().map(|error| format!("{} {}", error.field, error.rule)).collect()
    }

    #[test]
    fn a_window_is_open_from_its_beginning_until_its_end_and_may_go_past_midnight() {
        let window = |from: &str, to: &str| MaintenanceWindow { from: from.into(), to: to.into() };
        let at = |time: &str| format!("2026-11-25T{time}:00Z").parse::<Timestamp>().unwrap();
        let cases = [
            ("03:00", "05:00", "03:00", true),
            ("03:00", "05:00", "04:59", true),
            ("03:00", "05:00", "05:00", false),
            ("03:00", "05:00", "02:59", false),
            ("23:00", "01:00", "23:30", true),
            ("23:00", "01:00", "00:59", true),
            ("23:00", "01:00", "01:00", false),
        ];
        for (from, to, now, open) in cases {
            assert_eq!(window(from, to).is_open(at(now)), open, "{from} to {to} at {now}");
        }
        let next = |now| window("03:00", "05:00").next(at(now)).to_rfc3339();
        assert_eq!(next("02:00"), "2026-11-25T03:00:00+00:00");
        assert_eq!(next("03:00"), "2026-11-26T03:00:00+00:00");
        assert_eq!(next("23:59"), "2026-11-26T03:00:00+00:00");
    }

    #[test]
    fn times_of_the_day_are_checked() {
        assert!(broken("23:30", "01:00").is_empty());
        assert_eq!(broken("24:00", "3:00"), ["/maintenance_window/from time", "/maintenance_window/to time"]);
        assert_eq!(
            broken("+1:00", "01:60"),
            ["/maintenance_window/from time", "/maintenance_window/to time"]
        );
        assert_eq!(broken("03:00", "03:00"), ["/maintenance_window/to window"]);
    }
}
