//! A board where there is no terminal: every change is a line with its time.

use std::collections::HashMap;
use std::io::Write;
use std::time::Duration;

use berth_domain::Progress;
use chrono::{DateTime, Utc};

use super::board::Mark;
use crate::words;

/// At most so often a row says how far it is.
const PAUSE: Duration = Duration::from_secs(2);

/// When rows began and last said something.
#[derive(Debug, Default)]
pub struct Lines {
    began: HashMap<String, DateTime<Utc>>,
    said: HashMap<String, DateTime<Utc>>,
}

impl Lines {
    pub(super) fn start(&mut self, row: &str, at: DateTime<Utc>, doing: &str) {
        self.began.insert(row.to_owned(), at);
        self.line(Some(row), at, if doing.is_empty() { "…" } else { doing });
    }

    pub(super) fn say(&mut self, row: &str, at: DateTime<Utc>, text: &str) {
        if self.may_say(row, at) {
            self.line(Some(row), at, text);
        }
    }

    pub(super) fn count(&mut self, row: &str, at: DateTime<Utc>, progress: &Progress) {
        self.say(row, at, &words::progress(progress));
    }

    pub(super) fn finish(&mut self, row: &str, at: DateTime<Utc>, mark: Mark, text: &str) {
        self.line(Some(row), at, &finished(mark, text, self.began.get(row).copied(), at));
    }

    pub(super) fn line(&mut self, row: Option<&str>, at: DateTime<Utc>, text: &str) {
        let mut stderr = std::io::stderr().lock();
        let _ = writeln!(stderr, "{}  {:<10}  {text}", words::clock(at), row.unwrap_or_default());
    }

    /// The first time, and then after a pause.
    fn may_say(&mut self, row: &str, at: DateTime<Utc>) -> bool {
        let last = self.said.get(row).copied();
        let may = last.is_none_or(|last| words::between(last, at) >= PAUSE);
        if may {
            self.said.insert(row.to_owned(), at);
        }
        may
    }
}

fn finished(mark: Mark, text: &str, began: Option<DateTime<Utc>>, at: DateTime<Utc>) -> String {
    let took = began.map(|began| format!(" ({})", words::duration(words::between(began, at))));
    let text = if text.is_empty() || text == mark.word() { String::new() } else { format!(": {text}") };
    format!("{}{text}{}", mark.word(), took.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: i64) -> DateTime<Utc> {
        DateTime::from_timestamp_millis(ms).unwrap()
    }

    #[test]
    fn the_end_of_a_row_says_how_and_how_long() {
        assert_eq!(finished(Mark::Done, "built", Some(at(0)), at(1500)), "done: built (1.5 s)");
        assert_eq!(finished(Mark::Failed, "", None, at(0)), "failed");
        assert_eq!(finished(Mark::Cancelled, "cancelled", None, at(0)), "cancelled");
    }

    #[test]
    fn a_row_does_not_chatter() {
        let mut lines = Lines::default();
        assert!(lines.may_say("build", at(0)));
        assert!(!lines.may_say("build", at(1999)));
        assert!(lines.may_say("copy", at(1999)));
        assert!(lines.may_say("build", at(2000)));
    }
}
