//! Tenants that are made of a repository that lies elsewhere: of which, and until that is done, what opens it.

use berth_domain::{OperationId, SnapshotId, TenantName, Timestamp};
use diesel::prelude::*;
use diesel_async::RunQueryDsl;

use crate::columns::{millis, parse};
use crate::dialect::Dialect as _;
use crate::error::StoreError;
use crate::operations::UNFINISHED;
use crate::pool::Store;
use crate::run::{read, transact};
use crate::schema::{offsite_imports, operations};

/// Within which time an operation is submitted after it was written down what it is to make a tenant of, in milliseconds. One that is not
/// there by then never comes about.
pub(crate) const SUBMITTED_WITHIN: i64 = 10 * 60 * 1000;

/// What an operation is to make a tenant of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OffsiteRecord {
    /// The operation.
    pub operation: OperationId,
    /// The repository's own id.
    pub repository: String,
    /// The tenant that is made of it.
    pub tenant: TenantName,
    /// Which of its snapshots is taken in.
    pub snapshot: SnapshotId,
    /// Whether the services are started at the end.
    pub go_live: bool,
    /// Where the repository lies and what opens it, sealed; nothing once the operation has ended.
    pub sealed: Option<String>,
}

#[derive(Queryable, Selectable)]
#[diesel(table_name = offsite_imports)]
struct Row {
    operation: String,
    repository: String,
    tenant: String,
    snapshot: String,
    go_live: bool,
    sealed: Option<String>,
}

impl TryFrom<Row> for OffsiteRecord {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self, StoreError> {
        Ok(Self {
            operation: parse("offsite_imports.operation", &row.operation)?,
            repository: row.repository,
            tenant: parse("offsite_imports.tenant", &row.tenant)?,
            snapshot: parse("offsite_imports.snapshot", &row.snapshot)?,
            go_live: row.go_live,
            sealed: row.sealed,
        })
    }
}

impl Store {
    /// Writes down what an operation is to make a tenant of, before it is submitted.
    ///
    /// # Errors
    /// [`StoreError::RepositoryInUse`] while another one makes a tenant of the same repository, or is about to be submitted.
    pub async fn keep_offsite(&self, record: &OffsiteRecord, now: Timestamp) -> Result<(), StoreError> {
        let (record, now) = (record.clone(), millis(now));
        transact!(self, conn => {
            conn.lock_offsites().await?;
            let own = offsite_imports::table.filter(offsite_imports::repository.eq(&record.repository));
            let others = own.order(offsite_imports::operation.desc()).select(offsite_imports::operation);
            let unfinished = operations::table.filter(operations::status.eq_any(UNFINISHED));
            let works = offsite_imports::operation.eq_any(unfinished.select(operations::id));
            let waits = offsite_imports::operation.ne_all(operations::table.select(operations::id));
            let waits = waits.and(offsite_imports::sealed.is_not_null());
            let waits = waits.and(offsite_imports::created_at.gt(now - SUBMITTED_WITHIN));
            let other: Option<String> = others.filter(works.or(waits)).first(conn).await.optional()?;
            if let Some(other) = other {
                let operation = parse("offsite_imports.operation", &other)?;
                return Err(StoreError::RepositoryInUse { operation });
            }
            let row = (
                offsite_imports::operation.eq(record.operation.to_string()),
                offsite_imports::repository.eq(&record.repository),
                offsite_imports::tenant.eq(record.tenant.to_string()),
                offsite_imports::snapshot.eq(record.snapshot.to_string()),
                offsite_imports::go_live.eq(record.go_live),
                offsite_imports::sealed.eq(&record.sealed),
                offsite_imports::created_at.eq(now),
            );
            diesel::insert_into(offsite_imports::table).values(row).execute(conn).await?;
            Ok::<_, StoreError>(())
        })
    }

    /// What an operation is to make a tenant of; nothing where it is no repository that lies elsewhere.
    ///
    /// # Errors
    /// [`StoreError::Database`]
    pub async fn offsite(&self, operation: OperationId) -> Result<Option<OffsiteRecord>, StoreError> {
        let operation = operation.to_string();
        let row: Option<Row> = read!(self, conn => {
            let row = offsite_imports::table.find(&operation).select(Row::as_select());
            Ok::<_, StoreError>(row.get_result(conn).await.optional()?)
        })?;
        row.map(TryInto::try_into).transpose()
    }

    /// The newest operation that was to make a tenant of a repository; one that never came about only where there is no other.
    ///
    /// # Errors
    /// [`StoreError::Database`]
    pub async fn newest_offsite(&self, repository: &str) -> Result<Option<OffsiteRecord>, StoreError> {
        let repository = repository.to_owned();
        let row: Option<Row> = read!(self, conn => {
            let own = offsite_imports::table.filter(offsite_imports::repository.eq(&repository));
            let newest = own.order(offsite_imports::operation.desc()).select(Row::as_select());
            let begun = newest.filter(offsite_imports::operation.eq_any(operations::table.select(operations::id)));
            match begun.first(conn).await.optional()? {
                None => Ok::<_, StoreError>(newest.first(conn).await.optional()?),
                begun => Ok(begun),
            }
        })?;
        row.map(TryInto::try_into).transpose()
    }

    /// Forgets what opens the repository of an operation that was not submitted.
    ///
    /// # Errors
    /// [`StoreError::Database`]
    pub async fn settle_unsubmitted_offsite(&self, operation: OperationId) -> Result<(), StoreError> {
        let operation = operation.to_string();
        transact!(self, conn => {
            let row = offsite_imports::table.filter(offsite_imports::operation.eq(&operation));
            let row = row.filter(offsite_imports::operation.ne_all(operations::table.select(operations::id)));
            diesel::update(row).set(offsite_imports::sealed.eq(None::<String>)).execute(conn).await?;
            Ok::<_, StoreError>(())
        })
    }

    /// Forgets what opens the repository of an operation, which has ended.
    ///
    /// # Errors
    /// [`StoreError::Database`]
    pub async fn settle_offsite(&self, operation: OperationId) -> Result<(), StoreError> {
        let operation = operation.to_string();
        transact!(self, conn => {
            let row = offsite_imports::table.find(&operation);
            diesel::update(row).set(offsite_imports::sealed.eq(None::<String>)).execute(conn).await?;
            Ok::<_, StoreError>(())
        })
    }
}
