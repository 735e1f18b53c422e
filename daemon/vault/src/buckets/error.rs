//! Why a bucket cannot be copied, or put back.

use std::time::Duration;

use serde::Deserialize;

use super::moving::LedgerError;
use crate::author::AuthorError;
use crate::reader::ReadError;
use crate::storage::StorageError;

/// Why a bucket cannot be copied, or put back. No text of it has a secret.
#[derive(Debug, thiserror::Error)]
pub enum BucketError {
    /// The store's address is none.
    #[error("the store's address cannot be used: {0}")]
    Endpoint(String),
    /// Nobody answers there, or the connection broke.
    #[error("the store cannot be reached: {0}")]
    Unreachable(String),
    /// It did not answer in time.
    #[error("the store did not answer within {} s", .0.as_secs())]
    Late(Duration),
    /// It does not let the key in.
    #[error("the store refuses the key{}", described(*.status, .code))]
    Refused {
        /// HTTP's status.
        status: u16,
        /// The store's own word for it; empty where it said none.
        code: String,
    },
    /// There is no such bucket.
    #[error("the store has no such bucket")]
    NoBucket,
    /// There is no such object.
    #[error("the store has no such object")]
    NoObject,
    /// The object has to be brought out of an archive before anybody can read it.
    #[error("the store has put the object into an archive")]
    Archived,
    /// The object is another one by now.
    #[error("the object changed while it was read")]
    Changed,
    /// It answered that it failed, or something else that nobody asked for.
    #[error("the store failed{}", described(*.status, .code))]
    Status {
        /// HTTP's status.
        status: u16,
        /// The store's own word for it; empty where it said none.
        code: String,
    },
    /// What it answered cannot be read.
    #[error("the store's answer cannot be read: {0}")]
    Answer(String),
    /// Somebody wished that it stops.
    #[error("it was cancelled")]
    Cancelled,
    /// Something about one object.
    #[error("the object {key}: {error}")]
    Object {
        /// Its key, as people may read it.
        key: String,
        /// What.
        error: Box<BucketError>,
    },
    /// Something about one of two buckets.
    #[error("{which} bucket: {error}")]
    In {
        /// Which one, for people.
        which: &'static str,
        /// What.
        error: Box<BucketError>,
    },
    /// After all was moved, the new bucket does not have what the old one has.
    #[error("{objects} objects of the old bucket are not in the new one, or not as long there: {named}")]
    Differs {
        /// How many objects.
        objects: u64,
        /// Some of their keys, as people may read them.
        named: String,
    },
    /// What was moved cannot be written down.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// What the vault holds of the bucket cannot be read.
    #[error("what the vault holds of the bucket cannot be read: {0}")]
    Record(String),
    /// The vault does not give back what it holds.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The vault cannot be written to.
    #[error(transparent)]
    Author(#[from] AuthorError),
    /// The vault's place fails.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

impl BucketError {
    /// Whether the same request may succeed when it is sent once more.
    pub fn may_pass(&self) -> bool {
        match self {
            Self::Unreachable(_) | Self::Late(_) => true,
            Self::Status { status, code } => {
                *status >= 500 || *status == 429 || *status == 408 || code == "RequestTimeout"
            }
            Self::Object { error, .. } | Self::In { error, .. } => error.may_pass(),
            _ => false,
        }
    }

    /// The same, of one object.
    pub(super) fn of(self, key: &str) -> Self {
        match self {
            Self::Cancelled | Self::Object { .. } => self,
            error => Self::Object { key: key.escape_debug().to_string(), error: Box::new(error) },
        }
    }

    /// The same, of the bucket that objects are moved from.
    pub(super) fn in_the_old(self) -> Self {
        self.told_of("the old")
    }

    /// The same, of the one that they are moved into.
    pub fn in_the_new(self) -> Self {
        self.told_of("the new")
    }

    /// What says something of an object, or nothing of a store, stays what it is.
    fn told_of(self, which: &'static str) -> Self {
        match self {
            Self::Cancelled | Self::NoObject | Self::Archived | Self::Changed | Self::In { .. } => self,
            error => Self::In { which, error: Box::new(error) },
        }
    }

    /// What an answer that is no success means.
    pub(super) fn answered(status: u16, body: &[u8]) -> Self {
        let code = code_of(body);
        match (status, code.as_str()) {
            (404, "NoSuchBucket") => Self::NoBucket,
            // Whoever stands before the store may say 404 of anything.
            (404, "NoSuchKey") => Self::NoObject,
            (403, "InvalidObjectState") => Self::Archived,
            (412, _) => Self::Changed,
            (401 | 403, _) => Self::Refused { status, code },
            _ => Self::Status { status, code },
        }
    }
}

impl From<reqwest::Error> for BucketError {
    fn from(error: reqwest::Error) -> Self {
        // Its sources say what happened; the address is known, and a key that it ends with may be anything.
        let error = error.without_url();
        let mut words = error.to_string();
        let mut source = std::error::Error::source(&error);
        while let Some(inner) = source {
            words = format!("{words}: {inner}");
            source = inner.source();
        }
        Self::Unreachable(words)
    }
}

/// What a store says of a failure.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Said {
    code: String,
}

/// The store's own word for a failure, where it is a word.
pub(super) fn code_of(body: &[u8]) -> String {
    let said = std::str::from_utf8(body).ok().and_then(|text| quick_xml::de::from_str::<Said>(text).ok());
    let word = |code: &String| code.len() <= 64 && code.bytes().all(|byte| byte.is_ascii_alphanumeric());
    said.map(|said| said.code).filter(word).unwrap_or_default()
}

fn described(status: u16, code: &str) -> String {
    match code {
        "" => format!(" ({status})"),
        code => format!(" ({status} {code})"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_store_answers_is_told_from_what_may_pass_and_nothing_else_of_it_is_repeated() {
        let body =
            b"<?xml version=\"1.0\"?><Error><Code>AccessDenied</Code><Message>of GK1</Message></Error>";
        let refused = BucketError::answered(403, body);
        assert_eq!(refused.to_string(), "the store refuses the key (403 AccessDenied)");
        assert!(!refused.may_pass());
        assert_eq!(code_of(b"<Error><Code>a\nb</Code></Error>"), "");
        assert_eq!(BucketError::answered(503, b"<html>").to_string(), "the store failed (503)");
        assert!(BucketError::answered(503, b"").may_pass());
        let missing = b"<Error><Code>NoSuchBucket</Code></Error>";
        assert!(matches!(BucketError::answered(404, missing), BucketError::NoBucket));
        assert!(matches!(BucketError::answered(404, b"<html>"), BucketError::Status { status: 404, .. }));
        let missing = b"<Error><Code>NoSuchKey</Code></Error>";
        assert!(matches!(BucketError::answered(404, missing), BucketError::NoObject));
        let archived = b"<Error><Code>InvalidObjectState</Code></Error>";
        assert!(matches!(BucketError::answered(403, archived), BucketError::Archived));
        let named = BucketError::Changed.of("a\u{1b}b").to_string();
        assert_eq!(named, "the object a\\u{1b}b: the object changed while it was read");
    }
}
