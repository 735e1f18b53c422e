//! What a move has put into a new bucket. It is written down before an object is sent, and once it is there: so whoever goes on after a
//! daemon that was killed knows what was put there by the move, and what was not.

use std::collections::HashMap;
use std::error::Error;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::super::error::BucketError;
use super::super::listing::Listed;

/// How many objects are written down at once at the most.
pub(super) const AT_ONCE: usize = 500;

/// Lines about objects, of which a later one about the same object counts. They outlive the daemon.
#[async_trait]
pub trait Ledger: Send + Sync {
    /// All that was written down, in order.
    ///
    /// # Errors
    /// It cannot be read.
    async fn read(&self) -> Result<Vec<String>, LedgerError>;

    /// Writes lines down behind the others. They are kept when this ends.
    ///
    /// # Errors
    /// It cannot be written to.
    async fn note(&self, lines: &str) -> Result<(), LedgerError>;
}

/// Why nothing can be written down, or read.
#[derive(Debug, thiserror::Error)]
#[error("what was moved cannot be written down: {0}")]
pub struct LedgerError(#[source] pub Box<dyn Error + Send + Sync>);

/// An object of the old bucket, as it was when it was sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Noted {
    pub(super) key: String,
    pub(super) size: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) e_tag: Option<String>,
    pub(super) last_modified: DateTime<Utc>,
    pub(super) state: State,
}

/// What became of it in the new bucket.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum State {
    /// It was going to be put there.
    Intended,
    /// It was put there.
    Put {
        /// What the new store calls it by, where it says so.
        e_tag: Option<String>,
    },
    /// It was put there and removed again.
    Removed,
}

impl Noted {
    /// An object as it is listed.
    pub(super) fn of(listed: &Listed, state: State) -> Self {
        let Listed { key, size, e_tag, last_modified } = listed.clone();
        Self { key, size, e_tag, last_modified, state }
    }

    /// The same, once it was removed again.
    pub(super) fn removed(&self) -> Self {
        Self { state: State::Removed, ..self.clone() }
    }

    /// Whether a listing of the old bucket tells of the very same.
    pub(super) fn is_of(&self, listed: &Listed) -> bool {
        self.size == listed.size
            && same_e_tag(self.e_tag.as_ref(), listed.e_tag.as_ref())
            && self.last_modified == listed.last_modified
    }

    /// Whether what the new bucket has is what this move has put there, as far as a listing tells.
    pub(super) fn is_what_was_put(&self, there: &Listed) -> bool {
        let e_tag = match &self.state {
            State::Put { e_tag } => e_tag.as_ref(),
            // Nobody has heard whether it came there: content that was sent at once is called the same in most stores.
            State::Intended => self.e_tag.as_ref(),
            State::Removed => None,
        };
        self.size == there.size && same_e_tag(e_tag, there.e_tag.as_ref())
    }
}

/// Whether stores call something by the same; not where one says nothing. Some write quotes in one answer and none in another.
pub(super) fn same_e_tag(one: Option<&String>, other: Option<&String>) -> bool {
    let (Some(one), Some(other)) = (one, other) else { return false };
    one.trim_matches('"') == other.trim_matches('"')
}

/// What is known of the objects, by their keys.
pub(super) async fn read(ledger: &dyn Ledger) -> Result<HashMap<String, Noted>, BucketError> {
    let mut known = HashMap::new();
    for text in ledger.read().await? {
        for line in text.lines() {
            let noted: Noted = serde_json::from_str(line).map_err(|error| LedgerError(Box::new(error)))?;
            known.insert(noted.key.clone(), noted);
        }
    }
    Ok(known)
}

/// Writes down what is known of objects by now.
pub(super) async fn note(ledger: &dyn Ledger, noted: &[Noted]) -> Result<(), BucketError> {
    for some in noted.chunks(AT_ONCE) {
        let mut lines = String::new();
        for noted in some {
            lines.push_str(&serde_json::to_string(noted).map_err(|error| LedgerError(Box::new(error)))?);
            lines.push('\n');
        }
        ledger.note(&lines).await?;
    }
    Ok(())
}
