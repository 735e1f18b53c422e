//! Making a system the one that boots.

use std::time::{Duration, Instant};

use berth_protocol::{Answer, FailureCode, Outcome, Request};
use serde_json::json;
use uuid::Uuid;

use crate::bench::{Bench, activate, claim, commit};
use crate::systems::{SWITCH, system};

const PROFILE: &str = "/nix/var/nix/profiles/system";

#[tokio::test]
async fn a_commit_sets_the_profile_and_makes_the_boot_entry_once_and_stops_the_timer() {
    let Some(bench) = Bench::set_up("commit").await else { return };
    let (one, other) = (system("one", SWITCH, json!({})), system("other", SWITCH, json!({})));
    bench.copy(&one);
    bench.copy(&other);
    for (path, generation) in [(&one, 1), (&other, 2)] {
        let operation = Uuid::now_v7();
        bench.ask(activate(operation, path)).await.activation();
        for changed in [true, false] {
            let answer = bench.ask(commit(operation, path)).await.answer.unwrap();
            assert_eq!(answer, Answer::Committed { generation, changed });
            assert_eq!(bench.facts().await.committed_system, Some(path.to_string()));
            assert_eq!(bench.outcome(operation).await, Outcome::Committed { generation });
            bench.until_no_own_units().await;
        }
    }
    assert_eq!(bench.run(&["cat", "/var/lib/switched"]).await, "test\nboot\ntest\nboot");
    assert_eq!(bench.run(&["ls", "/nix/var/nix/gcroots/berth"]).await, "", "nothing is kept any longer");
}

#[tokio::test]
async fn a_commit_whose_boot_entry_failed_is_finished_by_the_next_or_taken_back() {
    let Some(bench) = Bench::set_up("halfway").await else { return };
    let old = system("old", SWITCH, json!({}));
    let boot_fails = format!(
        "[ \"$1\" = test ] || [ -e /var/lib/mended ] || {{ echo the disk is full >&2; exit 28; }}\n{SWITCH}"
    );
    let path = system("halfway", &boot_fails, json!({}));
    bench.copy(&old);
    bench.copy(&path);
    bench.ask(commit(Uuid::now_v7(), &old)).await.answer.unwrap();

    let taken_back = Uuid::now_v7();
    bench.ask(activate(taken_back, &path)).await.activation();
    let failure = bench.ask(commit(taken_back, &path)).await.failure();
    assert_eq!(failure.code, FailureCode::Program);
    assert!(failure.message.contains("the disk is full"), "{failure}");
    bench.ask(Request::Revert { claim: claim(taken_back), from: None }).await.outcome();
    let facts = bench.facts().await;
    assert_eq!(
        (&facts.running_system, &facts.committed_system),
        (&Some(old.to_string()), &Some(old.to_string()))
    );
    assert_eq!(bench.run(&["readlink", "/nix/var/nix/profiles/system"]).await, "system-1-link");

    let finished = Uuid::now_v7();
    bench.ask(activate(finished, &path)).await.activation();
    bench.ask(commit(finished, &path)).await.failure();
    bench.run(&["touch", "/var/lib/mended"]).await;
    for changed in [true, false] {
        let answer = bench.ask(commit(finished, &path)).await.answer.unwrap();
        assert_eq!(answer, Answer::Committed { generation: 2, changed });
    }
}

#[tokio::test]
async fn a_first_commit_that_fails_and_is_taken_back_leaves_no_profile() {
    let Some(bench) = Bench::set_up("firstcommit").await else { return };
    let path = system("firstcommit", &format!("[ \"$1\" = test ] || exit 28\n{SWITCH}"), json!({}));
    bench.copy(&path);
    let operation = Uuid::now_v7();
    bench.ask(activate(operation, &path)).await.activation();
    bench.ask(commit(operation, &path)).await.failure();
    assert_eq!(bench.facts().await.committed_system, Some(path.to_string()));
    let outcome = bench.ask(Request::Revert { claim: claim(operation), from: None }).await.outcome();
    assert!(matches!(&outcome, Outcome::Reverted(reverted) if reverted.problem.is_none()), "{outcome:?}");
    let facts = bench.facts().await;
    assert_eq!((facts.running_system, facts.committed_system), (None, None));
}

#[tokio::test]
async fn old_generations_go_but_never_what_runs_or_what_was_committed_before() {
    let Some(bench) = Bench::set_up("prune").await else { return };
    let systems: Vec<_> = (0..5).map(|n| system(&format!("system{n}"), SWITCH, json!({}))).collect();
    for path in &systems {
        bench.copy(path);
        let operation = Uuid::now_v7();
        bench.ask(activate(operation, path)).await.activation();
        let keep = Request::Commit { claim: claim(operation), system: path.to_string(), keep_generations: 2 };
        bench.ask(keep).await.answer.unwrap();
    }
    let links = "ls /nix/var/nix/profiles | grep system- | sort";
    assert_eq!(bench.run(&["sh", "-c", links]).await, "system-4-link\nsystem-5-link");
    // Of those that are left, the first runs: a third one takes the place of the second.
    bench.run(&["ln", "-sfn", systems[3].as_str(), "/run/current-system"]).await;
    let keep =
        Request::Commit { claim: claim(Uuid::now_v7()), system: systems[0].to_string(), keep_generations: 1 };
    bench.ask(keep).await.answer.unwrap();
    assert_eq!(bench.run(&["sh", "-c", links]).await, "system-4-link\nsystem-5-link\nsystem-6-link");
}

#[tokio::test]
async fn the_profile_is_nix_own_and_whoever_else_changes_it_is_waited_for() {
    let Some(bench) = Bench::set_up("profile").await else { return };
    let [one, two, three] = ["one", "two", "three"].map(|name| system(name, SWITCH, json!({})));
    for path in [&one, &two, &three] {
        bench.copy(path);
    }
    let nix_env =
        async |words: &[&str]| bench.run(&[&["nix-env", "--profile", PROFILE], words].concat()).await;
    bench.ask(commit(Uuid::now_v7(), &one)).await.answer.unwrap();
    nix_env(&["--set", two.as_str()]).await;

    let held = "systemd-run --quiet --unit=holds --property=Type=exec flock /nix/var/nix/profiles/system.lock sleep 2";
    bench.run(&["sh", "-c", held]).await;
    let begun = Instant::now();
    let answer = bench.ask(commit(Uuid::now_v7(), &three)).await.answer.unwrap();
    assert_eq!(answer, Answer::Committed { generation: 3, changed: true });
    assert!(begun.elapsed() > Duration::from_millis(1500), "{:?}", begun.elapsed());

    let listed = nix_env(&["--list-generations"]).await;
    let current: Vec<_> = listed.lines().filter(|line| line.contains("(current)")).collect();
    assert!(listed.lines().count() == 3 && current[0].trim_start().starts_with("3 "), "{listed}");
    nix_env(&["--rollback"]).await;
    assert_eq!(bench.facts().await.committed_system, Some(two.to_string()));
    let left = bench.run(&["sh", "-c", "ls /nix/var/nix/profiles | grep '^system' | sort"]).await;
    assert_eq!(left, "system\nsystem-1-link\nsystem-2-link\nsystem-3-link");
}

#[tokio::test]
async fn an_older_version_of_a_service_is_not_put_on_newer_data() {
    let Some(bench) = Bench::set_up("older").await else { return };
    let of_version = |name: &str, version: &str| system(name, SWITCH, json!({ "data_version": version }));
    let (older, newer) = (of_version("older", "4.2"), of_version("newer", "4.3"));
    bench.copy(&older);
    bench.copy(&newer);
    for path in [&older, &newer] {
        let operation = Uuid::now_v7();
        bench.ask(activate(operation, path)).await.activation();
        bench.ask(commit(operation, path)).await.answer.unwrap();
    }
    let failure = bench.ask(activate(Uuid::now_v7(), &older)).await.failure();
    assert_eq!(failure.code, FailureCode::DataNewer);
    assert!(failure.message.contains("the data of web is of version 4.3"), "{failure}");
    assert_eq!(bench.facts().await.running_system, Some(newer.to_string()));
}
