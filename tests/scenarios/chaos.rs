//! Faults of every kind at random instants. `tests/bench chaos` makes hundreds.

use anyhow::Result;
use berth_tests::chaos;

#[tokio::test]
async fn whatever_breaks_at_whatever_instant_every_operation_ends_once_and_machines_are_what_the_record_says()
-> Result<()> {
    // Printed, so that a run that failed can be made once more.
    let seed = uuid::Uuid::now_v7().as_u64_pair().1 | 1;
    println!("seed {seed}");
    let Some(tally) = chaos::wreak(8, 3, seed, |_| {}).await? else { return Ok(()) };
    let wrong: Vec<_> = tally.iter().filter(|(_, count)| !count.wrong.is_empty()).collect();
    assert!(wrong.is_empty(), "seed {seed}: {wrong:#?}");
    Ok(())
}
