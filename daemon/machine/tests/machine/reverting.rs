//! Going back: by the dead-man timer, by a boot, on request.

use std::time::{Duration, Instant};

use berth_protocol::{Answer, Claim, Deadline, FailureCode, Outcome, Request, Reverted, RevertedBy};
use serde_json::json;
use uuid::Uuid;

use crate::bench::{Bench, activate, activate_until, activate_within, ask, claim, commit};
use crate::systems::{SWITCH, system};

/// A machine that was committed to `old` and has `new`.
async fn committed(
    name: &str,
    new: &str,
) -> Option<(Bench, berth_machine::StorePath, berth_machine::StorePath)> {
    let bench = Bench::set_up(name).await?;
    let (old, new) = (system("old", SWITCH, json!({})), system("new", new, json!({})));
    bench.copy(&old);
    bench.copy(&new);
    let operation = Uuid::now_v7();
    bench.ask(activate(operation, &old)).await.activation();
    bench.ask(commit(operation, &old)).await.answer.unwrap();
    Some((bench, old, new))
}

fn is_reverted(by: RevertedBy) -> impl Fn(&Outcome) -> bool {
    move |outcome| matches!(outcome, Outcome::Reverted(reverted) if reverted.by == by && reverted.problem.is_none())
}

#[tokio::test]
async fn a_machine_that_hears_of_no_commit_puts_its_previous_system_back_and_says_so() {
    let Some((bench, old, new)) = committed("timer", SWITCH).await else { return };
    let operation = Uuid::now_v7();
    bench.ask(activate_within(operation, &new, 3)).await.activation();
    assert_eq!(bench.outcome(operation).await, Outcome::Switched { exit_code: 0 });
    assert_eq!(bench.facts().await.running_system, Some(new.to_string()));
    // Whoever would have committed is gone; nobody asks.
    tokio::time::sleep(Duration::from_secs(6)).await;
    assert_eq!(bench.facts().await.running_system, Some(old.to_string()));
    let to = Some(old.to_string());
    let reverted = Outcome::Reverted(Reverted { by: RevertedBy::Timer, to, problem: None });
    assert_eq!(bench.outcome(operation).await, reverted);
    bench.until_no_own_units().await;
    assert_eq!(bench.run(&["ls", "/nix/var/nix/gcroots/berth"]).await, "");

    // Whatever the operation asks for now comes too late; what it asks for is idempotent all the same.
    let late = bench.ask(commit(operation, &new)).await.failure();
    assert_eq!(late.code, FailureCode::RevertedByTimer);
    let again = bench.ask(activate(operation, &new)).await.failure();
    assert_eq!(again.code, FailureCode::RevertedByTimer);
    assert_eq!(bench.ask(Request::Revert { claim: claim(operation), from: None }).await.outcome(), reverted);
    assert_eq!(bench.run(&["cat", "/var/lib/switched"]).await, "test\nboot\ntest\ntest");
    // Another operation may try.
    let other = Uuid::now_v7();
    bench.ask(activate(other, &new)).await.activation();
    bench.ask(commit(other, &new)).await.answer.unwrap();
}

#[tokio::test]
async fn more_time_is_given_to_who_asks_for_it_and_the_timer_survives_being_killed() {
    let Some((bench, old, new)) = committed("extend", SWITCH).await else { return };
    let operation = Uuid::now_v7();
    bench.ask(activate_within(operation, &new, 2)).await.activation();
    let began = Instant::now();
    let more = Request::Extend { claim: claim(operation), seconds: 9 };
    for _ in 0..2 {
        assert_eq!(bench.ask(more.clone()).await.outcome(), Outcome::Switched { exit_code: 0 });
    }
    let less = Request::Extend { claim: claim(operation), seconds: 1 };
    bench.ask(less).await.outcome();
    tokio::time::sleep(Duration::from_secs(4)).await;
    assert_eq!(bench.facts().await.running_system, Some(new.to_string()));
    bench.run(&["systemctl", "kill", "--signal=KILL", &format!("berth-guard-{operation}.service")]).await;
    bench.until(operation, is_reverted(RevertedBy::Timer)).await;
    assert!(began.elapsed() > Duration::from_secs(8), "{:?}", began.elapsed());
    assert_eq!(bench.facts().await.running_system, Some(old.to_string()));
}

#[tokio::test]
async fn a_switch_that_hangs_is_ended_by_the_timer_and_the_previous_system_comes_back() {
    let hangs = format!("{SWITCH}\nsleep 1000");
    let Some((bench, old, new)) = committed("hangs", &hangs).await else { return };
    let operation = Uuid::now_v7();
    let deadline = Deadline { switch_seconds: 2, commit_seconds: 1 };
    let told = bench.ask(activate_until(operation, &new, deadline)).await;
    assert_eq!(told.failure().code, FailureCode::RevertedByTimer);
    bench.until(operation, is_reverted(RevertedBy::Timer)).await;
    assert_eq!(bench.facts().await.running_system, Some(old.to_string()));
}

#[tokio::test]
async fn a_boot_before_the_commit_lands_on_the_previous_system_and_one_after_it_on_the_new_one() {
    let Some((bench, old, new)) = committed("boot", SWITCH).await else { return };
    let operation = Uuid::now_v7();
    for during in [true, false] {
        bench.ask(activate(operation, &new)).await.activation();
        if during {
            bench.machine.crash().await.unwrap();
        } else {
            bench.machine.stop().await.unwrap();
        }
        bench.machine.start().await.unwrap();
        bench.machine.settled().await.unwrap();
        bench.reconnect().await;
        assert_eq!(bench.facts().await.running_system, Some(old.to_string()));
        let to = Some(old.to_string());
        let reverted = Outcome::Reverted(Reverted { by: RevertedBy::Reboot, to, problem: None });
        assert_eq!(bench.outcome(operation).await, reverted);
        let refused = bench.ask(commit(operation, &new)).await.failure();
        assert_eq!(refused.code, FailureCode::Reverted);
    }
    // A boot says nothing against the system: the same operation may go on.
    bench.ask(activate(operation, &new)).await.activation();
    let Answer::Committed { generation, .. } = bench.ask(commit(operation, &new)).await.answer.unwrap()
    else {
        panic!()
    };
    bench.machine.crash().await.unwrap();
    bench.machine.start().await.unwrap();
    bench.machine.settled().await.unwrap();
    bench.reconnect().await;
    assert_eq!(bench.outcome(operation).await, Outcome::Committed { generation });
    assert_eq!(bench.facts().await.running_system, Some(new.to_string()));
}

#[tokio::test]
async fn whoever_asks_for_the_way_back_follows_it_and_is_told_again() {
    let Some((bench, old, new)) = committed("request", SWITCH).await else { return };
    let operation = Uuid::now_v7();
    bench.ask(activate(operation, &new)).await.activation();
    let revert = Request::Revert { claim: claim(operation), from: None };
    let (mut first, mut second) = (bench.agent().await, bench.agent().await);
    let (first, second) = tokio::join!(ask(&mut first, revert.clone()), ask(&mut second, revert.clone()));
    assert_eq!(first.lines, ["switching: test"]);
    let to = Some(old.to_string());
    let reverted = Outcome::Reverted(Reverted { by: RevertedBy::Request, to, problem: None });
    assert_eq!((first.outcome(), second.outcome()), (reverted.clone(), reverted.clone()));
    assert_eq!(bench.ask(revert).await.outcome(), reverted);
    assert_eq!(bench.facts().await.running_system, Some(old.to_string()));
    assert_eq!(
        bench.run(&["cat", "/var/lib/switched"]).await,
        "test\nboot\ntest\ntest",
        "there and back, once"
    );

    // Of a machine that somebody switched past the agent, an operation can ask for the same.
    bench.run(&["ln", "-sfn", new.as_str(), "/run/current-system"]).await;
    let unknown = Uuid::now_v7();
    assert_eq!(bench.outcome(unknown).await, Outcome::Unknown);
    assert_eq!(bench.ask(Request::Revert { claim: claim(unknown), from: None }).await.outcome(), reverted);
    assert_eq!(bench.facts().await.running_system, Some(old.to_string()));
    assert_eq!(
        bench.ask(Request::Revert { claim: claim(Uuid::now_v7()), from: None }).await.outcome(),
        Outcome::Unknown
    );
}

#[tokio::test]
async fn a_first_system_that_is_never_committed_leaves_an_empty_machine() {
    let Some(bench) = Bench::set_up("first").await else { return };
    let starts = format!("systemd-run --quiet --unit=web sleep 1000\n{SWITCH}");
    let path = system("first", &starts, json!({ "units": ["web.service"] }));
    bench.copy(&path);
    let operation = Uuid::now_v7();
    bench.ask(activate_within(operation, &path, 2)).await.activation();
    let outcome = bench.until(operation, is_reverted(RevertedBy::Timer)).await;
    assert_eq!(outcome, Outcome::Reverted(Reverted { by: RevertedBy::Timer, to: None, problem: None }));
    let left = bench.machine.exec(&["systemctl", "is-active", "web"]).await.unwrap();
    assert_eq!(String::from_utf8_lossy(&left.stdout), "inactive\n");
    let facts = bench.facts().await;
    assert_eq!((facts.running_system, facts.committed_system), (None, None));
}

#[tokio::test]
async fn a_commit_that_was_killed_between_profile_and_boot_entry_is_finished_by_the_timer() {
    let slow = format!(
        "[ \"$1\" = test ] || [ -e /var/lib/quick ] || {{ touch /var/lib/quick; sleep 1000; }}\n{SWITCH}"
    );
    let Some((bench, _, new)) = committed("half", &slow).await else { return };
    let operation = Uuid::now_v7();
    bench.ask(activate_within(operation, &new, 4)).await.activation();
    let mut agent = bench.agent().await;
    let kill = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        bench.run(&["pkill", "-KILL", "-f", "bin/berth-agent$"]).await;
        bench.run(&["pkill", "-KILL", "-f", "sleep 1000"]).await;
    };
    let (told, ()) = tokio::join!(ask(&mut agent, commit(operation, &new)), kill);
    assert!(told.answer.is_err());
    assert_eq!(bench.facts().await.committed_system, Some(new.to_string()), "the profile is set");
    bench.until(operation, |outcome| matches!(outcome, Outcome::Committed { generation: 2 })).await;
    assert_eq!(bench.facts().await.running_system, Some(new.to_string()));
    assert_eq!(bench.run(&["cat", "/var/lib/switched"]).await, "test\nboot\ntest\nboot\nboot");
    assert!(!bench.file("/var/lib/berth/commit-unfinished").exists());
}

#[tokio::test]
async fn a_way_back_that_fails_at_first_is_tried_again_until_it_leads_home() {
    let Some(bench) = Bench::set_up("stubborn").await else { return };
    // The previous system cannot be switched to three times, as on a disk that is full for a while.
    let stubborn = format!(
        "if [ -e /var/lib/full ]; then echo x >> /var/lib/full; [ $(wc -l < /var/lib/full) -gt 3 ] || exit 2; fi\n{SWITCH}"
    );
    let (old, new) = (system("old", &stubborn, json!({})), system("new", SWITCH, json!({})));
    bench.copy(&old);
    bench.copy(&new);
    let first = Uuid::now_v7();
    bench.ask(activate(first, &old)).await.activation();
    bench.ask(commit(first, &old)).await.answer.unwrap();
    bench.run(&["touch", "/var/lib/full"]).await;
    let operation = Uuid::now_v7();
    bench.ask(activate(operation, &new)).await.activation();
    let told = bench.ask(Request::Revert { claim: claim(operation), from: None }).await;
    let problem = "switch-to-configuration test: the previous system's ended with 2";
    let again = |pause| [problem.to_owned(), format!("it is tried again in {pause} s")];
    let told_again: Vec<_> =
        told.lines.iter().filter(|line| !line.starts_with("switching")).cloned().collect();
    assert_eq!(told_again, [again(1), again(2), again(4)].concat());
    assert!(is_reverted(RevertedBy::Request)(&told.outcome()));
    assert_eq!(bench.facts().await.running_system, Some(old.to_string()));
}

#[tokio::test]
async fn a_machine_whose_disk_is_full_puts_its_previous_system_back_no_later_than_any_other() {
    let fills = format!("dd if=/dev/zero of=/var/lib/berth/filled bs=4k 2>&1\n{SWITCH}");
    let Some((bench, old, new)) = committed("full", &fills).await else { return };
    // A disk of its own, so that nothing else of the machine or of this host is filled.
    bench.run(&["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", "/var/lib/berth"]).await;
    let operation = Uuid::now_v7();
    // The switch cannot even be written down.
    let switched = bench.ask(activate_within(operation, &new, 3)).await.failure();
    assert_eq!(bench.facts().await.running_system, Some(new.to_string()), "{switched}");
    let newer = Claim { operation, fence: claim(operation).fence + 1 };
    let told = bench.ask(Request::Revert { claim: newer, from: None }).await.failure();
    assert!(told.message.contains("No space left"), "{told}");
    let end = Instant::now() + Duration::from_secs(20);
    while bench.facts().await.running_system != Some(old.to_string()) {
        assert!(Instant::now() < end, "it does not go back while its disk is full");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    bench.run(&["rm", "/var/lib/berth/filled"]).await;
    bench.until(operation, is_reverted(RevertedBy::Timer)).await;
    bench.until_no_own_units().await;
}

#[tokio::test]
async fn a_commit_that_a_boot_interrupted_is_taken_back_when_the_operation_is_given_up() {
    let slow = format!("[ \"$1\" = test ] || sleep 1000\n{SWITCH}");
    let Some((bench, old, new)) = committed("halfboot", &slow).await else { return };
    let operation = Uuid::now_v7();
    bench.ask(activate_within(operation, &new, 60)).await.activation();
    let mut agent = bench.agent().await;
    let crash = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        bench.machine.crash().await.unwrap();
    };
    let (told, ()) = tokio::join!(ask(&mut agent, commit(operation, &new)), crash);
    assert!(told.answer.is_err());
    bench.machine.start().await.unwrap();
    bench.machine.settled().await.unwrap();
    bench.reconnect().await;
    assert_eq!(bench.facts().await.committed_system, Some(new.to_string()), "the profile is set");
    let outcome = bench.ask(Request::Revert { claim: claim(operation), from: None }).await.outcome();
    assert!(is_reverted(RevertedBy::Request)(&outcome), "{outcome:?}");
    let facts = bench.facts().await;
    let home = Some(old.to_string());
    assert_eq!((facts.running_system, facts.committed_system), (home.clone(), home));
    assert!(!bench.file("/var/lib/berth/commit-unfinished").exists());
}

#[tokio::test]
async fn a_worker_whose_operation_was_taken_over_changes_nothing_any_more() {
    let Some((bench, _, new)) = committed("fence", SWITCH).await else { return };
    let operation = Uuid::now_v7();
    let with = |fence| Claim { operation, fence };
    let system = new.to_string();
    let Request::Activate { action, deadline, .. } = activate(operation, &new) else { unreachable!() };
    let activate = |fence| Request::Activate { claim: with(fence), system: system.clone(), action, deadline };
    bench.ask(activate(7)).await.activation();
    let commit = |fence| Request::Commit { claim: with(fence), system: system.clone(), keep_generations: 10 };
    let wipe = Request::Wipe { claim: with(6), system: system.clone() };
    let secrets = Request::PrepareSecrets { claim: with(6), system: system.clone(), given: Vec::new() };
    let extend = Request::Extend { claim: with(6), seconds: 1 };
    let late =
        [activate(6), commit(6), wipe, secrets, extend, Request::Revert { claim: with(6), from: None }];
    for request in late {
        let failure = bench.ask(request).await.failure();
        assert_eq!(failure.code, FailureCode::Fenced, "{failure}");
    }
    bench.ask(commit(8)).await.answer.unwrap();
    assert_eq!(bench.facts().await.committed_system, Some(new.to_string()));
}

#[tokio::test]
async fn an_operation_that_takes_over_from_one_that_was_given_up_is_not_reverted_by_its_timer() {
    let Some((bench, _, new)) = committed("takeover", SWITCH).await else { return };
    let other = system("other", SWITCH, json!({}));
    bench.copy(&other);
    let (given_up, operation) = (Uuid::now_v7(), Uuid::now_v7());
    bench.ask(activate_within(given_up, &new, 3)).await.activation();
    bench.ask(activate(operation, &other)).await.activation();
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(bench.facts().await.running_system, Some(other.to_string()));
    bench.until(given_up, is_reverted(RevertedBy::Operation)).await;
    bench.ask(commit(operation, &other)).await.answer.unwrap();
    bench.until_no_own_units().await;
}

#[tokio::test]
async fn what_the_way_back_needs_stays_in_the_store_until_it_is_not_needed_any_more() {
    let Some((bench, old, new)) = committed("collect", SWITCH).await else { return };
    let operation = Uuid::now_v7();
    bench.ask(activate_within(operation, &new, 6)).await.activation();
    // Garbage is collected while nothing but the timer's roots hold agent and system.
    bench.run(&["nix-store", "--gc"]).await;
    bench.until(operation, is_reverted(RevertedBy::Timer)).await;
    assert_eq!(bench.facts().await.running_system, Some(old.to_string()));
}
