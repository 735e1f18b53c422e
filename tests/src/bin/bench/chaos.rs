//! Faults of every kind at random instants of deployments, and how many of them ended in a state that is wrong.

use anyhow::{Context as _, Result};
use berth_tests::chaos::{self, Household, Tally};
use serde_json::{Value, json};

use crate::Tell;

/// How many faults.
const FAULTS: usize = 320;

/// How many machines meet faults at the same time.
const MACHINES: usize = 8;

/// Makes them, half of them with one daemon and half with two, and prints a table. `seed` decides which fault meets which
/// machine, and roughly when.
pub async fn measure(seed: Option<u64>, faults: Option<usize>, tell: &Tell) -> Result<Value> {
    let seed = seed.filter(|seed| *seed != 0).unwrap_or_else(some_seed);
    tell.say(&format!("seed {seed}"));
    let say = |line: &str| tell.say(line);
    let half = faults.unwrap_or(FAULTS).div_ceil(2);
    let mut tally = Tally::new();
    // First those that need more: who cannot have it is told at once.
    for (household, what) in
        [(Household::Pair, "two daemons, with PostgreSQL"), (Household::Single, "one daemon, with SQLite")]
    {
        tell.say(what);
        let part = chaos::wreak(household, half, MACHINES, seed, say).await?;
        for (fault, count) in part.context("machines, or PostgreSQL, cannot be had here")? {
            tally.entry(fault).or_default().add(count);
        }
    }
    tell.say(&format!("{:<16} {:>6} {:>10} {:>6}", "fault", "faults", "succeeded", "wrong"));
    for (fault, count) in &tally {
        let (faults, wrong) = (count.faults, count.wrong.len());
        tell.say(&format!("{:<16} {faults:>6} {:>10} {wrong:>6}", format!("{fault:?}"), count.succeeded));
        count.wrong.iter().for_each(|wrong| tell.say(&format!("  wrong: {wrong}")));
    }
    Ok(json!({
        "faults": tally.values().map(|count| count.faults).sum::<usize>(),
        "wrong": tally.values().map(|count| count.wrong.len()).sum::<usize>(),
        "seed": seed,
    }))
}

/// Another one every time.
fn some_seed() -> u64 {
    uuid::Uuid::now_v7().as_u64_pair().1 | 1
}
