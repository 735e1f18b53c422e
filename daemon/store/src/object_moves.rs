//! What migrations have put into the buckets of tenants that come: of each object a text that only whoever moves objects reads.

use berth_domain::{MigrationId, ServiceName, TenantName};
use diesel::prelude::*;
use diesel::upsert::excluded;
use diesel_async::RunQueryDsl;

use crate::each::ExecuteEach as _;
use crate::error::StoreError;
use crate::leases::{Guard as _, Hold};
use crate::page::rows_for;
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

/// What is known of an object that was moved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MovedObject {
    /// Its key in the bucket.
    pub key: String,
    /// What is known of it.
    pub noted: String,
}

#[derive(Insertable)]
#[diesel(table_name = object_moves)]
struct Row {
    migration: String,
    service: String,
    place: String,
    key: Vec<u8>,
    tenant: String,
    noted: String,
}

impl MovedInto {
    fn row(&self, MovedObject { key, noted }: MovedObject) -> Row {
        Row {
            migration: self.migration.to_string(),
            service: self.service.to_string(),
            place: self.place.clone(),
            key: key.into_bytes(),
            tenant: self.tenant.to_string(),
            noted,
        }
    }
}

impl Store {
    /// What is known of objects that were moved into a bucket, `limit` of them at the most, in the order of their keys' bytes: from
    /// behind the key `after` on.
    ///
    /// # Errors
    /// [`StoreError::Database`]
    pub async fn moved_objects(
        &self,
        into: &MovedInto,
        after: Option<&str>,
        limit: u32,
    ) -> Result<Vec<MovedObject>, StoreError> {
        let MovedInto { migration, service, place, .. } = into;
        let (migration, service, place) = (migration.to_string(), service.to_string(), place.clone());
        let after = after.map(|key| key.as_bytes().to_vec());
        let rows: Vec<(Vec<u8>, String)> = read!(self, conn => {
            let own = object_moves::table.filter(object_moves::migration.eq(&migration));
            let own = own.filter(object_moves::service.eq(&service)).filter(object_moves::place.eq(&place));
            let mut own = own.into_boxed();
            if let Some(after) = &after {
                own = own.filter(object_moves::key.gt(after));
            }
            let wanted = own.order(object_moves::key).limit(rows_for(limit) - 1);
            Ok::<_, StoreError>(wanted.select((object_moves::key, object_moves::noted)).load(conn).await?)
        })?;
        // They were texts when they were written.
        let object = |(key, noted): (Vec<u8>, String)| MovedObject {
            key: String::from_utf8_lossy(&key).into_owned(),
            noted,
        };
        Ok(rows.into_iter().map(object).collect())
    }

    /// Writes down what is known of objects, in place of what was known before.
    ///
    /// # Errors
    /// [`StoreError::LeaseLost`]
    pub async fn note_moved_objects(
        &self,
        hold: Hold,
        into: &MovedInto,
        objects: Vec<MovedObject>,
    ) -> Result<(), StoreError> {
        let into = into.clone();
        transact!(self, conn => {
            conn.hold(hold).await?;
            let upsert = |object: &MovedObject| {
                let key =
                    (object_moves::migration, object_moves::service, object_moves::place, object_moves::key);
                let insert = diesel::insert_into(object_moves::table).values(into.row(object.clone()));
                insert.on_conflict(key).do_update().set(object_moves::noted.eq(excluded(object_moves::noted)))
            };
            conn.execute_each(objects.iter().map(upsert).collect()).await?;
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
