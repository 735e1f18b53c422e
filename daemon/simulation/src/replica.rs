//! A daemon that ends and comes back, again and again.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use berth_engine::bundles::Spool;
use berth_engine::ports::Clock;
use berth_engine::{CheckOptions, Engine, EngineOptions, Parts};
use berth_seal::Keys;

use crate::absent::no_exports;
use crate::builder::{Platforms, SimulatedBuilder};
use crate::database::{Database, Listeners};
use crate::life::Life;
use crate::no_stores::{NoBuckets, NoOffsites};
use crate::session::Links;
use crate::vaults::SimulatedVaults;
use crate::world::{World, locked};

/// A daemon.
pub struct Replica {
    world: Arc<World>,
    listeners: Listeners,
    /// Its own id.
    id: String,
    now: Mutex<Option<(Engine, Life)>>,
    /// The platforms that its host keeps, whatever becomes of it.
    platforms: Platforms,
}

impl Replica {
    /// A daemon that does not run yet.
    pub fn new(world: &Arc<World>, listeners: &Listeners, number: usize) -> Arc<Self> {
        let (world, listeners) = (Arc::clone(world), Arc::clone(listeners));
        let (id, now, platforms) = (format!("replica-{number}"), Mutex::default(), Platforms::default());
        Arc::new(Self { world, listeners, id, now, platforms })
    }

    /// Runs it, and starts it again whenever it ended.
    pub async fn supervise(self: Arc<Self>) {
        loop {
            let life = Life::new(&self.world);
            let engine = self.engine(&life);
            engine.start();
            *locked(&self.now) = Some((engine.clone(), life.clone()));
            life.over().await;
            *locked(&self.now) = None;
            // Its tasks wait for answers that never come; so they wait for nothing else.
            tokio::spawn(async move { engine.stop().await });
            // Now and then it takes longer than a lease.
            let usual = !self.world.dice.chance(0.3);
            let away = if usual { 10..=3000 } else { 3000..=40_000 };
            tokio::time::sleep(self.world.dice.millis(away)).await;
        }
    }

    #[allow(clippy::expect_used)]
    fn engine(&self, life: &Life) -> Engine {
        let parts = Parts {
            records: Arc::new(Database::new(&self.world, life, &self.listeners)),
            keys: Keys::read(&self.world.identity).expect("the world's own keys"),
            builder: Arc::new(SimulatedBuilder::new(&self.world, life, &self.platforms)),
            machines: Arc::new(Links::new(&self.world, life)),
            vaults: Arc::new(SimulatedVaults::new(&self.world, life)),
            buckets: Arc::new(NoBuckets),
            offsites: Arc::new(NoOffsites),
            exports: no_exports(),
            spool: Spool::of_nobody("/nonexistent".into()),
            clock: Arc::clone(&self.world) as Arc<dyn Clock>,
        };
        let checks = CheckOptions { every: None, ..CheckOptions::default() };
        let options = EngineOptions {
            replica: self.id.clone(),
            parallel_operations: self.world.places,
            checks,
            ..EngineOptions::default()
        };
        Engine::new(parts, options)
    }

    /// What runs now, if anything does.
    pub fn running(&self) -> Option<(Engine, Life)> {
        locked(&self.now).clone()
    }

    /// Stops it as SIGTERM does.
    pub async fn stop(&self) {
        let Some((engine, life)) = self.running() else { return };
        let _ = tokio::time::timeout(Duration::from_secs(20), engine.stop()).await;
        life.kill();
    }
}
