//! Until when an operation's dead-man timer waits.
//!
//! The time is the kernel's monotonic clock, so a clock that is set changes nothing. It stands in `/run`: after a boot
//! nothing is waited for.

use std::path::{Path, PathBuf};
use std::time::Duration;

use berth_protocol::RevertedBy;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::clock::now_ms;
use crate::failure::{Result, io};
use crate::files::{json_if_any, replace_unsynced};
use crate::places::VOLATILE;

/// When to put the previous system back, and on whose account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Deadline {
    /// Milliseconds of the monotonic clock.
    due_ms: u64,
    pub(crate) by: RevertedBy,
}

impl Deadline {
    /// The timer's, so long from now.
    pub(crate) fn in_seconds(seconds: u64) -> Self {
        Self { due_ms: now_ms().saturating_add(seconds.saturating_mul(1000)), by: RevertedBy::Timer }
    }

    /// Now, as somebody asked for it.
    pub(crate) fn requested() -> Self {
        Self { due_ms: 0, by: RevertedBy::Request }
    }

    /// What is left of the time; nothing once it is over.
    pub(crate) fn left(self) -> Option<Duration> {
        let left = Duration::from_millis(self.due_ms.saturating_sub(now_ms()));
        (!left.is_zero()).then_some(left)
    }

    /// The later of both, unless somebody asked for the way back already.
    pub(crate) fn or_later(self, other: Self) -> Self {
        if self.by == RevertedBy::Timer && other.due_ms > self.due_ms { other } else { self }
    }
}

/// An operation's deadline; nothing where none is written.
pub(crate) fn read(operation: Uuid) -> Result<Option<Deadline>> {
    json_if_any(&path(operation))
}

pub(crate) fn write(operation: Uuid, deadline: Deadline) -> Result<()> {
    let path = path(operation);
    let problem = || io(format!("cannot write {}", path.display()));
    let bytes = serde_json::to_vec(&deadline).map_err(|error| problem()(error.into()))?;
    replace_unsynced(&path, &bytes).map_err(problem())
}

pub(crate) fn forget(operation: Uuid) {
    // Nobody looks for one whose operation has ended.
    let _ = std::fs::remove_file(path(operation));
}

fn path(operation: Uuid) -> PathBuf {
    Path::new(VOLATILE).join("deadlines").join(format!("{operation}.json"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deadline_is_extended_and_never_shortened_and_a_wish_to_go_back_stays() {
        let (soon, late) = (Deadline::in_seconds(10), Deadline::in_seconds(100));
        assert_eq!((soon.or_later(late), late.or_later(soon)), (late, late));
        assert_eq!(Deadline::requested().or_later(late), Deadline::requested());
        assert!(soon.left().is_some_and(|left| left <= Duration::from_secs(10)));
        assert_eq!(Deadline::requested().left(), None);
        assert!(Deadline::in_seconds(u64::MAX).left().is_some());
    }
}
