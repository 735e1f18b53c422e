//! Reads that many want at the same time, done once.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, Weak};

use berth_store::{DatabaseError, StoreError};
use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, Shared};
use tokio_util::task::AbortOnDropHandle;

use crate::hub::locked;

/// What comes of a read, for all who asked for it.
pub(crate) type Outcome<T> = Result<T, Arc<StoreError>>;

/// The reads that are under way, by what they read.
///
/// A read is a task of its own: it goes on when those who wait for it stop waiting, and ends with this.
pub(crate) struct Flights<K: Ord, T> {
    air: Arc<Mutex<Air<K, T>>>,
}

struct Air<K, T> {
    begun: u64,
    under_way: BTreeMap<K, Flight<T>>,
}

#[derive(Clone)]
struct Flight<T> {
    number: u64,
    outcome: Shared<BoxFuture<'static, Outcome<T>>>,
}

/// A read that was done.
pub(crate) struct Landed<T> {
    /// Its number: reads are numbered from 1 as they begin.
    pub number: u64,
    /// What came of it.
    pub outcome: Outcome<T>,
}

/// Takes a read off the list however it ends.
struct Landing<K: Ord, T> {
    air: Weak<Mutex<Air<K, T>>>,
    key: K,
}

impl<K: Ord, T> Drop for Landing<K, T> {
    fn drop(&mut self) {
        let Some(air) = self.air.upgrade() else { return };
        let landed = locked(&air).under_way.remove(&self.key);
        // After the lock was given back.
        drop(landed);
    }
}

impl<K: Ord, T> Default for Flights<K, T> {
    fn default() -> Self {
        Self { air: Arc::new(Mutex::new(Air { begun: 0, under_way: BTreeMap::new() })) }
    }
}

impl<K, T> Flights<K, T>
where
    K: Ord + Copy + Send + 'static,
    T: Clone + Send + Sync + 'static,
{
    /// What comes of the read of `key` that is under way, if it brings what is wanted; else of one that begins from now on,
    /// as one that was under way already may have been too early to see it.
    pub async fn read<R>(&self, key: K, read: impl Fn(u64) -> R, is_wanted: impl Fn(&T) -> bool) -> Outcome<T>
    where
        R: Future<Output = Result<T, StoreError>> + Send + 'static,
    {
        let asked = self.begun();
        loop {
            let Landed { number, outcome } = self.join(key, &read).await;
            let found = outcome?;
            if number > asked || is_wanted(&found) {
                return Ok(found);
            }
        }
    }

    /// The number of the read that began last; 0 for none. What begins from now on has a greater one.
    pub fn begun(&self) -> u64 {
        locked(&self.air).begun
    }

    /// What comes of the read of `key` that is under way, or else of `read`, which begins now and is told its number.
    pub async fn join<R>(&self, key: K, read: impl FnOnce(u64) -> R) -> Landed<T>
    where
        R: Future<Output = Result<T, StoreError>> + Send + 'static,
    {
        let Flight { number, outcome } = self.flight(key, read);
        Landed { number, outcome: outcome.await }
    }

    fn flight<R>(&self, key: K, read: impl FnOnce(u64) -> R) -> Flight<T>
    where
        R: Future<Output = Result<T, StoreError>> + Send + 'static,
    {
        let mut air = locked(&self.air);
        if let Some(flight) = air.under_way.get(&key) {
            return flight.clone();
        }
        air.begun += 1;
        let (reading, landing) = (read(air.begun), Landing { air: Arc::downgrade(&self.air), key });
        let task = AbortOnDropHandle::new(tokio::spawn(async move {
            let _landing = landing;
            reading.await
        }));
        let outcome = async move {
            let outcome = task.await.unwrap_or_else(|error| Err(DatabaseError::from(error).into()));
            outcome.map_err(Arc::new)
        };
        let flight = Flight { number: air.begun, outcome: outcome.boxed().shared() };
        air.under_way.insert(key, flight.clone());
        flight
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::time::Duration;

    use tokio::task::JoinSet;

    use super::*;

    /// Reads a number that counts how often it was read.
    fn reader(count: &Arc<AtomicU64>) -> impl Fn(u64) -> BoxFuture<'static, Result<u64, StoreError>> + use<> {
        let count = Arc::clone(count);
        move |_| {
            let found = count.fetch_add(1, Ordering::Relaxed);
            async move {
                tokio::time::sleep(Duration::from_millis(1)).await;
                Ok(found)
            }
            .boxed()
        }
    }

    #[tokio::test(start_paused = true)]
    async fn two_thousand_that_want_what_is_not_there_yet_read_twice_between_them() {
        let (flights, count) = (Arc::new(Flights::<(), u64>::default()), Arc::default());
        let early = reader(&count);
        let one = flights.join((), &early);
        let many = async {
            let ask = |_| {
                let (flights, read) = (Arc::clone(&flights), reader(&count));
                async move { flights.read((), read, |found| *found > 0).await }
            };
            (0..2000).map(ask).collect::<JoinSet<_>>().join_all().await
        };
        let (first, others) = tokio::join!(one, many);
        assert_eq!(first.outcome.unwrap(), 0);
        assert!(others.iter().all(|found| *found.as_ref().unwrap() == 1));
        assert_eq!(count.load(Ordering::Relaxed), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn a_read_that_panics_is_an_error_and_not_in_the_way_of_the_next() {
        let flights = Flights::<(), u64>::default();
        let panics = flights.join((), |_| async { panic!("it breaks") }).await;
        assert!(panics.outcome.is_err_and(|error| error.is_transient()));
        assert_eq!(flights.join((), |_| async { Ok(7) }).await.outcome.unwrap(), 7);
    }

    #[tokio::test(start_paused = true)]
    async fn a_read_goes_on_without_those_who_wait_and_not_without_its_list() {
        let (flights, held) = (Flights::<(), u64>::default(), Arc::new(()));
        let read = |_| {
            let held = Arc::clone(&held);
            async move {
                tokio::time::sleep(Duration::from_millis(10)).await;
                drop(held);
                Ok(1)
            }
        };
        for ends_alone in [true, false] {
            let asked = tokio::time::timeout(Duration::from_millis(1), flights.join((), read)).await;
            assert!(asked.is_err() && Arc::strong_count(&held) == 2);
            if ends_alone {
                tokio::time::sleep(Duration::from_millis(20)).await;
                assert_eq!(Arc::strong_count(&held), 1);
            }
        }
        drop(flights);
        tokio::task::yield_now().await;
        assert_eq!(Arc::strong_count(&held), 1);
    }
}
