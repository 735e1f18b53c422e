//! Faults of every kind at random instants. `tests/bench chaos` makes hundreds.

use anyhow::Result;
use berth_tests::chaos::{self, Household};

async fn wreak(household: Household, faults: usize) -> Result<()> {
    // Printed, so that a run that failed can be made once more.
    let seed = uuid::Uuid::now_v7().as_u64_pair().1 | 1;
    println!("seed {seed}");
    let Some(tally) = chaos::wreak(household, faults, 3, seed, |_| {}).await? else { return Ok(()) };
    let wrong: Vec<_> = tally.iter().filter(|(_, count)| !count.wrong.is_empty()).collect();
    assert!(wrong.is_empty(), "seed {seed}: {wrong:#?}");
    Ok(())
}

#[tokio::test]
async fn whatever_breaks_at_whatever_instant_every_operation_ends_once_and_machines_are_what_the_record_says()
-> Result<()> {
    wreak(Household::Single, 20).await
}

#[tokio::test]
async fn two_daemons_that_fight_over_operations_on_a_database_that_crashes_end_each_once_as_the_record_says()
-> Result<()> {
    wreak(Household::Pair, 16).await
}
