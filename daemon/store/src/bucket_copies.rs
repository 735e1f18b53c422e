//! The newest copies of tenants' buckets in their vaults: what the next one goes on from.

use berth_domain::{OperationId, ServiceName, VaultId};
use diesel::prelude::*;
use diesel_async::RunQueryDsl;

use crate::columns::parse;
use crate::error::StoreError;
use crate::leases::{Guard as _, Hold};
use crate::pool::Store;
use crate::run::{read, transact};
use crate::schema::bucket_copies;

/// A copy of a bucket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BucketCopyRecord {
    /// The restic snapshot's id.
    pub restic: String,
    /// The operation that made it.
    pub operation: OperationId,
}

impl Store {
    /// The newest copy of a service's bucket that was made here, whether or not all of it had come.
    ///
    /// # Errors
    /// [`StoreError::Database`]
    pub async fn bucket_copy(
        &self,
        vault: VaultId,
        service: &ServiceName,
        bucket: &str,
    ) -> Result<Option<BucketCopyRecord>, StoreError> {
        let key = (vault.to_string(), service.to_string(), bucket.to_owned());
        read!(self, conn => {
            let row = bucket_copies::table.find(key).select((bucket_copies::restic, bucket_copies::operation));
            let found: Option<(String, String)> = row.get_result(conn).await.optional()?;
            let record = |(restic, operation): (String, String)| {
                Ok(BucketCopyRecord { restic, operation: parse("bucket_copies.operation", &operation)? })
            };
            found.map(record).transpose()
        })
    }

    /// Writes down the newest copy of a service's bucket, which the operation has made.
    ///
    /// # Errors
    /// [`StoreError::LeaseLost`]
    pub async fn keep_bucket_copy(
        &self,
        hold: Hold,
        vault: VaultId,
        service: &ServiceName,
        bucket: &str,
        restic: &str,
    ) -> Result<(), StoreError> {
        let (vault, service) = (vault.to_string(), service.to_string());
        let (bucket, restic) = (bucket.to_owned(), restic.to_owned());
        transact!(self, conn => {
            conn.hold(hold).await?;
            let key = (vault.clone(), service.clone(), bucket.clone());
            diesel::delete(bucket_copies::table.find(key)).execute(conn).await?;
            let row = (
                bucket_copies::vault.eq(&vault),
                bucket_copies::service.eq(&service),
                bucket_copies::bucket.eq(&bucket),
                bucket_copies::restic.eq(&restic),
                bucket_copies::operation.eq(hold.operation.to_string()),
            );
            diesel::insert_into(bucket_copies::table).values(row).execute(conn).await?;
            Ok::<_, StoreError>(())
        })
    }
}
