//! What a move has put into a new bucket. It is written down before an object is sent, and once it is there: so whoever goes on after a
//! daemon that was killed knows what was put there by the move, and what was not.

use std::error::Error;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::super::error::BucketError;
use super::super::listing::{Listed, same_e_tag};

/// How many objects are written down at once at the most, and read at once.
pub(super) const AT_ONCE: usize = 500;

/// How many things are known at the most that may still be in the new bucket under one key; each stands for a daemon that was killed.
const EARLIER: usize = 8;

/// What is written down of objects, one entry of each. It outlives the daemon.
#[async_trait]
pub trait Ledger: Send + Sync {
    /// The entries whose keys come after this one, `limit` at the most, in the order of their keys' bytes; from the first one on where
    /// there is none.
    ///
    /// # Errors
    /// It cannot be read.
    async fn after(&self, after: Option<&str>, limit: usize) -> Result<Vec<Entry>, LedgerError>;

    /// Writes entries down, each in place of an earlier one of the same key; no key stands among them twice. They are kept when this ends.
    ///
    /// # Errors
    /// It cannot be written to.
    async fn note(&self, entries: Vec<Entry>) -> Result<(), LedgerError>;
}

/// What is written down of one object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The object's key.
    pub key: String,
    /// What is known of it; only whoever moves objects reads it.
    pub noted: String,
}

/// Why nothing can be written down, or read.
#[derive(Debug, thiserror::Error)]
#[error("what was moved cannot be written down: {0}")]
pub struct LedgerError(#[source] pub Box<dyn Error + Send + Sync>);

/// An object of the old bucket, as it was when it was sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Noted {
    #[serde(skip)]
    pub(super) key: String,
    pub(super) size: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) e_tag: Option<String>,
    pub(super) last_modified: DateTime<Utc>,
    pub(super) state: State,
    /// What the new bucket may still have of earlier times, as long as nobody has heard that this came there.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) earlier: Vec<Earlier>,
}

/// What this move has put there before, or may have.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Earlier {
    size: u64,
    e_tag: Option<String>,
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
        Self { key, size, e_tag, last_modified, state, earlier: Vec::new() }
    }

    /// The same, once it was removed again.
    pub(super) fn removed(&self) -> Self {
        Self { state: State::Removed, earlier: Vec::new(), ..self.clone() }
    }

    /// The same, after what was written down before it. What is only going to be put there leaves open what is there until then.
    pub(super) fn after(self, before: Option<&Self>) -> Self {
        let Some(before) = before else { return self };
        if self.state != State::Intended {
            return self;
        }
        let known = match before.state {
            State::Removed => return self,
            State::Put { ref e_tag } => Some(e_tag.clone()),
            // A further try of the very same.
            State::Intended if self.is_again(before) => None,
            State::Intended => Some(before.e_tag.clone()),
        };
        let mut earlier = before.earlier.clone();
        let known = known.map(|e_tag| Earlier { size: before.size, e_tag });
        earlier.extend(known.filter(|known| !earlier.contains(known)));
        let surplus = earlier.len().saturating_sub(EARLIER);
        earlier.drain(..surplus);
        Self { earlier, ..self }
    }

    fn is_again(&self, before: &Self) -> bool {
        (self.size, &self.e_tag, self.last_modified) == (before.size, &before.e_tag, before.last_modified)
    }

    /// Whether a listing of the old bucket tells of the very same. That only its attributes are others tells nothing but its time.
    pub(super) fn is_of(&self, listed: &Listed) -> bool {
        let is_named = self.e_tag.is_some() && listed.e_tag.is_some();
        self.size == listed.size
            && listed.is_told_of(self.e_tag.as_ref(), Some(self.last_modified))
            && (!is_named || self.last_modified == listed.last_modified)
    }

    /// Whether what the new bucket has is anything that this move has put there, as far as a listing tells.
    pub(super) fn is_what_was_put(&self, there: &Listed) -> bool {
        let is_there = |earlier: &Earlier| {
            earlier.size == there.size && same_e_tag(earlier.e_tag.as_ref(), there.e_tag.as_ref())
        };
        self.is_the_last_put(there) || self.earlier.iter().any(is_there)
    }

    /// Whether it is this very one, as it was put there last.
    pub(super) fn is_the_last_put(&self, there: &Listed) -> bool {
        let e_tag = match &self.state {
            State::Put { e_tag } => e_tag.as_ref(),
            // Nobody has heard whether it came there: content that was sent at once is called the same in most stores.
            State::Intended => self.e_tag.as_ref(),
            State::Removed => None,
        };
        self.size == there.size && same_e_tag(e_tag, there.e_tag.as_ref())
    }
}

/// What is known of objects after this one, in the order of their keys.
pub(super) async fn read(ledger: &dyn Ledger, after: Option<&str>) -> Result<Vec<Noted>, BucketError> {
    let entries = ledger.after(after, AT_ONCE).await?;
    let noted = |Entry { key, noted }| {
        let noted: Noted = serde_json::from_str(&noted).map_err(|error| LedgerError(Box::new(error)))?;
        Ok(Noted { key, ..noted })
    };
    entries.into_iter().map(noted).collect()
}

/// Writes down what is known of objects by now.
pub(super) async fn note(ledger: &dyn Ledger, noted: &[Noted]) -> Result<(), BucketError> {
    let entry = |noted: &Noted| {
        let text = serde_json::to_string(noted).map_err(|error| LedgerError(Box::new(error)))?;
        Ok(Entry { key: noted.key.clone(), noted: text })
    };
    for some in noted.chunks(AT_ONCE) {
        ledger.note(some.iter().map(entry).collect::<Result<_, LedgerError>>()?).await?;
    }
    Ok(())
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    fn listed(content: &str) -> Listed {
        let (size, e_tag) = (content.len() as u64, Some(content.to_owned()));
        Listed { key: "a".into(), size, e_tag, last_modified: DateTime::<Utc>::UNIX_EPOCH }
    }

    fn put(content: &str) -> Noted {
        Noted::of(&listed(content), State::Put { e_tag: Some(content.to_owned()) })
    }

    fn intended(content: &str) -> Noted {
        Noted::of(&listed(content), State::Intended)
    }

    /// What is known of an object once all of this was written down.
    pub(in super::super) fn known(all: &[Noted]) -> Noted {
        let all = all.iter().cloned();
        all.fold(None, |before: Option<Noted>, noted| Some(noted.after(before.as_ref()))).unwrap()
    }

    #[test]
    fn what_was_put_there_is_known_until_something_else_has_come_there() {
        let (one, other, third) = (listed("one"), listed("other"), listed("third"));
        let noted = known(&[put("one"), intended("other"), intended("third")]);
        assert!([&one, &other, &third].iter().all(|there| noted.is_what_was_put(there)), "{noted:?}");
        assert!(!noted.is_the_last_put(&one) && noted.is_the_last_put(&third));
        let noted = known(&[put("one"), intended("other"), put("other")]);
        assert!(!noted.is_what_was_put(&one) && noted.is_what_was_put(&other), "{noted:?}");
        let noted = known(&[put("one"), put("one").removed(), intended("other")]);
        assert!(!noted.is_what_was_put(&one), "{noted:?}");
    }

    #[test]
    fn an_object_of_a_store_that_does_not_say_what_it_calls_it_is_known_by_its_second() {
        let at = |millis| DateTime::from_timestamp_millis(millis).unwrap();
        let nameless = |millis| Listed { e_tag: None, last_modified: at(millis), ..listed("one") };
        let noted = Noted { e_tag: None, last_modified: at(7_000), ..put("one") };
        assert!(noted.is_of(&nameless(7_123)) && !noted.is_of(&nameless(8_000)));
        assert!(!noted.is_of(&Listed { size: 9, ..nameless(7_000) }));
        let named = |millis| Listed { last_modified: at(millis), ..listed("\"one\"") };
        let noted = Noted { last_modified: at(7_123), size: 5, ..put("one") };
        assert!(noted.is_of(&named(7_123)) && !noted.is_of(&named(7_124)), "{noted:?}");
    }

    #[test]
    fn further_tries_of_the_very_same_are_one() {
        assert_eq!(known(&[intended("one"), intended("one")]), intended("one"));
        let noted = known(&[put("one"), intended("two"), intended("two")]);
        assert_eq!(noted.earlier.len(), 1, "{noted:?}");
        let many: Vec<Noted> = (0..100).map(|number| intended(&number.to_string())).collect();
        assert_eq!(known(&many).earlier.len(), EARLIER);
    }
}
