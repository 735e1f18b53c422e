//! Tenants on their way from one provider to another: tickets that were issued here, and tenants that leave.

use berth_domain::event::NewEvent;
use berth_domain::{
    Arrival, Departure, MigrationId, Mode, MovePhase, Operation, OperationId, OperationKind, TenantName,
    Timestamp,
};
use diesel::prelude::*;
use diesel_async::RunQueryDsl;

use crate::columns::{from_json, json, millis};
use crate::error::StoreError;
use crate::idempotency::{IdempotencyRecord, Keys as _};
use crate::leases::{Guard as _, Hold};
use crate::operations::{Operations as _, accepted};
use crate::page::{Page, key, rows_for};
use crate::pool::Store;
use crate::run::{for_both, read, transact};
use crate::schema::{arrivals, departures, operations};
use crate::tenants::Tenants as _;

/// A ticket with what is kept of it and shown to nobody.
#[derive(Debug, Clone, PartialEq)]
pub struct ArrivalRecord {
    /// What is shown.
    pub arrival: Arrival,
    /// The SHA-256 of the ticket's secret, in hexadecimal digits.
    pub token_hash: String,
    /// Counts its changes.
    pub serial: i64,
    /// What the source asked for, as it signed it (a JWS).
    pub claim: Option<String>,
    /// The source's public key (a JWK in JSON).
    pub source_key: Option<String>,
    /// That the source has stopped for good, as it signed it (a JWS).
    pub handover: Option<String>,
}

#[derive(Queryable, Selectable, Insertable, AsChangeset)]
#[diesel(table_name = arrivals, treat_none_as_null = true)]
struct Row {
    id: String,
    token_hash: String,
    serial: i64,
    claim: Option<String>,
    source_key: Option<String>,
    handover: Option<String>,
    body: String,
}

impl Row {
    fn of(record: &ArrivalRecord) -> Result<Self, StoreError> {
        Ok(Self {
            id: record.arrival.id.to_string(),
            token_hash: record.token_hash.clone(),
            serial: record.serial,
            claim: record.claim.clone(),
            source_key: record.source_key.clone(),
            handover: record.handover.clone(),
            body: json("arrivals.body", &record.arrival)?,
        })
    }
}

impl TryFrom<Row> for ArrivalRecord {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self, StoreError> {
        Ok(Self {
            arrival: from_json("arrivals.body", &row.body)?,
            token_hash: row.token_hash,
            serial: row.serial,
            claim: row.claim,
            source_key: row.source_key,
            handover: row.handover,
        })
    }
}

/// A tenant that leaves, with the ticket.
#[derive(Debug, Clone, PartialEq)]
pub struct DepartureRecord {
    /// What is shown.
    pub departure: Departure,
    /// The ticket, sealed.
    pub sealed_ticket: String,
}

/// What takes a tenant in of another provider, or a copy of it.
const COMES: [OperationKind; 2] = [OperationKind::Import, OperationKind::TryOut];

/// Migrations within a transaction.
pub(crate) trait Moves {
    /// The newest operation that moves, or moved, a tenant away.
    async fn newest_departure(&mut self, tenant: &str) -> Result<Option<Departure>, StoreError>;

    /// The ticket of the newest operation that takes, or took, a tenant in, as long as that is its operation.
    async fn newest_arrival(&mut self, tenant: &str) -> Result<Option<ArrivalRecord>, StoreError>;

    /// Writes how a departure stands.
    async fn keep_departure(&mut self, departure: &Departure) -> Result<(), StoreError>;
}

for_both! {
    impl Moves {
        async fn newest_departure(&mut self, tenant: &str) -> Result<Option<Departure>, StoreError> {
            let own = departures::table.filter(departures::tenant.eq(tenant));
            let newest = own.order(departures::operation.desc()).select(departures::body);
            let body: Option<String> = newest.first(self).await.optional()?;
            body.map(|body| from_json("departures.body", &body)).transpose()
        }

        async fn newest_arrival(&mut self, tenant: &str) -> Result<Option<ArrivalRecord>, StoreError> {
            let own = operations::table.filter(operations::tenant.eq(tenant));
            let own = own.filter(operations::kind.eq_any(COMES.map(OperationKind::word)));
            let newest = own.order(operations::id.desc()).select((operations::id, operations::migration));
            let newest: Option<(String, Option<String>)> = newest.first(self).await.optional()?;
            let Some((operation, Some(id))) = newest else { return Ok(None) };
            let row: Option<Row> = arrivals::table.find(&id).select(Row::as_select()).get_result(self).await.optional()?;
            let record = row.map(ArrivalRecord::try_from).transpose()?;
            let own = |record: &ArrivalRecord| record.arrival.operation.is_some_and(|id| id.to_string() == operation);
            Ok(record.filter(own))
        }

        async fn keep_departure(&mut self, departure: &Departure) -> Result<(), StoreError> {
            let (id, body) = (departure.operation.to_string(), json("departures.body", departure)?);
            // One that never came to be is nothing to be removed, nor is one that is back.
            let due = departure.kept_until.filter(|_| departure.is_elsewhere()).map(millis);
            let new = (departures::body.eq(&body), departures::kept_until.eq(due));
            diesel::update(departures::table.find(&id)).set(new).execute(self).await?;
            Ok(())
        }
    }
}

impl Store {
    /// Keeps a ticket that is issued.
    ///
    /// # Errors
    /// [`StoreError::Exists`], [`StoreError::IdempotencyReplay`]
    pub async fn create_arrival(
        &self,
        record: &ArrivalRecord,
        once: Option<&IdempotencyRecord>,
    ) -> Result<(), StoreError> {
        let (row, once) = (Row::of(record)?, once.cloned());
        transact!(self, conn => {
            conn.keep_reply(once.as_ref()).await?;
            diesel::insert_into(arrivals::table).values(&row).execute(conn).await?;
            Ok::<_, StoreError>(())
        })
    }

    /// A ticket.
    ///
    /// # Errors
    /// [`StoreError::NotFound`]
    pub async fn arrival(&self, id: MigrationId) -> Result<ArrivalRecord, StoreError> {
        let text = id.to_string();
        let found: Option<Row> = read!(self, conn => {
            let row = arrivals::table.find(&text).select(Row::as_select());
            Ok::<_, StoreError>(row.get_result(conn).await.optional()?)
        })?;
        found.ok_or_else(|| StoreError::not_found("ticket", id))?.try_into()
    }

    /// The tickets, newest first.
    ///
    /// # Errors
    /// [`StoreError::InvalidCursor`]
    pub async fn list_arrivals(&self, after: Option<&str>, limit: u32) -> Result<Page<Arrival>, StoreError> {
        let before = key(after)?;
        let rows: Vec<Row> = read!(self, conn => {
            let all = arrivals::table.into_boxed();
            let all = if before.is_empty() { all } else { all.filter(arrivals::id.lt(&before)) };
            let wanted = all.order(arrivals::id.desc()).limit(rows_for(limit));
            Ok::<_, StoreError>(wanted.select(Row::as_select()).load(conn).await?)
        })?;
        let shown = |row| Ok::<_, StoreError>(ArrivalRecord::try_from(row)?.arrival);
        Page::of(rows, limit, |row| row.id.clone(), shown)
    }

    /// Writes how a ticket stands, unless somebody changed it since `record` was read; tells whether it did. A runner of an
    /// operation names its hold.
    ///
    /// # Errors
    /// [`StoreError::LeaseLost`]
    pub async fn record_arrival(
        &self,
        hold: Option<Hold>,
        record: &ArrivalRecord,
    ) -> Result<bool, StoreError> {
        let (read, mut row) = (record.serial, Row::of(record)?);
        row.serial += 1;
        transact!(self, conn => {
            if let Some(hold) = hold {
                conn.hold(hold).await?;
            }
            let same = arrivals::table.find(row.id.clone()).filter(arrivals::serial.eq(read));
            Ok::<_, StoreError>(diesel::update(same).set(&row).execute(conn).await? == 1)
        })
    }

    /// Writes down an operation that moves a tenant away, with its ticket.
    ///
    /// # Errors
    /// As [`Store::create_operation`].
    pub async fn create_departure(
        &self,
        operation: &Operation,
        record: &DepartureRecord,
        first: NewEvent,
        once: Option<&IdempotencyRecord>,
    ) -> Result<(), StoreError> {
        let ((operation, first), once) = (accepted(operation, first), once.cloned());
        let (id, tenant) = (operation.id.to_string(), operation.tenant.to_string());
        let (ticket, body) = (record.sealed_ticket.clone(), json("departures.body", &record.departure)?);
        transact!(self, conn => {
            conn.keep_reply(once.as_ref()).await?;
            conn.insert(&operation, &first).await?;
            let row = (
                departures::operation.eq(&id),
                departures::tenant.eq(&tenant),
                departures::sealed_ticket.eq(&ticket),
                departures::body.eq(&body),
            );
            diesel::insert_into(departures::table).values(row).execute(conn).await?;
            Ok::<_, StoreError>(())
        })
    }

    /// What an operation moves away.
    ///
    /// # Errors
    /// [`StoreError::NotFound`]
    pub async fn departure(&self, operation: OperationId) -> Result<DepartureRecord, StoreError> {
        let text = operation.to_string();
        let found: Option<(String, String)> = read!(self, conn => {
            let row = departures::table.find(&text).select((departures::sealed_ticket, departures::body));
            Ok::<_, StoreError>(row.get_result(conn).await.optional()?)
        })?;
        let (sealed_ticket, body) = found.ok_or_else(|| StoreError::not_found("migration", operation))?;
        Ok(DepartureRecord { departure: from_json("departures.body", &body)?, sealed_ticket })
    }

    /// The newest operation that moves, or moved, a tenant away.
    ///
    /// # Errors
    /// [`StoreError::NotFound`]
    pub async fn departure_of(&self, tenant: &TenantName) -> Result<Departure, StoreError> {
        let name = tenant.to_string();
        let found: Option<Departure> = read!(self, conn => conn.newest_departure(&name).await)?;
        found.ok_or_else(|| StoreError::not_found("migration of the tenant", tenant))
    }

    /// Writes how a departure stands.
    ///
    /// # Errors
    /// [`StoreError::LeaseLost`]
    pub async fn record_departure(&self, hold: Hold, departure: &Departure) -> Result<(), StoreError> {
        let departure = departure.clone();
        transact!(self, conn => {
            conn.hold(hold).await?;
            conn.keep_departure(&departure).await
        })
    }

    /// The migration by which another provider serves a tenant, or may serve it: it was handed over from here, or was to come
    /// here and did not.
    ///
    /// # Errors
    /// [`StoreError::NotFound`]
    pub async fn served_elsewhere(&self, tenant: &TenantName) -> Result<Option<MigrationId>, StoreError> {
        let since = self.tenant(tenant).await?.created_at;
        let name = tenant.to_string();
        read!(self, conn => {
            if let Some(departure) = conn.newest_departure(&name).await?
                && departure.has_taken(since)
            {
                return Ok(Some(departure.id));
            }
            let arrival = conn.newest_arrival(&name).await?.map(|record| record.arrival);
            let waits = |arrival: &Arrival| arrival.phase != MovePhase::Live && arrival.created_at < since;
            Ok::<_, StoreError>(arrival.filter(waits).map(|arrival| arrival.id))
        })
    }

    /// Takes a tenant back that another provider serves, or may serve, on the word of somebody who knows that it does not. Gives
    /// whether there was anything to be taken back.
    ///
    /// # Errors
    /// [`StoreError::NotFound`], [`StoreError::OperationRunning`]
    pub async fn take_back(&self, tenant: &TenantName, now: Timestamp) -> Result<bool, StoreError> {
        if self.served_elsewhere(tenant).await?.is_none() {
            return Ok(false);
        }
        let name = tenant.clone();
        transact!(self, conn => {
            conn.locked(&name).await?;
            conn.check_idle(&name).await?;
            if let Some(mut departure) = conn.newest_departure(name.as_str()).await? {
                departure.taken_back_at = Some(now);
                departure.kept_until = None;
                conn.keep_departure(&departure).await?;
            }
            if let Some(mut record) = conn.newest_arrival(name.as_str()).await? {
                record.arrival.operation = None;
                record.serial += 1;
                let row = arrivals::table.find(record.arrival.id.to_string());
                diesel::update(row).set(&Row::of(&record)?).execute(conn).await?;
            }
            Ok::<_, StoreError>(true)
        })
    }

    /// Writes what mode a tenant has, now that its machine has it.
    ///
    /// # Errors
    /// [`StoreError::LeaseLost`], [`StoreError::NotFound`]
    pub async fn set_tenant_mode(
        &self,
        hold: Hold,
        name: &TenantName,
        mode: &Mode,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let spec = berth_domain::TenantSpec { mode: mode.clone(), ..self.tenant(name).await?.spec };
        let text = json("tenants.spec", &spec)?;
        transact!(self, conn => {
            conn.hold(hold).await?;
            conn.change(&spec, &text, None, now).await.map(drop)
        })
    }
}
