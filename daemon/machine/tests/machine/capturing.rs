//! Capturing state: what is copied, and that services serve again whatever happens.

use std::time::{Duration, Instant};

use berth_machine::MachineError;
use berth_protocol::{FailureCode, Pass, Request, ServiceCapture, TransferPhase};
use serde_json::json;
use uuid::Uuid;

use crate::bench::{Bench, ask, never};
use crate::keeping::{self, KEY, active, at_rest, capture, captured, captures, files, fill, on, sh, web};
use crate::wiping::psql;

/// Keeps a table locked, so that whoever dumps the database waits.
async fn lock(bench: &Bench) {
    let lock = "runuser -u postgres -- psql -Xqc 'BEGIN; LOCK TABLE items; SELECT pg_sleep(1000)' web";
    bench.run(&["systemd-run", "--quiet", "--unit=locker", "--collect", "sh", "-c", lock]).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
}

async fn unlock(bench: &Bench) {
    bench.run(&["systemctl", "stop", "locker"]).await;
    psql(bench, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE '%LOCK TABLE items; SELECT%' AND pid <> pg_backend_pid()").await;
}

#[tokio::test]
async fn a_live_pass_stops_nothing_and_the_quiet_one_after_it_has_little_left_to_copy() {
    let Some(bench) = keeping::machine("passes", 4000).await else { return };
    // A repository that nobody has made is made by the machine.
    sh(&bench, "rm -r /srv/vault").await;
    fill(&bench).await;
    sh(&bench, "head -c 20000000 /dev/urandom > /var/lib/web/large").await;
    let path = on(&bench, "passes", json!({ "web": web(&[], "1.2") }));
    let started = sh(&bench, "systemctl show --property=ActiveEnterTimestampMonotonic web writer").await;
    let operation = Uuid::now_v7();
    let told = bench.ask(capture(operation, &path, Pass::Live)).await;
    assert!(
        told.transfers
            .iter()
            .any(|moved| moved.phase == TransferPhase::Backup && moved.bytes_done > 20_000_000)
    );
    let live = captured(&captures(told), "web");
    assert!(live.bytes_added > 20_000_000 && live.databases.is_empty(), "{live:?}");
    assert_eq!(live.left_out.len(), 1, "the database: {:?}", live.left_out);
    assert_eq!(live.buckets, ["media"], "they are for somebody else to copy");
    let after = sh(&bench, "systemctl show --property=ActiveEnterTimestampMonotonic web writer").await;
    assert_eq!(started, after, "nothing was started anew");

    let told = bench.ask(capture(operation, &path, Pass::Quiesced)).await;
    let phases: Vec<_> = told.transfers.iter().map(|moved| moved.phase).collect();
    assert!(phases.contains(&TransferPhase::Dump) && phases.contains(&TransferPhase::Backup));
    let first = captures(told);
    let quiet = captured(&first, "web");
    assert!(quiet.bytes_added < 2_000_000 && quiet.bytes_total > 80_000_000, "{quiet:?}");
    assert_eq!(
        (quiet.databases.as_slice(), quiet.snapshot.as_ref().unwrap().len()),
        (["web".to_owned()].as_slice(), 64)
    );
    assert_eq!(quiet.data_version.as_ref().unwrap().to_string(), "1.2");
    assert_eq!((quiet.left_out.len(), quiet.buckets.as_slice()), (0, ["media".to_owned()].as_slice()));
    assert!(quiet.quiet_ms > 0 && quiet.not_started.is_empty());
    assert_eq!(active(&bench, &["web", "writer"]).await, [true, true]);
    // Asked again, it is told and not done again.
    assert_eq!(captures(bench.ask(capture(operation, &path, Pass::Quiesced)).await), first);
    let listed = format!("RESTIC_PASSWORD={KEY} restic -r /srv/vault snapshots --json --no-lock");
    let listed: serde_json::Value = serde_json::from_str(&sh(&bench, &listed).await).unwrap();
    assert_eq!(listed.as_array().unwrap().len(), 2);
    assert_eq!(
        (&listed[1]["hostname"], &listed[1]["tags"]),
        (&json!("acme"), &json!(["test", "service:web", "pass:quiesced"]))
    );

    at_rest(&bench).await;
    // Nothing of it stays behind, and what opens the repository stands nowhere.
    assert_eq!(sh(&bench, "ls /var/lib/berth/capture").await, "");
    assert_eq!(
        sh(&bench, "ls /run/berth/handover /nix/var/nix/gcroots/berth | grep -v : || true").await.trim(),
        ""
    );
    let told =
        sh(&bench, "journalctl --no-pager -o verbose; cat /run/berth/state/*.log /var/lib/berth/state/*")
            .await;
    assert!(!told.contains(KEY));
    assert_eq!(
        sh(
            &bench,
            &format!(
                "grep -rl {KEY} /var/lib /run /etc /tmp /root 2>/dev/null | grep -v ^/run/credentials || true"
            )
        )
        .await,
        ""
    );
}

#[tokio::test]
async fn services_of_a_capture_that_is_killed_serve_again_and_it_can_be_asked_for_again() {
    let Some(bench) = keeping::machine("killed", 4000).await else { return };
    fill(&bench).await;
    let path = on(&bench, "killed", json!({ "web": web(&[], "1") }));
    lock(&bench).await;
    let operation = Uuid::now_v7();
    let mut agent = bench.agent().await;
    let kill = async {
        let end = Instant::now() + Duration::from_secs(30);
        while active(&bench, &["web", "writer"]).await != [false, false] {
            assert!(Instant::now() < end, "they do not become quiet");
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        // Quiet comes before the dump, which waits for the lock.
        tokio::time::sleep(Duration::from_secs(1)).await;
        let folder = sh(&bench, "stat -c %a /var/lib/berth/capture/*/web").await;
        assert_eq!(folder, "700");
        // The command line of what dumps, and of all others, tells no secret.
        assert!(!sh(&bench, "ps axww").await.contains(KEY));
        bench.run(&["pkill", "-KILL", "-f", "berth-agent run-state"]).await;
    };
    let (told, ()) = tokio::join!(ask(&mut agent, capture(operation, &path, Pass::Quiesced)), kill);
    let failure = told.failure();
    assert!(
        failure.code == FailureCode::Program && failure.message.contains("before it was over"),
        "{failure}"
    );
    assert_eq!(active(&bench, &["web", "writer"]).await, [true, true]);
    assert_eq!(sh(&bench, "ls /var/lib/berth/capture").await, "");
    unlock(&bench).await;
    let capture = captures(bench.ask(capture(operation, &path, Pass::Quiesced)).await);
    captured(&capture, "web");
    assert_eq!(active(&bench, &["web", "writer"]).await, [true, true]);
}

#[tokio::test]
async fn services_that_were_started_often_of_late_serve_again_after_a_capture() {
    let Some(bench) = keeping::machine("often", 4000).await else { return };
    fill(&bench).await;
    let path = on(&bench, "often", json!({ "web": web(&[], "1") }));
    // Longer than the agent tries by itself.
    let limit = "StartLimitIntervalSec=60\nStartLimitBurst=2";
    sh(&bench, &format!("mkdir /etc/systemd/system/web.service.d; printf '[Unit]\n{limit}\n' > /etc/systemd/system/web.service.d/limit.conf"))
        .await;
    sh(&bench, "systemctl daemon-reload; systemctl restart web; systemctl restart web").await;
    assert_eq!(sh(&bench, "systemctl restart web || echo refused").await.trim(), "refused");
    sh(&bench, "systemctl reset-failed web; systemctl restart web; systemctl restart web").await;
    let capture = captures(bench.ask(capture(Uuid::now_v7(), &path, Pass::Quiesced)).await);
    assert!(captured(&capture, "web").not_started.is_empty());
    assert_eq!(active(&bench, &["web", "writer"]).await, [true, true]);
}

#[tokio::test]
async fn a_capture_goes_on_without_its_connection_and_is_found_again() {
    let Some(bench) = keeping::machine("goeson", 4000).await else { return };
    fill(&bench).await;
    let path = on(&bench, "goeson", json!({ "web": web(&[], "1") }));
    lock(&bench).await;
    let operation = Uuid::now_v7();
    let mut agent = bench.agent().await;
    let limit = Duration::from_secs(3);
    let late = agent.call(capture(operation, &path, Pass::Quiesced), limit, &never(), |_| {}).await;
    assert!(matches!(late, Err(MachineError::Timeout { .. })), "{late:?}");
    drop(agent);
    // It goes on, and comes to the point at which the services are stopped, however slow the host is.
    let end = std::time::Instant::now() + Duration::from_secs(60);
    while active(&bench, &["web", "writer"]).await != [false, false] {
        assert!(std::time::Instant::now() < end, "it does not go on");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let busy = bench.ask(capture(Uuid::now_v7(), &path, Pass::Live)).await.failure();
    assert_eq!(busy.code, FailureCode::Busy, "{busy}");
    tokio::time::sleep(Duration::from_secs(1)).await;
    unlock(&bench).await;
    let told = bench.ask(capture(operation, &path, Pass::Quiesced)).await;
    assert!(captured(&captures(told), "web").quiet_ms >= 1000);
    assert_eq!(active(&bench, &["web", "writer"]).await, [true, true]);
}

#[tokio::test]
async fn one_service_that_fails_keeps_no_other_from_being_captured_and_only_it_is_tried_again() {
    let Some(bench) = keeping::machine("onefails", 4000).await else { return };
    fill(&bench).await;
    sh(&bench, "mkdir /var/lib/files; echo x > /var/lib/files/x").await;
    let path = on(&bench, "onefails", json!({ "files": files(), "web": web(&[], "1") }));
    psql(&bench, "ALTER DATABASE web RENAME TO elsewhere").await;
    let operation = Uuid::now_v7();
    let first = captures(bench.ask(capture(operation, &path, Pass::Quiesced)).await);
    let of_files = captured(&first, "files");
    let ServiceCapture::Failed { message } = &first.services["web"] else { panic!("{first:?}") };
    assert!(message.contains("the database web does not exist"), "{message}");
    assert_eq!(active(&bench, &["web", "writer"]).await, [true, true], "it serves all the same");
    psql(&bench, "ALTER DATABASE elsewhere RENAME TO web").await;
    let second = captures(bench.ask(capture(operation, &path, Pass::Quiesced)).await);
    assert_eq!(captured(&second, "files"), of_files, "it was not captured again");
    captured(&second, "web");
}

#[tokio::test]
async fn a_repository_that_nobody_answers_for_is_given_up_before_anything_is_stopped() {
    let Some(bench) = keeping::machine("nobody", 4000).await else { return };
    let path = on(&bench, "nobody", json!({ "web": web(&[], "1") }));
    let started = sh(&bench, "systemctl show --property=ActiveEnterTimestampMonotonic web writer").await;
    let mut request = capture(Uuid::now_v7(), &path, Pass::Quiesced);
    let Request::Capture { repository, .. } = &mut request else { unreachable!() };
    (repository.url, repository.user) = ("http://127.0.0.1:9/acme".into(), "acme".into());
    repository.password = serde_json::from_value(json!("hunter/2")).unwrap();
    let began = Instant::now();
    let failure = bench.ask(request).await.failure();
    assert!(failure.message.contains("connection refused"), "{failure}");
    assert!(!failure.message.contains("hunter") && !failure.message.contains(KEY), "{failure}");
    assert!(began.elapsed() < Duration::from_secs(60), "{:?}", began.elapsed());
    let after = sh(&bench, "systemctl show --property=ActiveEnterTimestampMonotonic web writer").await;
    assert_eq!(started, after);
}
