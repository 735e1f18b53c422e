//! Backup plans: when a tenant's snapshots are made by themselves, which of them are kept, and when they are tried out.
//!
//! | module | subject |
//! | --- | --- |
//! | [`draft`] | a plan as a client writes it, and the rules that it has to keep |
//! | [`schedule`] | when the next one is due: cron, a time zone, and a spread that is the same for ever |
//! | [`keep`] | which snapshots may go; no I/O and no clock |
//! | [`standing`] | what of a tenant's backups is not as it should be; no I/O |

pub mod draft;
pub mod keep;
pub mod schedule;
pub mod standing;

use chrono::TimeDelta;
use serde::{Deserialize, Serialize};

use crate::name::MachineName;

pub use draft::{BackupDraft, DrillDraft, KeepDraft};
pub use keep::Keep;
pub use schedule::Schedule;
pub use standing::{BackupFailure, Backups, LastWhole, Pause};

/// When a tenant's snapshots are made by themselves, and which of them are kept.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "BackupDraft", into = "BackupDraft")]
pub struct BackupPlan {
    /// When they are made.
    pub schedule: Schedule,
    /// How long one may wait for another operation before it counts as missed; in minutes.
    pub grace_minutes: u32,
    /// Which are kept; all of them when absent.
    pub keep: Option<Keep>,
    /// When the newest whole one is tried out; never when absent.
    pub drill: Option<DrillPlan>,
}

/// When a tenant's newest whole snapshot is tried out.
#[derive(Debug, Clone, PartialEq)]
pub struct DrillPlan {
    /// When, in the plan's own time zone.
    pub schedule: Schedule,
    /// The machine that is lent for it.
    pub machine: MachineName,
    /// How long one may wait, for the machine above all, before it counts as missed; in minutes.
    pub grace_minutes: u32,
}

impl DrillPlan {
    /// How long one that is due may wait before it counts as missed.
    pub fn grace(&self) -> TimeDelta {
        TimeDelta::minutes(i64::from(self.grace_minutes))
    }
}

impl BackupPlan {
    /// How long one that is due may wait before it counts as missed.
    pub fn grace(&self) -> TimeDelta {
        TimeDelta::minutes(i64::from(self.grace_minutes))
    }
}
