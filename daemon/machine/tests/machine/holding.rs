//! Services that stay quiet after a final pass.

use std::time::{Duration, Instant};

use berth_protocol::{Answer, FailureCode, Pass, Request};
use serde_json::json;
use uuid::Uuid;

use crate::bench::{Bench, claim};
use crate::keeping::{self, active, at_rest, capture, captured, captures, files, fill, on, sh, web};
use crate::wiping::psql;

const QUIET: [bool; 2] = [false, false];
const SERVING: [bool; 2] = [true, true];

async fn state(bench: &Bench) -> [bool; 2] {
    active(bench, &["web", "writer"]).await.try_into().unwrap()
}

async fn until_serving(bench: &Bench) {
    until(bench, SERVING).await;
}

async fn until(bench: &Bench, wanted: [bool; 2]) {
    let end = Instant::now() + Duration::from_secs(30);
    while state(bench).await != wanted {
        assert!(Instant::now() < end);
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

async fn nothing_waits(bench: &Bench) {
    at_rest(bench).await;
    let units =
        ["systemctl", "list-units", "--all", "--plain", "--no-legend", "berth-quiet-*", "berth-state-*"];
    // A timer is started after the capture's end was told, and systemd may be late on a busy host.
    let end = Instant::now() + Duration::from_secs(30);
    let mut there = bench.run(&units).await;
    while !there.is_empty() && Instant::now() < end {
        tokio::time::sleep(Duration::from_millis(200)).await;
        there = bench.run(&units).await;
    }
    assert_eq!(there, "");
    assert_eq!(sh(bench, "ls /nix/var/nix/gcroots/berth").await, "");
}

#[tokio::test]
async fn services_of_a_final_pass_stay_quiet_as_long_as_somebody_says_so_and_serve_again_when_nobody_does() {
    let Some(bench) = keeping::machine("final", 4000).await else { return };
    fill(&bench).await;
    let path = on(&bench, "final", json!({ "web": web(&[], "1") }));
    let operation = Uuid::now_v7();
    let keep = |seconds| Request::KeepQuiet { claim: claim(operation), seconds };
    let none = bench.ask(keep(1)).await.failure();
    assert_eq!(none.code, FailureCode::NotQuiet, "{none}");
    let request = capture(operation, &path, Pass::Final { quiet_seconds: 5 });
    let first = captures(bench.ask(request.clone()).await);
    captured(&first, "web");
    assert_eq!(state(&bench).await, QUIET);
    assert_eq!(bench.ask(keep(12)).await.answer.unwrap(), Answer::KeptQuiet);
    assert_eq!(captures(bench.ask(request.clone()).await), first, "it is told again while it is quiet");
    tokio::time::sleep(Duration::from_secs(7)).await;
    assert_eq!(state(&bench).await, QUIET, "more time was asked for");
    // Whoever would have kept it quiet is gone.
    until_serving(&bench).await;
    let late = bench.ask(keep(60)).await.failure();
    assert_eq!(late.code, FailureCode::NotQuiet, "{late}");
    nothing_waits(&bench).await;
    // What was captured is not the newest any more: it is captured anew.
    let second = captures(bench.ask(request).await);
    assert_ne!(captured(&second, "web").snapshot, captured(&first, "web").snapshot);
    assert_eq!(state(&bench).await, QUIET);
    let resume = Request::Resume { claim: claim(operation), anew: false };
    for _ in 0..2 {
        assert_eq!(
            bench.ask(resume.clone()).await.answer.unwrap(),
            Answer::Resumed { not_started: Vec::new() }
        );
        assert_eq!(state(&bench).await, SERVING);
    }
    nothing_waits(&bench).await;
}

#[tokio::test]
async fn a_service_that_somebody_started_or_a_boot_did_is_not_called_quiet() {
    let Some(bench) = keeping::machine("notquiet", 4000).await else { return };
    fill(&bench).await;
    let path = on(&bench, "notquiet", json!({ "web": web(&[], "1") }));
    let operation = Uuid::now_v7();
    let keep = Request::KeepQuiet { claim: claim(operation), seconds: 60 };
    bench.ask(capture(operation, &path, Pass::Final { quiet_seconds: 60 })).await.answer.unwrap();
    bench.ask(keep.clone()).await.answer.unwrap();
    sh(&bench, "systemctl start writer").await;
    let failure = bench.ask(keep.clone()).await.failure();
    assert!(failure.code == FailureCode::NotQuiet && failure.message.contains("writer"), "{failure}");
    sh(&bench, "systemctl stop writer").await;
    bench.machine.crash().await.unwrap();
    bench.machine.start().await.unwrap();
    bench.machine.settled().await.unwrap();
    bench.reconnect().await;
    until_serving(&bench).await;
    assert_eq!(bench.ask(keep).await.failure().code, FailureCode::NotQuiet);
    nothing_waits_but_roots(&bench).await;
}

/// What keeps the agent in the store outlives a boot, and goes when somebody puts things right.
async fn nothing_waits_but_roots(bench: &Bench) {
    bench.run(&[&format!("{}/bin/berth-agent", bench.agent_path), "settle"]).await;
    nothing_waits(bench).await;
}

#[tokio::test]
async fn a_final_pass_that_is_killed_leaves_no_service_stopped() {
    let Some(bench) = keeping::machine("finalkill", 4000).await else { return };
    fill(&bench).await;
    let path = on(&bench, "finalkill", json!({ "web": web(&[], "1") }));
    lock_items(&bench).await;
    let operation = Uuid::now_v7();
    let mut agent = bench.agent().await;
    let kill = async {
        until(&bench, QUIET).await;
        bench.run(&["pkill", "-KILL", "-f", "berth-agent run-state"]).await;
    };
    let request = capture(operation, &path, Pass::Final { quiet_seconds: 60 });
    let (told, ()) = tokio::join!(crate::bench::ask(&mut agent, request), kill);
    told.failure();
    assert_eq!(state(&bench).await, SERVING);
    let keep = Request::KeepQuiet { claim: claim(operation), seconds: 60 };
    assert_eq!(bench.ask(keep).await.failure().code, FailureCode::NotQuiet);
    psql(&bench, "SELECT 1").await;
    nothing_waits(&bench).await;
}

/// Has a dump wait.
async fn lock_items(bench: &Bench) {
    let lock = "runuser -u postgres -- psql -Xqc 'BEGIN; LOCK TABLE items; SELECT pg_sleep(1000)' web";
    bench.run(&["systemd-run", "--quiet", "--unit=locker", "--collect", "sh", "-c", lock]).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
}

#[tokio::test]
async fn whoever_wants_to_be_served_again_does_not_wait_for_a_capture_that_is_under_way() {
    let Some(bench) = keeping::machine("finalend", 4000).await else { return };
    fill(&bench).await;
    let path = on(&bench, "finalend", json!({ "web": web(&[], "1") }));
    lock_items(&bench).await;
    let operation = Uuid::now_v7();
    let (mut agent, mut other) = (bench.agent().await, bench.agent().await);
    let resume = async {
        until(&bench, QUIET).await;
        let resume = Request::Resume { claim: claim(operation), anew: false };
        let resumed = crate::bench::ask(&mut other, resume).await.answer.unwrap();
        assert_eq!(resumed, Answer::Resumed { not_started: Vec::new() });
        assert_eq!(state(&bench).await, SERVING);
    };
    let request = capture(operation, &path, Pass::Final { quiet_seconds: 60 });
    let (told, ()) = tokio::join!(crate::bench::ask(&mut agent, request), resume);
    assert!(told.failure().message.contains("ended before it was over"));
    // Another operation finds the machine free.
    psql(&bench, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'BEGIN; LOCK%'")
        .await;
    captures(bench.ask(capture(Uuid::now_v7(), &path, Pass::Quiesced)).await);
    nothing_waits(&bench).await;
}

#[tokio::test]
async fn a_service_without_units_is_quiet_too_until_somebody_resumes_or_the_time_is_over() {
    let Some(bench) = Bench::set_up("unitless").await else { return };
    sh(&bench, "mkdir /var/lib/files; echo x > /var/lib/files/x").await;
    let path = on(&bench, "unitless", json!({ "files": files() }));
    let operation = Uuid::now_v7();
    let keep = Request::KeepQuiet { claim: claim(operation), seconds: 2 };
    let request = capture(operation, &path, Pass::Final { quiet_seconds: 60 });
    captured(&captures(bench.ask(request.clone()).await), "files");
    assert_eq!(bench.ask(keep.clone()).await.answer.unwrap(), Answer::KeptQuiet);
    let resume = Request::Resume { claim: claim(operation), anew: false };
    assert_eq!(bench.ask(resume).await.answer.unwrap(), Answer::Resumed { not_started: Vec::new() });
    assert_eq!(bench.ask(keep.clone()).await.failure().code, FailureCode::NotQuiet);
    nothing_waits(&bench).await;
    let request = capture(operation, &path, Pass::Final { quiet_seconds: 1 });
    captured(&captures(bench.ask(request).await), "files");
    tokio::time::sleep(Duration::from_secs(4)).await;
    assert_eq!(bench.ask(keep).await.failure().code, FailureCode::NotQuiet);
    nothing_waits(&bench).await;
}
