//! The life of one daemon: it ends at any call to the outside, and whatever it still does after that reaches nobody.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use crate::world::World;

/// The life of one daemon. Clones are the same life.
#[derive(Clone)]
pub struct Life(Arc<Inner>);

struct Inner {
    world: Arc<World>,
    dead: AtomicBool,
    died: Notify,
    /// Until then, the daemon does not reach the database.
    cut_off_until: Mutex<Instant>,
    /// Until then, it stands still.
    frozen_until: Mutex<Instant>,
}

impl Life {
    /// A life that begins.
    pub fn new(world: &Arc<World>) -> Self {
        Self(Arc::new(Inner {
            world: Arc::clone(world),
            dead: AtomicBool::new(false),
            died: Notify::new(),
            cut_off_until: Mutex::new(Instant::now()),
            frozen_until: Mutex::new(Instant::now()),
        }))
    }

    /// Ends it.
    pub fn kill(&self) {
        if !self.0.dead.swap(true, Ordering::Relaxed) {
            self.0.world.laws.count(|counts| counts.killed += 1);
            self.0.died.notify_waiters();
        }
    }

    /// Whether it is over.
    pub fn is_over(&self) -> bool {
        self.0.dead.load(Ordering::Relaxed)
    }

    /// Waits for its end.
    pub async fn over(&self) {
        let died = self.0.died.notified();
        if !self.is_over() {
            died.await;
        }
    }

    /// Keeps it from the database for a while.
    pub fn cut_off(&self, time: Duration) {
        *self.0.cut_off_until.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now() + time;
    }

    /// Lets it stand still for a while.
    pub fn freeze(&self, time: Duration) {
        *self.0.frozen_until.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now() + time;
    }

    /// Whether it does not reach the database now.
    pub fn is_cut_off(&self) -> bool {
        *self.0.cut_off_until.lock().unwrap_or_else(PoisonError::into_inner) > Instant::now()
    }

    /// A call to the outside passes here, before and after it takes place: a dead daemon's never comes back, and any may
    /// be a daemon's last.
    pub async fn pass(&self) {
        if !self.is_over() && self.0.world.is_last_call() {
            self.kill();
        }
        let frozen = *self.0.frozen_until.lock().unwrap_or_else(PoisonError::into_inner);
        if frozen > Instant::now() {
            tokio::time::sleep_until(frozen).await;
        }
        if self.is_over() {
            std::future::pending::<()>().await;
        }
    }
}
