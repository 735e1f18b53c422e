//! What migrations have put into the buckets of tenants that come: lines that only whoever moves objects reads.

use berth_domain::{MigrationId, ServiceName, TenantName};
use diesel::dsl::max;
use diesel::prelude::*;
use diesel_async::RunQueryDsl;

use crate::error::StoreError;
use crate::leases::{Guard as _, Hold};
use crate::pool::Store;
use crate::run::{read, transact};
use crate::schema::object_moves;

/// A bucket that objects are moved into.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MovedInto {
    /// The migration.
    pub migration: MigrationId,
    /// The tenant that comes.
    pub tenant: TenantName,
    /// The service whose bucket it is.
    pub service: ServiceName,
    /// Which bucket: its store's host and its name.
    pub place: String,
}

impl Store {
    /// What was written down of the objects that were moved into a bucket, in order.
    ///
    /// # Errors
    /// [`StoreError::Database`]
    pub async fn moved_objects(&self, into: &MovedInto) -> Result<Vec<String>, StoreError> {
        let MovedInto { migration, service, place, .. } = into;
        let (migration, service, place) = (migration.to_string(), service.to_string(), place.clone());
        read!(self, conn => {
            let own = object_moves::table.filter(object_moves::migration.eq(&migration));
            let own = own.filter(object_moves::service.eq(&service)).filter(object_moves::place.eq(&place));
            Ok::<_, StoreError>(own.order(object_moves::number).select(object_moves::lines).load(conn).await?)
        })
    }

    /// Writes lines down behind the others.
    ///
    /// # Errors
    /// [`StoreError::LeaseLost`]
    pub async fn note_moved_objects(
        &self,
        hold: Hold,
        into: &MovedInto,
        lines: &str,
    ) -> Result<(), StoreError> {
        let MovedInto { migration, tenant, service, place } = into;
        let (migration, tenant) = (migration.to_string(), tenant.to_string());
        let (service, place, lines) = (service.to_string(), place.clone(), lines.to_owned());
        transact!(self, conn => {
            conn.hold(hold).await?;
            let own = object_moves::table.filter(object_moves::migration.eq(&migration));
            let own = own.filter(object_moves::service.eq(&service)).filter(object_moves::place.eq(&place));
            let last: Option<i64> = own.select(max(object_moves::number)).first(conn).await?;
            let row = (
                object_moves::migration.eq(&migration),
                object_moves::service.eq(&service),
                object_moves::place.eq(&place),
                object_moves::number.eq(last.map_or(0, |last| last + 1)),
                object_moves::tenant.eq(&tenant),
                object_moves::lines.eq(&lines),
            );
            diesel::insert_into(object_moves::table).values(row).execute(conn).await?;
            Ok::<_, StoreError>(())
        })
    }

    /// Forgets what a migration has moved: it is over.
    ///
    /// # Errors
    /// [`StoreError::LeaseLost`]
    pub async fn forget_moved_objects(&self, hold: Hold, migration: MigrationId) -> Result<(), StoreError> {
        let migration = migration.to_string();
        transact!(self, conn => {
            conn.hold(hold).await?;
            let own = object_moves::table.filter(object_moves::migration.eq(&migration));
            diesel::delete(own).execute(conn).await?;
            Ok::<_, StoreError>(())
        })
    }
}
