//! Operations and their steps as rows.

use berth_domain::{Operation, OperationKind, OperationStatus, Step, StepName, StepStatus};
use diesel::prelude::*;

use crate::columns::{from_json, json, maybe_parse, maybe_time, millis, parse, stored, time, word};
use crate::error::StoreError;
use crate::schema::{operations, steps};

#[derive(Queryable, Selectable, Insertable, AsChangeset)]
#[diesel(table_name = operations, treat_none_as_null = true)]
pub(super) struct Row {
    pub(super) id: String,
    tenant: String,
    machine: String,
    kind: String,
    wipe: bool,
    status: String,
    revision: Option<String>,
    system: Option<String>,
    cancel_requested: bool,
    error: Option<String>,
    requested_by: String,
    created_at: i64,
    started_at: Option<i64>,
    finished_at: Option<i64>,
    last_seq: i64,
    rollout: Option<String>,
    snapshot: Option<String>,
    recipient: Option<String>,
    migration: Option<String>,
    due_at: Option<i64>,
}

#[derive(PartialEq, Queryable, Selectable, Insertable, AsChangeset)]
#[diesel(table_name = steps, treat_none_as_null = true)]
pub(crate) struct StepRow {
    pub(super) operation_id: String,
    pub(super) position: i32,
    name: String,
    status: String,
    started_at: Option<i64>,
    finished_at: Option<i64>,
    progress: Option<String>,
}

impl Row {
    pub(super) fn of(operation: &Operation) -> Result<Self, StoreError> {
        Ok(Self {
            id: operation.id.to_string(),
            tenant: operation.tenant.to_string(),
            machine: operation.machine.to_string(),
            kind: operation.kind.word().into(),
            wipe: operation.wipe,
            status: operation.status.word().into(),
            revision: operation.revision.as_ref().map(ToString::to_string),
            system: operation.system.clone(),
            cancel_requested: operation.cancel_requested,
            error: operation.error.as_ref().map(|error| json("operations.error", error)).transpose()?,
            requested_by: operation.requested_by.clone(),
            created_at: millis(operation.created_at),
            started_at: operation.started_at.map(millis),
            finished_at: operation.finished_at.map(millis),
            last_seq: operation.last_seq,
            rollout: operation.rollout.map(|id| id.to_string()),
            snapshot: operation.snapshot.map(|id| id.to_string()),
            recipient: operation.recipient.clone(),
            migration: operation.migration.map(|id| id.to_string()),
            due_at: operation.due_at.map(millis),
        })
    }

    pub(super) fn operation(self, steps: Vec<StepRow>) -> Result<Operation, StoreError> {
        Ok(Operation {
            id: parse("operations.id", &self.id)?,
            tenant: parse("operations.tenant", &self.tenant)?,
            machine: parse("operations.machine", &self.machine)?,
            kind: word("operations.kind", &self.kind, OperationKind::from_word)?,
            wipe: self.wipe,
            status: word("operations.status", &self.status, OperationStatus::from_word)?,
            revision: maybe_parse("operations.revision", self.revision.as_deref())?,
            system: self.system,
            steps: steps.into_iter().map(StepRow::step).collect::<Result<_, _>>()?,
            cancel_requested: self.cancel_requested,
            error: self.error.map(|error| from_json("operations.error", &error)).transpose()?,
            requested_by: self.requested_by,
            created_at: time("operations.created_at", self.created_at)?,
            started_at: maybe_time("operations.started_at", self.started_at)?,
            finished_at: maybe_time("operations.finished_at", self.finished_at)?,
            last_seq: self.last_seq,
            rollout: maybe_parse("operations.rollout", self.rollout.as_deref())?,
            snapshot: maybe_parse("operations.snapshot", self.snapshot.as_deref())?,
            recipient: self.recipient,
            migration: maybe_parse("operations.migration", self.migration.as_deref())?,
            due_at: maybe_time("operations.due_at", self.due_at)?,
        })
    }
}

impl StepRow {
    pub(super) fn all_of(operation: &Operation) -> Result<Vec<Self>, StoreError> {
        let row = |(position, step): (i32, &Step)| {
            Ok(Self {
                operation_id: operation.id.to_string(),
                position,
                name: step.name.word().into(),
                status: step.status.word().into(),
                started_at: step.started_at.map(millis),
                finished_at: step.finished_at.map(millis),
                progress: step.progress.as_ref().map(|p| json("steps.progress", p)).transpose()?,
            })
        };
        (0..).zip(&operation.steps).map(row).collect()
    }

    fn step(self) -> Result<Step, StoreError> {
        Ok(Step {
            name: word("steps.name", &self.name, StepName::from_word)?,
            status: word("steps.status", &self.status, StepStatus::from_word)?,
            started_at: maybe_time("steps.started_at", self.started_at)?,
            finished_at: maybe_time("steps.finished_at", self.finished_at)?,
            progress: self.progress.map(|progress| from_json("steps.progress", &progress)).transpose()?,
        })
    }
}

/// An operation with its times as they will be read back.
pub(super) fn as_kept(mut operation: Operation) -> Operation {
    operation.created_at = stored(operation.created_at);
    operation.started_at = operation.started_at.map(stored);
    operation.finished_at = operation.finished_at.map(stored);
    operation.due_at = operation.due_at.map(stored);
    for step in &mut operation.steps {
        step.started_at = step.started_at.map(stored);
        step.finished_at = step.finished_at.map(stored);
    }
    operation
}
