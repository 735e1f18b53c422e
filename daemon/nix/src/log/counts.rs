//! How many builds, paths and bytes are done, from what activities report.

use std::collections::HashMap;

use berth_domain::Progress;
use berth_domain::progress::Unit;

use super::parse::{Activity, COPY_PATH, Count, Outcome};

/// The counting of Nix's own progress bar: for each type of activity, what stopped activities had done plus what the
/// live ones have; expected likewise, or what live activities announce for the type, if that is more.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    live: HashMap<u64, Live>,
    builds: Sum,
    copies: Sum,
    /// Builds that Nix listed before it began (“these 2 derivations will be built”).
    listed_builds: u64,
    /// Paths that Nix said it would copy (“copying 2 paths”).
    announced_paths: u64,
    path_sum: Sum,
    started_builds: u64,
    started_copies: u64,
    stopped_copies: u64,
}

#[derive(Debug)]
struct Live {
    kind: Kind,
    count: Count,
    announced_bytes: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    CopyPath,
    CopyPaths,
    Builds,
    Other,
}

/// What stopped activities of a type had done.
#[derive(Debug, Default)]
struct Sum(u64);

impl Sum {
    fn add(&mut self, done: u64) {
        self.0 = self.0.saturating_add(done);
    }
}

impl Counts {
    /// Nix listed one more derivation that it will build.
    pub(crate) fn listed_build(&mut self) {
        self.listed_builds = self.listed_builds.saturating_add(1);
    }

    pub(crate) fn start(&mut self, id: u64, activity: &Activity, text: &str) {
        let kind = match activity {
            Activity::CopyPath { .. } => {
                self.started_copies = self.started_copies.saturating_add(1);
                Kind::CopyPath
            }
            Activity::CopyPaths => {
                self.announced_paths = self.announced_paths.saturating_add(announced(text));
                Kind::CopyPaths
            }
            Activity::Builds => Kind::Builds,
            Activity::Build { .. } => {
                self.started_builds = self.started_builds.saturating_add(1);
                Kind::Other
            }
            Activity::Other(_) => Kind::Other,
        };
        self.live.insert(id, Live { kind, count: Count::default(), announced_bytes: 0 });
    }

    pub(crate) fn result(&mut self, id: u64, outcome: &Outcome) {
        let Some(live) = self.live.get_mut(&id) else { return };
        match *outcome {
            Outcome::Progress(count) => live.count = count,
            Outcome::Expected { kind: COPY_PATH, count } => live.announced_bytes = count,
            _ => {}
        }
    }

    pub(crate) fn stop(&mut self, id: u64) {
        let Some(live) = self.live.remove(&id) else { return };
        match live.kind {
            Kind::CopyPath => {
                self.copies.add(live.count.done);
                self.stopped_copies = self.stopped_copies.saturating_add(1);
            }
            Kind::CopyPaths => self.path_sum.add(live.count.done),
            Kind::Builds => self.builds.add(live.count.done),
            Kind::Other => {}
        }
    }

    /// The counts of which something is known.
    pub(crate) fn progress(&self) -> impl Iterator<Item = Progress> {
        [self.builds(), self.paths(), self.bytes()].into_iter().flatten()
    }

    /// Before it builds, Nix counts whatever it was asked for as a build that it expects, and takes it back when the
    /// outcome is there already. So its list counts, and without one nothing is said until a build has started.
    fn builds(&self) -> Option<Progress> {
        let (done, expected) = self.sum(&self.builds, |kind| kind == Kind::Builds);
        match (self.listed_builds, self.started_builds) {
            (0, 0) => None,
            (0, started) => known(done, expected.max(started), Unit::Builds),
            (listed, started) => known(done, listed.max(started), Unit::Builds),
        }
    }

    fn paths(&self) -> Option<Progress> {
        let (done, expected) = self.sum(&self.path_sum, |kind| kind == Kind::CopyPaths);
        known(done.max(self.stopped_copies), expected.max(self.announced_paths), Unit::Paths)
    }

    /// Bytes have a known end once Nix announced it, or once every path that will be copied has started.
    fn bytes(&self) -> Option<Progress> {
        let announced = self.live.values().fold(0, |sum: u64, live| sum.saturating_add(live.announced_bytes));
        let (mut done, mut expected) = (self.copies.0, self.copies.0);
        for live in self.live.values() {
            if live.kind == Kind::CopyPath {
                done = done.saturating_add(live.count.done);
                expected = expected.saturating_add(live.count.expected);
            }
        }
        let all_started = self.paths().is_some_and(|paths| paths.expected == Some(self.started_copies));
        match (all_started || announced >= expected, expected.max(announced)) {
            (_, 0) => None,
            (true, expected) => Some(Progress::of(done, expected, Unit::Bytes)),
            (false, _) => Some(Progress::open(done, Unit::Bytes)),
        }
    }

    fn sum(&self, stopped: &Sum, of: impl Fn(Kind) -> bool) -> (u64, u64) {
        self.live.values().filter(|live| of(live.kind)).fold(
            (stopped.0, stopped.0),
            |(done, expected), live| {
                (done.saturating_add(live.count.done), expected.saturating_add(live.count.expected))
            },
        )
    }
}

/// A count, unless nothing is known of it at all. Its end is unknown where Nix expects nothing.
fn known(done: u64, expected: u64, unit: Unit) -> Option<Progress> {
    match (done, expected) {
        (0, 0) => None,
        (done, 0) => Some(Progress::open(done, unit)),
        (done, expected) => Some(Progress::of(done, expected, unit)),
    }
}

/// The number in “copying 2 paths”.
fn announced(text: &str) -> u64 {
    let number = text.strip_prefix("copying ").and_then(|rest| rest.split(' ').next());
    number.and_then(|number| number.parse().ok()).unwrap_or(0)
}
