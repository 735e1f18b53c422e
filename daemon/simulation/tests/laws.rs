//! What the engine promises in worlds where everything fails, and that the simulation would notice if it did not.

#![allow(clippy::unwrap_used)]

use berth_simulation::{Options, Outcome, Weakness, simulate};

/// How many seeds a run of the tests tries; `tests/bench simulate` tries more.
const SEEDS: u64 = 120;

fn told(outcome: &Outcome) -> String {
    format!("seed {} (tests/bench simulate --seed {0}): {:#?}", outcome.seed, outcome.broken)
}

#[test]
fn no_seed_breaks_a_law() {
    let halves = [0, 1].map(|half| {
        std::thread::spawn(move || {
            let seeds = (0..SEEDS).filter(move |seed| seed % 2 == half);
            seeds.map(|seed| simulate(seed, Options::default())).collect::<Vec<_>>()
        })
    });
    let outcomes: Vec<_> = halves.into_iter().flat_map(|half| half.join().unwrap()).collect();
    for outcome in &outcomes {
        assert!(outcome.broken.is_empty(), "{}", told(outcome));
    }
    let sum = |count: fn(&Outcome) -> u64| outcomes.iter().map(count).sum::<u64>();
    assert!(sum(|outcome| outcome.counts.succeeded) > SEEDS, "too little happens");
    assert!(sum(|outcome| outcome.counts.taken_over) > SEEDS / 4, "too little is taken over");
    assert!(sum(|outcome| outcome.counts.faults) > SEEDS, "too little fails");
    assert!(sum(|outcome| outcome.counts.rolled_out) > SEEDS / 2, "too little is rolled out");
    assert!(sum(|outcome| outcome.counts.snapshots) > SEEDS / 10, "too few snapshots are made");
    assert!(sum(|outcome| outcome.counts.restores) > SEEDS / 30, "too little is brought back");
}

#[test]
fn a_daemon_that_ends_between_any_two_calls_leaves_nothing_undone() {
    // One with a single wish, and the deployment that sets everything right.
    let fair = Options { customers: Some(1), crash_at: Some(u64::MAX), ..Options::default() };
    let seed = (0..).find(|seed| simulate(*seed, fair).counts.operations == 2).unwrap();
    // Until a world ends before it comes to the call.
    let ends = (0..).find(|call| {
        let options = Options { customers: Some(1), crash_at: Some(*call), ..Options::default() };
        let outcome = simulate(seed, options);
        assert!(outcome.broken.is_empty(), "at call {call}: {}", told(&outcome));
        assert_eq!(outcome.counts.succeeded, outcome.counts.operations, "at call {call}");
        outcome.counts.killed == 0
    });
    assert!(ends > Some(100), "the world ends after {ends:?} calls");
}

#[test]
fn a_database_that_fails_at_any_one_call_keeps_no_abort_from_cancelling_what_runs() {
    // One daemon, as another one would ask as well.
    let fair = Options { customers: Some(2), daemons: Some(1), providers: Some(1), ..Options::default() };
    let world = |seed, call| simulate(seed, Options { refuse_at: Some(call), ..fair });
    let mut seeds = (100..).filter(|seed| world(*seed, u64::MAX).counts.broken_off > 0);
    let seed = seeds.next().unwrap();
    for call in 0..20 {
        let outcome = world(seed, call);
        assert!(outcome.broken.is_empty(), "at call {call}: {}", told(&outcome));
    }
}

#[test]
fn rollouts_at_the_same_time_never_take_the_last_place_together() {
    // Whenever an operation ends, all of them count what is left at the same moment.
    let crowd = Options { customers: Some(6), daemons: Some(1), providers: Some(4), ..Options::default() };
    let crowd = Options { places: Some(2), ..crowd };
    for seed in 0..5 {
        let outcome = simulate(seed, crowd);
        assert!(outcome.broken.is_empty(), "{}", told(&outcome));
    }
}

#[test]
fn a_seed_tells_the_same_story_every_time() {
    for seed in 0..20 {
        let (first, second) = (simulate(seed, Options::default()), simulate(seed, Options::default()));
        assert_eq!(first, second);
    }
}

#[test]
fn many_customers_at_once_are_served_in_a_world_of_trouble() {
    let crowd = Options { customers: Some(120), places: Some(4), ..Options::default() };
    let outcome = simulate(7, crowd);
    assert!(outcome.broken.is_empty(), "{}", told(&outcome));
    assert!(outcome.counts.operations >= 240, "{:?}", outcome.counts);
}

/// Whether some world, of bad weather, misses what is left out.
fn is_missed(weakness: Weakness) -> bool {
    let options = Options { weakness: Some(weakness), ..Options::default() };
    (0..2 * SEEDS).any(|seed| !simulate(seed, options).broken.is_empty())
}

#[test]
fn a_database_that_ignored_fences_would_be_noticed() {
    assert!(is_missed(Weakness::RecordsIgnoreFences));
}

#[test]
fn a_database_that_wrote_twice_what_comes_twice_would_be_noticed() {
    assert!(is_missed(Weakness::RecordsForgetWrites));
}

#[test]
fn rollouts_that_were_written_by_who_read_them_too_early_would_be_noticed() {
    assert!(is_missed(Weakness::RolloutsIgnoreOthers));
}

#[test]
fn machines_that_ignored_fences_would_be_noticed() {
    assert!(is_missed(Weakness::MachinesIgnoreFences));
}

#[test]
fn machines_without_a_timer_would_be_noticed() {
    assert!(is_missed(Weakness::MachinesForgetTimers));
}

#[test]
fn machines_that_forgot_what_they_were_asked_for_would_be_noticed() {
    assert!(is_missed(Weakness::MachinesForgetOperations));
}
