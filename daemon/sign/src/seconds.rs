//! Instants as `2026-11-26T01:18:38Z`, to the second; for `#[serde(with = …)]`.

use chrono::{DateTime, SecondsFormat, Utc};
use serde::{Deserialize, Deserializer, Serializer};

/// Writes an instant.
///
/// # Errors
/// The serializer's.
pub fn serialize<S: Serializer>(at: &DateTime<Utc>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&at.to_rfc3339_opts(SecondsFormat::Secs, true))
}

/// Reads an instant, which must be written in just this way.
///
/// # Errors
/// Where it is not.
pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<DateTime<Utc>, D::Error> {
    let text = String::deserialize(deserializer)?;
    let at: DateTime<Utc> = text.parse().map_err(serde::de::Error::custom)?;
    if at.to_rfc3339_opts(SecondsFormat::Secs, true) == text {
        Ok(at)
    } else {
        Err(serde::de::Error::custom("an instant is written as 2026-11-26T01:18:38Z"))
    }
}
