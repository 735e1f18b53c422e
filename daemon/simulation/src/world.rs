//! What all of a world share.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex};

use berth_domain::MachineName;
use berth_engine::ports::Clock;
use berth_seal::Keys;
use chrono::{DateTime, TimeDelta, Utc};
use secrecy::SecretString;
use tokio::time::Instant;
use uuid::Uuid;

use crate::Options;
use crate::dice::Dice;
use crate::laws::Laws;
use crate::machine::Machine;
use crate::tables::Tables;
use crate::vaults::Shelves;
use crate::weather::{Weakness, Weather};

/// When every world begins: an arbitrary moment of 2026.
const BEGINNING: i64 = 1_790_000_000_000;

/// What all of a world share.
pub struct World {
    /// Chance.
    pub dice: Dice,
    /// What must be so.
    pub laws: Laws,
    /// What is left out of Berth.
    pub weakness: Option<Weakness>,
    /// How many daemons it has.
    pub daemons: usize,
    /// How many operations each of them runs at once.
    pub places: usize,
    /// The database's content.
    pub tables: Mutex<Tables>,
    /// The machines.
    pub machines: Mutex<BTreeMap<MachineName, Arc<Machine>>>,
    /// What is in the vaults.
    pub vaults: Mutex<Shelves>,
    /// What seals the vaults' keys, for all daemons.
    pub identity: SecretString,
    weather: Weather,
    calm: AtomicBool,
    /// How many calls to the outside are left until the daemon that makes them ends; below 0 for never.
    until_crash: AtomicI64,
    /// The same for calls to the database until one is refused, and what it is once a rollout was aborted.
    until_refusal: AtomicI64,
    refusal: AtomicI64,
    began: Instant,
}

impl World {
    /// The world of a seed, without anything in it.
    pub fn new(seed: u64, options: Options) -> Arc<Self> {
        let dice = Dice::new(seed);
        let weather = Weather::of(&dice, options.weakness.is_some());
        let is_exact = options.crash_at.or(options.refuse_at).is_some();
        let weather = if is_exact { Weather::FAIR } else { weather };
        let left = |calls: Option<u64>| calls.and_then(|calls| i64::try_from(calls).ok()).unwrap_or(-1);
        let daemons = options.daemons.unwrap_or(dice.number(1..=3) as usize);
        let places = options.places.unwrap_or(dice.number(2..=4) as usize);
        Arc::new(Self {
            daemons,
            places,
            dice,
            laws: Laws::default(),
            weakness: options.weakness,
            tables: Mutex::default(),
            machines: Mutex::default(),
            vaults: Mutex::default(),
            identity: Keys::generate().identity(),
            weather,
            calm: AtomicBool::new(false),
            until_crash: AtomicI64::new(left(options.crash_at)),
            until_refusal: AtomicI64::new(-1),
            refusal: AtomicI64::new(left(options.refuse_at)),
            began: Instant::now(),
        })
    }

    /// What fails how often now.
    pub fn weather(&self) -> Weather {
        if self.calm.load(Ordering::Relaxed) { Weather::FAIR } else { self.weather }
    }

    /// A daemon calls the outside; says whether that is its end.
    pub fn is_last_call(&self) -> bool {
        counts_down_to_now(&self.until_crash) || self.dice.chance(self.weather().crash)
    }

    /// The database is called; says whether it refuses.
    pub fn is_refused(&self) -> bool {
        counts_down_to_now(&self.until_refusal) || self.fault(self.weather().database_refuses)
    }

    /// A rollout was aborted.
    pub fn aborted(&self) {
        self.until_refusal.store(self.refusal.swap(-1, Ordering::Relaxed), Ordering::Relaxed);
    }

    /// Whether nothing ever fails by chance.
    pub fn is_fair(&self) -> bool {
        self.weather.is_fair()
    }

    /// From now on, nothing fails any more.
    pub fn calm_down(&self) {
        self.calm.store(true, Ordering::Relaxed);
    }

    /// Whether something that happens with this probability happens; counts it as a fault.
    pub fn fault(&self, probability: f64) -> bool {
        let happens = self.dice.chance(probability);
        if happens {
            self.laws.count(|counts| counts.faults += 1);
        }
        happens
    }

    /// The machine of that name.
    pub fn machine(&self, name: &MachineName) -> Option<Arc<Machine>> {
        locked(&self.machines).get(name).cloned()
    }
}

impl Clock for World {
    fn now(&self) -> DateTime<Utc> {
        let since = TimeDelta::from_std(self.began.elapsed()).unwrap_or_default();
        DateTime::from_timestamp_millis(BEGINNING).unwrap_or_default() + since
    }

    fn id(&self) -> Uuid {
        self.dice.uuid(self.now().timestamp_millis().unsigned_abs())
    }
}

/// Counts a call; says whether it is the chosen one.
fn counts_down_to_now(left: &AtomicI64) -> bool {
    left.load(Ordering::Relaxed) >= 0 && left.fetch_sub(1, Ordering::Relaxed) == 0
}

/// The lock's content; nobody panics while holding one.
pub fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}
