//! Both buckets and what is written down, object by object, in the order of their keys: of each there is a page in memory, however many
//! objects there are.

use std::collections::VecDeque;

use futures_util::try_join;

use super::super::error::BucketError;
use super::super::listing::{Listed, Pages};
use super::Moving;
use super::ledger::{self, Ledger, Noted};

/// What there is of one key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) key: String,
    /// In the old bucket.
    pub(super) old: Option<Listed>,
    /// In the new one.
    pub(super) new: Option<Listed>,
    /// What is written down.
    pub(super) known: Option<Noted>,
}

/// Everything there is.
pub(super) struct Merged<'a> {
    old: Cursor<Bucket<'a>>,
    new: Cursor<Bucket<'a>>,
    known: Cursor<Written<'a>>,
}

impl<'a> Merged<'a> {
    pub(super) fn of(moving: &'a Moving) -> Self {
        let old = Bucket { pages: moving.from.pages(), named: BucketError::in_the_old };
        let new = Bucket { pages: moving.into.pages(""), named: BucketError::in_the_new };
        let known = Written { ledger: &*moving.ledger, after: None, over: false };
        Self { old: Cursor::of(old), new: Cursor::of(new), known: Cursor::of(known) }
    }

    /// What there is of the next key; nothing behind the last one.
    pub(super) async fn next(&mut self) -> Result<Option<Found>, BucketError> {
        try_join!(self.old.fill(), self.new.fill(), self.known.fill())?;
        let keys = [self.old.key(), self.new.key(), self.known.key()];
        let Some(key) = keys.into_iter().flatten().min().map(str::to_owned) else { return Ok(None) };
        let (old, new, known) = (self.old.take(&key), self.new.take(&key), self.known.take(&key));
        Ok(Some(Found { key, old, new, known }))
    }
}

/// Where things come from, page by page.
trait Source {
    type Item;

    /// The next page, which may be empty; nothing behind the last one.
    async fn page(&mut self) -> Result<Option<Vec<Self::Item>>, BucketError>;

    /// The key of one of them.
    fn key(item: &Self::Item) -> &str;

    /// That they come in no order.
    fn unordered(&self) -> BucketError;
}

/// Things in the order of their keys, of which the first is looked at.
struct Cursor<S: Source> {
    source: S,
    page: VecDeque<S::Item>,
    /// The greatest key that came.
    last: Option<String>,
    over: bool,
}

impl<S: Source> Cursor<S> {
    fn of(source: S) -> Self {
        Self { source, page: VecDeque::new(), last: None, over: false }
    }

    /// Has the next one there, unless there is none.
    async fn fill(&mut self) -> Result<(), BucketError> {
        while self.page.is_empty() && !self.over {
            let Some(page) = self.source.page().await? else {
                self.over = true;
                break;
            };
            for item in page {
                self.add(item)?;
            }
        }
        Ok(())
    }

    fn add(&mut self, item: S::Item) -> Result<(), BucketError> {
        let key = S::key(&item);
        match self.last.as_deref() {
            Some(last) if key < last => return Err(self.source.unordered()),
            // One that came while it was listed may be told of twice.
            Some(last) if key == last => return Ok(()),
            _ => self.last = Some(key.to_owned()),
        }
        self.page.push_back(item);
        Ok(())
    }

    /// The key of the next one, once it is there.
    fn key(&self) -> Option<&str> {
        self.page.front().map(S::key)
    }

    /// The next one, if it has this key.
    fn take(&mut self, key: &str) -> Option<S::Item> {
        self.page.pop_front_if(|item| S::key(item) == key)
    }
}

/// A bucket. Stores list by the bytes of the keys (Amazon S3, `ListObjectsV2`).
struct Bucket<'a> {
    pages: Pages<'a>,
    named: fn(BucketError) -> BucketError,
}

impl Source for Bucket<'_> {
    type Item = Listed;

    async fn page(&mut self) -> Result<Option<Vec<Listed>>, BucketError> {
        self.pages.next().await.map_err(self.named)
    }

    fn key(item: &Listed) -> &str {
        &item.key
    }

    fn unordered(&self) -> BucketError {
        (self.named)(BucketError::Answer("its objects are listed in no order of their keys".into()))
    }
}

/// What is written down.
struct Written<'a> {
    ledger: &'a dyn Ledger,
    after: Option<String>,
    over: bool,
}

impl Source for Written<'_> {
    type Item = Noted;

    async fn page(&mut self) -> Result<Option<Vec<Noted>>, BucketError> {
        if self.over {
            return Ok(None);
        }
        let page = ledger::read(self.ledger, self.after.as_deref()).await?;
        self.over = page.len() < ledger::AT_ONCE;
        self.after = page.last().map(|noted| noted.key.clone());
        Ok(Some(page))
    }

    fn key(item: &Noted) -> &str {
        &item.key
    }

    fn unordered(&self) -> BucketError {
        ledger::LedgerError("it is in no order".into()).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Words(Vec<Vec<&'static str>>);

    impl Source for Words {
        type Item = &'static str;

        async fn page(&mut self) -> Result<Option<Vec<&'static str>>, BucketError> {
            Ok((!self.0.is_empty()).then(|| self.0.remove(0)))
        }

        fn key<'a>(item: &'a &'static str) -> &'a str {
            item
        }

        fn unordered(&self) -> BucketError {
            BucketError::Cancelled
        }
    }

    #[tokio::test]
    async fn pages_are_one_list_in_which_nothing_stands_twice() {
        let mut words = Cursor::of(Words(vec![vec!["a", "b"], vec![], vec!["b", "c"], vec![]]));
        let mut seen = Vec::new();
        loop {
            words.fill().await.unwrap();
            let Some(key) = words.key().map(str::to_owned) else { break };
            assert_eq!(words.take("other"), None);
            seen.extend(words.take(&key));
        }
        assert_eq!(seen, ["a", "b", "c"]);
    }

    #[tokio::test]
    async fn what_is_in_no_order_cannot_be_compared_and_is_refused() {
        let mut words = Cursor::of(Words(vec![vec!["a", "c"], vec!["b"]]));
        words.fill().await.unwrap();
        words.take("a");
        words.take("c");
        assert!(words.fill().await.is_err());
    }
}
