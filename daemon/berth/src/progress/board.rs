//! Rows of something long, whoever draws them.

use std::io::IsTerminal;
use std::time::Duration;

use berth_domain::{Progress, StepStatus};
use chrono::{DateTime, Utc};

use super::bars::Bars;
use super::lines::Lines;

/// How a row ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mark {
    /// Done.
    Done,
    /// It was not needed.
    Skipped,
    /// It could not be done, and does not have to be.
    Missed,
    /// It failed.
    Failed,
    /// Somebody ended it.
    Cancelled,
    /// Nobody saw how.
    Unknown,
}

impl Mark {
    /// What ended with this status; `None` for what has not.
    pub fn of(status: StepStatus) -> Option<Self> {
        match status {
            StepStatus::Pending | StepStatus::Running => None,
            StepStatus::Succeeded => Some(Self::Done),
            StepStatus::Skipped => Some(Self::Skipped),
            StepStatus::Missed => Some(Self::Missed),
            StepStatus::Failed => Some(Self::Failed),
            StepStatus::Cancelled => Some(Self::Cancelled),
            StepStatus::Unknown => Some(Self::Unknown),
        }
    }

    /// One word for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Skipped => "not needed",
            Self::Missed => "not possible",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
            Self::Unknown => "unknown",
        }
    }
}

/// Rows, by name, in the order in which they were added.
#[derive(Debug)]
pub struct Board {
    drawn: Drawn,
    /// Whether what programs write stays, or only passes by.
    keeps_logs: bool,
}

#[derive(Debug)]
enum Drawn {
    /// On a terminal.
    Bars(Bars),
    /// Elsewhere.
    Lines(Lines),
}

impl Board {
    /// A board on standard error, as fits what that is.
    pub fn new() -> Self {
        let is_terminal = std::io::stderr().is_terminal();
        let drawn = if is_terminal { Drawn::Bars(Bars::new()) } else { Drawn::Lines(Lines::default()) };
        Self { drawn, keeps_logs: true }
    }

    /// The same, on which what programs write only passes by.
    pub fn calm() -> Self {
        Self { keeps_logs: false, ..Self::new() }
    }

    /// Adds a row that has not begun.
    pub fn add(&mut self, row: &str) {
        if let Drawn::Bars(bars) = &mut self.drawn {
            bars.add(row);
        }
    }

    /// A row begins, or began at that time, with what is done first. One that was not added is.
    pub fn start(&mut self, row: &str, at: DateTime<Utc>, doing: &str) {
        match &mut self.drawn {
            Drawn::Bars(bars) => {
                bars.start(row, at);
                bars.say(row, doing);
            }
            Drawn::Lines(lines) => lines.start(row, at, doing),
        }
    }

    /// What is being done in a row, in a few words.
    pub fn say(&mut self, row: &str, at: DateTime<Utc>, text: &str) {
        match &mut self.drawn {
            Drawn::Bars(bars) => bars.say(row, text),
            Drawn::Lines(lines) => lines.say(row, at, text),
        }
    }

    /// How far a row is.
    pub fn count(&mut self, row: &str, at: DateTime<Utc>, progress: &Progress) {
        match &mut self.drawn {
            Drawn::Bars(bars) => bars.count(row, progress),
            Drawn::Lines(lines) => lines.count(row, at, progress),
        }
    }

    /// A row ended.
    pub fn finish(&mut self, row: &str, at: DateTime<Utc>, mark: Mark, text: &str) {
        match &mut self.drawn {
            Drawn::Bars(bars) => bars.finish(row, at, mark, text),
            Drawn::Lines(lines) => lines.finish(row, at, mark, text),
        }
    }

    /// A line that some program wrote, of a row if it is known which.
    pub fn log(&mut self, row: Option<&str>, at: DateTime<Utc>, text: &str) {
        match (&mut self.drawn, row) {
            (_, Some(row)) if !self.keeps_logs => self.say(row, at, text),
            (Drawn::Bars(bars), _) => bars.log(text),
            (Drawn::Lines(lines), _) => lines.line(row, at, text),
        }
    }

    /// Something that a person should read; of more lines the first says what it is about.
    pub fn note(&mut self, at: DateTime<Utc>, text: &str) {
        let text = text.trim().lines().next().unwrap_or_default();
        match &mut self.drawn {
            Drawn::Bars(bars) => bars.note(text),
            Drawn::Lines(lines) => lines.line(None, at, text),
        }
    }

    /// How long all of it will probably still take; unknown again with `None`.
    pub fn remaining(&mut self, left: Option<Duration>) {
        if let Drawn::Bars(bars) = &mut self.drawn {
            bars.remaining(left);
        }
    }
}

impl Default for Board {
    fn default() -> Self {
        Self::new()
    }
}
