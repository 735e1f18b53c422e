//! Objects that move between buckets which exist only in memory.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;

use berth_engine::StepError;
use berth_engine::error::{BUCKET_DIFFERS, BUCKET_FAILED};
use berth_engine::ports::{
    Bounds, BucketConfig, LedgerEntry, LedgerError, Moved, News, ObjectsMove, ObjectsPass, Tell,
};
use secrecy::ExposeSecret as _;

/// What is in buckets, and what was done with them.
#[derive(Default)]
pub struct Moves {
    /// The objects of each bucket, by `HOST/NAME`.
    pub contents: Mutex<BTreeMap<String, BTreeMap<String, String>>>,
    /// The passes that were begun: from where with which secret, to where, and whether it was the last.
    pub passes: Mutex<Vec<(String, String, String, bool)>>,
    /// The keys of what was copied, in order.
    pub copied: Mutex<Vec<String>>,
    /// The buckets that cannot be used, as `HOST/NAME`.
    pub failing: Mutex<BTreeSet<String>>,
    /// Whether two buckets are one, whatever they are called.
    pub same: Mutex<bool>,
    /// After how many objects a pass waits until it is cancelled.
    pub hangs_after: Mutex<Option<usize>>,
    /// How many passes have heard that they were cancelled.
    pub given_up: Mutex<usize>,
    /// Whether the last pass finds that the buckets differ.
    pub differ: Mutex<bool>,
}

fn place(config: &BucketConfig) -> String {
    format!("{}/{}", config.endpoint, config.name)
}

fn unwritten(LedgerError(error): LedgerError) -> StepError {
    *error.downcast::<StepError>().unwrap()
}

impl Moves {
    fn reached(&self, which: &str, config: &BucketConfig) -> Result<String, StepError> {
        let place = place(config);
        match self.failing.lock().unwrap().contains(&place) {
            true => {
                Err(StepError::retryable(BUCKET_FAILED, format!("{which} bucket: the store refuses the key")))
            }
            false => Ok(place),
        }
    }

    pub fn can_move(&self, from: &BucketConfig, into: &BucketConfig) -> Result<bool, StepError> {
        self.reached("the old", from)?;
        self.reached("the new", into)?;
        Ok(*self.same.lock().unwrap())
    }

    pub fn objects(&self, place: &str) -> BTreeMap<String, String> {
        self.contents.lock().unwrap().get(place).cloned().unwrap_or_default()
    }

    pub fn put(&self, place: &str, key: &str, content: &str) {
        let mut contents = self.contents.lock().unwrap();
        contents.entry(place.into()).or_default().insert(key.into(), content.into());
    }

    pub fn remove(&self, place: &str, key: &str) {
        self.contents.lock().unwrap().get_mut(place).unwrap().remove(key);
    }

    pub async fn pass(&self, what: ObjectsMove, bounds: &Bounds, mut tell: Tell) -> Result<Moved, StepError> {
        let ObjectsMove { from, into, ledger, pass } = what;
        let last = pass == ObjectsPass::Last;
        let secret = from.secret.expose_secret().to_owned();
        let (from, into) = (self.reached("the old", &from)?, self.reached("the new", &into)?);
        self.passes.lock().unwrap().push((from.clone(), secret, into.clone(), last));
        let known = ledger.after(None, usize::MAX).await.map_err(unwritten)?;
        let mut moved = Moved::default();
        for (key, content) in self.objects(&from) {
            if self.objects(&into).get(&key) == Some(&content) {
                moved.there += 1;
                continue;
            }
            if *self.hangs_after.lock().unwrap() == Some(moved.objects as usize) {
                bounds.cancel.cancelled().await;
                *self.given_up.lock().unwrap() += 1;
                return Err(StepError::Cancelled);
            }
            let entry = LedgerEntry { key: key.clone(), noted: String::new() };
            ledger.note(vec![entry]).await.map_err(unwritten)?;
            self.put(&into, &key, &content);
            self.copied.lock().unwrap().push(key);
            moved.objects += 1;
            moved.bytes += content.len() as u64;
            tell(News::Progress { done: moved.bytes, expected: moved.bytes });
        }
        if last {
            moved.removed = self.remove_what_is_gone(&from, &into, &known);
            if *self.differ.lock().unwrap() {
                return Err(StepError::retryable(
                    BUCKET_DIFFERS,
                    "1 objects of the old bucket are not in the new one",
                ));
            }
        }
        Ok(moved)
    }

    fn remove_what_is_gone(&self, from: &str, into: &str, known: &[LedgerEntry]) -> u64 {
        let gone: Vec<_> =
            known.iter().filter(|known| !self.objects(from).contains_key(&known.key)).collect();
        gone.iter().for_each(|gone| self.remove(into, &gone.key));
        gone.len() as u64
    }
}
