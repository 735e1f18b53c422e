//! Faults at random instants of deployments, and what must hold after every one.
//!
//! All tenants are deployed at once, each with a change of its own; each machine meets a fault at an instant of its own, and
//! the daemon is killed once as well. Once everything is mended, every operation must have ended, exactly once, and every
//! machine must run and boot what the daemon's record says, serve it, and have no timer left.

mod fault;
mod inhabited;

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Result, ensure};
use berth_domain::OperationStatus;
use berth_simulation::dice::Dice;
use tokio::time::{Instant, sleep};

pub use self::fault::Fault;
use self::fault::SPAN_MS;
use self::inhabited::Inhabited;
use crate::daemon::{Daemon, DaemonOptions};
use crate::damage;
use crate::stage::{Stage, name};
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

/// What came of all faults.
pub type Tally = BTreeMap<Fault, Count>;

/// Makes at least so many faults, on so many machines. `seed` decides which, where and when; what meets what at which
/// instant is also decided by this host. `tell` hears of every round. Nothing where machines cannot be booted.
///
/// # Errors
/// If the daemon, or a machine, is beyond all help.
pub async fn wreak(faults: usize, machines: usize, seed: u64, tell: impl Fn(&str)) -> Result<Option<Tally>> {
    let workshop = Workshop::open(Extra::Nothing)?;
    let (platform, config) = (Some(workshop.reference()), CONFIG.into());
    let options = DaemonOptions { platform, config, ..DaemonOptions::usual() };
    let Some(stage) = Stage::set_up_with(options).await? else { return Ok(None) };
    let mut place = Place::furnish(stage, machines, seed).await?;
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

/// The daemon, and tenants each on a machine of its own.
struct Place {
    stage: Stage,
    tenants: Vec<Inhabited>,
    dice: Dice,
    round: usize,
}

impl Place {
    async fn furnish(stage: Stage, machines: usize, seed: u64) -> Result<Self> {
        let mut tenants = Vec::new();
        for number in 0..machines {
            tenants.push(Inhabited::settle(&stage, number).await?);
        }
        Ok(Self { stage, tenants, dice: Dice::new(seed), round: 0 })
    }

    /// Deploys everything, breaks and mends everything, and looks at everything; returns how many faults there were.
    /// A tenant whose operation does not end takes no part in what follows.
    async fn round(&mut self, tally: &mut Tally, tell: &impl Fn(&str)) -> Result<usize> {
        self.round += 1;
        let mut plans = Vec::new();
        for tenant in &mut self.tenants {
            let fault = Fault::OF_MACHINES[self.dice.below(Fault::OF_MACHINES.len())];
            tenant.change(&self.stage, self.round, fault).await?;
            let known = damage::store_paths(&tenant.machine)?;
            let operation = self.stage.client.deploy(&name(&tenant.draft.name)).await?.id;
            plans.push((fault, known, operation));
        }
        let Stage { daemon, client, .. } = &mut self.stage;
        let own = another(&self.dice);
        let faults = self.tenants.iter().zip(&plans).map(|(tenant, (fault, known, _))| {
            let dice = another(&self.dice);
            async move { fault.inject(tenant, known, &dice).await }
        });
        let (killed, broken) = tokio::join!(kill(daemon, &own), futures_util::future::try_join_all(faults));
        killed?;
        broken?;
        let mut stuck = Vec::new();
        for (tenant, (fault, _, operation)) in self.tenants.iter_mut().zip(&plans) {
            let end = Instant::now() + PATIENCE;
            let outcome = match fault {
                Fault::StorePathCorrupted => tenant.judge_mended(client, *operation, end).await,
                _ => tenant.judge(client, *operation, end).await,
            };
            let round = self.round;
            if let Err(error) = &outcome {
                tell(&format!("  wrong: {fault:?}, round {round}, {}: {error:#}", tenant.draft.name));
            }
            if !client.operation(*operation).await?.status.is_final() {
                stuck.push(tenant.draft.name.clone());
            }
            for fault in [*fault, Fault::DaemonKilled] {
                let count = tally.entry(fault).or_default();
                // The daemon is killed once a round, whomever it was about.
                count.faults += usize::from(fault != Fault::DaemonKilled);
                match &outcome {
                    Ok(status) => count.succeeded += usize::from(*status == OperationStatus::Succeeded),
                    Err(error) if fault != Fault::DaemonKilled => {
                        count.wrong.push(format!("round {round}, {}: {error:#}", tenant.draft.name));
                    }
                    Err(_) => {}
                }
            }
        }
        self.tenants.retain(|tenant| !stuck.contains(&tenant.draft.name));
        tally.entry(Fault::DaemonKilled).or_default().faults += 1;
        Ok(plans.len() + 1)
    }
}

async fn kill(daemon: &mut Daemon, dice: &Dice) -> Result<()> {
    sleep(dice.millis(0..=SPAN_MS)).await;
    daemon.kill()?;
    daemon.start_again()
}

/// Dice of their own, so that what one machine meets does not depend on how fast another is.
fn another(dice: &Dice) -> Dice {
    Dice::new(dice.number(0..=u64::MAX))
}
