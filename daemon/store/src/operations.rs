//! Jobs and their steps: queue, claim, record, cancel.

mod rows;
mod standings;

pub use standings::Standing;

use berth_domain::event::NewEvent;
use berth_domain::{
    Event, Operation, OperationId, OperationKind, OperationStatus, RevisionId, StepName, StepStatus,
    TenantName, TenantSpec,
};
use diesel::prelude::*;
use diesel_async::RunQueryDsl;

use crate::backups::Notes as _;
use crate::columns::{json, maybe_parse, word};
use crate::dialect::Dialect;
use crate::drills::Lent as _;
use crate::each::ExecuteEach as _;
use crate::error::StoreError;
use crate::events::Append;
use crate::idempotency::{IdempotencyRecord, Keys};
use crate::leases::{Guard, Hold};
use crate::news::News;
use crate::page::{Page, rows_for};
use crate::pool::Store;
use crate::run::{for_both, read, snapshot, transact};
use crate::schema::{operations, previews, steps, tenants};
use crate::tenants::Tenants as _;

use rows::{Row, StepRow, as_kept};

/// The statuses in which an operation still has something to do.
pub(crate) const UNFINISHED: [&str; 2] = [OperationStatus::Queued.word(), OperationStatus::Running.word()];

/// The kinds that do not work on the tenant itself: nothing waits for them, and they wait for nothing.
pub(crate) const BESIDE: [&str; 1] = [OperationKind::Drill.word()];

/// Which operations a list holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OperationFilter {
    /// Only this tenant's.
    pub tenant: Option<TenantName>,
    /// Only those that stand there.
    pub status: Option<OperationStatus>,
}

/// What a record of an operation came to.
#[derive(Debug, Clone, PartialEq)]
pub struct Recorded {
    /// The operation as it is stored now.
    pub operation: Operation,
    /// The events that are new since what was written, with their numbers.
    pub events: Vec<Event>,
}

/// An operation as it is written down at first, and its first event: that it was accepted.
pub(crate) fn accepted(operation: &Operation, first: NewEvent) -> (Operation, Event) {
    let operation = operation.after_acceptance();
    let first = first.numbered(operation.id, operation.last_seq);
    (operation, first)
}

/// Operations within a transaction.
pub(crate) trait Operations {
    /// Writes an operation down with its first event, unless its tenant is gone or has an unfinished one.
    async fn insert(&mut self, operation: &Operation, first: &Event) -> Result<(), StoreError>;

    /// Writes an operation down with its steps and events, whatever else there is.
    async fn insert_with(&mut self, operation: &Operation, events: &[Event]) -> Result<(), StoreError>;

    /// Operations by their ids, in that order.
    async fn load_all(&mut self, ids: Vec<String>) -> Result<Vec<Operation>, StoreError>;

    /// One operation.
    async fn load_one(&mut self, id: &str) -> Result<Operation, StoreError>;

    /// The steps of an operation, in their order.
    async fn load_steps(&mut self, id: &str) -> Result<Vec<StepRow>, StoreError>;

    /// The unfinished operation that works on a tenant.
    async fn unfinished_of(&mut self, tenant: &str) -> Result<Option<OperationId>, StoreError>;
}

for_both! {
    impl Operations {
        async fn insert(&mut self, operation: &Operation, first: &Event) -> Result<(), StoreError> {
            let tenant = operation.tenant.as_str();
            self.lock_tenant(tenant).await?;
            if tenants::table.find(tenant).count().get_result::<i64>(self).await? == 0 {
                return Err(StoreError::not_found("tenant", tenant));
            }
            if let Some(operation) = self.unfinished_of(tenant).await? {
                return Err(StoreError::OperationRunning { operation });
            }
            self.insert_with(operation, std::slice::from_ref(first)).await?;
            Ok(self.tell(&News::Queued).await?)
        }

        async fn insert_with(&mut self, operation: &Operation, events: &[Event]) -> Result<(), StoreError> {
            diesel::insert_into(operations::table).values(&Row::of(operation)?).execute(self).await?;
            let insert = |step: StepRow| diesel::insert_into(steps::table).values(step);
            self.execute_each(StepRow::all_of(operation)?.into_iter().map(insert).collect()).await?;
            self.append(events).await
        }

        async fn load_all(&mut self, ids: Vec<String>) -> Result<Vec<Operation>, StoreError> {
            let rows = operations::table.filter(operations::id.eq_any(&ids)).select(Row::as_select());
            let mut rows: Vec<Row> = rows.load(self).await?;
            let all = steps::table.filter(steps::operation_id.eq_any(&ids)).order(steps::position);
            let mut all: Vec<StepRow> = all.select(StepRow::as_select()).load(self).await?;
            let mut found = Vec::with_capacity(rows.len());
            for id in &ids {
                let Some(at) = rows.iter().position(|row| row.id == *id) else { continue };
                let (own, others) = all.into_iter().partition(|step| step.operation_id == *id);
                all = others;
                found.push(rows.swap_remove(at).operation(own)?);
            }
            Ok(found)
        }

        async fn load_one(&mut self, id: &str) -> Result<Operation, StoreError> {
            let row = operations::table.find(id).select(Row::as_select()).get_result::<Row>(self).await.optional()?;
            let row = row.ok_or_else(|| StoreError::not_found("operation", id))?;
            row.operation(self.load_steps(id).await?)
        }

        async fn load_steps(&mut self, id: &str) -> Result<Vec<StepRow>, StoreError> {
            let own = steps::table.filter(steps::operation_id.eq(id)).order(steps::position);
            Ok(own.select(StepRow::as_select()).load(self).await?)
        }

        async fn unfinished_of(&mut self, tenant: &str) -> Result<Option<OperationId>, StoreError> {
            let unfinished = operations::table.filter(operations::tenant.eq(tenant));
            let unfinished = unfinished.filter(operations::status.eq_any(UNFINISHED));
            let unfinished = unfinished.filter(operations::kind.ne_all(BESIDE)).select(operations::id);
            let id: Option<String> = unfinished.get_result(self).await.optional()?;
            maybe_parse("operations.id", id.as_deref())
        }
    }
}

impl Store {
    /// Writes an operation down with its first event.
    ///
    /// # Errors
    /// [`StoreError::OperationRunning`], [`StoreError::NotFound`] when the tenant is gone,
    /// [`StoreError::IdempotencyReplay`]
    pub async fn create_operation(
        &self,
        operation: &Operation,
        first: NewEvent,
        once: Option<&IdempotencyRecord>,
    ) -> Result<(), StoreError> {
        let ((operation, first), once) = (accepted(operation, first), once.cloned());
        transact!(self, conn => {
            conn.keep_reply(once.as_ref()).await?;
            conn.insert(&operation, &first).await
        })
    }

    /// Writes a rollback down, and at the same time makes the tenant what it is to go back to. `expected` is the version
    /// of the tenant that was looked at.
    ///
    /// # Errors
    /// As [`Store::create_operation`] and [`Store::update_tenant`]
    pub async fn create_rollback(
        &self,
        operation: &Operation,
        spec: &TenantSpec,
        expected: i64,
        first: NewEvent,
        once: Option<&IdempotencyRecord>,
    ) -> Result<(), StoreError> {
        let ((operation, first), spec, once) = (accepted(operation, first), spec.clone(), once.cloned());
        let (text, now) = (json("tenants.spec", &spec)?, operation.created_at);
        transact!(self, conn => {
            conn.keep_reply(once.as_ref()).await?;
            conn.insert(&operation, &first).await?;
            conn.change(&spec, &text, Some(expected), now).await.map(drop)
        })
    }

    /// The revision that was deployed before the one that is deployed: that of the newest operation that succeeded with
    /// another one. The newest is the one with the greatest fence: ids follow a clock, which may have gone back since.
    ///
    /// # Errors
    /// [`StoreError::Database`]
    pub async fn revision_before(
        &self,
        tenant: &TenantName,
        deployed: &RevisionId,
    ) -> Result<Option<RevisionId>, StoreError> {
        let (tenant, deployed) = (tenant.to_string(), deployed.to_string());
        let found: Option<Option<String>> = read!(self, conn => {
            let ended = operations::table.filter(operations::tenant.eq(&tenant));
            let ended = ended.filter(operations::status.eq(OperationStatus::Succeeded.word()));
            let kinds = [OperationKind::Deploy.word(), OperationKind::Rollback.word()];
            let others = ended.filter(operations::kind.eq_any(kinds)).filter(operations::revision.ne(&deployed));
            let newest = others.order((operations::fence.desc(), operations::id.desc()));
            let newest = newest.select(operations::revision);
            Ok(newest.first(conn).await.optional()?)
        })?;
        maybe_parse("operations.revision", found.flatten().as_deref())
    }

    /// An operation.
    ///
    /// # Errors
    /// [`StoreError::NotFound`]
    pub async fn operation(&self, id: OperationId) -> Result<Operation, StoreError> {
        let id = id.to_string();
        snapshot!(self, conn => conn.load_one(&id).await)
    }

    /// Operations, newest first.
    ///
    /// # Errors
    /// [`StoreError::InvalidCursor`]
    pub async fn list_operations(
        &self,
        filter: &OperationFilter,
        after: Option<&str>,
        limit: u32,
    ) -> Result<Page<Operation>, StoreError> {
        let parsed = after.map(|text| OperationId::try_parse(text).map_err(|_| StoreError::InvalidCursor));
        let after = parsed.transpose()?.map(|id| id.to_string());
        let filter = filter.clone();
        let found: Vec<Operation> = snapshot!(self, conn => {
            let mut wanted = operations::table.select(operations::id).into_boxed();
            if let Some(tenant) = &filter.tenant {
                wanted = wanted.filter(operations::tenant.eq(tenant.as_str()));
            }
            if let Some(status) = filter.status {
                wanted = wanted.filter(operations::status.eq(status.word()));
            }
            if let Some(after) = &after {
                wanted = wanted.filter(operations::id.lt(after));
            }
            let ids = wanted.order(operations::id.desc()).limit(rows_for(limit)).load(conn).await?;
            conn.load_all(ids).await
        })?;
        Page::of(found, limit, |operation| operation.id.to_string(), Ok)
    }

    /// Writes how an operation stands, and its new events, which get their numbers. A wish to cancel that came
    /// meanwhile is not lost but told. What a preview was asked about is forgotten with its end. `write` counts the
    /// holder's writes from 1: one that comes again, since its answer was lost, is answered again and not written twice.
    ///
    /// # Errors
    /// [`StoreError::LeaseLost`]; [`StoreError::Finished`] for one that has ended, [`StoreError::NotFound`]
    pub async fn record(
        &self,
        hold: Hold,
        write: i64,
        operation: &Operation,
        events: Vec<NewEvent>,
    ) -> Result<Recorded, StoreError> {
        let wanted = as_kept(operation.clone());
        transact!(self, conn => {
            let id = wanted.id.to_string();
            let held = conn.hold(hold).await?;
            if held.writes >= write {
                let operation = conn.load_one(&id).await?;
                let events = conn.events_since(&id, wanted.last_seq).await?;
                return Ok(Recorded { operation, events });
            }
            if held.status.is_final() {
                return Err(StoreError::Finished { operation: wanted.id, status: held.status });
            }
            let number = |(seq, event): (i64, &NewEvent)| event.clone().numbered(wanted.id, seq);
            let numbered: Vec<Event> = (held.last_seq + 1..).zip(&events).map(number).collect();
            let mut written = wanted.clone();
            written.cancel_requested |= held.cancel_requested;
            written.last_seq = held.last_seq + numbered.len() as i64;
            let row = diesel::update(operations::table.find(&id));
            row.set((&Row::of(&written)?, operations::writes.eq(write))).execute(conn).await?;
            let before = conn.load_steps(&id).await?;
            let changed = StepRow::all_of(&written)?.into_iter().filter(|step| !before.contains(step));
            let update =
                |step: StepRow| diesel::update(steps::table.find((step.operation_id.clone(), step.position))).set(step);
            conn.execute_each(changed.map(update).collect()).await?;
            conn.append(&numbered).await?;
            if written.status.is_final() {
                // It may hold sealed secrets that nobody stored.
                let spec = previews::spec.eq(None::<String>);
                diesel::update(previews::table.find(&id)).set(spec).execute(conn).await?;
                conn.note_end(&written).await?;
                conn.note_drill(&written).await?;
            }
            Ok::<_, StoreError>(Recorded { operation: written, events: numbered })
        })
    }

    /// Notes that somebody asked an operation to stop. The event is written the first time only.
    ///
    /// # Errors
    /// [`StoreError::Finished`], [`StoreError::NotFound`], [`StoreError::IdempotencyReplay`]
    pub async fn request_cancel(
        &self,
        id: OperationId,
        event: NewEvent,
        once: Option<&IdempotencyRecord>,
    ) -> Result<(Operation, Option<Event>), StoreError> {
        let once = once.cloned();
        transact!(self, conn => {
            conn.keep_reply(once.as_ref()).await?;
            let key = id.to_string();
            conn.lock_operation(&key).await?;
            let mut operation = conn.load_one(&key).await?;
            if operation.status.is_final() {
                return Err(StoreError::Finished { operation: id, status: operation.status });
            }
            if operation.cancel_requested {
                return Ok((operation, None));
            }
            operation.cancel_requested = true;
            operation.last_seq += 1;
            let columns =
                (operations::cancel_requested.eq(true), operations::last_seq.eq(operation.last_seq));
            diesel::update(operations::table.find(&key)).set(columns).execute(conn).await?;
            let event = event.clone().numbered(id, operation.last_seq);
            conn.append(std::slice::from_ref(&event)).await?;
            conn.tell(&News::Cancel(id)).await?;
            Ok((operation, Some(event)))
        })
    }

    /// How long, in milliseconds, each step took in the newest operations of a kind that succeeded.
    ///
    /// # Errors
    /// [`StoreError::Database`]
    pub async fn step_durations(
        &self,
        kind: OperationKind,
        limit: u32,
    ) -> Result<Vec<(StepName, i64)>, StoreError> {
        let rows: Vec<(String, Option<i64>, Option<i64>)> = read!(self, conn => {
            let done = operations::status.eq(OperationStatus::Succeeded.word());
            let wanted = steps::table.inner_join(operations::table).filter(operations::kind.eq(kind.word()));
            let wanted = wanted.filter(done).filter(steps::status.eq(StepStatus::Succeeded.word()));
            let newest = wanted.order((operations::id.desc(), steps::position)).limit(i64::from(limit));
            Ok::<_, StoreError>(newest.select((steps::name, steps::started_at, steps::finished_at)).load(conn).await?)
        })?;
        let known = rows.into_iter().filter_map(|(name, start, end)| Some((name, end? - start?)));
        known.map(|(name, took)| Ok((word("steps.name", &name, StepName::from_word)?, took))).collect()
    }
}
