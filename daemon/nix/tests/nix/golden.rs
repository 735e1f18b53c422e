//! Logs that Nix 2.8 wrote, replayed. Each line comes 100 ms after the one before, so nothing is held back.

use std::fmt::Write;
use std::time::Duration;

use berth_domain::Progress;
use berth_nix::{Update, log::Tracker};
use proptest::prelude::*;
use tokio::time::Instant;

fn replay(mut tracker: Tracker, log: &[u8]) -> (String, Tracker) {
    let mut told = String::new();
    let mut sink = |update| writeln!(told, "{}", words(&update)).unwrap();
    let start = Instant::now();
    for (i, line) in (0..).zip(log.split(|&b| b == b'\n')) {
        tracker.line(line, start + Duration::from_millis(100) * i, &mut sink);
    }
    tracker.finish(&mut sink);
    (told, tracker)
}

fn words(update: &Update) -> String {
    match update {
        Update::Progress(Progress { done, expected: Some(expected), unit }) => {
            format!("{unit:?} {done} of {expected}")
        }
        Update::Progress(Progress { done, expected: None, unit }) => format!("{unit:?} {done} of unknown"),
        Update::Line { derivation, line } => {
            format!("{}: {line}", derivation.rsplit('-').next().unwrap_or_default())
        }
        Update::Message { level, text } => format!("{level:?}: {text}"),
    }
}

#[test]
fn a_build_of_two_derivations_counts_from_none_of_two_to_two_of_two() {
    let (told, _) = replay(Tracker::default(), include_bytes!("logs/build-nix-2.8.log"));
    insta::assert_snapshot!(told, @r"
    Info: these 2 derivations will be built:
    Info:   /nix/store/d9qdkxcd8arn4pfzn4bmy0n6y42ds6bw-library.drv
    Info:   /nix/store/p6ajixfg1xwzd51d08s913ld8pq3af0g-application.drv
    Builds 0 of 2
    library.drv: compiling the library
    Builds 1 of 2
    application.drv: linking the application
    application.drv: done
    Builds 2 of 2
    ");
}

#[test]
fn a_failing_build_names_the_culprit_with_its_last_fifty_lines_and_not_the_one_that_waited_for_it() {
    let (told, tracker) = replay(Tracker::default(), include_bytes!("logs/failing-build-nix-2.8.log"));
    let (derivation, log) = tracker.failed_build();
    assert!(derivation.unwrap().ends_with("-broken.drv"));
    let expected: Vec<String> = (11..=60).map(|i| format!("line {i}")).collect();
    assert_eq!(log, expected);
    let without_lines: Vec<&str> = told.lines().filter(|line| !line.starts_with("broken.drv: ")).collect();
    insta::assert_snapshot!(without_lines.join("\n"), @r"
    Info: these 2 derivations will be built:
    Info:   /nix/store/7s50qcfl2d82dk9v3ic6zsci6zza48xm-broken.drv
    Info:   /nix/store/3pdv0zb81r8pnzq4g8vy18s1lfiawkd0-dependent.drv
    Builds 0 of 2
    Error: builder for '/nix/store/7s50qcfl2d82dk9v3ic6zsci6zza48xm-broken.drv' failed with exit code 3
    Error: 1 dependencies of derivation '/nix/store/3pdv0zb81r8pnzq4g8vy18s1lfiawkd0-dependent.drv' failed to build
    ");
}

#[test]
fn a_copy_by_another_program_counts_paths() {
    let (told, _) = replay(Tracker::default(), include_bytes!("logs/copy-nix-2.8.log"));
    insta::assert_snapshot!(told, @r"
    Paths 0 of 2
    Paths 1 of 2
    Paths 2 of 2
    ");
}

#[test]
fn what_another_program_wrote_is_passed_on_without_colours() {
    let (told, tracker) = replay(Tracker::default(), b"\x1b[31mssh: no route\x1b[0m\n\xff\n@nix {broken\n");
    assert_eq!(told, "Info: ssh: no route\nInfo: \u{fffd}\n");
    assert_eq!((tracker.plain().as_str(), tracker.errors().as_str()), ("ssh: no route\n\u{fffd}", ""));
}

/// A line of the log, its fields drawn from what is likely to collide.
fn line() -> impl Strategy<Value = String> {
    let number = prop_oneof![0_u64..4, Just(u64::MAX), Just(u64::MAX / 2)];
    let kind = prop_oneof![Just(100), Just(103), Just(104), Just(105), Just(101), Just(106), 0_u64..120];
    let text =
        prop_oneof![Just("copying 2 paths"), Just("these 2 derivations will be built:"), Just("  /x.drv")];
    (0..5_u8, 0_u64..4, kind, number.clone(), number, text).prop_map(|(action, id, kind, a, b, text)| {
        match action {
            0 => format!(
                r#"@nix {{"action":"start","id":{id},"type":{kind},"text":"{text}","fields":["/x.drv","y"]}}"#
            ),
            1 => format!(r#"@nix {{"action":"stop","id":{id}}}"#),
            2 => format!(r#"@nix {{"action":"result","id":{id},"type":{kind},"fields":[{a},{b},0,0]}}"#),
            3 => format!(r#"@nix {{"action":"result","id":{id},"type":101,"fields":["{text}"]}}"#),
            _ => format!(r#"@nix {{"action":"msg","level":{},"msg":"{text}"}}"#, a % 5),
        }
    })
}

proptest! {
    #[test]
    fn whatever_nix_reports_no_more_is_done_than_expected(lines in prop::collection::vec(line(), 0..200)) {
        let mut tracker = Tracker::default();
        let now = Instant::now();
        let mut updates = Vec::new();
        for (i, line) in (0..).zip(&lines) {
            tracker.line(line.as_bytes(), now + Duration::from_millis(20) * i, &mut |update| updates.push(update));
        }
        tracker.finish(&mut |update| updates.push(update));
        tracker.failed_build();
        for update in updates {
            if let Update::Progress(Progress { done, expected: Some(expected), .. }) = update {
                prop_assert!(done <= expected && expected > 0);
            }
        }
    }

    #[test]
    fn no_bytes_make_the_tracker_fail(lines: Vec<Vec<u8>>) {
        replay(Tracker::default(), &lines.join(&b"\n@nix "[..]));
    }
}
