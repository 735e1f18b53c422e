//! Secrets that come back with the state: both, or neither.

use std::fs;
use std::time::{Duration, Instant};

use berth_domain::{SnapshotId, TenantDraft, Timestamp};
use berth_machine::StorePath;
use berth_protocol::{Answer, FailureCode, GivenSecret, Pass, Request, SecretsPart, TenantFile, tenant_file};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::bench::{Bench, claim};
use crate::keeping::{
    self, KEY, active, at_rest, capture, captured, captures, fill, fingerprint, on, restore, sh, snapshot,
    web,
};
use crate::restoring::{PATIENT, nothing_is_left};

const FOLDER: &str = "/var/lib/berth/secrets/web";

/// The service with a key, and a text that the key is in.
fn with_secrets(after_restore: &[&str]) -> Value {
    let secret = |name: &str, generate: Value| {
        json!({ "name": name, "path": format!("{FOLDER}/{name}"), "owner": "web", "group": "web", "mode": "0400",
            "generate": generate, "purpose": "Signs.", "readers": ["hands-on.service"], "loss": "data" })
    };
    let mut web = web(after_restore, "1.2");
    web["secrets"] = json!([
        secret("key", json!({ "kind": "hex", "bytes": 32 })),
        secret("environment", json!({ "kind": "template", "text": "KEY={{key}}\n" })),
    ]);
    json!({ "web": web })
}

/// A machine with a snapshot of its state and of its key, and with other state and another key since.
async fn rotated(name: &str, after_restore: &[&str]) -> Option<(Bench, StorePath, [String; 2], String)> {
    let bench = keeping::machine(name, 4000).await?;
    fill(&bench).await;
    // What makes something of the secrets for the others, once.
    let text = "[Service]\\nType=oneshot\\nRemainAfterExit=yes\\nExecStart=/bin/cp /var/lib/berth/secrets/web/environment /run/handed-on\\n";
    sh(&bench, &format!("printf '{text}' > /etc/systemd/system/hands-on.service; systemctl daemon-reload"))
        .await;
    let path = on(&bench, name, with_secrets(after_restore));
    prepare(&bench, &path).await;
    sh(&bench, "systemctl start hands-on").await;
    let key = sh(&bench, &format!("cat {FOLDER}/key")).await;
    let state = captured(&captures(bench.ask(capture(Uuid::now_v7(), &path, Pass::Quiesced)).await), "web");
    let part = kept(&bench, &key).await;
    sh(&bench, &format!("rm -r /var/lib/web/deep {FOLDER}")).await;
    prepare(&bench, &path).await;
    assert_ne!(sh(&bench, &format!("cat {FOLDER}/key")).await, key);
    Some((bench, path, [snapshot(&state).to_owned(), part], key))
}

async fn prepare(bench: &Bench, system: &StorePath) {
    let (claim, system) = (claim(Uuid::now_v7()), system.to_string());
    let told = bench.ask(Request::PrepareSecrets { claim, system, given: Vec::new() }).await;
    assert_eq!(told.answer.unwrap(), Answer::Prepared);
}

/// Has restic keep the tenant's own part of a snapshot; gives its id.
async fn kept(bench: &Bench, key: &str) -> String {
    let value = serde_json::from_value(json!(key)).unwrap();
    let file = TenantFile {
        format: tenant_file::FORMAT,
        daemon_version: "test".into(),
        snapshot: SnapshotId::now_v7(),
        at: Timestamp::UNIX_EPOCH,
        revision: None,
        platform: None,
        specification: TenantDraft::default(),
        given: Vec::new(),
        secrets: vec![GivenSecret { service: "web".into(), name: "key".into(), value }],
    };
    // restic 0.18 takes a path with folders from no standard input.
    let path = tenant_file::PATH;
    fs::create_dir(bench.file("/berth")).unwrap();
    fs::write(bench.file(path), &*file.text().unwrap()).unwrap();
    let restic = format!("RESTIC_PASSWORD={KEY} restic -r /srv/vault");
    sh(bench, &format!("{restic} backup -q --tag part {path} && rm -r /berth")).await;
    let listed = sh(bench, &format!("{restic} snapshots --json --tag part")).await;
    let listed: Value = serde_json::from_str(&listed).unwrap();
    listed[0]["id"].as_str().unwrap().to_owned()
}

fn with(operation: Uuid, path: &StorePath, [state, part]: &[String; 2]) -> Request {
    let secrets = Some(SecretsPart { snapshot: part.clone(), services: None });
    match restore(operation, path, &[("web", state)]) {
        Request::Restore { claim, system, repository, parts, reuse, limit_seconds, .. } => {
            Request::Restore { claim, system, repository, parts, secrets, reuse, limit_seconds }
        }
        other => other,
    }
}

/// The secrets' files, each with whose it is and what it holds.
async fn secrets(bench: &Bench) -> String {
    let script = format!(
        "cd {FOLDER}; find . -type f | sort | while read f; do stat -c '%n %U:%G %a' $f; cat $f; done"
    );
    sh(bench, &script).await
}

#[tokio::test]
async fn secrets_come_back_with_the_state_and_whoever_reads_them_reads_them_again() {
    let Some((bench, path, ids, key)) = rotated("returns", &[]).await else { return };
    let told = bench.ask(with(Uuid::now_v7(), &path, &ids)).await;
    assert!(told.lines.iter().any(|line| line.contains("web/key is as it was again")), "{:?}", told.lines);
    assert!(told.lines.iter().all(|line| !line.contains(&key)), "{:?}", told.lines);
    assert_eq!(told.answer.unwrap(), Answer::Restored);
    let expected = format!("./environment web:web 400\nKEY={key}\n./key web:web 400\n{key}");
    assert_eq!(secrets(&bench).await, expected);
    assert_eq!(sh(&bench, "cat /run/handed-on").await, format!("KEY={key}"));
    assert_eq!(active(&bench, &["web", "writer", "hands-on"]).await, [true; 3]);
    nothing_is_left(&bench).await;
    // Nothing but the file itself has it: neither what was asked for nor what was said.
    let found =
        sh(&bench, &format!("grep -rl {key} /var/lib/berth /run/berth /run/log /var/log | sort")).await;
    assert_eq!(found, format!("{FOLDER}/environment\n{FOLDER}/key"));
    // The same once more changes nothing, and says so.
    let told = bench.ask(with(Uuid::now_v7(), &path, &ids)).await;
    assert!(told.lines.iter().all(|line| !line.contains("as it was again")), "{:?}", told.lines);
    assert_eq!(told.answer.unwrap(), Answer::Restored);
    assert_eq!(secrets(&bench).await, expected);
}

#[tokio::test]
async fn a_restore_that_fails_leaves_the_machine_the_secrets_that_it_had() {
    let Some((bench, path, ids, _)) = rotated("refuses", &["/bin/false"]).await else { return };
    let before = (fingerprint(&bench, &path).await, secrets(&bench).await);
    let failure = bench.ask(with(Uuid::now_v7(), &path, &ids)).await.failure();
    assert_eq!(failure.code, FailureCode::Program, "{failure:?}");
    assert_eq!((fingerprint(&bench, &path).await, secrets(&bench).await), before);
    // One that is none is refused before anything is touched.
    let [state, _] = &ids;
    let failure = bench.ask(with(Uuid::now_v7(), &path, &[state.clone(), state.clone()])).await.failure();
    assert!([FailureCode::StateMismatch, FailureCode::Program].contains(&failure.code), "{failure:?}");
    assert_eq!((fingerprint(&bench, &path).await, secrets(&bench).await), before);
    nothing_is_left(&bench).await;
}

#[tokio::test]
async fn a_restore_that_is_killed_after_the_exchange_leaves_its_own_secrets_and_state() {
    let Some((bench, path, ids, key)) = rotated("killed", PATIENT).await else { return };
    let before = (fingerprint(&bench, &path).await, secrets(&bench).await);
    let request = with(Uuid::now_v7(), &path, &ids);
    let kill = async {
        let end = Instant::now() + Duration::from_secs(60);
        while !sh(&bench, &format!("cat {FOLDER}/key 2>/dev/null || true")).await.contains(&key) {
            assert!(Instant::now() < end);
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        bench.run(&["pkill", "-KILL", "-f", "berth-agent run-state"]).await;
    };
    let (told, ()) = tokio::join!(bench.ask(request), kill);
    told.failure();
    at_rest(&bench).await;
    assert_eq!((fingerprint(&bench, &path).await, secrets(&bench).await), before);
}
