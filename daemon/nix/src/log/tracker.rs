//! Folds the lines of a log into updates, and remembers what an error should tell.

use std::collections::{HashMap, VecDeque};

use tokio::time::Instant;

use super::counts::Counts;
use super::parse::{Activity, Entry, Line, Outcome, parse};
use super::text::{bounded, clean, clean_line};
use super::throttle::Throttle;
use super::{Level, Update};

/// How many of a builder's last lines are kept.
pub const KEPT_LINES: usize = 50;

/// How many error messages and plain lines are kept.
const KEPT_MESSAGES: usize = 20;

/// Folds the lines of one call's log.
#[derive(Debug, Default)]
pub struct Tracker {
    counts: Counts,
    throttle: Throttle,
    /// Live builds: activity to derivation.
    building: HashMap<u64, String>,
    /// The last lines of every derivation that was built, by derivation.
    tails: HashMap<String, VecDeque<String>>,
    last_stopped: Option<String>,
    errors: VecDeque<String>,
    plain: VecDeque<String>,
    listing: bool,
}

impl Tracker {
    /// Takes a line, without its line feed.
    pub fn line(&mut self, line: &[u8], now: Instant, sink: &mut impl FnMut(Update)) {
        match parse(line) {
            Line::Entry(entry) => self.entry(entry, sink),
            Line::Plain(text) => self.plain_line(&text, sink),
            Line::Unknown => return,
        }
        // A list that is still being read has no end that could be told.
        if self.listing {
            return;
        }
        for progress in self.counts.progress() {
            if let Some(progress) = self.throttle.offer(progress, now) {
                sink(Update::Progress(progress));
            }
        }
    }

    /// When [`Tracker::tick`] has something to do.
    pub fn due(&self) -> Option<Instant> {
        self.throttle.due()
    }

    /// Reports the progress that waited long enough.
    pub fn tick(&mut self, now: Instant, sink: &mut impl FnMut(Update)) {
        self.throttle.release(now).into_iter().map(Update::Progress).for_each(sink);
    }

    /// Reports the progress that still waits; to be called at the end.
    pub fn finish(&mut self, sink: &mut impl FnMut(Update)) {
        self.throttle.flush().into_iter().map(Update::Progress).for_each(sink);
    }

    /// The errors that Nix reported, in their order, as one text.
    pub fn errors(&self) -> String {
        joined(&self.errors)
    }

    /// The last lines that other programs wrote, as one text.
    pub fn plain(&self) -> String {
        joined(&self.plain)
    }

    /// The derivation that failed and its last lines. Nix names it in its first error; a derivation that failed only
    /// because another one did never ran, so it is not taken for the culprit.
    pub fn failed_build(&self) -> (Option<String>, Vec<String>) {
        let named = || self.errors.iter().find_map(|error| self.built_derivation_in(error));
        let mentioned = || self.errors.iter().find_map(|error| derivations_in(error).next());
        let derivation = named().or(self.last_stopped.as_deref()).or_else(mentioned);
        let log = derivation.and_then(|derivation| self.tails.get(derivation));
        (derivation.map(str::to_owned), log.into_iter().flatten().cloned().collect())
    }

    fn built_derivation_in<'a>(&self, error: &'a str) -> Option<&'a str> {
        derivations_in(error).find(|derivation| self.tails.contains_key(*derivation))
    }

    fn entry(&mut self, entry: Entry, sink: &mut impl FnMut(Update)) {
        self.listing &= matches!(entry, Entry::Message { .. });
        match entry {
            Entry::Start { id, activity, text } => {
                self.counts.start(id, &activity, &text);
                if let Activity::Build { derivation } = activity {
                    self.tails.entry(derivation.clone()).or_default();
                    self.building.insert(id, derivation);
                }
            }
            Entry::Stop { id } => {
                self.counts.stop(id);
                if let Some(derivation) = self.building.remove(&id) {
                    self.last_stopped = Some(derivation);
                }
            }
            Entry::Result { id, outcome: Outcome::LogLine(line) } => self.log_line(id, &line, sink),
            Entry::Result { id, outcome } => self.counts.result(id, &outcome),
            Entry::Message { level, text, position } => self.message(level, &text, position, sink),
        }
    }

    fn log_line(&mut self, id: u64, line: &str, sink: &mut impl FnMut(Update)) {
        let Some(derivation) = self.building.get(&id) else { return };
        let line = clean_line(line);
        if let Some(tail) = self.tails.get_mut(derivation) {
            keep(tail, line.clone(), KEPT_LINES);
        }
        sink(Update::Line { derivation: derivation.clone(), line });
    }

    fn message(
        &mut self,
        level: u64,
        text: &str,
        position: Option<(String, u64, u64)>,
        sink: &mut impl FnMut(Update),
    ) {
        let text = clean(text);
        self.count_listed(&text);
        let Some(level) = Level::of(level) else { return };
        if text.trim().is_empty() || is_hint(&text) {
            return;
        }
        let text = bounded(match position {
            // Code from the command line has no file; Nix 2.8 gives the code itself in its place.
            Some((file, line, column)) if file.starts_with('/') => {
                format!("{text}\nat {file}:{line}:{column}")
            }
            _ => text,
        });
        if level == Level::Error {
            keep(&mut self.errors, text.clone(), KEPT_MESSAGES);
        }
        sink(Update::Message { level, text });
    }

    /// “these 2 derivations will be built:” is followed by one message for each.
    fn count_listed(&mut self, text: &str) {
        if text.ends_with(" will be built:") {
            self.listing = true;
        } else if self.listing && text.starts_with("  /") && text.ends_with(".drv") {
            self.counts.listed_build();
        } else {
            self.listing = false;
        }
    }

    fn plain_line(&mut self, text: &str, sink: &mut impl FnMut(Update)) {
        let text = clean_line(text);
        if text.trim().is_empty() {
            return;
        }
        keep(&mut self.plain, text.clone(), KEPT_MESSAGES);
        sink(Update::Message { level: Level::Info, text });
    }
}

fn keep(tail: &mut VecDeque<String>, line: String, most: usize) {
    if tail.len() == most {
        tail.pop_front();
    }
    tail.push_back(line);
}

fn joined(lines: &VecDeque<String>) -> String {
    lines.iter().map(String::as_str).collect::<Vec<_>>().join("\n")
}

/// Nix's advice on its own options is of no use to somebody who does not call it.
fn is_hint(text: &str) -> bool {
    text.starts_with("(use '--show-trace'")
        || text.contains("you did not specify '--add-root'")
        || text.contains("not writing modified lock file of flake")
}

fn derivations_in(error: &str) -> impl Iterator<Item = &str> {
    let path = |c: char| c.is_ascii_alphanumeric() || "/+-._?=".contains(c);
    error
        .split(move |c| !path(c))
        .map(|word| word.trim_end_matches('.'))
        .filter(|word| word.ends_with(".drv"))
}
