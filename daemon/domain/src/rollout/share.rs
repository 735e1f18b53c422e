//! A number of tenants, or a percentage of them.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{ObjectBuilder, OneOfBuilder, Schema, SchemaType, Type};
use utoipa::{PartialSchema, ToSchema};

use crate::invalid::Rule;

/// A number of tenants, or a percentage of them; in JSON a number, or a text such as `"10%"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Share {
    /// So many.
    Count(u32),
    /// So many of a hundred: 0 to 100.
    Percent(u8),
}

impl Share {
    /// How many of `total` it is, rounded up.
    pub fn at_least(self, total: usize) -> usize {
        match self {
            Self::Count(count) => count as usize,
            Self::Percent(percent) => (total * usize::from(percent)).div_ceil(100),
        }
    }

    /// How many of `total` it is, rounded down.
    pub fn at_most(self, total: usize) -> usize {
        match self {
            Self::Count(count) => count as usize,
            Self::Percent(percent) => total * usize::from(percent) / 100,
        }
    }
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Count(count) => write!(f, "{count}"),
            Self::Percent(percent) => write!(f, "{percent}%"),
        }
    }
}

impl FromStr for Share {
    type Err = Rule;

    fn from_str(text: &str) -> Result<Self, Rule> {
        let refuse = || Rule::new("share", "must be a number such as 5, or a percentage such as 10%");
        // `parse` would also take a sign.
        if !text.starts_with(|c: char| c.is_ascii_digit()) {
            return Err(refuse());
        }
        match text.strip_suffix('%') {
            None => text.parse().map(Self::Count).map_err(|_| refuse()),
            Some(percent) => {
                let percent = percent.parse().ok().filter(|percent| *percent <= 100);
                percent.map(Self::Percent).ok_or_else(refuse)
            }
        }
    }
}

/// A share as a client writes it: unchecked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum ShareDraft {
    /// A number.
    Count(u32),
    /// A percentage, or anything else.
    Text(String),
}

impl TryFrom<ShareDraft> for Share {
    type Error = Rule;

    fn try_from(draft: ShareDraft) -> Result<Self, Rule> {
        match draft {
            ShareDraft::Count(count) => Ok(Self::Count(count)),
            ShareDraft::Text(text) => text.parse(),
        }
    }
}

impl From<Share> for ShareDraft {
    fn from(share: Share) -> Self {
        match share {
            Share::Count(count) => Self::Count(count),
            Share::Percent(_) => Self::Text(share.to_string()),
        }
    }
}

impl Serialize for Share {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        ShareDraft::from(*self).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Share {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        ShareDraft::deserialize(deserializer)?.try_into().map_err(serde::de::Error::custom)
    }
}

impl PartialSchema for ShareDraft {
    fn schema() -> RefOr<Schema> {
        let of = |kind| ObjectBuilder::new().schema_type(SchemaType::new(kind));
        OneOfBuilder::new()
            .description(Some("A number of tenants, or a percentage of them."))
            .item(of(Type::Integer).minimum(Some(0)))
            .item(of(Type::String).pattern(Some("^(100|[0-9]{1,2})%$")))
            .examples([serde_json::json!(1), serde_json::json!("10%")])
            .into()
    }
}

impl ToSchema for ShareDraft {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_round_up_for_waves_and_down_for_failures() {
        let tenth = Share::Percent(10);
        assert_eq!((tenth.at_least(25), tenth.at_most(25)), (3, 2));
        assert_eq!((tenth.at_least(1), tenth.at_most(1)), (1, 0));
        assert_eq!(Share::Count(5).at_most(2), 5);
    }

    #[test]
    fn a_share_is_written_as_it_is_read() {
        for text in ["0", "7", "0%", "100%"] {
            let share: Share = text.parse().unwrap();
            assert_eq!(share.to_string(), text);
            let json = serde_json::to_string(&share).unwrap();
            assert_eq!(serde_json::from_str::<Share>(&json).unwrap(), share);
        }
        for bad in ["", "%", "-1", "+1", "101%", "1.5%", "ten", "1 %"] {
            assert_eq!(bad.parse::<Share>().unwrap_err().name, "share", "{bad}");
        }
    }
}
