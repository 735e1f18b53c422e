//! Who may call the API. Of a token's secret, only the hash is here.

use berth_domain::{Scope, Timestamp, TokenId};
use diesel::prelude::*;
use diesel_async::RunQueryDsl;

use crate::columns::{hash, maybe_time, millis, parse, time};
use crate::error::StoreError;
use crate::idempotency::{IdempotencyRecord, Keys};
use crate::page::{Page, key, rows_for};
use crate::pool::Store;
use crate::run::{look_up, read, transact};
use crate::schema::tokens;

/// A token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenRecord {
    /// Its id.
    pub id: TokenId,
    /// What it is for.
    pub name: String,
    /// What it opens.
    pub scope: Scope,
    /// SHA-256 of its secret.
    pub hash: [u8; 32],
    /// When it was issued.
    pub created_at: Timestamp,
    /// When it stops working.
    pub expires_at: Option<Timestamp>,
}

#[derive(Queryable, Selectable, Insertable)]
#[diesel(table_name = tokens)]
struct Row {
    id: String,
    name: String,
    scope: String,
    tenant: Option<String>,
    hash: Vec<u8>,
    created_at: i64,
    expires_at: Option<i64>,
}

impl From<&TokenRecord> for Row {
    fn from(token: &TokenRecord) -> Self {
        Self {
            id: token.id.to_string(),
            name: token.name.clone(),
            scope: token.scope.to_string(),
            tenant: token.scope.tenant().map(ToString::to_string),
            hash: token.hash.to_vec(),
            created_at: millis(token.created_at),
            expires_at: token.expires_at.map(millis),
        }
    }
}

impl TryFrom<Row> for TokenRecord {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self, StoreError> {
        Ok(Self {
            id: parse("tokens.id", &row.id)?,
            name: row.name,
            scope: parse("tokens.scope", &row.scope)?,
            hash: hash("tokens.hash", row.hash)?,
            created_at: time("tokens.created_at", row.created_at)?,
            expires_at: maybe_time("tokens.expires_at", row.expires_at)?,
        })
    }
}

impl Store {
    /// Writes a token down.
    ///
    /// # Errors
    /// [`StoreError::IdempotencyReplay`]
    pub async fn create_token(
        &self,
        token: &TokenRecord,
        once: Option<&IdempotencyRecord>,
    ) -> Result<(), StoreError> {
        let (row, once) = (Row::from(token), once.cloned());
        transact!(self, conn => {
            conn.keep_reply(once.as_ref()).await?;
            diesel::insert_into(tokens::table).values(&row).execute(conn).await?;
            Ok(())
        })
    }

    /// A token.
    ///
    /// # Errors
    /// [`StoreError::Database`]
    pub async fn token_by_id(&self, id: TokenId) -> Result<Option<TokenRecord>, StoreError> {
        let id = id.to_string();
        let found: Result<Option<Row>, StoreError> =
            look_up!(self, Row, tokens::table.find(&id).select(Row::as_select()));
        let row = found?;
        row.map(TokenRecord::try_from).transpose()
    }

    /// The tokens, oldest first.
    ///
    /// # Errors
    /// [`StoreError::InvalidCursor`]
    pub async fn list_tokens(
        &self,
        after: Option<&str>,
        limit: u32,
    ) -> Result<Page<TokenRecord>, StoreError> {
        let after = key(after)?;
        let rows: Vec<Row> = read!(self, conn => {
            let wanted = tokens::table.filter(tokens::id.gt(&after)).order(tokens::id).limit(rows_for(limit));
            Ok(wanted.select(Row::as_select()).load(conn).await?)
        })?;
        Page::of(rows, limit, |row| row.id.clone(), TokenRecord::try_from)
    }

    /// Removes a token, which stops working at once.
    ///
    /// # Errors
    /// [`StoreError::NotFound`]
    pub async fn delete_token(&self, id: TokenId) -> Result<(), StoreError> {
        let id = id.to_string();
        transact!(self, conn => {
            match diesel::delete(tokens::table.find(&id)).execute(conn).await? {
                0 => Err(StoreError::not_found("token", &id)),
                _ => Ok(()),
            }
        })
    }

    /// How many tokens there are.
    ///
    /// # Errors
    /// [`StoreError::Database`]
    pub async fn count_tokens(&self) -> Result<i64, StoreError> {
        read!(self, conn => Ok(tokens::table.count().get_result(conn).await?))
    }
}
