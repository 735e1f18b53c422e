//! What a check of a deployed tenant found: whether its machine still is what was committed. Nothing of it is corrected by
//! itself.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::Timestamp;
use crate::operation::words;

words! {
    /// What is not as it should be.
    FindingKind {
        /// The machine could not be asked.
        Unreachable = "unreachable",
        /// The machine runs another system than the one that was committed.
        RunsOther = "runs-other-system",
        /// The next boot would run another system than the one that was committed.
        BootsOther = "boots-other-system",
        /// A unit or a probe of the tenant's services is not as promised.
        Unhealthy = "unhealthy",
        /// Another unit of the machine has failed.
        UnitFailed = "unit-failed",
        /// A file system is nearly full.
        DiskNearlyFull = "disk-nearly-full",
        /// The machine's clock differs from the daemon's.
        ClockSkew = "clock-skew",
        /// A certificate has expired or is about to.
        CertificateExpires = "certificate-expires",
        /// Kernel or initrd of the running system wait for a reboot.
        RebootNeeded = "reboot-needed",
        /// A snapshot was due and could not begin.
        BackupOverdue = "backup-overdue",
        /// The last snapshot failed, or was missed.
        BackupFailed = "backup-failed",
        /// Snapshots that are not kept any more could not be removed.
        PruneFailed = "prune-failed",
        /// A drill was due and could not begin.
        DrillOverdue = "drill-overdue",
        /// The last drill failed, or was missed: it is not known whether the tenant's state could be brought back.
        DrillFailed = "drill-failed",
    }
}

/// One thing that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Finding {
    /// What it is; programs switch on it.
    pub kind: FindingKind,
    /// The same for a person, with names and numbers.
    pub message: String,
}

impl Finding {
    /// A finding.
    pub fn new(kind: FindingKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into() }
    }
}

/// What a check found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Condition {
    /// When it was looked.
    pub checked_at: DateTime<Utc>,
    /// Whether everything was as it should be: there are no findings.
    pub sound: bool,
    /// What was not.
    pub findings: Vec<Finding>,
}

impl Condition {
    /// A condition with these findings.
    pub fn of(checked_at: DateTime<Utc>, findings: Vec<Finding>) -> Self {
        Self { checked_at, sound: findings.is_empty(), findings }
    }

    /// The same with what is known without looking at the machine.
    #[must_use]
    pub fn with(mut self, more: Vec<Finding>) -> Self {
        self.findings.extend(more);
        Self::of(self.checked_at, self.findings)
    }
}

/// A time as findings tell it: to the minute.
pub fn minute(at: Timestamp) -> String {
    at.format("%Y-%m-%d %H:%M UTC").to_string()
}
