//! Lists in pages: each page begins after the last key of the one before, so that what is inserted or removed
//! meanwhile neither repeats nor hides anything else.

use std::fmt;

use crate::error::StoreError;

/// Where the next page begins. Its text is what the list functions take as `after`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cursor(String);

impl Cursor {
    /// The cursor as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<Cursor> for String {
    fn from(cursor: Cursor) -> Self {
        cursor.0
    }
}

/// A page of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T> {
    /// The items, in the list's order.
    pub items: Vec<T>,
    /// Where the next page begins; none after the last.
    pub next: Option<Cursor>,
}

/// How many rows to ask for: one more than the page holds, to know whether another page follows.
pub(crate) fn rows_for(limit: u32) -> i64 {
    i64::from(limit.max(1)) + 1
}

/// The key after which a page begins, for lists that are sorted by a text; the empty one comes before all others.
/// PostgreSQL has no text with NUL, so no cursor holds one.
pub(crate) fn key(after: Option<&str>) -> Result<String, StoreError> {
    let after = after.unwrap_or_default();
    if after.contains('\0') { Err(StoreError::InvalidCursor) } else { Ok(after.to_owned()) }
}

impl<T> Page<T> {
    /// Makes a page of what [`rows_for`]`(limit)` rows yielded; `key` is what the next page begins after.
    pub(crate) fn of<R, E>(
        mut rows: Vec<R>,
        limit: u32,
        key: impl Fn(&R) -> String,
        item: impl Fn(R) -> Result<T, E>,
    ) -> Result<Self, E> {
        let limit = limit.max(1) as usize;
        let more = rows.len() > limit;
        rows.truncate(limit);
        let next = rows.last().filter(|_| more).map(|row| Cursor(key(row)));
        let items = rows.into_iter().map(item).collect::<Result<_, E>>()?;
        Ok(Self { items, next })
    }
}
