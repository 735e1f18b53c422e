//! The daemons and their database, and what breaks there.

use std::ops::RangeInclusive;
use std::path::Path;
use std::time::Duration;

use anyhow::Result;
use berth_simulation::dice::Dice;
use tokio::time::{Instant, sleep, sleep_until};

use super::fault::{Fault, SPAN_MS};
use crate::daemon::{Daemon, DaemonOptions, Database};
use crate::postgres::Postgres;
use crate::sqlite_lock::SqliteLock;
use crate::stage::Stage;

/// How long a daemon stands still: longer than its lease of 15 s, so that the other takes over what it holds.
const FROZEN_MS: RangeInclusive<u64> = 16_000..=20_000;

/// How long SQLite is locked at the most: longer than whoever writes waits for it (10 s), and than a lease.
const LOCKED_MS: u64 = 18_000;

/// How long PostgreSQL is away at the most, besides what it takes to start.
const CRASHED_MS: u64 = 5000;

/// Which daemons there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Household {
    /// One, with SQLite.
    Single,
    /// Two, that share a PostgreSQL.
    Pair,
}

/// They run. (The order matters: daemons go before their machines and their database.)
pub(super) struct Home {
    other: Option<Daemon>,
    pub(super) stage: Stage,
    postgres: Option<Postgres>,
}

impl Home {
    /// Nothing where machines, or PostgreSQL, cannot be had.
    pub(super) async fn furnish(household: Household, mut options: DaemonOptions) -> Result<Option<Self>> {
        let mut postgres = None;
        if household == Household::Pair {
            let Some(server) = Postgres::start().await? else { return Ok(None) };
            options.database = Database::Postgres(server.url().to_owned());
            postgres = Some(server);
        }
        let Some(stage) = Stage::set_up_with(options).await? else { return Ok(None) };
        let other = postgres.is_some().then(|| stage.daemon.replica()).transpose()?;
        Ok(Some(Self { other, stage, postgres }))
    }

    /// Breaks what belongs to the daemons, each at an instant of its own, and mends it. Returns what that was.
    pub(super) async fn suffer(&mut self, dice: &Dice) -> Result<Vec<Fault>> {
        let (first, at) = (&mut self.stage.daemon, Instant::now());
        match (&mut self.other, &mut self.postgres) {
            (Some(second), Some(postgres)) => {
                let (killed, frozen) = if dice.chance(0.5) { (first, second) } else { (second, first) };
                let (instants, away) = (instants(3, at, dice), dice.millis(0..=CRASHED_MS));
                let (stands_still, crashes) = (instant(at, dice), instant(at, dice));
                let crash = async {
                    sleep_until(crashes).await;
                    postgres.crash().await?;
                    sleep(away).await;
                    postgres.start_again().await
                };
                let still = freeze(frozen, stands_still, dice.millis(FROZEN_MS));
                tokio::try_join!(kill(killed, &instants), still, crash)?;
                Ok([vec![Fault::DaemonKilled; 3], vec![Fault::DaemonFrozen, Fault::DatabaseAway]].concat())
            }
            _ => {
                let file = first.sqlite();
                let (instants, from) = (instants(6, at, dice), instant(at, dice));
                let lock = lock(&file, from, dice.millis(0..=LOCKED_MS));
                tokio::try_join!(kill(first, &instants), lock)?;
                Ok([vec![Fault::DaemonKilled; 6], vec![Fault::DatabaseAway]].concat())
            }
        }
    }
}

fn instant(at: Instant, dice: &Dice) -> Instant {
    at + dice.millis(0..=SPAN_MS)
}

fn instants(count: usize, at: Instant, dice: &Dice) -> Vec<Instant> {
    let mut instants: Vec<_> = (0..count).map(|_| instant(at, dice)).collect();
    instants.sort();
    instants
}

/// Each time it is started again and not waited for, so that it may be killed while it starts.
async fn kill(daemon: &mut Daemon, instants: &[Instant]) -> Result<()> {
    for at in instants {
        sleep_until(*at).await;
        daemon.kill()?;
        daemon.spawn_again()?;
    }
    daemon.ready().await
}

async fn freeze(daemon: &Daemon, from: Instant, lasting: Duration) -> Result<()> {
    sleep_until(from).await;
    daemon.freeze()?;
    sleep(lasting).await;
    daemon.thaw()
}

async fn lock(database: &Path, from: Instant, lasting: Duration) -> Result<()> {
    sleep_until(from).await;
    SqliteLock::of(database).await?.release_after(lasting).await
}
