//! Removing what a system's state contract lists.

use std::time::Duration;

use berth_protocol::{Answer, FailureCode, Request};
use serde_json::json;
use uuid::Uuid;

use crate::bench::{Bench, Told, ask, claim};
use crate::keeping::{active, at_rest, restore};
use crate::restoring::{PATIENT, boot_in_the_middle, changed, leftovers, until_it_waits};
use crate::systems::{SWITCH, system};

async fn wipe(bench: &Bench, system: &berth_machine::StorePath) -> Told {
    bench.ask(Request::Wipe { claim: claim(Uuid::now_v7()), system: system.to_string() }).await
}

fn removed(told: Told) -> Vec<String> {
    match told.answer.unwrap() {
        Answer::Wiped { removed } => removed,
        other => panic!("{other:?}"),
    }
}

/// Makes a database server and runs it.
pub async fn start_postgresql(bench: &Bench) {
    bench.run(&["sh", "-c", "mkdir -p /var/lib/pg; chown postgres: /var/lib/pg"]).await;
    let cluster = "/usr/lib/postgresql/17/bin/initdb -D /var/lib/pg >/dev/null";
    bench.run(&["runuser", "-u", "postgres", "--", "sh", "-c", cluster]).await;
    run_postgresql(bench).await;
}

/// Runs the server that was made. No system has a unit for it, so that a boot ends it.
pub async fn run_postgresql(bench: &Bench) {
    let server = "mkdir -p /run/postgresql; chown postgres: /run/postgresql; systemd-run --quiet --unit=pg -p User=postgres \
        -p Type=notify /usr/lib/postgresql/17/bin/postgres -D /var/lib/pg -k /run/postgresql";
    bench.run(&["sh", "-c", server]).await;
}

pub async fn psql(bench: &Bench, sql: &str) -> String {
    bench.run(&["runuser", "-u", "postgres", "--", "psql", "-XAtc", sql, "postgres"]).await
}

#[tokio::test]
async fn everything_that_the_contract_lists_is_removed_and_nothing_else() {
    let Some(bench) = Bench::set_up("wipe").await else { return };
    let secret = json!({ "name": "key", "path": "/var/lib/secrets/web/key", "owner": "root", "group": "root",
        "mode": "0400", "generate": { "kind": "hex", "bytes": 32 }, "purpose": "Signs.", "readers": [], "loss": "data" });
    let directory = |path: &str| json!({ "path": path, "owner": "root", "group": "root", "mode": "0750" });
    let state = json!({ "databases": ["web", "never_made"], "quiesce": ["writer.service"],
        "directories": [directory("/var/lib/web"), directory("/var/lib/never-made")] });
    let service = json!({ "units": ["web.service"], "secrets": [secret], "state": state });
    let path = system("wipe", SWITCH, service);
    bench.copy(&path);
    start_postgresql(&bench).await;
    psql(&bench, "CREATE DATABASE web").await;
    psql(&bench, "CREATE DATABASE another").await;
    bench.run(&["sh", "-c", "mkdir -p /var/lib/web/deep /var/lib/other /var/lib/secrets/web"]).await;
    bench
        .run(&["sh", "-c", "touch /var/lib/web/deep/file /var/lib/other/file /var/lib/secrets/web/key"])
        .await;
    bench.run(&["ln", "-s", "/var/lib/other", "/var/lib/web/link"]).await;
    for unit in ["web", "writer"] {
        bench.run(&["systemd-run", "--quiet", "--unit", unit, "sleep", "1000"]).await;
    }
    // Whoever is connected does not keep a database from being removed.
    let stay = "runuser -u postgres -- psql -Xqc 'SELECT pg_sleep(1000)' web";
    bench.run(&["systemd-run", "--quiet", "--unit=guest", "sh", "-c", stay]).await;

    let told = wipe(&bench, &path).await;
    assert_eq!(told.counts.last(), Some(&(5, 5)));
    assert_eq!(removed(told), ["database web", "directory /var/lib/web", "secret web/key"]);
    assert_eq!(
        psql(&bench, "SELECT datname FROM pg_database WHERE datname IN ('web', 'another')").await,
        "another"
    );
    assert!(!bench.file("/var/lib/web").exists() && !bench.file("/var/lib/secrets/web/key").exists());
    assert!(bench.file("/var/lib/other/file").exists());
    let left = bench.machine.exec(&["systemctl", "is-active", "web", "writer"]).await.unwrap();
    assert_eq!(String::from_utf8_lossy(&left.stdout), "inactive\ninactive\n");

    assert!(removed(wipe(&bench, &path).await).is_empty(), "a second wipe finds nothing to remove");
}

#[tokio::test]
async fn a_contract_that_claims_what_is_not_its_own_removes_nothing_at_all() {
    let Some(bench) = Bench::set_up("claim").await else { return };
    bench.run(&["mkdir", "/var/lib/web"]).await;
    let directory = |path: &str| json!({ "path": path, "owner": "root", "group": "root", "mode": "0750" });
    let directories = [directory("/var/lib/web"), directory("/var/lib/web/../../../etc")];
    let path = system("claim", SWITCH, json!({ "state": { "directories": directories } }));
    bench.copy(&path);
    let failure = wipe(&bench, &path).await.failure();
    assert_eq!(failure.code, FailureCode::NoSuchSystem);
    assert!(failure.message.contains("/etc"), "{failure}");
    assert!(bench.file("/var/lib/web").exists());
    let failure = wipe(&bench, &bench.agent_path).await.failure();
    assert!(failure.message.contains("has no manifest"), "{failure}");
}

#[tokio::test]
async fn a_wipe_removes_what_a_restore_replaced_or_says_why_it_cannot() {
    let Some((bench, path, snapshot, _)) = changed("left", &[]).await else { return };
    psql(&bench, "ALTER DATABASE web IS_TEMPLATE true").await;
    let request = restore(Uuid::now_v7(), &path, &[("web", &snapshot)]);
    assert_eq!(bench.ask(request).await.answer.unwrap(), Answer::Restored);
    at_rest(&bench).await;
    let stays = leftovers(&bench).await;
    // As long as it cannot be removed, a wipe says so, and may be asked for again.
    let failure = wipe(&bench, &path).await.failure();
    assert!(failure.message.contains("template"), "{failure}");
    psql(&bench, &format!("ALTER DATABASE \"{stays}\" IS_TEMPLATE false")).await;
    wipe(&bench, &path).await.answer.unwrap();
    assert_eq!(leftovers(&bench).await, "");
    assert_eq!(psql(&bench, "SELECT count(*) FROM pg_database WHERE datname = 'web'").await, "0");
    assert!(!bench.file("/var/lib/web").exists());
}

#[tokio::test]
async fn a_wipe_ends_a_restore_that_a_boot_interrupted_so_that_nothing_comes_back() {
    let Some((bench, path, snapshot, _)) = changed("halfwiped", PATIENT).await else { return };
    boot_in_the_middle(&bench, restore(Uuid::now_v7(), &path, &[("web", &snapshot)])).await;
    assert!(leftovers(&bench).await.contains("berth-old-"));
    wipe(&bench, &path).await.answer.unwrap();
    // Whatever looks for work that was left undone finds none.
    bench.run(&[&format!("{}/bin/berth-agent", bench.agent_path), "settle"]).await;
    assert_eq!(leftovers(&bench).await, "");
    assert_eq!(psql(&bench, "SELECT count(*) FROM pg_database WHERE datname = 'web'").await, "0");
    assert!(!bench.file("/var/lib/web").exists());
    assert_eq!(active(&bench, &["web", "writer"]).await, [false, false]);
}

#[tokio::test]
async fn a_wipe_waits_for_a_restore_that_is_under_way() {
    let Some((bench, path, snapshot, _)) = changed("underway", PATIENT).await else { return };
    let mut agent = bench.agent().await;
    let restoring = ask(&mut agent, restore(Uuid::now_v7(), &path, &[("web", &snapshot)]));
    let wiping = async {
        until_it_waits(&bench).await;
        let go_on = async {
            tokio::time::sleep(Duration::from_secs(2)).await;
            bench.run(&["pkill", "-f", "^[s]leep 1000"]).await;
        };
        let (told, ()) = tokio::join!(wipe(&bench, &path), go_on);
        told
    };
    let (restored, told) = tokio::join!(restoring, wiping);
    assert_eq!(restored.answer.unwrap(), Answer::Restored);
    assert!(removed(told).contains(&"directory /var/lib/web".to_owned()));
    assert_eq!(leftovers(&bench).await, "");
    assert!(!bench.file("/var/lib/web").exists());
    assert_eq!(active(&bench, &["web", "writer"]).await, [false, false]);
}

#[tokio::test]
async fn a_wipe_removes_nothing_beside_a_restores_record_that_nobody_can_read() {
    let Some((bench, path, snapshot, _)) = changed("unread", &[]).await else { return };
    let request = restore(Uuid::now_v7(), &path, &[("web", &snapshot)]);
    assert_eq!(bench.ask(request).await.answer.unwrap(), Answer::Restored);
    at_rest(&bench).await;
    let records = bench.run(&["sh", "-c", "ls /var/lib/berth/state/*restore*.json"]).await;
    let record = records.lines().next().unwrap();
    bench.run(&["sh", "-c", "mv \"$1\" /tmp/record && echo spoiled > \"$1\"", "sh", record]).await;
    let failure = wipe(&bench, &path).await.failure();
    assert!(failure.message.contains(record), "{failure}");
    assert!(bench.file("/var/lib/web").exists());
    bench.run(&["mv", "/tmp/record", record]).await;
    wipe(&bench, &path).await.answer.unwrap();
    assert!(!bench.file("/var/lib/web").exists());
}
