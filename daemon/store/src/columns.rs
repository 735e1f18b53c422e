//! Times, ids, words and JSON as columns: what both databases store the same way.

use std::fmt::Display;
use std::str::FromStr;

use berth_domain::Timestamp;
use chrono::{DateTime, SubsecRound};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::{DatabaseError, StoreError};

/// A time as milliseconds since 1970.
pub(crate) fn millis(time: Timestamp) -> i64 {
    time.timestamp_millis()
}

/// A time as it will be read back.
pub(crate) fn stored(time: Timestamp) -> Timestamp {
    time.trunc_subsecs(3)
}

/// A time from its column.
pub(crate) fn time(column: &'static str, millis: i64) -> Result<Timestamp, StoreError> {
    DateTime::from_timestamp_millis(millis).ok_or_else(|| damaged(column, "no time"))
}

/// A time that may be absent, from its column.
pub(crate) fn maybe_time(column: &'static str, millis: Option<i64>) -> Result<Option<Timestamp>, StoreError> {
    millis.map(|millis| time(column, millis)).transpose()
}

/// A value as JSON text.
pub(crate) fn json(column: &'static str, value: &impl Serialize) -> Result<String, StoreError> {
    serde_json::to_string(value).map_err(|error| damaged(column, error))
}

/// A value from JSON text.
pub(crate) fn from_json<T: DeserializeOwned>(column: &'static str, text: &str) -> Result<T, StoreError> {
    serde_json::from_str(text).map_err(|error| damaged(column, error))
}

/// A name, an id or a scope from its text.
pub(crate) fn parse<T>(column: &'static str, text: &str) -> Result<T, StoreError>
where
    T: FromStr,
    T::Err: Display,
{
    text.parse().map_err(|error| damaged(column, error))
}

/// A name or id that may be absent, from its text.
pub(crate) fn maybe_parse<T>(column: &'static str, text: Option<&str>) -> Result<Option<T>, StoreError>
where
    T: FromStr,
    T::Err: Display,
{
    text.map(|text| parse(column, text)).transpose()
}

/// A word of one of the domain's enumerations; `from_word` is the enumeration's own.
pub(crate) fn word<T>(
    column: &'static str,
    text: &str,
    from_word: impl Fn(&str) -> Option<T>,
) -> Result<T, StoreError> {
    from_word(text).ok_or_else(|| damaged(column, format_args!("the unknown word “{text}”")))
}

/// A SHA-256 from its bytes.
pub(crate) fn hash(column: &'static str, bytes: Vec<u8>) -> Result<[u8; 32], StoreError> {
    bytes.try_into().map_err(|_| damaged(column, "not 32 bytes"))
}

fn damaged(column: &'static str, reason: impl Display) -> StoreError {
    DatabaseError::Damaged { column, reason: reason.to_string() }.into()
}
