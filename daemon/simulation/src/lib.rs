//! The engine in a simulated world, all of it from one seed.
//!
//! A world has a few daemons on one database, a machine for every customer, and time that passes only when everybody
//! waits (tokio's paused clock). Its weather decides what fails how often: calls to the database fail, or take place
//! without an answer; daemons end at any call to the outside, stand still, are cut off, and come back; machines start
//! anew, fill up and lose their links; questions to them are lost or come twice; builders stumble; people change their
//! minds. The engine is the real one. Everything that is left to chance comes from the seed, so that a seed that breaks
//! a law ([`laws`]) breaks it again.
//!
//! | module | subject |
//! | --- | --- |
//! | [`dice`], [`weather`] | chance, and how bad a world is |
//! | [`world`] | what all of a world share; its clock |
//! | [`life`] | when a daemon ends |
//! | [`tables`], [`database`] | the database, and the way to it |
//! | [`machine`], [`session`] | a machine, and the way to it |
//! | [`activation`] | how it is switched and put back |
//! | [`state`], [`vaults`] | its services' state, and where that goes |
//! | [`absent`] | NixOps4, bundles and migrations, of which there are none |
//! | [`no_stores`] | buckets and other providers' vaults, of which there are none either |
//! | [`builder`] | a builder that stumbles |
//! | [`replica`] | a daemon that comes back |
//! | [`script`] | what customers do, and what befalls the world |
//! | [`provider`] | rollouts over all customers |
//! | [`laws`], [`audit`], [`waves`] | what must always be so |

pub mod absent;
pub mod activation;
pub mod audit;
pub mod builder;
pub mod database;
pub mod dice;
pub mod laws;
pub mod life;
pub mod machine;
pub mod no_stores;
pub mod provider;
pub mod replica;
pub mod script;
pub mod session;
pub mod state;
pub mod tables;
pub mod vaults;
pub mod waves;
pub mod weather;
pub mod world;

use std::sync::Arc;
use std::time::Duration;

pub use laws::Counts;
pub use weather::Weakness;

use replica::Replica;
use script::Stage;
use world::{World, locked};

/// How long a world may take until nothing disturbs it any more.
const TROUBLE: Duration = Duration::from_secs(10 * 60);

/// How long a machine may take to put itself back: the longest switch, the time for the commit, the way itself.
const WAY_BACK: Duration = Duration::from_secs(30 * 60);

/// What came of a seed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// The seed.
    pub seed: u64,
    /// The laws that were broken; none where all is well.
    pub broken: Vec<String>,
    /// What was counted.
    pub counts: Counts,
    /// How much time passed in the world.
    pub passed: Duration,
    /// The same only for the same history, event by event.
    pub digest: u64,
}

/// How a world is made.
#[derive(Debug, Clone, Copy, Default)]
pub struct Options {
    /// How many customers it has; a few when absent.
    pub customers: Option<usize>,
    /// What is left out of Berth.
    pub weakness: Option<Weakness>,
    /// A daemon ends at exactly this call to the outside, the first being 0, and nothing else fails.
    pub crash_at: Option<u64>,
    /// Once a rollout was aborted, the database refuses exactly this call, the first being 0, and nothing else fails.
    pub refuse_at: Option<u64>,
    /// How many daemons it has; a few when absent.
    pub daemons: Option<usize>,
    /// How many operations each daemon runs at once; a few when absent.
    pub places: Option<usize>,
    /// How many people roll out changes to all customers; a few or none when absent.
    pub providers: Option<usize>,
}

/// Lives through the world of a seed.
///
/// # Panics
/// If the host has no room for a runtime.
#[allow(clippy::expect_used)]
pub fn simulate(seed: u64, options: Options) -> Outcome {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    let runtime = runtime.expect("a runtime");
    runtime.block_on(async move {
        let world = World::new(seed, options);
        locked(&world.tables).weakness = options.weakness;
        let began = tokio::time::Instant::now();
        live(&world, options).await;
        audit::over(&world);
        let (counts, digest) = world.laws.summary();
        Outcome { seed, broken: world.laws.broken(), counts, passed: began.elapsed(), digest }
    })
}

/// Waits as long as some machine may still put itself back.
async fn settle(world: &World) {
    let end = tokio::time::Instant::now() + WAY_BACK;
    let is_guarded = || locked(&world.machines).values().any(|machine| machine.state().is_guarded());
    while is_guarded() && tokio::time::Instant::now() < end {
        tokio::time::sleep(Duration::from_secs(10)).await;
    }
}

async fn live(world: &Arc<World>, options: Options) {
    let listeners = database::Listeners::default();
    // Half of all worlds have a provider who thinks of more than one customer at a time.
    let by_chance = if options.customers == Some(1) { 0 } else { world.dice.number(0..=5).saturating_sub(2) };
    let providers = options.providers.unwrap_or(by_chance as usize);
    let most = if providers > 0 { 8 } else { 4 };
    let customers = options.customers.unwrap_or(world.dice.number(1..=most) as usize);
    let replicas = (0..world.daemons).map(|number| Replica::new(world, &listeners, number)).collect();
    let stage = Arc::new(Stage { world: Arc::clone(world), replicas });
    for replica in &stage.replicas {
        tokio::spawn(Arc::clone(replica).supervise());
    }
    let befalling = tokio::spawn(Arc::clone(&stage).befall());
    let living = (0..customers).map(|number| tokio::spawn(Arc::clone(&stage).customer(number)));
    let living: Vec<_> =
        living.chain((0..providers).map(|_| tokio::spawn(Arc::clone(&stage).provider()))).collect();
    let calming = {
        let world = Arc::clone(world);
        tokio::spawn(async move {
            tokio::time::sleep(TROUBLE).await;
            world.calm_down();
        })
    };
    for life in living {
        world.laws.hold(life.await.is_ok(), || "somebody panicked".into());
    }
    calming.abort();
    befalling.abort();
    world.calm_down();
    // Long enough for everybody to come back.
    tokio::time::sleep(Duration::from_secs(60)).await;
    settle(world).await;
    audit::attended(world);
    stage.set_right(customers).await;
    if providers > 0 {
        stage.bring_everybody_along().await;
    }
}
