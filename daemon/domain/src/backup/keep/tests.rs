//! The rule by itself, and against the real restic.

use std::process::Command;

use chrono::{TimeDelta, TimeZone as _, Utc};
use proptest::prelude::*;
use serde_json::Value;

use super::*;
use crate::backup::BackupDraft;

fn plan(keep: Keep) -> BackupPlan {
    let text = r#"{"schedule": "30 3 * * *", "timezone": "Europe/Berlin"}"#;
    let draft: BackupDraft = serde_json::from_str(text).unwrap();
    BackupPlan { keep: Some(keep), ..draft.try_into().unwrap() }
}

fn keep(last: u32, daily: u32, weekly: u32, monthly: u32) -> Keep {
    Keep { last, daily, weekly, monthly, also_by_hand: false }
}

fn snapshot(number: u128, at: Timestamp, whole: bool, scheduled: bool) -> Snapshot {
    Snapshot {
        id: SnapshotId::from_u128(number),
        tenant: "acme".parse().unwrap(),
        created_at: at,
        finished_at: at,
        revision: None,
        system: "/nix/store/x".into(),
        whole,
        due_at: scheduled.then_some(at),
        forgetting: false,
        services: std::collections::BTreeMap::new(),
        tenant_part: None,
    }
}

/// Some time in the years 2025 to 2027.
fn time() -> impl Strategy<Value = Timestamp> {
    (1_735_689_600_i64..1_830_297_600).prop_map(|seconds| Utc.timestamp_opt(seconds, 0).unwrap())
}

fn rule() -> impl Strategy<Value = Keep> {
    (0_u32..4, 0_u32..9, 0_u32..6, 0_u32..14, any::<bool>()).prop_map(
        |(last, daily, weekly, monthly, also_by_hand)| Keep { last, daily, weekly, monthly, also_by_hand },
    )
}

fn many() -> impl Strategy<Value = Vec<Snapshot>> {
    let one = (time(), prop::bool::weighted(0.8), any::<bool>());
    prop::collection::vec(one, 0..60).prop_map(|all| {
        (1..)
            .zip(all)
            .map(|(number, (at, whole, scheduled))| snapshot(number, at, whole, scheduled))
            .collect()
    })
}

proptest! {
    #[test]
    fn the_newest_whole_one_and_what_somebody_asked_for_are_never_let_go(all in many(), rule in rule()) {
        let going = plan(rule).lets_go(&all);
        if let Some(newest) = newest_whole(&all) {
            prop_assert!(!going.contains(&newest.id));
        } else {
            prop_assert!(going.is_empty());
        }
        for one in all.iter().filter(|one| one.due_at.is_none() && !rule.also_by_hand) {
            prop_assert!(!going.contains(&one.id));
        }
    }

    #[test]
    fn what_was_decided_once_is_not_changed_by_carrying_it_out(all in many(), rule in rule()) {
        let plan = plan(rule);
        let going = plan.lets_go(&all);
        let left: Vec<Snapshot> = all.iter().filter(|one| !going.contains(&one.id)).cloned().collect();
        prop_assert!(plan.lets_go(&left).is_empty(), "{:?}", plan.lets_go(&left));
        // Neither is it by being interrupted in the middle.
        let mut marked = all.clone();
        for one in marked.iter_mut().filter(|one| going.contains(&one.id)) {
            one.forgetting = true;
        }
        prop_assert!(plan.lets_go(&marked).is_empty());
    }

    #[test]
    fn whoever_keeps_more_lets_nothing_go_that_whoever_keeps_less_holds(all in many(), rule in rule()) {
        let more = Keep { last: rule.last + 1, daily: rule.daily + 1, ..rule };
        let (less_going, more_going) = (plan(rule).lets_go(&all), plan(more).lets_go(&all));
        prop_assert!(more_going.is_subset(&less_going));
    }

    #[test]
    fn of_each_of_the_last_days_that_have_one_the_newest_stays(mut times in prop::collection::vec(time(), 1..60), daily in 1_u32..9) {
        times.sort();
        times.reverse();
        times.dedup();
        let zone = chrono_tz::Europe::Berlin;
        let kept = keep(0, daily, 0, 0).decide(zone, &times);
        let mut days: Vec<_> = times.iter().map(|at| at.with_timezone(&zone).date_naive()).collect();
        days.dedup();
        let of_day = |day| times.iter().position(|at| at.with_timezone(&zone).date_naive() == day).unwrap();
        for day in days.iter().take(daily as usize) {
            prop_assert!(kept[of_day(*day)]);
        }
        prop_assert!(kept.iter().filter(|kept| **kept).count() <= daily as usize);
    }
}

#[test]
fn one_that_is_not_whole_takes_nobodys_place_and_goes_once_a_whole_one_is_newer() {
    let at = |day: i64| Utc.timestamp_opt(1_767_225_600, 0).unwrap() + TimeDelta::days(day);
    let all = [
        snapshot(1, at(1), true, true),
        snapshot(2, at(2), false, true),
        snapshot(3, at(3), true, true),
        snapshot(4, at(4), false, true),
    ];
    let going = plan(keep(2, 0, 0, 0)).lets_go(&all);
    assert_eq!(going.into_iter().collect::<Vec<_>>(), [SnapshotId::from_u128(2)]);
    let going = plan(keep(1, 0, 0, 0)).lets_go(&all);
    assert_eq!(going.into_iter().collect::<Vec<_>>(), [1, 2].map(SnapshotId::from_u128));
}

fn restic(folder: &std::path::Path, words: &[&str]) -> Vec<u8> {
    let mut command = Command::new("restic");
    command.args(words).args(["--no-cache", "--quiet"]).current_dir(folder);
    command
        .env("RESTIC_REPOSITORY", folder.join("repository"))
        .env("RESTIC_PASSWORD", "x")
        .env("TZ", "Europe/Berlin");
    let output = command.output().unwrap();
    assert!(output.status.success(), "{words:?}: {output:?}");
    output.stdout
}

/// Whether this host's restic keeps the oldest one of a kind of which there are too few.
fn keeps_the_oldest() -> bool {
    let output = Command::new("restic").arg("version").output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let minor: u32 = text.split(['.', ' ']).nth(2).unwrap().parse().unwrap();
    minor >= 16
}

#[test]
fn restic_itself_decides_the_same() {
    // Nights with gaps over four months that end a year, over a change of the clock and a week that belongs to the year before;
    // several on some days, and both sides of midnight.
    let times: Vec<Timestamp> = [
        "2025-10-05T03:30",
        "2025-10-25T23:30",
        "2025-10-26T00:30",
        "2025-10-26T01:30",
        "2025-10-26T02:30",
        "2025-11-02T22:59",
        "2025-11-02T23:01",
        "2025-11-30T22:59",
        "2025-11-30T23:01",
        "2025-12-24T03:30",
        "2025-12-28T22:59",
        "2025-12-28T23:01",
        "2025-12-29T03:30",
        "2025-12-31T22:59",
        "2025-12-31T23:01",
        "2026-01-01T03:30",
        "2026-01-01T15:30",
        "2026-01-04T22:59",
        "2026-01-04T23:01",
        "2026-01-05T03:30",
    ]
    .iter()
    .rev()
    .map(|text| format!("{text}:00Z").parse().unwrap())
    .collect();
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("file"), "x").unwrap();
    restic(folder.path(), &["init"]);
    let zone = chrono_tz::Europe::Berlin;
    for at in &times {
        let local = at.with_timezone(&zone).format("%Y-%m-%d %H:%M:%S").to_string();
        restic(folder.path(), &["backup", "--time", &local, "file"]);
    }
    let told: Vec<Value> = serde_json::from_slice(&restic(folder.path(), &["snapshots", "--json"])).unwrap();
    let mut known: Vec<Timestamp> =
        told.iter().map(|one| one["time"].as_str().unwrap().parse().unwrap()).collect();
    known.sort();
    known.reverse();
    for (last, daily, weekly, monthly) in
        [(1, 0, 0, 0), (3, 7, 4, 12), (0, 5, 0, 0), (0, 0, 6, 0), (0, 0, 0, 3), (2, 3, 2, 2), (0, 30, 0, 0)]
    {
        let numbers = [last, daily, weekly, monthly].map(|number: u32| number.to_string());
        let mut words = vec!["forget", "--dry-run", "--json", "--group-by", ""];
        for (option, number) in
            ["--keep-last", "--keep-daily", "--keep-weekly", "--keep-monthly"].iter().zip(&numbers)
        {
            words.extend([*option, number.as_str()]);
        }
        let told: Value = serde_json::from_slice(&restic(folder.path(), &words)).unwrap();
        let kept: BTreeSet<Timestamp> = told[0]["keep"]
            .as_array()
            .unwrap()
            .iter()
            .map(|one| one["time"].as_str().unwrap().parse().unwrap())
            .collect();
        let ours = keep(last, daily, weekly, monthly).decide(zone, &known);
        // The rule of the oldest one is newer than the oldest restic that this has to work with; it concerns nobody else.
        let compared = if keeps_the_oldest() { known.len() } else { known.len() - 1 };
        for (at, ours) in known.iter().zip(ours).take(compared) {
            assert_eq!(kept.contains(at), ours, "{at} with {last} {daily} {weekly} {monthly}");
        }
    }
}
