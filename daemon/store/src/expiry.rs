//! Removing what has expired.

use berth_domain::Timestamp;
use diesel::prelude::*;
use diesel_async::RunQueryDsl;

use crate::columns::millis;
use crate::error::StoreError;
use crate::offsite::SUBMITTED_WITHIN;
use crate::pool::Store;
use crate::run::transact;
use crate::schema::{idempotency, offsite_imports, operations, tokens, watch_links};

/// How long it is known at the most what opens a repository that a tenant is made of, in milliseconds: an operation that is to begin
/// at once has ended long before.
const OFFSITE: i64 = 30 * 24 * 60 * 60 * 1000;

/// How much was removed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Purged {
    /// Tokens.
    pub tokens: usize,
    /// Replies kept for repeated requests.
    pub idempotency: usize,
    /// Watch links.
    pub watch_links: usize,
}

impl Store {
    /// Removes what expired before `now`.
    ///
    /// # Errors
    /// [`StoreError::Database`]
    pub async fn purge_expired(&self, now: Timestamp) -> Result<Purged, StoreError> {
        let now = millis(now);
        transact!(self, conn => {
            let old = tokens::table.filter(tokens::expires_at.le(now));
            let tokens = diesel::delete(old).execute(conn).await?;
            let old = idempotency::table.filter(idempotency::expires_at.le(now));
            let idempotency = diesel::delete(old).execute(conn).await?;
            let old = watch_links::table.filter(watch_links::expires_at.le(now));
            let watch_links = diesel::delete(old).execute(conn).await?;
            let unsubmitted = offsite_imports::operation.ne_all(operations::table.select(operations::id));
            let unsubmitted = unsubmitted.and(offsite_imports::created_at.le(now - SUBMITTED_WITHIN));
            let old = unsubmitted.or(offsite_imports::created_at.le(now - OFFSITE));
            let old = offsite_imports::table.filter(old).filter(offsite_imports::sealed.is_not_null());
            diesel::update(old).set(offsite_imports::sealed.eq(None::<String>)).execute(conn).await?;
            Ok(Purged { tokens, idempotency, watch_links })
        })
    }
}
