//! Everything that is left to chance, from one seed.

use std::ops::RangeInclusive;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Dice that fall the same way for the same seed. Clones are the same dice.
#[derive(Clone)]
pub struct Dice(Arc<Mutex<fastrand::Rng>>);

impl Dice {
    /// The dice of a seed.
    pub fn new(seed: u64) -> Self {
        Self(Arc::new(Mutex::new(fastrand::Rng::with_seed(seed))))
    }

    fn rng<T>(&self, roll: impl FnOnce(&mut fastrand::Rng) -> T) -> T {
        roll(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// True with this probability.
    pub fn chance(&self, probability: f64) -> bool {
        probability > 0.0 && self.rng(|rng| rng.f64()) < probability
    }

    /// A number of a range.
    pub fn number(&self, range: RangeInclusive<u64>) -> u64 {
        self.rng(|rng| rng.u64(range))
    }

    /// A number below `end`, which is not 0.
    pub fn below(&self, end: usize) -> usize {
        self.rng(|rng| rng.usize(..end))
    }

    /// So many milliseconds.
    pub fn millis(&self, range: RangeInclusive<u64>) -> Duration {
        Duration::from_millis(self.number(range))
    }

    /// A UUID that sorts behind those with a smaller `number`.
    pub fn uuid(&self, number: u64) -> uuid::Uuid {
        uuid::Uuid::from_u64_pair(number, self.number(0..=u64::MAX))
    }
}
