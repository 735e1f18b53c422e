//! What operations report.

use berth_domain::{Event, OperationId};
use diesel::prelude::*;
use diesel_async::RunQueryDsl;

use crate::columns::{from_json, json, millis};
use crate::dialect::Dialect;
use crate::each::ExecuteEach as _;
use crate::error::StoreError;
use crate::news::News;
use crate::page::rows_for;
use crate::pool::Store;
use crate::run::{for_both, snapshot, transact};
use crate::schema::{events, operations};

/// Events of one operation.
#[derive(Debug, Clone, PartialEq)]
pub struct EventPage {
    /// The events, by number, without a hole.
    pub events: Vec<Event>,
    /// The number of the oldest event that is left.
    pub oldest_seq: Option<i64>,
    /// The number of the newest event.
    pub last_seq: i64,
}

#[derive(Insertable)]
#[diesel(table_name = events)]
struct Row {
    operation_id: String,
    seq: i64,
    at: i64,
    kind: &'static str,
    body: String,
}

impl Row {
    fn of(event: &Event) -> Result<Self, StoreError> {
        Ok(Self {
            operation_id: event.operation.to_string(),
            seq: event.seq,
            at: millis(event.at),
            kind: event.kind.word(),
            body: json("events.body", event)?,
        })
    }
}

/// Events within a transaction.
pub(crate) trait Append {
    /// Writes numbered events, of one operation, and tells of them.
    async fn append(&mut self, numbered: &[Event]) -> Result<(), StoreError>;

    /// The events of an operation after number `after`.
    async fn events_since(&mut self, id: &str, after: i64) -> Result<Vec<Event>, StoreError>;
}

for_both! {
    impl Append {
        async fn append(&mut self, numbered: &[Event]) -> Result<(), StoreError> {
            let rows = numbered.iter().map(Row::of).collect::<Result<Vec<_>, _>>()?;
            let insert = |row| diesel::insert_into(events::table).values(row);
            self.execute_each(rows.into_iter().map(insert).collect()).await?;
            if let Some(last) = numbered.last() {
                self.tell(&News::Events(last.operation, last.seq)).await?;
            }
            Ok(())
        }

        async fn events_since(&mut self, id: &str, after: i64) -> Result<Vec<Event>, StoreError> {
            let own = events::table.filter(events::operation_id.eq(id)).filter(events::seq.gt(after));
            let rows: Vec<String> = own.order(events::seq).select(events::body).load(self).await?;
            rows.iter().map(|body| from_json("events.body", body)).collect()
        }
    }
}

impl Store {
    /// The events after number `after`.
    ///
    /// # Errors
    /// [`StoreError::NotFound`]
    pub async fn events(&self, id: OperationId, after: i64, limit: u32) -> Result<EventPage, StoreError> {
        let key = id.to_string();
        let (rows, oldest_seq, last_seq): (Vec<String>, Option<i64>, i64) = snapshot!(self, conn => {
            let last = operations::table.find(&key).select(operations::last_seq).get_result(conn).await.optional()?;
            let last: i64 = last.ok_or_else(|| StoreError::not_found("operation", &key))?;
            let own = events::table.filter(events::operation_id.eq(&key));
            let oldest = own.order(events::seq).select(events::seq).first(conn).await.optional()?;
            let wanted = own.filter(events::seq.gt(after)).order(events::seq);
            let rows = wanted.limit(rows_for(limit) - 1).select(events::body).load(conn).await?;
            Ok::<_, StoreError>((rows, oldest, last))
        })?;
        let events = rows.iter().map(|body| from_json("events.body", body)).collect::<Result<_, _>>()?;
        Ok(EventPage { events, oldest_seq, last_seq })
    }

    /// Removes all but the newest `keep` events of an operation; returns how many went.
    ///
    /// # Errors
    /// [`StoreError::Database`]
    pub async fn trim_events(&self, id: OperationId, keep: i64) -> Result<u64, StoreError> {
        let key = id.to_string();
        transact!(self, conn => {
            let last = operations::table.find(&key).select(operations::last_seq).get_result(conn).await.optional()?;
            let newest_to_go = last.unwrap_or(0_i64) - keep.max(0);
            if newest_to_go <= 0 {
                return Ok(0);
            }
            let old = events::table.filter(events::operation_id.eq(&key)).filter(events::seq.le(newest_to_go));
            Ok(diesel::delete(old).execute(conn).await? as u64)
        })
    }
}
