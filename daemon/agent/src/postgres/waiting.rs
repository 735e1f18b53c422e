//! Whether others wait for a dump.
//!
//! `pg_dump` keeps everybody from emptying tables or making them otherwise until it has ended, and whoever waits for that keeps everybody
//! else from the table. While nobody serves it is in nobody's way; while services go on, it gives way.

use std::time::{Duration, Instant};

use super::{literal, sql};
use crate::failure::Result;

/// What dumps call themselves at the server.
pub(super) const DUMP: &str = "berth-dump";

/// How often it is looked.
const LOOK: Duration = Duration::from_secs(2);

/// How long others may wait.
const PATIENCE: Duration = Duration::from_secs(10);

/// Those who wait for a database's dump.
pub(crate) struct Waiting<'a> {
    database: &'a str,
    pace: Pace,
}

impl<'a> Waiting<'a> {
    /// Nobody has been seen yet.
    pub(crate) fn of(database: &'a str) -> Self {
        Self { database, pace: Pace { looked: Instant::now(), since: None } }
    }

    /// Whether somebody waits, at every look since longer than they may. May be asked at any time.
    pub(super) fn are_kept_for_long(&mut self) -> Result<bool> {
        let question = format!(
            "SELECT 1 FROM pg_stat_activity dump JOIN pg_stat_activity other ON other.wait_event_type = 'Lock' \
               AND dump.pid = ANY (pg_blocking_pids(other.pid)) WHERE {} LIMIT 1",
            self.is_dump("dump")
        );
        self.pace.at(Instant::now(), || Ok(!sql("postgres", &[&question])?.trim().is_empty()))
    }

    /// Has the server end the dump at once, whose client is gone.
    pub(crate) fn let_go(&self) -> Result<()> {
        let end = format!(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE {}",
            self.is_dump("pg_stat_activity")
        );
        sql("postgres", &[&end]).map(drop)
    }

    fn is_dump(&self, name: &str) -> String {
        format!("{name}.application_name = {} AND {name}.datname = {}", literal(DUMP), literal(self.database))
    }
}

/// When it was looked, and since when something was there at every look.
struct Pace {
    looked: Instant,
    since: Option<Instant>,
}

impl Pace {
    fn at(&mut self, now: Instant, look: impl FnOnce() -> Result<bool>) -> Result<bool> {
        if now.duration_since(self.looked) < LOOK {
            return Ok(false);
        }
        self.looked = now;
        self.since = if look()? { self.since.or(Some(now)) } else { None };
        Ok(self.since.is_some_and(|since| now.duration_since(since) > PATIENCE))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_waits_once_waits_for_no_time_and_who_always_waits_is_let_through() {
        let begun = Instant::now();
        let mut pace = Pace { looked: begun, since: None };
        let mut at =
            |seconds, there: bool| pace.at(begun + Duration::from_secs(seconds), || Ok(there)).unwrap();
        for second in 0..=12 {
            assert!(!at(second, true), "{second}");
        }
        assert!(!at(14, false));
        assert!(!at(16, true) && !at(18, true) && !at(26, true));
        assert!(!at(27, true), "it is not looked more often than every two seconds");
        assert!(at(28, true));
    }
}
