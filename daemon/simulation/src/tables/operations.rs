//! Operations, their events, and what previews find.

use berth_domain::event::NewEvent;
use berth_domain::{
    Event, Operation, OperationId, OperationKind, OperationStatus, Preview, StepName, StepStatus, TenantName,
    TenantSpec,
};
use berth_store::{EventPage, Hold, News, Recorded, Standing, StoreError};

use super::{Result, Row, Tables, as_kept, not_found};
use crate::weather::Weakness;

impl Tables {
    /// As the store's.
    pub fn create_operation(&mut self, operation: &Operation, first: NewEvent) -> Result<()> {
        self.check_may_begin(&operation.tenant)?;
        self.insert(operation, first);
        Ok(())
    }

    /// Writes an operation down that may be.
    pub(super) fn insert(&mut self, operation: &Operation, first: NewEvent) {
        let operation = as_kept(operation.clone());
        let id = operation.id;
        let mut row = Row { operation, owner: None, until: None, fence: 0, writes: 0, events: Vec::new() };
        row.tell(first, &mut self.news);
        self.news.push(News::Queued);
        self.operations.insert(id, row);
    }

    /// As the store's, for a tenant that stays on its machine.
    pub fn create_rollback(
        &mut self,
        operation: &Operation,
        spec: &TenantSpec,
        expected: i64,
        first: NewEvent,
    ) -> Result<()> {
        let current = self.tenant(&operation.tenant)?.version;
        self.check_free(&operation.tenant)?;
        if current != expected {
            return Err(StoreError::VersionMismatch { current });
        }
        self.create_operation(operation, first)?;
        self.update_tenant(spec);
        Ok(())
    }

    /// Whether an operation on that tenant may be made.
    pub(super) fn check_may_begin(&self, tenant: &TenantName) -> Result<()> {
        if !self.tenants.contains_key(tenant) {
            return Err(not_found("tenant", tenant));
        }
        self.check_free(tenant)
    }

    fn check_free(&self, tenant: &TenantName) -> Result<()> {
        let of_tenant = self.operations.values().map(|row| &row.operation);
        let mut unfinished = of_tenant.filter(|other| other.tenant == *tenant && !other.status.is_final());
        match unfinished.next() {
            Some(other) => Err(StoreError::OperationRunning { operation: other.id }),
            None => Ok(()),
        }
    }

    pub(super) fn row(&mut self, id: OperationId) -> Result<(&mut Row, &mut Vec<News>)> {
        let row = self.operations.get_mut(&id).ok_or_else(|| not_found("operation", id))?;
        Ok((row, &mut self.news))
    }

    /// As the store's.
    pub fn request_cancel(&mut self, id: OperationId, event: NewEvent) -> Result<(Operation, Option<Event>)> {
        let (row, news) = self.row(id)?;
        if row.operation.status.is_final() {
            return Err(StoreError::Finished { operation: id, status: row.operation.status });
        }
        if row.operation.cancel_requested {
            return Ok((row.operation.clone(), None));
        }
        row.operation.cancel_requested = true;
        let event = row.tell(event, news);
        news.push(News::Cancel(id));
        Ok((row.operation.clone(), Some(event)))
    }

    /// As the store's.
    pub fn operation(&self, id: OperationId) -> Result<Operation> {
        let row = self.operations.get(&id).ok_or_else(|| not_found("operation", id))?;
        Ok(row.operation.clone())
    }

    /// As the store's.
    pub fn standings(&self, ids: &[OperationId]) -> Vec<Standing> {
        let found = ids.iter().filter_map(|id| self.operations.get(id)).map(|row| &row.operation);
        let standing = |operation: &Operation| Standing {
            operation: operation.id,
            status: operation.status,
            error: operation.error.clone(),
        };
        found.map(standing).collect()
    }

    /// As the store's.
    pub fn events(&self, id: OperationId, after: i64, limit: u32) -> Result<EventPage> {
        let row = self.operations.get(&id).ok_or_else(|| not_found("operation", id))?;
        let wanted = row.events.iter().filter(|event| event.seq > after).take(limit as usize);
        Ok(EventPage {
            events: wanted.cloned().collect(),
            oldest_seq: row.events.first().map(|event| event.seq),
            last_seq: row.operation.last_seq,
        })
    }

    /// As the store's.
    pub fn trim_events(&mut self, id: OperationId, keep: i64) -> u64 {
        let Ok((row, _)) = self.row(id) else { return 0 };
        let newest_to_go = row.operation.last_seq - keep.max(0);
        let before = row.events.len();
        row.events.retain(|event| event.seq > newest_to_go);
        (before - row.events.len()) as u64
    }

    /// As the store's.
    pub fn step_durations(&self, kind: OperationKind, limit: u32) -> Vec<(StepName, i64)> {
        let done = self.operations.values().rev().map(|row| &row.operation);
        let done = done.filter(|done| done.kind == kind && done.status == OperationStatus::Succeeded);
        let steps = done.flat_map(|done| &done.steps).filter(|step| step.status == StepStatus::Succeeded);
        let took = steps.take(limit as usize).filter_map(|step| {
            let (start, end) = (step.started_at?.timestamp_millis(), step.finished_at?.timestamp_millis());
            Some((step.name, end - start))
        });
        took.collect()
    }

    /// As the store's.
    pub fn record(
        &mut self,
        hold: Hold,
        write: i64,
        operation: &Operation,
        events: Vec<NewEvent>,
    ) -> Result<Recorded> {
        let lax = self.weakness == Some(Weakness::RecordsForgetWrites);
        let (row, news) = self.held(hold)?;
        if row.writes >= write && !lax {
            let known = operation.last_seq;
            let events = row.events.iter().filter(|event| event.seq > known).cloned().collect();
            return Ok(Recorded { operation: row.operation.clone(), events });
        }
        if row.operation.status.is_final() {
            return Err(StoreError::Finished { operation: hold.operation, status: row.operation.status });
        }
        let mut written = as_kept(operation.clone());
        written.cancel_requested |= row.operation.cancel_requested;
        written.last_seq = row.operation.last_seq;
        row.operation = written;
        row.writes = write;
        let events = events.into_iter().map(|event| row.tell(event, news)).collect();
        let operation = row.operation.clone();
        if operation.status.is_final()
            && let Some((spec, _)) = self.previews.get_mut(&operation.id)
        {
            *spec = None;
        }
        Ok(Recorded { operation, events })
    }

    /// As the store's.
    pub fn create_preview(
        &mut self,
        operation: &Operation,
        spec: &TenantSpec,
        first: NewEvent,
    ) -> Result<()> {
        self.create_operation(operation, first)?;
        self.previews.insert(operation.id, (Some(spec.clone()), None));
        Ok(())
    }

    /// As the store's.
    pub fn previewed_spec(&self, id: OperationId) -> Result<TenantSpec> {
        let found = self.previews.get(&id).and_then(|(spec, _)| spec.clone());
        found.ok_or_else(|| not_found("preview", id))
    }

    /// As the store's.
    pub fn keep_preview(&mut self, hold: Hold, preview: &Preview) -> Result<()> {
        self.held(hold)?;
        let id = hold.operation;
        let (_, result) = self.previews.get_mut(&id).ok_or_else(|| not_found("preview", id))?;
        *result = Some(preview.clone());
        Ok(())
    }
}
