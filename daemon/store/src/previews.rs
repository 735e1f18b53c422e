//! What previews were asked about, and what they found.

use berth_domain::event::NewEvent;
use berth_domain::{Operation, OperationId, Preview, TenantSpec};
use diesel::prelude::*;
use diesel_async::RunQueryDsl;

use crate::columns::{from_json, json};
use crate::error::StoreError;
use crate::idempotency::{IdempotencyRecord, Keys};
use crate::leases::{Guard, Hold};
use crate::operations::{Operations, accepted};
use crate::pool::Store;
use crate::run::{read, transact};
use crate::schema::previews;
use crate::tenants::Tenants;

/// How many of a tenant's previews are kept.
const KEPT: i64 = 20;

impl Store {
    /// Writes down an operation that is to find out what deploying `spec` would change. What [`Store::update_tenant`]
    /// would refuse is refused here, too. Only a tenant's newest previews are kept.
    ///
    /// # Errors
    /// As [`Store::update_tenant`] and [`Store::create_operation`].
    pub async fn create_preview(
        &self,
        operation: &Operation,
        spec: &TenantSpec,
        first: NewEvent,
        once: Option<&IdempotencyRecord>,
    ) -> Result<(), StoreError> {
        let ((operation, first), once) = (accepted(operation, first), once.cloned());
        let (spec, text) = (spec.clone(), json("previews.spec", spec)?);
        transact!(self, conn => {
            conn.keep_reply(once.as_ref()).await?;
            conn.check_change(&spec).await?;
            conn.insert(&operation, &first).await?;
            let (id, tenant) = (operation.id.to_string(), spec.name.as_str());
            let row = (previews::operation_id.eq(&id), previews::tenant.eq(tenant), previews::spec.eq(&text));
            diesel::insert_into(previews::table).values(row).execute(conn).await?;
            let own = previews::table.filter(previews::tenant.eq(tenant)).select(previews::operation_id);
            let own = own.order(previews::operation_id.desc()).limit(i64::MAX).offset(KEPT);
            let old: Vec<String> = own.load(conn).await?;
            diesel::delete(previews::table.filter(previews::operation_id.eq_any(old))).execute(conn).await?;
            Ok(())
        })
    }

    /// The tenant that an unfinished preview was asked about, as it would be.
    ///
    /// # Errors
    /// [`StoreError::NotFound`]
    pub async fn previewed_spec(&self, id: OperationId) -> Result<TenantSpec, StoreError> {
        let key = id.to_string();
        let found: Option<Option<String>> = read!(self, conn => {
            Ok(previews::table.find(&key).select(previews::spec).get_result(conn).await.optional()?)
        })?;
        let text = found.flatten().ok_or_else(|| StoreError::not_found("preview", id))?;
        from_json("previews.spec", &text)
    }

    /// Keeps what a preview found.
    ///
    /// # Errors
    /// [`StoreError::LeaseLost`], [`StoreError::NotFound`]
    pub async fn keep_preview(&self, hold: Hold, preview: &Preview) -> Result<(), StoreError> {
        let id = hold.operation;
        let (key, text) = (id.to_string(), json("previews.result", preview)?);
        transact!(self, conn => {
            conn.hold(hold).await?;
            let row = previews::table.find(&key);
            match diesel::update(row).set(previews::result.eq(&text)).execute(conn).await? {
                0 => Err(StoreError::not_found("preview", id)),
                _ => Ok(()),
            }
        })
    }

    /// What a preview found.
    ///
    /// # Errors
    /// [`StoreError::NotFound`], also while it is still looking, where it failed, and where it is too old to be kept.
    pub async fn preview(&self, id: OperationId) -> Result<Preview, StoreError> {
        let key = id.to_string();
        let found: Option<Option<String>> = read!(self, conn => {
            Ok(previews::table.find(&key).select(previews::result).get_result(conn).await.optional()?)
        })?;
        let text = found.flatten().ok_or_else(|| StoreError::not_found("preview", id))?;
        from_json("previews.result", &text)
    }
}
