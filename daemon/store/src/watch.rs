//! Links that show one operation. Only the hash of a link's secret is here.

use berth_domain::{OperationId, Timestamp};
use diesel::prelude::*;
use diesel_async::RunQueryDsl;

use crate::columns::{millis, parse, time};
use crate::error::StoreError;
use crate::idempotency::{IdempotencyRecord, Keys};
use crate::pool::Store;
use crate::run::{read, transact};
use crate::schema::{operations, watch_links};

/// A link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WatchLink {
    /// SHA-256 of its secret.
    pub hash: [u8; 32],
    /// What it shows.
    pub operation: OperationId,
    /// When it stops working.
    pub expires_at: Timestamp,
}

impl Store {
    /// Writes a link down.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] when the operation is gone, [`StoreError::IdempotencyReplay`]
    pub async fn create_watch_link(
        &self,
        link: &WatchLink,
        once: Option<&IdempotencyRecord>,
    ) -> Result<(), StoreError> {
        let (link, once) = (link.clone(), once.cloned());
        transact!(self, conn => {
            conn.keep_reply(once.as_ref()).await?;
            let id = link.operation.to_string();
            if operations::table.find(&id).count().get_result::<i64>(conn).await? == 0 {
                return Err(StoreError::not_found("operation", &id));
            }
            let columns = (
                watch_links::hash.eq(link.hash.as_slice()),
                watch_links::operation_id.eq(&id),
                watch_links::expires_at.eq(millis(link.expires_at)),
            );
            diesel::insert_into(watch_links::table).values(columns).execute(conn).await?;
            Ok(())
        })
    }

    /// The link of that hash, if it works at the time `now`.
    ///
    /// # Errors
    /// [`StoreError::Database`]
    pub async fn watch_link(&self, hash: &[u8; 32], now: Timestamp) -> Result<Option<WatchLink>, StoreError> {
        let hash = *hash;
        let row: Option<(String, i64)> = read!(self, conn => {
            let link = watch_links::table.find(hash.as_slice()).filter(watch_links::expires_at.gt(millis(now)));
            let columns = link.select((watch_links::operation_id, watch_links::expires_at));
            Ok::<_, StoreError>(columns.get_result(conn).await.optional()?)
        })?;
        row.map(|(id, expires_at)| {
            Ok(WatchLink {
                hash,
                operation: parse("watch_links.operation_id", &id)?,
                expires_at: time("watch_links.expires_at", expires_at)?,
            })
        })
        .transpose()
    }
}
