//! Tenants that have left for another provider: whether they came back, and when what is left of them is to go.

use berth_domain::event::NewEvent;
use berth_domain::{Departure, MigrationId, Operation, OperationId, TenantName, Timestamp};
use diesel::prelude::*;
use diesel_async::RunQueryDsl;

use crate::columns::{from_json, millis};
use crate::error::StoreError;
use crate::leases::{Guard as _, Hold};
use crate::moves::{ArrivalRecord, Moves as _};
use crate::operations::{Operations as _, accepted};
use crate::pool::Store;
use crate::run::{read, transact};
use crate::schema::departures;
use crate::tenants::Tenants as _;

impl Store {
    /// The ticket with which a tenant came here, if it did.
    ///
    /// # Errors
    /// Whatever the database says.
    pub async fn arrival_of(&self, tenant: &TenantName) -> Result<Option<ArrivalRecord>, StoreError> {
        let name = tenant.to_string();
        read!(self, conn => conn.newest_arrival(&name).await)
    }

    /// Notes that a tenant is back that had left by this migration. Nothing happens where it left anew since.
    ///
    /// # Errors
    /// [`StoreError::LeaseLost`]
    pub async fn record_return(
        &self,
        hold: Hold,
        tenant: &TenantName,
        left: MigrationId,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let name = tenant.to_string();
        transact!(self, conn => {
            conn.hold(hold).await?;
            let newest = conn.newest_departure(&name).await?;
            if let Some(mut departure) = newest.filter(|departure| departure.id == left) {
                departure.returned_at.get_or_insert(now);
                departure.kept_until = None;
                conn.keep_departure(&departure).await?;
            }
            Ok::<_, StoreError>(())
        })
    }

    /// The migrations of tenants that left, and are not to be kept any longer: at most `limit`, those first that were due first.
    ///
    /// # Errors
    /// Whatever the database says.
    pub async fn overdue_departures(&self, now: Timestamp, limit: u32) -> Result<Vec<Departure>, StoreError> {
        let now = millis(now);
        let bodies: Vec<String> = read!(self, conn => {
            let due = departures::table.filter(departures::kept_until.le(now)).order(departures::kept_until);
            let due = due.limit(i64::from(limit)).select(departures::body);
            Ok::<_, StoreError>(due.load(conn).await?)
        })?;
        bodies.iter().map(|body| from_json("departures.body", body)).collect()
    }

    /// Writes down an operation that removes what is left of a tenant; tells whether it did. It does not where the tenant came back, was
    /// taken back, or left anew since.
    ///
    /// # Errors
    /// As [`Store::create_operation`].
    pub async fn create_removal(
        &self,
        departure: &Departure,
        operation: &Operation,
        first: NewEvent,
    ) -> Result<bool, StoreError> {
        let (operation, first) = accepted(operation, first);
        let (left, tenant) = (departure.operation, operation.tenant.clone());
        transact!(self, conn => {
            // What brings the tenant back has ended from here on, and has said so.
            conn.locked(&tenant).await?;
            conn.check_idle(&tenant).await?;
            let newest = conn.newest_departure(tenant.as_str()).await?;
            if newest.is_none_or(|newest| newest.operation != left || !newest.is_elsewhere()) {
                return Ok(false);
            }
            conn.insert(&operation, &first).await?;
            Ok::<_, StoreError>(true)
        })
    }

    /// Has what is left of a tenant that left by this operation be due at another time.
    ///
    /// # Errors
    /// Whatever the database says.
    pub async fn postpone_departure(&self, operation: OperationId, to: Timestamp) -> Result<(), StoreError> {
        self.set_kept_until(operation, Some(millis(to))).await
    }

    /// Notes that nothing is left to be removed of what left by this operation.
    ///
    /// # Errors
    /// Whatever the database says.
    pub async fn settle_departure(&self, operation: OperationId) -> Result<(), StoreError> {
        self.set_kept_until(operation, None).await
    }

    async fn set_kept_until(&self, operation: OperationId, until: Option<i64>) -> Result<(), StoreError> {
        let id = operation.to_string();
        transact!(self, conn => {
            // What came back meanwhile is due no more.
            let row = departures::table.find(&id).filter(departures::kept_until.is_not_null());
            diesel::update(row).set(departures::kept_until.eq(until)).execute(conn).await?;
            Ok::<_, StoreError>(())
        })
    }
}
