//! The same change to many tenants.
//!
//! A rollout has no owner: whoever read it decides what comes next and records that on the condition that nobody changed it
//! since. Every change writes at least one event, so the number of the newest one is the rollout's version. Two daemons
//! that drive the same rollout take turns, and none of its steps is taken twice.

mod rows;

use berth_domain::event::NewEvent;
use berth_domain::rollout::NewRolloutEvent;
use berth_domain::{EventKind, Operation, Rollout, RolloutEvent, RolloutId, RolloutStatus, RolloutTenant};
use diesel::prelude::*;
use diesel_async::RunQueryDsl;

use crate::columns::{from_json, json, millis, parse, word};
use crate::dialect::Dialect;
use crate::each::ExecuteEach as _;
use crate::error::StoreError;
use crate::idempotency::{IdempotencyRecord, Keys};
use crate::operations::{Operations as _, UNFINISHED as UNFINISHED_OPERATIONS, accepted};
use crate::page::{Page, rows_for};
use crate::pool::Store;
use crate::run::{for_both, look_up, read, snapshot, transact};
use crate::schema::{operations, rollout_events, rollout_tenants, rollouts, tenants};

use rows::{Count, Row, TenantRow, counted};

/// The statuses in which a rollout still has something to do.
const UNFINISHED: [&str; 3] =
    [RolloutStatus::Running.word(), RolloutStatus::Paused.word(), RolloutStatus::Aborting.word()];

/// Events of one rollout.
#[derive(Debug, Clone, PartialEq)]
pub struct RolloutEventPage {
    /// The events, by number, without a hole.
    pub events: Vec<RolloutEvent>,
    /// Where the rollout stood when they were read.
    pub status: RolloutStatus,
    /// The number of the newest event.
    pub last_seq: i64,
}

/// What is to be written of a rollout.
#[derive(Debug, Clone, Default)]
pub struct RolloutChange {
    /// What happened; at least one.
    pub events: Vec<NewRolloutEvent>,
    /// The tenants that stand elsewhere now.
    pub tenants: Vec<RolloutTenant>,
    /// An operation that is to be made.
    pub operation: Option<Operation>,
}

/// Rollouts within a transaction.
trait Rollouts {
    /// Writes numbered events.
    async fn append_of_rollout(&mut self, numbered: &[RolloutEvent]) -> Result<(), StoreError>;

    /// How many tenants of a rollout stand where, by wave.
    async fn count_tenants(&mut self, id: &str) -> Result<Vec<Count>, StoreError>;
}

for_both! {
    impl Rollouts {
        async fn append_of_rollout(&mut self, numbered: &[RolloutEvent]) -> Result<(), StoreError> {
            let insert = |event: &RolloutEvent| {
                let columns = (
                    rollout_events::rollout_id.eq(event.rollout.to_string()),
                    rollout_events::seq.eq(event.seq),
                    rollout_events::body.eq(json("rollout_events.body", event)?),
                );
                Ok(diesel::insert_into(rollout_events::table).values(columns))
            };
            let inserts = numbered.iter().map(insert).collect::<Result<Vec<_>, StoreError>>()?;
            Ok(self.execute_each(inserts).await?)
        }

        async fn count_tenants(&mut self, id: &str) -> Result<Vec<Count>, StoreError> {
            let own = rollout_tenants::table.filter(rollout_tenants::rollout_id.eq(id));
            let by = own.group_by((rollout_tenants::wave, rollout_tenants::state));
            let by = by.select((rollout_tenants::wave, rollout_tenants::state, diesel::dsl::count_star()));
            Ok(by.order((rollout_tenants::wave, rollout_tenants::state)).load(self).await?)
        }
    }
}

impl Store {
    /// Writes a rollout down with its tenants and its first event.
    ///
    /// # Errors
    /// [`StoreError::IdempotencyReplay`]
    pub async fn create_rollout(
        &self,
        rollout: &Rollout,
        first: NewRolloutEvent,
        once: Option<&IdempotencyRecord>,
    ) -> Result<(), StoreError> {
        let (rollout, once) = (rollout.clone(), once.cloned());
        let first = first.numbered(rollout.id, rollout.last_seq);
        transact!(self, conn => {
            conn.keep_reply(once.as_ref()).await?;
            diesel::insert_into(rollouts::table).values(&Row::of(&rollout)?).execute(conn).await?;
            let insert = |row: TenantRow| diesel::insert_into(rollout_tenants::table).values(row);
            conn.execute_each(TenantRow::all_of(&rollout).into_iter().map(insert).collect()).await?;
            conn.append_of_rollout(std::slice::from_ref(&first)).await
        })
    }

    /// A rollout with all its tenants.
    ///
    /// # Errors
    /// [`StoreError::NotFound`]
    pub async fn rollout(&self, id: RolloutId) -> Result<Rollout, StoreError> {
        let key = id.to_string();
        let (row, tenants): (Row, Vec<TenantRow>) = snapshot!(self, conn => {
            let row = rollouts::table.find(&key).select(Row::as_select()).get_result(conn).await.optional()?;
            let row = row.ok_or_else(|| StoreError::not_found("rollout", &key))?;
            let own = rollout_tenants::table.filter(rollout_tenants::rollout_id.eq(&key));
            let own = own.order(rollout_tenants::position).select(TenantRow::as_select());
            Ok::<_, StoreError>((row, own.load(conn).await?))
        })?;
        let mut rollout = row.rollout()?;
        rollout.tenants = tenants.into_iter().map(TenantRow::tenant).collect::<Result<_, _>>()?;
        rollout.count();
        Ok(rollout)
    }

    /// Rollouts, newest first, without their tenants.
    ///
    /// # Errors
    /// [`StoreError::InvalidCursor`]
    pub async fn list_rollouts(&self, after: Option<&str>, limit: u32) -> Result<Page<Rollout>, StoreError> {
        let parsed = after.map(|text| RolloutId::try_parse(text).map_err(|_| StoreError::InvalidCursor));
        let after = parsed.transpose()?.map(|id| id.to_string());
        let found: Vec<(Row, Vec<Count>)> = snapshot!(self, conn => {
            let mut wanted = rollouts::table.select(Row::as_select()).into_boxed();
            if let Some(after) = &after {
                wanted = wanted.filter(rollouts::id.lt(after));
            }
            let rows: Vec<Row> = wanted.order(rollouts::id.desc()).limit(rows_for(limit)).load(conn).await?;
            let mut found = Vec::with_capacity(rows.len());
            for row in rows {
                let counts = conn.count_tenants(&row.id).await?;
                found.push((row, counts));
            }
            Ok::<_, StoreError>(found)
        })?;
        Page::of(
            found,
            limit,
            |(row, _)| row.id.clone(),
            |(row, counts)| {
                let mut rollout = row.rollout()?;
                rollout.waves = counted(counts)?;
                Ok::<_, StoreError>(rollout)
            },
        )
    }

    /// The rollouts that still have something to do, oldest first, and where each stands.
    ///
    /// # Errors
    /// [`StoreError::Database`]
    pub async fn unfinished_rollouts(&self) -> Result<Vec<(RolloutId, RolloutStatus)>, StoreError> {
        let rows: Vec<(String, String)> = read!(self, conn => {
            let unfinished = rollouts::table.filter(rollouts::status.eq_any(UNFINISHED)).order(rollouts::id);
            Ok::<_, StoreError>(unfinished.select((rollouts::id, rollouts::status)).load(conn).await?)
        })?;
        let read = |(id, status): (String, String)| {
            Ok((parse("rollouts.id", &id)?, word("rollouts.status", &status, RolloutStatus::from_word)?))
        };
        rows.into_iter().map(read).collect()
    }

    /// How many unfinished operations belong to rollouts.
    ///
    /// # Errors
    /// [`StoreError::Database`]
    pub async fn rollout_operations(&self) -> Result<usize, StoreError> {
        let count: i64 = read!(self, conn => {
            let unfinished = operations::table.filter(operations::status.eq_any(UNFINISHED_OPERATIONS));
            let own = unfinished.filter(operations::rollout.is_not_null());
            Ok::<_, StoreError>(own.count().get_result(conn).await?)
        })?;
        Ok(usize::try_from(count).unwrap_or_default())
    }

    /// The platform that an unfinished or finished rollout brings its tenants to, if it has one.
    ///
    /// # Errors
    /// [`StoreError::NotFound`]
    pub async fn rollout_platform(&self, id: RolloutId) -> Result<Option<String>, StoreError> {
        let key = id.to_string();
        let found: Option<Option<String>> = read!(self, conn => {
            let row = rollouts::table.find(&key).select(rollouts::platform);
            Ok::<_, StoreError>(row.get_result(conn).await.optional()?)
        })?;
        found.ok_or_else(|| StoreError::not_found("rollout", id))
    }

    /// Writes how a rollout stands now, and what happened, if nobody changed it since it was read as `rollout` with its
    /// number of events. The events get their numbers, and the rollout counts itself anew.
    ///
    /// # Errors
    /// [`StoreError::RolloutChanged`], [`StoreError::RolloutFinished`], [`StoreError::NotFound`]; of an operation, also
    /// those of [`Store::create_operation`], and [`StoreError::NotFound`] where its tenant came after the rollout.
    /// [`StoreError::IdempotencyReplay`].
    pub async fn record_rollout(
        &self,
        rollout: &mut Rollout,
        change: RolloutChange,
        once: Option<&IdempotencyRecord>,
    ) -> Result<Vec<RolloutEvent>, StoreError> {
        let (mut written, once) = (rollout.clone(), once.cloned());
        for tenant in &change.tenants {
            if let Some(place) = written.tenants.iter_mut().find(|place| place.tenant == tenant.tenant) {
                place.clone_from(tenant);
            }
        }
        written.count();
        let based_on = written.last_seq;
        let number = |(seq, event): (i64, NewRolloutEvent)| event.numbered(written.id, seq);
        let numbered: Vec<RolloutEvent> = (based_on + 1..).zip(change.events).map(number).collect();
        written.last_seq = based_on + numbered.len() as i64;
        let operation = change.operation.map(|operation| {
            let words = format!("{} of {} accepted for a rollout", operation.kind, operation.tenant);
            let first = NewEvent::new(operation.created_at, EventKind::Accepted, words);
            accepted(&operation, first)
        });
        let (row, changed) = (Row::of(&written)?, change.tenants);
        let created_at = millis(written.created_at);
        let events = numbered.clone();
        transact!(self, conn => {
            conn.keep_reply(once.as_ref()).await?;
            conn.lock_rollout(&row.id).await?;
            let stored = rollouts::table.find(&row.id).select((rollouts::status, rollouts::last_seq));
            let stored: Option<(String, i64)> = stored.get_result(conn).await.optional()?;
            let (status, last_seq) = stored.ok_or_else(|| StoreError::not_found("rollout", &row.id))?;
            let status = word("rollouts.status", &status, RolloutStatus::from_word)?;
            if status.is_final() {
                return Err(StoreError::RolloutFinished { rollout: parse("rollouts.id", &row.id)?, status });
            }
            if last_seq != based_on {
                return Err(StoreError::RolloutChanged);
            }
            if let Some((operation, first)) = &operation {
                // Whoever took the name since is another tenant, which was not selected.
                let name = operation.tenant.as_str();
                let selected = tenants::table.find(name).filter(tenants::created_at.le(created_at));
                if selected.count().get_result::<i64>(conn).await? == 0 {
                    return Err(StoreError::not_found("tenant", name));
                }
                conn.insert(operation, first).await?;
            }
            diesel::update(rollouts::table.find(&row.id)).set(&row).execute(conn).await?;
            for tenant in &changed {
                let own = rollout_tenants::table.filter(rollout_tenants::rollout_id.eq(&row.id));
                let own = own.filter(rollout_tenants::tenant.eq(tenant.tenant.as_str()));
                let columns = (
                    rollout_tenants::state.eq(tenant.state.word()),
                    rollout_tenants::operation_id.eq(tenant.operation.map(|id| id.to_string())),
                    rollout_tenants::problem.eq(tenant.problem.clone()),
                );
                diesel::update(own).set(columns).execute(conn).await?;
            }
            conn.append_of_rollout(&events).await
        })?;
        *rollout = written;
        Ok(numbered)
    }

    /// The number of the newest event of a rollout.
    ///
    /// # Errors
    /// [`StoreError::NotFound`]
    pub async fn rollout_seq(&self, id: RolloutId) -> Result<i64, StoreError> {
        let key = id.to_string();
        let found: Result<Option<i64>, StoreError> =
            look_up!(self, i64, rollouts::table.find(&key).select(rollouts::last_seq));
        found?.ok_or_else(|| StoreError::not_found("rollout", id))
    }

    /// The events of a rollout after number `after`.
    ///
    /// # Errors
    /// [`StoreError::NotFound`]
    pub async fn rollout_events(
        &self,
        id: RolloutId,
        after: i64,
        limit: u32,
    ) -> Result<RolloutEventPage, StoreError> {
        let key = id.to_string();
        let (rows, status, last_seq): (Vec<String>, String, i64) = snapshot!(self, conn => {
            let head = rollouts::table.find(&key).select((rollouts::status, rollouts::last_seq));
            let head: Option<(String, i64)> = head.get_result(conn).await.optional()?;
            let (status, last_seq) = head.ok_or_else(|| StoreError::not_found("rollout", &key))?;
            let wanted = rollout_events::table.filter(rollout_events::rollout_id.eq(&key));
            let wanted = wanted.filter(rollout_events::seq.gt(after)).order(rollout_events::seq);
            let rows = wanted.limit(rows_for(limit) - 1).select(rollout_events::body).load(conn).await?;
            Ok::<_, StoreError>((rows, status, last_seq))
        })?;
        let read = |body: &String| from_json("rollout_events.body", body);
        Ok(RolloutEventPage {
            events: rows.iter().map(read).collect::<Result<_, _>>()?,
            status: word("rollouts.status", &status, RolloutStatus::from_word)?,
            last_seq,
        })
    }
}
