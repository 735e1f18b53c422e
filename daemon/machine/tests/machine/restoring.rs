//! Bringing state back: all of it, on another machine as well, or nothing is changed.

use std::time::{Duration, Instant};

use berth_machine::StorePath;
use berth_protocol::{Answer, FailureCode, Fingerprint, Pass, Request};
use serde_json::json;
use uuid::Uuid;

use crate::bench::{Bench, ask};
use crate::keeping::{
    self, active, at_rest, capture, captured, captures, carry_vault, fill, fingerprint, on, restore, sh,
    snapshot, web,
};
use crate::wiping::{psql, run_postgresql};

/// What makes something anew, and waits unless it is told not to.
pub const PATIENT: &[&str] = &["/bin/sh", "-c", "[ -e /tmp/quick ] || sleep 1000; id -un >> /tmp/anew"];

/// A machine with a snapshot of its state, and with other state since.
pub async fn changed(
    name: &str,
    after_restore: &[&str],
) -> Option<(Bench, StorePath, String, [Fingerprint; 2])> {
    let bench = keeping::machine(name, 4000).await?;
    fill(&bench).await;
    let path = on(&bench, name, json!({ "web": web(after_restore, "1.2") }));
    let first = fingerprint(&bench, &path).await;
    let captured =
        captured(&captures(bench.ask(capture(Uuid::now_v7(), &path, Pass::Quiesced)).await), "web");
    let snapshot = snapshot(&captured).to_owned();
    sh(&bench, "rm -r /var/lib/web/deep; echo new > /var/lib/web/new; chown web:web /var/lib/web/new").await;
    bench
        .run(&["runuser", "-u", "postgres", "--", "psql", "-Xqc", "DELETE FROM items WHERE id > 10", "web"])
        .await;
    let second = fingerprint(&bench, &path).await;
    assert_ne!(first, second);
    Some((bench, path, snapshot, [first, second]))
}

/// What stands beside the state and belongs to no service.
pub async fn leftovers(bench: &Bench) -> String {
    let databases = psql(bench, "SELECT datname FROM pg_database WHERE datname LIKE 'berth-%'").await;
    databases
        + &sh(
            bench,
            "ls -d /var/lib/.*berth* /var/lib/web/.berth* /var/lib/berth/restore/* 2>/dev/null || true",
        )
        .await
}

/// Waits until there is none any more: databases that a restore replaced are dropped after its end was told.
pub async fn nothing_is_left(bench: &Bench) {
    let mut left = leftovers(bench).await;
    for _ in 0..300 {
        if left.is_empty() {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
        left = leftovers(bench).await;
    }
    panic!("left: {left}");
}

/// Waits for the last command of a restore, which waits as well ([`PATIENT`]): everything is exchanged by then.
pub async fn until_it_waits(bench: &Bench) {
    let end = Instant::now() + Duration::from_secs(60);
    while sh(bench, "pgrep -cf '^[s]leep 1000' || true").await == "0" {
        assert!(Instant::now() < end);
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// Asks for a restore whose last command waits, and has the machine boot meanwhile: nothing of what is half exchanged is put right.
pub async fn boot_in_the_middle(bench: &Bench, request: Request) {
    let mut agent = bench.agent().await;
    let crash = async {
        until_it_waits(bench).await;
        bench.machine.crash().await.unwrap();
    };
    let (told, ()) = tokio::join!(ask(&mut agent, request), crash);
    assert!(told.answer.is_err());
    bench.machine.start().await.unwrap();
    bench.machine.settled().await.unwrap();
    bench.reconnect().await;
    run_postgresql(bench).await;
}

#[tokio::test]
async fn what_was_captured_on_one_machine_is_the_same_on_another_whatever_the_numbers_of_its_users() {
    let Some(source) = keeping::machine("source", 4000).await else { return };
    let Some(target) = keeping::machine("target", 5000).await else { return };
    fill(&source).await;
    let path = on(&source, "moved", json!({ "web": web(&["/bin/sh", "-c", "id -un > /tmp/anew"], "1.2") }));
    target.copy(&path);
    // On the target, numbers of the source are somebody else's.
    sh(
        &target,
        "echo 'stranger:x:4000:4000::/:/bin/sh' >> /etc/passwd; echo 'stranger:x:4000:' >> /etc/group",
    )
    .await;
    sh(&target, "echo old > /var/lib/web/old").await;
    let first = fingerprint(&source, &path).await;
    let captured =
        captured(&captures(source.ask(capture(Uuid::now_v7(), &path, Pass::Quiesced)).await), "web");
    carry_vault(&source, &target);
    assert_ne!(fingerprint(&target, &path).await, first);
    let operation = Uuid::now_v7();
    let request = restore(operation, &path, &[("web", snapshot(&captured))]);
    let told = target.ask(request.clone()).await;
    assert!(!told.transfers.is_empty());
    assert_eq!(told.answer.unwrap(), Answer::Restored);
    let second = fingerprint(&target, &path).await;
    assert_eq!(second, first);
    let found = &second.services["web"];
    let database = &found.databases["web"];
    assert_eq!(database.tables["public.items"], 5000);
    assert_eq!(database.sequences["public.items_id_seq"], Some(5000));
    assert_eq!((database.large_objects, database.large_object_bytes), (1, 50_000));
    assert!(found.directories["/var/lib/web"].files > 70);

    let looks = "stat -c '%U:%G %a' /var/lib/web /var/lib/web/plain /var/lib/web/deep /var/lib/web/runs /var/lib/web/dangling";
    let expected = "web:web 750\nweb:web 640\nguest:guest 711\nweb:web 4755\nweb:web 777";
    assert_eq!(sh(&target, looks).await, expected);
    assert_eq!(sh(&target, "stat -c %h /var/lib/web/same").await, "2", "hard links stay links");
    let blocks: u64 = sh(&target, "stat -c %b /var/lib/web/sparse").await.parse().unwrap();
    // Versions of restic before 0.15 fill them.
    let fills = std::env::var_os("BERTH_TEST_RESTIC").is_some();
    assert!(blocks < 10_000 || fills, "holes stay holes: {blocks}");
    let owners = "SELECT pg_get_userbyid(datdba) FROM pg_database WHERE datname = 'web'";
    assert_eq!(psql(&target, owners).await, "web");
    let owner = "SELECT tableowner FROM pg_tables WHERE tablename = 'items'";
    assert_eq!(target.run(&["runuser", "-u", "web", "--", "psql", "-XAtc", owner, "web"]).await, "web");
    assert_eq!(active(&target, &["web", "writer"]).await, [true, true]);
    assert_eq!(sh(&target, "cat /tmp/anew").await, "web");
    nothing_is_left(&target).await;
    // Asked again, it is told and not done again.
    sh(&target, "rm /tmp/anew").await;
    assert_eq!(target.ask(request).await.answer.unwrap(), Answer::Restored);
    assert!(!target.file("/tmp/anew").exists());
}

#[tokio::test]
async fn a_restore_that_is_killed_puts_the_old_state_back_and_succeeds_when_it_is_asked_for_again() {
    let Some((bench, path, snapshot, [first, second])) = changed("broken", PATIENT).await else { return };
    let operation = Uuid::now_v7();
    let request = restore(operation, &path, &[("web", &snapshot)]);
    let mut agent = bench.agent().await;
    let kill = async {
        until_it_waits(&bench).await;
        assert!(bench.file("/var/lib/web/deep").exists() && !bench.file("/var/lib/web/new").exists());
        bench.run(&["pkill", "-KILL", "-f", "berth-agent run-state"]).await;
    };
    let (told, ()) = tokio::join!(ask(&mut agent, request.clone()), kill);
    let failure = told.failure();
    assert!(failure.message.contains("before it was over"), "{failure}");
    assert_eq!(fingerprint(&bench, &path).await, second);
    assert_eq!(active(&bench, &["web", "writer"]).await, [true, true]);
    assert_eq!(leftovers(&bench).await, "");
    sh(&bench, "touch /tmp/quick").await;
    assert_eq!(bench.ask(request).await.answer.unwrap(), Answer::Restored);
    assert_eq!(fingerprint(&bench, &path).await, first);
    nothing_is_left(&bench).await;
}

#[tokio::test]
async fn a_restore_that_fails_at_its_end_or_that_a_boot_interrupts_leaves_what_was_there() {
    let fails = ["/bin/sh", "-c", "[ -e /var/lib/patient ] && sleep 1000; echo cannot >&2; exit 3"];
    let Some((bench, path, snapshot, [_, second])) = changed("failing", &fails).await else { return };
    let request = restore(Uuid::now_v7(), &path, &[("web", &snapshot)]);
    let failure = bench.ask(request.clone()).await.failure();
    assert!(failure.message.contains("Make it anew") && failure.message.contains("cannot"), "{failure}");
    assert_eq!(fingerprint(&bench, &path).await, second);
    assert_eq!(active(&bench, &["web", "writer"]).await, [true, true]);
    assert_eq!(leftovers(&bench).await, "");

    sh(&bench, "touch /var/lib/patient").await;
    boot_in_the_middle(&bench, request).await;
    assert!(bench.file("/var/lib/web/deep").exists(), "the new state is there, half a restore");
    bench.run(&[&format!("{}/bin/berth-agent", bench.agent_path), "settle"]).await;
    assert_eq!(fingerprint(&bench, &path).await, second);
    assert_eq!(leftovers(&bench).await, "");
    assert_eq!(active(&bench, &["web", "writer"]).await, [true, true]);
}

#[tokio::test]
async fn what_does_not_fit_is_refused_before_anything_is_touched() {
    let Some((bench, path, snapshot, [_, second])) = changed("unfit", &[]).await else { return };
    let mut fewer = web(&[], "1.2");
    fewer["state"]["databases"] = json!([]);
    let mut more = web(&[], "1.2");
    more["state"]["directories"]
        .as_array_mut()
        .unwrap()
        .push(json!({ "path": "/var/lib/more", "owner": "web", "group": "web", "mode": "0700" }));
    let mut stranger = web(&[], "1.2");
    stranger["state"]["directories"][0]["owner"] = json!("nobody-here");
    let cases = [
        ("older", web(&[], "1.1"), FailureCode::DataNewer),
        ("fewer", fewer, FailureCode::StateMismatch),
        ("more", more, FailureCode::StateMismatch),
        ("stranger", stranger, FailureCode::NoSuchSystem),
    ];
    let started = sh(&bench, "systemctl show --property=ActiveEnterTimestampMonotonic web writer").await;
    for (name, service, code) in cases {
        let other = on(&bench, name, json!({ "web": service }));
        let failure = bench.ask(restore(Uuid::now_v7(), &other, &[("web", &snapshot)])).await.failure();
        assert_eq!(failure.code, code, "{name}: {failure}");
    }
    let live = captures(bench.ask(capture(Uuid::now_v7(), &path, Pass::Live)).await);
    let live = captured(&live, "web").snapshot.unwrap();
    let failure = bench.ask(restore(Uuid::now_v7(), &path, &[("web", &live)])).await.failure();
    assert_eq!(failure.code, FailureCode::StateMismatch, "{failure}");
    let failure = bench.ask(restore(Uuid::now_v7(), &path, &[("web", &"0".repeat(64))])).await.failure();
    assert!(failure.message.contains("snapshot"), "{failure}");
    assert_eq!(fingerprint(&bench, &path).await, second);
    let after = sh(&bench, "systemctl show --property=ActiveEnterTimestampMonotonic web writer").await;
    assert_eq!(started, after, "no unit was stopped");
    assert_eq!(leftovers(&bench).await, "");
}

#[tokio::test]
async fn a_directory_that_is_a_mount_point_stays_one() {
    let Some((bench, path, snapshot, [first, second])) =
        changed("mounted", &["/bin/sh", "-c", "[ -e /tmp/quick ]"]).await
    else {
        return;
    };
    // As another disk would be: what is there moves to it.
    let mount = "cp -a /var/lib/web /srv/web && mount -t tmpfs tmpfs /var/lib/web && cp -a /srv/web/. /var/lib/web/ && rm -r /srv/web";
    sh(&bench, mount).await;
    let request = restore(Uuid::now_v7(), &path, &[("web", &snapshot)]);
    bench.ask(request.clone()).await.failure();
    assert_eq!(fingerprint(&bench, &path).await, second);
    assert_eq!(leftovers(&bench).await, "");
    sh(&bench, "touch /tmp/quick").await;
    assert_eq!(bench.ask(request).await.answer.unwrap(), Answer::Restored);
    assert_eq!(fingerprint(&bench, &path).await, first);
    nothing_is_left(&bench).await;
    assert_eq!(sh(&bench, "stat -f -c %T /var/lib/web").await, "tmpfs");
}

#[tokio::test]
async fn what_a_restore_replaced_and_could_not_remove_goes_with_the_next_work() {
    let Some((bench, path, snapshot, [first, _])) = changed("stubborn", &[]).await else { return };
    // PostgreSQL drops none of these, by whichever name it goes.
    psql(&bench, "ALTER DATABASE web IS_TEMPLATE true").await;
    let request = restore(Uuid::now_v7(), &path, &[("web", &snapshot)]);
    assert_eq!(bench.ask(request).await.answer.unwrap(), Answer::Restored);
    at_rest(&bench).await;
    let stays = leftovers(&bench).await;
    assert!(stays.starts_with("berth-old-") && !stays.contains('\n'), "{stays}");
    assert_eq!(fingerprint(&bench, &path).await, first);
    // It goes once it can, and is in nobody's way until then.
    bench.ask(capture(Uuid::now_v7(), &path, Pass::Quiesced)).await.answer.unwrap();
    assert_eq!(leftovers(&bench).await, stays);
    psql(&bench, &format!("ALTER DATABASE \"{stays}\" IS_TEMPLATE false")).await;
    bench.ask(capture(Uuid::now_v7(), &path, Pass::Quiesced)).await.answer.unwrap();
    nothing_is_left(&bench).await;
}

#[tokio::test]
async fn a_snapshot_of_a_stranger_makes_nobody_root_and_brings_no_device() {
    let Some(bench) = keeping::machine("stranger", 4000).await else { return };
    let path = on(&bench, "stranger", json!({ "web": web(&[], "1.2") }));
    let kept = async || {
        let captures = captures(bench.ask(capture(Uuid::now_v7(), &path, Pass::Quiesced)).await);
        snapshot(&captured(&captures, "web")).to_owned()
    };
    let program = "cp /bin/true /var/lib/web/become && chown root:root /var/lib/web/become && chmod 6755 /var/lib/web/become";
    sh(&bench, program).await;
    let first = kept().await;
    let told = bench.ask(restore(Uuid::now_v7(), &path, &[("web", &first)])).await;
    assert!(matches!(told.answer, Ok(Answer::Restored)), "{:?}", told.answer);
    assert_eq!(sh(&bench, "stat --format '%U %a' /var/lib/web/become").await, "root 755");
    sh(&bench, "mknod /var/lib/web/disk c 1 3").await;
    let second = kept().await;
    sh(&bench, "rm /var/lib/web/disk").await;
    let failure = bench.ask(restore(Uuid::now_v7(), &path, &[("web", &second)])).await.failure();
    assert!(failure.message.contains("disk is a device"), "{failure}");
    nothing_is_left(&bench).await;
}
