//! The engine in simulated worlds: many seeds on all cores, or one seed once more.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use anyhow::{Context as _, ensure};
use berth_simulation::{Options, Outcome, simulate};
use serde_json::{Value, json};

use crate::Tell;

/// How many worlds are lived through.
const SEEDS: u64 = 10_000;

/// How many failed seeds are told in full.
const TOLD: usize = 3;

/// Lives through the worlds of the seeds 0 to 9,999, or through that of `seed`.
///
/// # Errors
/// A law was broken; the seeds are named.
pub fn measure(tell: &Tell, seed: Option<u64>) -> anyhow::Result<Value> {
    let start = Instant::now();
    let outcomes = match seed {
        Some(seed) => vec![simulate(seed, Options::default())],
        None => many(tell)?,
    };
    let seconds = start.elapsed().as_secs_f64();
    let failed: Vec<_> = outcomes.iter().filter(|outcome| !outcome.broken.is_empty()).collect();
    for outcome in failed.iter().take(TOLD) {
        tell.say(&format!("seed {}: {:#?}", outcome.seed, outcome.broken));
    }
    if let (Some(_), [outcome]) = (seed, &outcomes[..]) {
        tell.say(&format!("{:#?}", outcome.counts));
    }
    let seeds: Vec<_> = failed.iter().map(|outcome| outcome.seed).collect();
    ensure!(seeds.is_empty(), "laws were broken by the seeds {seeds:?}; repeat one with --seed N");
    let sum = |count: fn(&Outcome) -> u64| outcomes.iter().map(count).sum::<u64>();
    Ok(json!({
        "seeds": outcomes.len(),
        "seconds": (seconds * 10.0).round() / 10.0,
        "operations": sum(|outcome| outcome.counts.operations),
        "events": sum(|outcome| outcome.counts.events),
        "faults": sum(|outcome| outcome.counts.faults),
        "killed": sum(|outcome| outcome.counts.killed),
        "taken_over": sum(|outcome| outcome.counts.taken_over),
        "refused": sum(|outcome| outcome.counts.refused),
        "unattended": sum(|outcome| outcome.counts.unattended),
        "snapshots": sum(|outcome| outcome.counts.snapshots),
        "restores": sum(|outcome| outcome.counts.restores),
        "rollouts": sum(|outcome| outcome.counts.rollouts),
        "rolled_out": sum(|outcome| outcome.counts.rolled_out),
        "virtual_hours": sum(|outcome| outcome.passed.as_secs()) / 3600,
        "broken": 0,
    }))
}

fn many(tell: &Tell) -> anyhow::Result<Vec<Outcome>> {
    let threads = std::thread::available_parallelism()?.get();
    tell.say(&format!("living through {SEEDS} worlds with {threads} threads"));
    let next = AtomicU64::new(0);
    let outcomes = std::thread::scope(|scope| {
        let work = || {
            let mut outcomes = Vec::new();
            loop {
                let seed = next.fetch_add(1, Ordering::Relaxed);
                if seed >= SEEDS {
                    return outcomes;
                }
                outcomes.push(simulate(seed, Options::default()));
            }
        };
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        let joined = workers.into_iter().map(|worker| worker.join().ok().context("a world panicked"));
        joined.collect::<anyhow::Result<Vec<_>>>()
    })?;
    Ok(outcomes.into_iter().flatten().collect())
}
