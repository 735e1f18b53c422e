//! How operations stand, for whoever watches many of them.

use berth_domain::operation::OperationError;
use berth_domain::{OperationId, OperationStatus};
use diesel::prelude::*;
use diesel_async::RunQueryDsl;

use crate::columns::{from_json, parse, word};
use crate::error::StoreError;
use crate::pool::Store;
use crate::run::read;
use crate::schema::operations;

/// How an operation stands.
#[derive(Debug, Clone, PartialEq)]
pub struct Standing {
    /// Which.
    pub operation: OperationId,
    /// Where it stands.
    pub status: OperationStatus,
    /// Why it failed, where it has.
    pub error: Option<OperationError>,
}

impl Store {
    /// How operations stand, in no order; those that are gone are left out.
    ///
    /// # Errors
    /// [`StoreError::Database`]
    pub async fn standings(&self, ids: &[OperationId]) -> Result<Vec<Standing>, StoreError> {
        let ids: Vec<String> = ids.iter().map(ToString::to_string).collect();
        let rows: Vec<(String, String, Option<String>)> = read!(self, conn => {
            let wanted = operations::table.filter(operations::id.eq_any(&ids));
            Ok::<_, StoreError>(wanted.select((operations::id, operations::status, operations::error)).load(conn).await?)
        })?;
        let standing = |(id, status, error): (String, String, Option<String>)| {
            Ok(Standing {
                operation: parse("operations.id", &id)?,
                status: word("operations.status", &status, OperationStatus::from_word)?,
                error: error.map(|error| from_json("operations.error", &error)).transpose()?,
            })
        };
        rows.into_iter().map(standing).collect()
    }
}
