//! What of a tenant's backups is not as it should be.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::{BackupPlan, DrillPlan};
use crate::Timestamp;
use crate::condition::{Finding, FindingKind, minute};
use crate::drill::Drill;
use crate::operation::{Operation, OperationStatus};
use crate::tenant::Mode;

/// The newest whole snapshot of a tenant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LastWhole {
    /// Its id.
    pub snapshot: Uuid,
    /// When it was begun: what is newer is not in it.
    pub at: DateTime<Utc>,
}

/// An operation for a tenant's backups that failed, or that could not even begin.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BackupFailure {
    /// The operation.
    pub operation: Uuid,
    /// When it was due; absent for one that somebody asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub due_at: Option<DateTime<Utc>>,
    /// When it failed.
    pub at: DateTime<Utc>,
    /// The operation's `error.code`; `backup-missed` for one that could not begin in time.
    #[schema(example = "machine-unreachable")]
    pub code: String,
    /// Why, for a person.
    pub message: String,
}

impl BackupFailure {
    /// What an ended operation means for its tenant's backups; nothing if it is no failure. That somebody stopped what they
    /// had asked for is none.
    pub fn of(operation: &Operation) -> Option<Self> {
        let Operation { id, status, due_at, finished_at, created_at, .. } = operation;
        let (code, message) = match (status, &operation.error) {
            (OperationStatus::Failed, Some(error)) => (error.code.clone(), error.message.clone()),
            (OperationStatus::Failed, None) => ("internal".into(), "it failed".into()),
            (OperationStatus::Cancelled, _) if due_at.is_some() => {
                ("cancelled".into(), "somebody stopped it".into())
            }
            _ => return None,
        };
        let at = finished_at.unwrap_or(*created_at);
        Some(Self { operation: *id, due_at: *due_at, at, code, message })
    }
}

/// Why a plan rests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Pause {
    /// The tenant never was deployed.
    NotDeployed,
    /// Another provider serves the tenant.
    Moved,
}

impl Pause {
    /// Whether a tenant's plan rests: one that is not deployed has no state, and what a tenant's former provider has is not
    /// the newest.
    pub fn of(mode: &Mode, deployed: bool) -> Option<Self> {
        match mode {
            Mode::Moved { .. } => Some(Self::Moved),
            _ if !deployed => Some(Self::NotDeployed),
            _ => None,
        }
    }
}

/// How a tenant's backups stand.
#[derive(Debug, Clone, PartialEq)]
pub struct Backups {
    /// The plan.
    pub plan: BackupPlan,
    /// When the next one is due, or was and could not begin yet.
    pub due_at: Timestamp,
    /// The newest whole snapshot.
    pub last_whole: Option<LastWhole>,
    /// What failed since.
    pub failure: Option<BackupFailure>,
    /// The last try to forget snapshots, where it failed.
    pub prune_failure: Option<BackupFailure>,
    /// When the next drill is due, or was and could not begin yet; nothing where the plan has none.
    pub drill_due_at: Option<Timestamp>,
    /// The last drill that passed.
    pub last_drill: Option<Drill>,
    /// What failed since.
    pub drill_failure: Option<BackupFailure>,
}

impl Backups {
    /// Since when a snapshot is missing: when it was due that could not begin in time.
    pub fn overdue_since(&self, pause: Option<Pause>, now: Timestamp) -> Option<Timestamp> {
        (pause.is_none() && now > self.due_at + self.plan.grace()).then_some(self.due_at)
    }

    /// Since when a drill is missing: when it was due that could not begin in time.
    pub fn drill_overdue_since(&self, pause: Option<Pause>, now: Timestamp) -> Option<Timestamp> {
        let (plan, due) = (self.plan.drill.as_ref()?, self.drill_due_at?);
        (pause.is_none() && now > due + DrillPlan::grace(plan)).then_some(due)
    }

    /// What is not as it should be.
    pub fn findings(&self, pause: Option<Pause>, now: Timestamp) -> Vec<Finding> {
        let overdue = self.overdue_since(pause, now).map(|since| {
            let message =
                format!("a snapshot is due since {} and could not begin; {}", minute(since), self.newest());
            Finding::new(FindingKind::BackupOverdue, message)
        });
        let failed = self.failure.as_ref().map(|failure| {
            let message =
                format!("{}, {}: {}; {}", minute(failure.at), failure.code, failure.message, self.newest());
            Finding::new(FindingKind::BackupFailed, message)
        });
        let kept = self.prune_failure.as_ref().map(|failure| {
            let message = format!(
                "{}, {}: {}; snapshots that nobody needs are still there",
                minute(failure.at),
                failure.code,
                failure.message
            );
            Finding::new(FindingKind::PruneFailed, message)
        });
        let drills = self.drill_findings(pause, now);
        [overdue, failed, kept].into_iter().chain(drills).flatten().collect()
    }

    fn drill_findings(&self, pause: Option<Pause>, now: Timestamp) -> [Option<Finding>; 2] {
        let last = match &self.last_drill {
            Some(drill) => format!("the last one that passed is of {}", minute(drill.asked_at)),
            None => "none has passed yet".into(),
        };
        let overdue = self.drill_overdue_since(pause, now).map(|since| {
            let message = format!("a drill is due since {} and could not begin; {last}", minute(since));
            Finding::new(FindingKind::DrillOverdue, message)
        });
        let failed = self.drill_failure.as_ref().map(|failure| {
            let BackupFailure { at, code, message, .. } = failure;
            Finding::new(FindingKind::DrillFailed, format!("{}, {code}: {message}; {last}", minute(*at)))
        });
        [overdue, failed]
    }

    fn newest(&self) -> String {
        match &self.last_whole {
            Some(last) => format!("the last whole one is of {}", minute(last.at)),
            None => "there is no whole one".into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backup::BackupDraft;
    use chrono::TimeDelta;

    fn backups(due_at: Timestamp) -> Backups {
        let draft: BackupDraft =
            serde_json::from_value(serde_json::json!({"schedule": "30 3 * * *"})).unwrap();
        let plan = draft.try_into().unwrap();
        Backups {
            plan,
            due_at,
            last_whole: None,
            failure: None,
            prune_failure: None,
            drill_due_at: None,
            last_drill: None,
            drill_failure: None,
        }
    }

    #[test]
    fn one_that_is_due_is_missing_once_its_grace_is_over_and_not_while_the_plan_rests() {
        let due: Timestamp = "2026-11-26T03:30:00Z".parse().unwrap();
        let mut backups = backups(due);
        let late = due + TimeDelta::minutes(61);
        assert_eq!(backups.overdue_since(None, due + TimeDelta::minutes(60)), None);
        assert_eq!(backups.overdue_since(None, late), Some(due));
        assert_eq!(backups.overdue_since(Some(Pause::Moved), late), None);
        let found = backups.findings(None, late);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].kind, FindingKind::BackupOverdue);
        assert!(found[0].message.contains("since 2026-11-26 03:30 UTC"), "{}", found[0].message);
        assert!(found[0].message.contains("there is no whole one"), "{}", found[0].message);
        let at = due - TimeDelta::days(1);
        backups.last_whole = Some(LastWhole { snapshot: Uuid::nil(), at });
        assert!(backups.findings(None, late)[0].message.ends_with("of 2026-11-25 03:30 UTC"));
    }

    #[test]
    fn a_drill_that_could_not_begin_and_one_that_failed_are_told_beside_the_snapshots() {
        let due: Timestamp = "2026-11-26T03:30:00Z".parse().unwrap();
        let mut backups = backups(due + TimeDelta::days(9));
        backups.drill_due_at = Some(due);
        let late = due + TimeDelta::minutes(1441);
        assert_eq!(backups.drill_overdue_since(None, late), None, "the plan has none any more");
        let draft = serde_json::json!({"schedule": "30 3 * * *", "drill": {"schedule": "0 5 * * 0", "machine": "spare"}});
        backups.plan = serde_json::from_value::<BackupDraft>(draft).unwrap().try_into().unwrap();
        assert_eq!(backups.drill_overdue_since(None, due + TimeDelta::minutes(1440)), None);
        assert_eq!(backups.drill_overdue_since(Some(Pause::Moved), late), None);
        backups.drill_failure = Some(BackupFailure {
            operation: Uuid::nil(),
            due_at: None,
            at: due,
            code: "drill-failed".into(),
            message: "mastodon: it is damaged".into(),
        });
        let found = backups.findings(None, late);
        let kinds: Vec<_> = found.iter().map(|finding| finding.kind).collect();
        assert_eq!(kinds, [FindingKind::DrillOverdue, FindingKind::DrillFailed]);
        assert!(found[0].message.contains("since 2026-11-26 03:30 UTC"), "{}", found[0].message);
        assert!(found[1].message.ends_with("it is damaged; none has passed yet"), "{}", found[1].message);
    }

    #[test]
    fn what_failed_is_said_with_its_reason_also_while_the_plan_rests() {
        let due: Timestamp = "2026-11-26T03:30:00Z".parse().unwrap();
        let failure = BackupFailure {
            operation: Uuid::nil(),
            due_at: Some(due),
            at: due,
            code: "machine-unreachable".into(),
            message: "no route to host".into(),
        };
        let backups = Backups {
            failure: Some(failure.clone()),
            prune_failure: Some(failure),
            ..backups(due + TimeDelta::days(1))
        };
        let found = backups.findings(Some(Pause::Moved), due);
        let kinds: Vec<_> = found.iter().map(|finding| finding.kind).collect();
        assert_eq!(kinds, [FindingKind::BackupFailed, FindingKind::PruneFailed]);
        assert!(found[0].message.contains("machine-unreachable: no route to host"), "{}", found[0].message);
    }
}
