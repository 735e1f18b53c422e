//! Faults at random instants of deployments, and what must hold after every one.
//!
//! All tenants are deployed at once, each with a change of its own; each machine meets a fault at an instant of its own, and
//! daemons are killed or stand still, and their database is away. Once everything is mended, every operation must have ended,
//! exactly once, and every machine must run and boot what the daemons' record says, serve it, and have no timer left. A
//! service that nobody changed must have answered all the time, unless its machine lost its power.

mod fault;
mod household;
mod inhabited;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use anyhow::{Result, ensure};
use berth_domain::{OperationId, OperationStatus};
use berth_simulation::dice::Dice;
use tokio::time::Instant;

pub use self::fault::Fault;
use self::household::Home;
pub use self::household::Household;
use self::inhabited::Inhabited;
use crate::daemon::DaemonOptions;
use crate::damage;
use crate::stage::name;
use crate::workshop::{Extra, Workshop};

/// Machines wait for the commit for ten seconds after the switch, so that those that are left alone go back soon.
const CONFIG: &str = "parallel_operations = 16\n[timeouts]\nverify = 6\ndead_man = 4\n";

/// How long an operation may take to end, and a machine to be what the record says, once everything is mended.
const PATIENCE: Duration = Duration::from_secs(150);

/// What came of the faults of one kind.
#[derive(Debug, Clone, Default)]
pub struct Count {
    /// How many there were.
    pub faults: usize,
    /// How many of the deployments that met one succeeded all the same.
    pub succeeded: usize,
    /// What was not as it must be afterwards.
    pub wrong: Vec<String>,
}

impl Count {
    /// Counts others as well.
    pub fn add(&mut self, other: Self) {
        self.faults += other.faults;
        self.succeeded += other.succeeded;
        self.wrong.extend(other.wrong);
    }
}

/// What came of all faults.
pub type Tally = BTreeMap<Fault, Count>;

/// Makes at least so many faults, on so many machines. `seed` decides which, where and when; what meets what at which
/// instant is also decided by this host. `tell` hears of every round. Nothing where machines cannot be booted, or a database
/// cannot be had.
///
/// # Errors
/// If a daemon, or a machine, is beyond all help.
pub async fn wreak(
    household: Household,
    faults: usize,
    machines: usize,
    seed: u64,
    tell: impl Fn(&str),
) -> Result<Option<Tally>> {
    let workshop = Workshop::open(Extra::Nothing)?;
    let (platform, config) = (Some(workshop.reference()), CONFIG.into());
    let options = DaemonOptions { platform, config, ..DaemonOptions::usual() };
    let Some(home) = Home::furnish(household, options).await? else { return Ok(None) };
    let mut place = Place::furnish(home, machines, seed).await?;
    let mut tally = Tally::new();
    let mut made = 0;
    while made < faults {
        made += place.round(&mut tally, &tell).await?;
        ensure!(!place.tenants.is_empty(), "no operation of the last tenants ends any more");
        let wrong: usize = tally.values().map(|count| count.wrong.len()).sum();
        tell(&format!("{made} of {faults} faults, {wrong} wrong"));
    }
    Ok(Some(tally))
}

/// The daemons, and tenants each on a machine of its own.
struct Place {
    home: Home,
    tenants: Vec<Inhabited>,
    dice: Dice,
    round: usize,
}

impl Place {
    async fn furnish(home: Home, machines: usize, seed: u64) -> Result<Self> {
        let mut tenants = Vec::new();
        for number in 0..machines {
            tenants.push(Inhabited::settle(&home.stage, number).await?);
        }
        Ok(Self { home, tenants, dice: Dice::new(seed), round: 0 })
    }

    /// Deploys everything, breaks and mends everything, and looks at everything; returns how many faults there were.
    async fn round(&mut self, tally: &mut Tally, tell: &impl Fn(&str)) -> Result<usize> {
        self.round += 1;
        let plans = self.begin().await?;
        let suffered = self.suffer(&plans).await?;
        let succeeded = self.judge(&plans, tally, tell).await?;
        for fault in &suffered {
            tally.entry(*fault).or_default().faults += 1;
        }
        // Every deployment met what the daemons suffered.
        for kind in suffered.iter().collect::<BTreeSet<_>>() {
            tally.entry(*kind).or_default().succeeded += succeeded;
        }
        Ok(plans.len() + suffered.len())
    }

    /// Begins to deploy a change of every tenant, each of which will meet a fault.
    async fn begin(&mut self) -> Result<Vec<Plan>> {
        let mut plans = Vec::new();
        for tenant in &mut self.tenants {
            let fault = Fault::OF_MACHINES[self.dice.below(Fault::OF_MACHINES.len())];
            tenant.change(&self.home.stage, self.round, fault).await?;
            tenant.is_visited().await?;
            let known = damage::store_paths(&tenant.machine)?;
            let operation = self.home.stage.client.deploy(&name(&tenant.draft.name)).await?.id;
            plans.push(Plan { fault, known, operation });
        }
        Ok(plans)
    }

    /// Breaks and mends everything; returns what happened to the daemons.
    async fn suffer(&mut self, plans: &[Plan]) -> Result<Vec<Fault>> {
        let own = another(&self.dice);
        let faults = self.tenants.iter().zip(plans).map(|(tenant, plan)| {
            let dice = another(&self.dice);
            async move { plan.fault.inject(tenant, &plan.known, &dice).await }
        });
        let (suffered, broken) =
            tokio::join!(self.home.suffer(&own), futures_util::future::try_join_all(faults));
        broken?;
        suffered
    }

    /// Looks at everything; returns how many deployments succeeded. A tenant whose operation does not end takes no part in
    /// what follows.
    async fn judge(&mut self, plans: &[Plan], tally: &mut Tally, tell: &impl Fn(&str)) -> Result<usize> {
        let client = &self.home.stage.client;
        let (mut stuck, mut all) = (Vec::new(), 0);
        for (tenant, plan) in self.tenants.iter_mut().zip(plans) {
            let end = Instant::now() + PATIENCE;
            let outcome = tenant.judge(client, plan, end).await;
            let count = tally.entry(plan.fault).or_default();
            count.faults += 1;
            match outcome {
                Ok(status) => {
                    let succeeded = usize::from(status == OperationStatus::Succeeded);
                    count.succeeded += succeeded;
                    all += succeeded;
                }
                Err(error) => {
                    let wrong = format!("round {}, {}: {error:#}", self.round, tenant.draft.name);
                    tell(&format!("  wrong: {:?}, {wrong}", plan.fault));
                    count.wrong.push(wrong);
                }
            }
            if !client.operation(plan.operation).await?.status.is_final() {
                stuck.push(tenant.draft.name.clone());
            }
        }
        self.tenants.retain(|tenant| !stuck.contains(&tenant.draft.name));
        Ok(all)
    }
}

/// What one tenant goes through in a round.
struct Plan {
    fault: Fault,
    /// What was in the machine's store before: a power loss spares it.
    known: Vec<String>,
    operation: OperationId,
}

/// Dice of their own, so that what one machine meets does not depend on how fast another is.
fn another(dice: &Dice) -> Dice {
    Dice::new(dice.number(0..=u64::MAX))
}
