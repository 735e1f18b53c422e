//! Followers.

use berth_domain::OperationKind;
use berth_engine::{Batch, EngineOptions, Follower};

use crate::stage::Stage;

/// A small generator (xorshift), so that a failing run can be repeated.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % sides
    }
}

async fn rest(mut follower: Follower) -> Vec<i64> {
    let mut seen = Vec::new();
    while let Some(batch) = follower.next().await.unwrap() {
        if let Batch::Events(events) = batch {
            seen.extend(events.iter().map(|event| event.seq));
        }
    }
    seen
}

#[tokio::test]
async fn a_follower_that_goes_away_a_thousand_times_misses_nothing_and_sees_nothing_twice() {
    let stage = Stage::set_up().await;
    let id = stage.submit(OperationKind::Deploy, false).await;
    let mut dice = Dice(0x9e37_79b9_7f4a_7c15);
    let mut seen = Vec::new();
    for _ in 0..1000 {
        let mut follower = stage.engine.follow(id, seen.last().copied().unwrap_or(0));
        // Dropped in the middle of waiting, or after some batches.
        for _ in 0..dice.roll(3) {
            let wait = std::time::Duration::from_micros(dice.roll(2000));
            match tokio::time::timeout(wait, follower.next()).await {
                Ok(Ok(Some(Batch::Events(events)))) => seen.extend(events.iter().map(|event| event.seq)),
                Ok(other) => assert!(matches!(other, Ok(None | Some(Batch::End))), "{other:?}"),
                Err(_) => break,
            }
        }
    }
    seen.extend(rest(stage.engine.follow(id, seen.last().copied().unwrap_or(0))).await);
    let last = stage.store.operation(id).await.unwrap().last_seq;
    assert_eq!(seen, (1..=last).collect::<Vec<_>>());
}

#[tokio::test]
async fn every_beginning_yields_the_rest_and_an_end() {
    let stage = Stage::set_up().await;
    let (operation, _) = stage.deploy().await;
    for after in 0..=operation.last_seq {
        let seen = rest(stage.engine.follow(operation.id, after)).await;
        assert_eq!(seen, (after + 1..=operation.last_seq).collect::<Vec<_>>());
    }
}

#[tokio::test]
async fn trimmed_events_leave_a_gap_that_is_told() {
    let mut stage = Stage::with(EngineOptions { keep_events: 5, ..EngineOptions::default() }).await;
    let (operation, _) = stage.deploy().await;
    // An engine that remembers nothing reads what the database has left.
    stage.restart().await;
    let mut follower = stage.engine.follow(operation.id, 0);
    let oldest = operation.last_seq - 4;
    assert_eq!(follower.next().await.unwrap(), Some(Batch::Gap { oldest }));
    assert_eq!(rest(follower).await, (oldest..=operation.last_seq).collect::<Vec<_>>());
}
