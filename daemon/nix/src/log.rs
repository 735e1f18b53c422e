//! Nix's `internal-json` log, from its lines to [`Update`]s.
//!
//! With `--log-format internal-json`, Nix writes one line `@nix {…}` for each thing that happens: an activity
//! starts, reports a result, stops; or there is a message. [`parse`](mod@parse) reads a line, [`tracker`] folds the lines into
//! what a person wants to see. The format is not a stable one (Nix 2.8 to 2.31 were looked at), so whatever is not
//! known is passed over, and no input makes this code fail. Numbers and fields are those of `logging.hh` and the
//! counting that of `progress-bar.cc` in Nix's source.

mod counts;
pub mod parse;
mod text;
mod throttle;
pub mod tracker;

pub use parse::{Entry, Line, parse};
pub(crate) use text::{bounded, clean};
pub(crate) use throttle::Throttle;
pub use tracker::Tracker;

use berth_domain::Progress;

/// Something that happened while Nix ran.
#[derive(Debug, Clone, PartialEq)]
pub enum Update {
    /// So many builds, paths or bytes are done. At most one per unit in 50 ms; the last one always comes.
    Progress(Progress),
    /// A builder wrote a line.
    Line {
        /// The derivation's store path.
        derivation: String,
        /// What was written, without colours.
        line: String,
    },
    /// Nix, or a program that it called, has something to say.
    Message {
        /// How important it is.
        level: Level,
        /// What it says, without colours.
        text: String,
    },
}

/// How important a message is: Nix's verbosity levels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Something failed.
    Error,
    /// Something is probably wrong.
    Warning,
    /// Everything above: notices and information.
    Info,
}

impl Level {
    /// The level of Nix's number; nothing for the talkative ones, which Nix only prints when asked to.
    pub fn of(number: u64) -> Option<Self> {
        match number {
            0 => Some(Self::Error),
            1 => Some(Self::Warning),
            2 | 3 => Some(Self::Info),
            _ => None,
        }
    }
}
