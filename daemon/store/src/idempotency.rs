//! Replies kept for repeated requests, stored in the same transaction as what they tell of.

use berth_domain::{Timestamp, TokenId};
use chrono::Utc;
use diesel::prelude::*;
use diesel_async::RunQueryDsl;

use crate::columns::{hash, millis, time};
use crate::error::StoreError;
use crate::pool::Store;
use crate::run::{for_both, read};
use crate::schema::idempotency;

/// A reply that is kept.
#[derive(Clone, PartialEq, Eq)]
pub struct IdempotencyRecord {
    /// Whose request it was.
    pub token: TokenId,
    /// The key that the client chose.
    pub key: String,
    /// The request's hash: the same key with another request is a mistake.
    pub fingerprint: [u8; 32],
    /// The reply, sealed by the API.
    pub reply: Vec<u8>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it is forgotten.
    pub expires_at: Timestamp,
}

#[derive(Queryable, Selectable, Insertable)]
#[diesel(table_name = idempotency)]
struct Row {
    token: String,
    key: String,
    fingerprint: Vec<u8>,
    reply: Vec<u8>,
    created_at: i64,
    expires_at: i64,
}

impl From<&IdempotencyRecord> for Row {
    fn from(record: &IdempotencyRecord) -> Self {
        Self {
            token: record.token.to_string(),
            key: record.key.clone(),
            fingerprint: record.fingerprint.to_vec(),
            reply: record.reply.clone(),
            created_at: millis(record.created_at),
            expires_at: millis(record.expires_at),
        }
    }
}

/// Keys within a transaction.
pub(crate) trait Keys {
    /// Keeps a reply; refuses when the key has one already.
    async fn keep_reply(&mut self, record: Option<&IdempotencyRecord>) -> Result<(), StoreError>;
}

for_both! {
    impl Keys {
        async fn keep_reply(&mut self, record: Option<&IdempotencyRecord>) -> Result<(), StoreError> {
            let Some(record) = record else { return Ok(()) };
            let row = Row::from(record);
            let stored = idempotency::table.find((&row.token, &row.key));
            let expires: Option<i64> = stored.select(idempotency::expires_at).get_result(self).await.optional()?;
            match expires {
                Some(expires) if expires > row.created_at => return Err(StoreError::IdempotencyReplay),
                Some(_) => {
                    let expired = idempotency::table.find((&row.token, &row.key));
                    diesel::delete(expired).execute(self).await?;
                }
                None => {}
            }
            diesel::insert_into(idempotency::table).values(&row).execute(self).await?;
            Ok(())
        }
    }
}

impl Store {
    /// The reply that a key has, if it is still kept.
    ///
    /// # Errors
    /// [`StoreError::Database`]
    pub async fn idempotency(
        &self,
        token: TokenId,
        key: &str,
    ) -> Result<Option<IdempotencyRecord>, StoreError> {
        let (id, key) = (token.to_string(), key.to_owned());
        let now = millis(Utc::now());
        let row: Option<Row> = read!(self, conn => {
            let stored = idempotency::table.find((&id, &key)).filter(idempotency::expires_at.gt(now));
            Ok(stored.select(Row::as_select()).get_result(conn).await.optional()?)
        })?;
        row.map(|row| {
            Ok(IdempotencyRecord {
                token,
                key: row.key,
                fingerprint: hash("idempotency.fingerprint", row.fingerprint)?,
                reply: row.reply,
                created_at: time("idempotency.created_at", row.created_at)?,
                expires_at: time("idempotency.expires_at", row.expires_at)?,
            })
        })
        .transpose()
    }
}
