//! When a tenant's next snapshot is due.
//!
//! The pattern is cron's, read in a time zone. Where clocks are put forward, a time of the day that does not exist is the first
//! one after it; where they are put back, a time of the day that exists twice counts once, the first time. Patterns with a `*`
//! or a step in the minutes or hours go by the hours that really pass: nothing in the hour that does not exist, and both of
//! those that look alike.

use std::str::FromStr as _;

use chrono::{DateTime, TimeDelta, TimeZone as _, Utc};
use chrono_tz::Tz;
use croner::Cron;
use croner::parser::{CronParser, Seconds, Year};
use sha2::{Digest as _, Sha256};

use crate::Timestamp;
use crate::invalid::Rule;
use crate::name::TenantName;

/// What never comes again is looked for this much later.
const FAR: TimeDelta = TimeDelta::days(366);

/// A pattern of cron that comes true now and then.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::backup) struct Pattern {
    text: String,
    cron: Cron,
}

/// When snapshots are due.
#[derive(Debug, Clone, PartialEq)]
pub struct Schedule {
    pattern: Pattern,
    zone: Tz,
    jitter_minutes: u32,
}

/// Reads a pattern.
pub(super) fn pattern(text: &str) -> Result<Pattern, Rule> {
    let fields: Vec<&str> = text.split_whitespace().collect();
    if fields.len() != 5 {
        let message =
            "must have the five fields of cron: minute, hour, day, month and weekday, such as 30 3 * * *";
        return Err(Rule::new("cron", message));
    }
    let text = fields.join(" ");
    let parser = CronParser::builder().seconds(Seconds::Disallowed).year(Year::Disallowed).build();
    let cron = parser.parse(&text);
    let cron = cron.map_err(|error| Rule::new("cron", format!("must be a pattern of cron: {error}")))?;
    // Any time will do: what does not come within some years (the 29th of February may take eight) never comes.
    let any = DateTime::<Utc>::UNIX_EPOCH;
    if cron.find_next_occurrence(&any, true).is_err() {
        return Err(Rule::new("cron-never", "must name a day that some year has"));
    }
    Ok(Pattern { text, cron })
}

/// Reads a time zone's name.
pub(super) fn zone(name: &str) -> Result<Tz, Rule> {
    let message = "must be a name of the IANA's time zone database, such as Europe/Berlin";
    Tz::from_str(name).map_err(|_| Rule::new("timezone", message))
}

impl Schedule {
    pub(super) fn new(pattern: Pattern, zone: Tz, jitter_minutes: u32) -> Self {
        Self { pattern, zone, jitter_minutes }
    }

    /// The pattern, its fields separated by single spaces.
    pub fn text(&self) -> &str {
        &self.pattern.text
    }

    /// The time zone.
    pub fn zone(&self) -> Tz {
        self.zone
    }

    /// Over how many minutes tenants are spread.
    pub fn jitter_minutes(&self) -> u32 {
        self.jitter_minutes
    }

    /// When the next snapshot of a tenant is due after `now`. Every pattern comes true again, but at the end of time.
    pub fn due_after(&self, tenant: &TenantName, now: Timestamp) -> Timestamp {
        self.next(tenant, now).unwrap_or(now + FAR)
    }

    fn next(&self, tenant: &TenantName, now: Timestamp) -> Option<Timestamp> {
        // The one whose pattern came true last may be yet to come, by the tenant's share of the spread.
        let spread = self.before(now, true).map(|nominal| self.spread(tenant, nominal));
        if let Some(due) = spread.filter(|due| *due > now) {
            return Some(due);
        }
        Some(self.spread(tenant, self.after(now)?))
    }

    /// When the newest snapshot of a tenant was due that is not after `now`; nothing before the beginning of time.
    pub fn latest(&self, tenant: &TenantName, now: Timestamp) -> Option<Timestamp> {
        let nominal = self.before(now, true)?;
        let due = self.spread(tenant, nominal);
        if due <= now {
            return Some(due);
        }
        Some(self.spread(tenant, self.before(nominal.with_timezone(&Utc), false)?))
    }

    /// When a tenant's snapshot is due whose pattern comes true at `nominal`: a while later, which is the same for the tenant on
    /// the whole day, and before the pattern comes true again.
    fn spread(&self, tenant: &TenantName, nominal: DateTime<Tz>) -> Timestamp {
        let start = nominal.with_timezone(&Utc);
        let widest = i64::from(self.jitter_minutes) * 60;
        let room = self.after(start).map_or(widest, |next| (next.with_timezone(&Utc) - start).num_seconds());
        let seconds = widest.min(room);
        if seconds <= 0 {
            return start;
        }
        start + TimeDelta::seconds((share(tenant, nominal) % seconds.unsigned_abs()).cast_signed())
    }

    fn after(&self, at: Timestamp) -> Option<DateTime<Tz>> {
        self.pattern.cron.find_next_occurrence(&self.here(at), false).ok()
    }

    fn before(&self, at: Timestamp, inclusive: bool) -> Option<DateTime<Tz>> {
        self.pattern.cron.find_previous_occurrence(&self.here(at), inclusive).ok()
    }

    fn here(&self, at: Timestamp) -> DateTime<Tz> {
        // Cron knows no fractions of a second.
        let whole = Utc.timestamp_opt(at.timestamp(), 0).single().unwrap_or(at);
        whole.with_timezone(&self.zone)
    }
}

/// A large number that belongs to a tenant and a day, and looks like any other.
fn share(tenant: &TenantName, day: DateTime<Tz>) -> u64 {
    let text = format!("{tenant} {}", day.date_naive());
    let [a, b, c, d, e, f, g, h, ..]: [u8; 32] = Sha256::digest(text.as_bytes()).into();
    u64::from_be_bytes([a, b, c, d, e, f, g, h])
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn schedule(text: &str, name: &str, jitter_minutes: u32) -> Schedule {
        Schedule::new(pattern(text).unwrap(), zone(name).unwrap(), jitter_minutes)
    }

    fn tenant(name: &str) -> TenantName {
        name.parse().unwrap()
    }

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    /// Everything that is due in a span of time.
    fn due(schedule: &Schedule, from: &str, until: &str) -> Vec<String> {
        let (mut now, until, acme) = (at(from), at(until), tenant("acme"));
        let mut found = Vec::new();
        while let Some(next) = schedule.next(&acme, now).filter(|next| *next < until) {
            assert_eq!(schedule.latest(&acme, next), Some(next));
            found.push(next.format("%dT%H:%M").to_string());
            now = next;
        }
        found
    }

    #[test]
    fn a_time_that_the_clock_skips_is_the_first_one_after_it() {
        // Berlin's clocks went from 2:00 to 3:00 on the 29th of March 2026, which is 1:00 UTC.
        let nightly = schedule("30 2 * * *", "Europe/Berlin", 0);
        let found = due(&nightly, "2026-03-28T00:00:00Z", "2026-03-31T00:00:00Z");
        assert_eq!(found, ["28T01:30", "29T01:00", "30T00:30"]);
    }

    #[test]
    fn a_time_that_comes_twice_counts_once() {
        // And from 3:00 back to 2:00 on the 25th of October, which is 1:00 UTC.
        let nightly = schedule("30 2 * * *", "Europe/Berlin", 0);
        let found = due(&nightly, "2026-10-24T00:00:00Z", "2026-10-27T00:00:00Z");
        assert_eq!(found, ["24T00:30", "25T00:30", "26T01:30"]);
    }

    #[test]
    fn what_is_due_every_so_often_goes_by_the_hours_that_pass() {
        let hourly = schedule("15 * * * *", "Europe/Berlin", 0);
        let spring = due(&hourly, "2026-03-29T00:00:00Z", "2026-03-29T03:00:00Z");
        assert_eq!(spring, ["29T00:15", "29T01:15", "29T02:15"]);
        let autumn = due(&hourly, "2026-10-25T00:00:00Z", "2026-10-25T03:00:00Z");
        assert_eq!(autumn, ["25T00:15", "25T01:15", "25T02:15"]);
    }

    #[test]
    fn a_fleet_is_spread_and_a_tenants_share_is_the_same_on_the_whole_day() {
        let nightly = schedule("0 3 * * *", "UTC", 30);
        let now = at("2026-11-26T00:00:00Z");
        let shares: std::collections::BTreeSet<Timestamp> =
            (0..100).map(|n| nightly.next(&tenant(&format!("t{n}")), now).unwrap()).collect();
        assert!(shares.len() > 90, "{}", shares.len());
        let window = at("2026-11-26T03:00:00Z")..at("2026-11-26T03:30:00Z");
        assert!(shares.iter().all(|share| window.contains(share)), "{shares:?}");
        let twice = schedule("0 3,15 * * *", "UTC", 30);
        let first = twice.next(&tenant("acme"), now).unwrap();
        let second = twice.next(&tenant("acme"), first).unwrap();
        assert_eq!(second - first, TimeDelta::hours(12));
        let other = twice.next(&tenant("acme"), at("2026-11-27T00:00:00Z")).unwrap();
        assert_ne!(other - first, TimeDelta::hours(24), "another day, another share");
    }

    #[test]
    fn a_share_ends_before_the_next_one_is_due() {
        let often = schedule("* * * * *", "UTC", 30);
        let (mut now, acme) = (at("2026-11-26T00:00:00Z"), tenant("acme"));
        for minute in 0..120 {
            let next = often.next(&acme, now).unwrap();
            assert_eq!((next - at("2026-11-26T00:00:00Z")).num_minutes(), minute);
            now = next;
        }
    }

    proptest! {
        #[test]
        fn whenever_it_is_asked_the_last_and_the_next_have_nothing_between_them(
            seconds in 1_767_225_600_i64..1_830_297_600,
            pattern in prop::sample::select(vec!["30 2 * * *", "* * * * *", "*/20 1-3 * * *", "0 0 1 * *", "30 1,2 * * 0", "59 23 * * *"]),
            zone in prop::sample::select(vec!["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu"]),
            jitter in prop::sample::select(vec![0, 7, 30, 720]),
        ) {
            let (schedule, acme) = (schedule(pattern, zone, jitter), tenant("acme"));
            let now = Utc.timestamp_opt(seconds, 0).unwrap();
            let (latest, next) = (schedule.latest(&acme, now).unwrap(), schedule.next(&acme, now).unwrap());
            prop_assert!(latest <= now && now < next);
            prop_assert_eq!(schedule.next(&acme, latest), Some(next));
            prop_assert_eq!(schedule.latest(&acme, next - TimeDelta::seconds(1)), Some(latest));
        }
    }
}
