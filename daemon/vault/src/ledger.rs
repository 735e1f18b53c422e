//! How much each repository holds, kept up to date by whoever adds and removes.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Mutex as Turn, MutexGuard as TurnGuard, OnceCell, RwLock, Semaphore};

use crate::name::RepositoryName;
use crate::object::Key;
use crate::storage::{Storage, StorageError};

/// In how many groups objects take turns.
const GROUPS: usize = 64;

/// What is known of repositories. A repository is counted once, when it is first changed or asked for.
#[derive(Debug)]
pub(crate) struct Ledger {
    accounts: Mutex<HashMap<RepositoryName, Arc<Account>>>,
    uploads_each: usize,
}

/// What is known of one repository.
#[derive(Debug)]
pub(crate) struct Account {
    counted: OnceCell<()>,
    sums: Mutex<Sums>,
    /// Turns for uploads.
    pub(crate) turns: Semaphore,
    /// Whether the repository is still the one that this account is of. Held by whoever adds; who destroys waits for
    /// these, and who comes later sees it.
    pub(crate) current: RwLock<bool>,
    groups: [Turn<()>; GROUPS],
}

/// In bytes.
#[derive(Debug, Default)]
struct Sums {
    used: u64,
    /// What uploads that are under way may come to.
    reserved: u64,
}

/// Room for an upload. Dropped, it is free again.
#[derive(Debug)]
pub(crate) struct Reservation {
    account: Arc<Account>,
    limit: Option<u64>,
    bytes: u64,
}

impl Ledger {
    pub(crate) fn new(uploads_each: usize) -> Self {
        Self { accounts: Mutex::default(), uploads_each }
    }

    /// A repository's account, after it was counted.
    pub(crate) async fn account(
        &self,
        storage: &dyn Storage,
        repository: &RepositoryName,
    ) -> Result<Arc<Account>, StorageError> {
        let account = self.uncounted(repository);
        let count = async {
            let used = storage.usage(repository).await?;
            account.lock().used = used;
            Ok::<_, StorageError>(())
        };
        account.counted.get_or_try_init(|| count).await?;
        Ok(account)
    }

    /// A repository's account as it is.
    pub(crate) fn uncounted(&self, repository: &RepositoryName) -> Arc<Account> {
        let new = || Arc::new(Account::new(self.uploads_each));
        self.lock().entry(repository.clone()).or_insert_with(new).clone()
    }

    /// Forgets a repository; the next who asks counts anew.
    pub(crate) fn close(&self, repository: &RepositoryName) {
        self.lock().remove(repository);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<RepositoryName, Arc<Account>>> {
        self.accounts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Account {
    fn new(uploads: usize) -> Self {
        Self {
            counted: OnceCell::new(),
            sums: Mutex::default(),
            turns: Semaphore::new(uploads),
            current: RwLock::new(true),
            groups: std::array::from_fn(|_| Turn::new(())),
        }
    }

    /// Held by whoever keeps or removes an object: S3 does not say whether there was one, so that two who do the same at
    /// once would both count it.
    pub(crate) async fn turn(&self, key: &Key) -> TurnGuard<'_, ()> {
        self.groups[key.spread() % GROUPS].lock().await
    }

    /// How many bytes the repository has.
    pub(crate) fn used(&self) -> u64 {
        self.lock().used
    }

    /// Something was removed.
    pub(crate) fn removed(&self, bytes: u64) {
        let mut sums = self.lock();
        sums.used = sums.used.saturating_sub(bytes);
    }

    /// Room for an upload of which nothing is known yet.
    pub(crate) fn reserve(self: &Arc<Self>, limit: Option<u64>) -> Reservation {
        Reservation { account: self.clone(), limit, bytes: 0 }
    }

    fn lock(&self) -> MutexGuard<'_, Sums> {
        self.sums.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Reservation {
    /// Reserves so many bytes altogether, unless they are reserved; tells whether there is room.
    pub(crate) fn cover(&mut self, bytes: u64) -> bool {
        let more = bytes.saturating_sub(self.bytes);
        let mut sums = self.account.lock();
        let after = sums.used.saturating_add(sums.reserved).saturating_add(more);
        if more > 0 && self.limit.is_some_and(|limit| after > limit) {
            return false;
        }
        sums.reserved = sums.reserved.saturating_add(more);
        self.bytes += more;
        true
    }

    /// The upload was kept, and has so many bytes.
    pub(crate) fn kept(self, bytes: u64) {
        self.account.lock().used += bytes;
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        let mut sums = self.account.lock();
        sums.reserved = sums.reserved.saturating_sub(self.bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uploads_at_the_same_time_share_what_is_left_and_give_back_what_they_did_not_keep() {
        let account = Arc::new(Account::new(1));
        let (mut one, mut other) = (account.reserve(Some(10)), account.reserve(Some(10)));
        assert!(one.cover(6) && !other.cover(5) && other.cover(4) && other.cover(3));
        assert!(!one.cover(7), "what others reserved is not there");
        drop(other);
        assert!(one.cover(10));
        one.kept(9);
        assert_eq!(account.used(), 9);
        let mut last = account.reserve(Some(10));
        assert!(!last.cover(2) && last.cover(1));
        drop(last);
        account.removed(9);
        assert!(account.reserve(Some(10)).cover(10) && account.reserve(None).cover(u64::MAX));
    }
}
