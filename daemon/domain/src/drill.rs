//! Drills: a snapshot put onto a machine that is free, to find out whether and how fast it comes back.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::name::{MachineName, ServiceName, TenantName};
use crate::operation::{Operation, OperationError, OperationStatus, words};
use crate::snapshot::Snapshot;

words! {
    /// How a drill ended, or the rehearsal of a migration.
    DrillOutcome {
        /// It has not ended.
        Unfinished = "unfinished",
        /// Every service came back and answered.
        Passed = "passed",
        /// Something did not come back, or could not be tried.
        Failed = "failed",
        /// Somebody stopped it.
        Cancelled = "cancelled",
    }
}

/// What a drill found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Drill {
    /// Its id: that of its operation.
    pub id: Uuid,
    /// The tenant whose state was tried.
    pub tenant: TenantName,
    /// The machine that was lent for it.
    pub machine: MachineName,
    /// The snapshot that was tried.
    pub snapshot: Uuid,
    /// When that was begun: what is newer would be lost.
    pub snapshot_at: DateTime<Utc>,
    /// When the drill was due by the tenant's backup plan; absent for one that somebody asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub due_at: Option<DateTime<Utc>>,
    /// How it ended.
    pub outcome: DrillOutcome,
    /// When it was asked for, or began by plan.
    pub asked_at: DateTime<Utc>,
    /// When it began to run.
    pub started_at: Option<DateTime<Utc>>,
    /// The recovery point: how old the snapshot was when the drill began, in seconds.
    pub recovery_point_seconds: Option<u64>,
    /// The recovery time: from the drill's beginning until the last service had its data and answered, in milliseconds. Absent
    /// where one did not.
    pub recovery_ms: Option<u64>,
    /// What became of each service; the failure of one keeps no other from being tried.
    #[schema(value_type = BTreeMap<String, DrilledService>)]
    pub services: BTreeMap<ServiceName, DrilledService>,
    /// Whether nothing of it is left on the machine, which is free again.
    pub emptied: bool,
    /// Why it failed.
    pub error: Option<OperationError>,
    /// When it ended.
    pub finished_at: Option<DateTime<Utc>>,
}

/// What became of one service in a drill.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DrilledService {
    /// Whether its state came back, and it answered. False as long as that is not known.
    pub ok: bool,
    /// Why not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
    /// How long its state took to come back, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restore_ms: Option<u64>,
    /// How many rows each of its databases had then.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub rows: BTreeMap<String, u64>,
    /// How many files its directories had then.
    #[serde(default)]
    pub files: u64,
    /// How many bytes these files had.
    #[serde(default)]
    pub bytes: u64,
    /// The names of its secrets, made of chance, that came back with its state.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub secrets: Vec<String>,
    /// What belongs to the service and no snapshot holds, in words.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub left_out: Vec<String>,
}

impl Drill {
    /// A drill that has not begun.
    pub fn of(operation: &Operation, snapshot: &Snapshot) -> Self {
        Self {
            id: operation.id,
            tenant: operation.tenant.clone(),
            machine: operation.machine.clone(),
            snapshot: snapshot.id,
            snapshot_at: snapshot.created_at,
            due_at: operation.due_at,
            outcome: DrillOutcome::Unfinished,
            asked_at: operation.created_at,
            started_at: None,
            recovery_point_seconds: None,
            recovery_ms: None,
            services: BTreeMap::new(),
            emptied: false,
            error: None,
            finished_at: None,
        }
    }

    /// It begins to run; what a predecessor began is not begun anew.
    pub fn begin(&mut self, now: DateTime<Utc>) {
        let at = *self.started_at.get_or_insert(now);
        let age = (at - self.snapshot_at).num_seconds().max(0).unsigned_abs();
        self.recovery_point_seconds.get_or_insert(age);
    }

    /// The services that did not come back, each with why.
    pub fn problems(&self) -> Vec<String> {
        let bad = self.services.iter().filter(|(_, service)| !service.ok);
        bad.map(|(name, service)| {
            format!("{name}: {}", service.problem.as_deref().unwrap_or("it was not tried"))
        })
        .collect()
    }

    /// The same once its operation has ended.
    #[must_use]
    pub fn ended_with(mut self, operation: &Operation) -> Self {
        self.outcome = match operation.status {
            OperationStatus::Succeeded => DrillOutcome::Passed,
            OperationStatus::Failed => DrillOutcome::Failed,
            OperationStatus::Cancelled => DrillOutcome::Cancelled,
            OperationStatus::Queued | OperationStatus::Running => DrillOutcome::Unfinished,
        };
        self.error.clone_from(&operation.error);
        self.finished_at = operation.finished_at;
        self
    }
}
