//! Rendered configurations.

use berth_domain::{Revision, RevisionId, TenantName, TenantSpec, Timestamp};
use diesel::prelude::*;
use diesel_async::RunQueryDsl;

use crate::columns::{from_json, json, millis, parse, time};
use crate::error::StoreError;
use crate::leases::{Guard, Hold};
use crate::page::{Page, key, rows_for};
use crate::pool::Store;
use crate::run::{read, transact};
use crate::schema::revisions;

/// What a list tells of a revision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RevisionSummary {
    /// Hash of the files.
    pub id: RevisionId,
    /// When it was first rendered.
    pub created_at: Timestamp,
}

#[derive(Queryable, Selectable, Insertable)]
#[diesel(table_name = revisions)]
struct Row {
    tenant: String,
    id: String,
    spec: String,
    files: String,
    created_at: i64,
}

impl Store {
    /// Keeps a revision that an operation rendered; one that is kept already stays as it is.
    ///
    /// # Errors
    /// [`StoreError::LeaseLost`], [`StoreError::NotFound`]
    pub async fn keep_revision(&self, hold: Hold, revision: &Revision) -> Result<(), StoreError> {
        let row = Row {
            tenant: revision.tenant.to_string(),
            id: revision.id.to_string(),
            spec: json("revisions.spec", &revision.spec)?,
            files: json("revisions.files", &revision.files)?,
            created_at: millis(revision.created_at),
        };
        transact!(self, conn => {
            conn.hold(hold).await?;
            diesel::insert_into(revisions::table).values(&row).on_conflict_do_nothing().execute(conn).await?;
            Ok(())
        })
    }

    /// A revision.
    ///
    /// # Errors
    /// [`StoreError::NotFound`]
    pub async fn revision(&self, tenant: &TenantName, id: &RevisionId) -> Result<Revision, StoreError> {
        let key = (tenant.to_string(), id.to_string());
        let row: Option<Row> = read!(self, conn => {
            Ok(revisions::table.find((&key.0, &key.1)).select(Row::as_select()).get_result(conn).await.optional()?)
        })?;
        let row = row.ok_or_else(|| StoreError::not_found("revision", id))?;
        Ok(Revision {
            id: id.clone(),
            tenant: tenant.clone(),
            spec: from_json("revisions.spec", &row.spec)?,
            files: from_json("revisions.files", &row.files)?,
            created_at: time("revisions.created_at", row.created_at)?,
        })
    }

    /// What a tenant's revisions came from, in no order.
    ///
    /// # Errors
    /// [`StoreError::Database`]
    pub async fn revised_specs(&self, tenant: &TenantName) -> Result<Vec<TenantSpec>, StoreError> {
        let tenant = tenant.to_string();
        let specs: Vec<String> = read!(self, conn => {
            let own = revisions::table.filter(revisions::tenant.eq(&tenant));
            Ok(own.select(revisions::spec).load(conn).await?)
        })?;
        specs.iter().map(|spec| from_json("revisions.spec", spec)).collect()
    }

    /// A tenant's revisions, newest first.
    ///
    /// # Errors
    /// [`StoreError::InvalidCursor`]
    pub async fn list_revisions(
        &self,
        tenant: &TenantName,
        after: Option<&str>,
        limit: u32,
    ) -> Result<Page<RevisionSummary>, StoreError> {
        let tenant = tenant.to_string();
        let after = after.map(cursor).transpose()?.unwrap_or((i64::MAX, String::new()));
        let rows: Vec<(String, i64)> = read!(self, conn => {
            let (at, id) = &after;
            let wanted = revisions::table.filter(revisions::tenant.eq(&tenant)).filter(
                revisions::created_at.lt(at).or(revisions::created_at.eq(at).and(revisions::id.lt(id))),
            );
            let newest = wanted.order((revisions::created_at.desc(), revisions::id.desc())).limit(rows_for(limit));
            Ok(newest.select((revisions::id, revisions::created_at)).load(conn).await?)
        })?;
        let summary = |(id, at): (String, i64)| -> Result<_, StoreError> {
            Ok(RevisionSummary {
                id: parse("revisions.id", &id)?,
                created_at: time("revisions.created_at", at)?,
            })
        };
        Page::of(rows, limit, |(id, at)| format!("{at}.{id}"), summary)
    }
}

fn cursor(text: &str) -> Result<(i64, String), StoreError> {
    let (at, id) = text.split_once('.').ok_or(StoreError::InvalidCursor)?;
    Ok((at.parse().map_err(|_| StoreError::InvalidCursor)?, key(Some(id))?))
}
