//! A tenant with state, on a machine whose numbers of users are its own.

use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use berth_machine::StorePath;
use berth_protocol::{
    Answer, Capture, Captured, Fingerprint, Follower, Pass, Repository, Request, RestorePart, SecretText,
    ServiceCapture,
};
use berth_vault::{FolderStorage, Limits, MergeError, RepositoryName, Tokens, Vault};
use secrecy::SecretString;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::bench::{Bench, Told, claim};
use crate::systems::{SWITCH, system_of};
use crate::wiping::{psql, start_postgresql};

/// What nobody may find anywhere.
pub const KEY: &str = "the-key-of-the-vault";

/// How long anything may take here, in seconds.
const SECONDS: u64 = 100;

/// A service as the manifest has it: a database, a directory, and units that are quiet while both are copied.
pub fn web(after_restore: &[&str], version: &str) -> Value {
    let directory = json!({ "path": "/var/lib/web", "owner": "web", "group": "web", "mode": "0750" });
    let bucket = json!({ "name": "media", "endpoint": "http://store.example", "region": "x", "access_key": "k",
        "secret_key_file": "/nowhere" });
    let after: Vec<Value> = match after_restore {
        [] => Vec::new(),
        argv => vec![json!({ "title": "Make it anew", "argv": argv, "user": "web" })],
    };
    json!({ "units": ["web.service"], "data_version": version, "state": { "databases": ["web"],
        "directories": [directory], "buckets": [bucket], "quiesce": ["writer.service", "web.service"],
        "after_restore": after } })
}

/// A second service, which is only a directory.
pub fn files() -> Value {
    let directory = json!({ "path": "/var/lib/files", "owner": "root", "group": "root", "mode": "0700" });
    json!({ "state": { "directories": [directory] } })
}

/// A system with these services, on the machine.
pub fn on(bench: &Bench, name: &str, services: Value) -> StorePath {
    let path = system_of(name, SWITCH, services);
    bench.copy(&path);
    path
}

/// Boots a machine with the users, units and the database server that the service `web` needs.
pub async fn machine(name: &str, number: u32) -> Option<Bench> {
    let bench = Bench::set_up(name).await?;
    let accounts = format!(
        "echo 'web:x:{number}:{number}::/var/lib/web:/bin/sh' >> /etc/passwd; echo 'web:x:{number}:' >> /etc/group; \
         echo 'guest:x:{}:{}::/:/bin/sh' >> /etc/passwd; echo 'guest:x:{}:' >> /etc/group",
        number + 1,
        number + 1,
        number + 1
    );
    sh(&bench, &accounts).await;
    if let Some(restic) = std::env::var_os("BERTH_TEST_RESTIC") {
        // Another version than the image's.
        std::fs::copy(restic, bench.file("/usr/local/bin/restic")).unwrap();
    }
    for unit in ["web", "writer"] {
        let text = "[Service]\\nExecStart=/bin/sleep infinity\\n[Install]\\nWantedBy=multi-user.target\\n";
        sh(&bench, &format!("printf '{text}' > /etc/systemd/system/{unit}.service")).await;
    }
    sh(&bench, "systemctl daemon-reload; systemctl enable --now --quiet web writer").await;
    start_postgresql(&bench).await;
    psql(&bench, "CREATE ROLE web LOGIN").await;
    psql(&bench, "CREATE DATABASE web OWNER web").await;
    sh(&bench, "mkdir -p /var/lib/web && chown web:web /var/lib/web && chmod 750 /var/lib/web").await;
    Opened::on(&bench).await.init().await;
    Some(bench)
}

/// The repository on a machine's own disk, as a daemon has it that can read and write it.
pub struct Opened {
    pub vault: Vault,
    pub name: RepositoryName,
    pub key: SecretString,
}

impl Opened {
    pub async fn on(bench: &Bench) -> Self {
        let storage = FolderStorage::open(&bench.file("/srv")).await.unwrap();
        let vault = Vault::new(Arc::new(storage), Arc::new(Tokens::new()), Limits::default());
        Self { vault, name: "vault".parse().unwrap(), key: KEY.into() }
    }

    /// Makes the repository unless it is there.
    pub async fn init(&self) {
        self.vault.init(&self.name, &self.key).await.unwrap();
    }

    pub async fn merge(&self) -> Result<(), MergeError> {
        self.vault.merge(&self.name, &self.key).await
    }
}

/// Everything that a copy could get wrong.
pub async fn fill(bench: &Bench) {
    let odd = "
import os
base = b'/var/lib/web/'
def write(name, content, mode=0o640):
    with open(base + name, 'wb') as file: file.write(content)
    os.chmod(base + name, mode)
write(b'plain', b'x' * 100000)
write(b'two\\nlines', b'newline')
write(b'not \\xff\\xfe utf-8', b'bytes')
write(b'secret', b'nobody', 0o000)
write(b'runs', b'#!/bin/sh', 0o4755)
os.symlink(b'../nowhere \\xff', base + b'dangling')
os.symlink(b'/etc/passwd', base + b'outside')
os.link(base + b'plain', base + b'same')
os.mkfifo(base + b'pipe', 0o600)
os.makedirs(base + b'deep/' + b'd/' * 60)
os.mkdir(base + b'empty', 0o2770)
with open(base + b'sparse', 'wb') as file:
    file.write(b'begin'); file.seek(64 << 20); file.write(b'end')
";
    bench.run(&["python3", "-c", odd]).await;
    if std::env::var_os("BERTH_TEST_RESTIC").is_some() {
        // Versions before 0.16 refuse it.
        sh(bench, "ln -sfn nowhere /var/lib/web/dangling").await;
    }
    sh(
        bench,
        "chown -hR web:web /var/lib/web; chown guest:guest /var/lib/web/deep; chmod 711 /var/lib/web/deep; chmod 4755 /var/lib/web/runs",
    )
    .await;
    for sql in [
        "CREATE EXTENSION pg_trgm",
        "CREATE TABLE items (id bigserial PRIMARY KEY, name text NOT NULL)",
        "INSERT INTO items (name) SELECT 'item ' || n FROM generate_series(1, 5000) n",
        "CREATE INDEX ON items USING gin (name gin_trgm_ops)",
        "SELECT lo_from_bytea(0, convert_to(repeat('large', 10000), 'UTF8'))",
        "ALTER TABLE items OWNER TO web",
    ] {
        bench.run(&["runuser", "-u", "postgres", "--", "psql", "-Xqc", sql, "web"]).await;
    }
}

pub async fn sh(bench: &Bench, script: &str) -> String {
    bench.run(&["sh", "-c", script]).await
}

/// Waits until no unit of ours is there but a timer: what has told its end may still be about to let go of things.
pub async fn at_rest(bench: &Bench) {
    let units = ["systemctl", "list-units", "--all", "--plain", "--no-legend", "berth-state-*"];
    let end = Instant::now() + Duration::from_secs(20);
    while !bench.run(&units).await.is_empty() {
        assert!(Instant::now() < end);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Whether units are active, in their order.
pub async fn active(bench: &Bench, units: &[&str]) -> Vec<bool> {
    let output = bench.machine.exec(&[&["systemctl", "is-active", "--"], units].concat()).await.unwrap();
    String::from_utf8_lossy(&output.stdout).lines().map(|line| line == "active").collect()
}

/// A repository on the machine's own disk.
pub fn repository() -> Repository {
    let secret = |text: &str| -> SecretText { serde_json::from_value(json!(text)).unwrap() };
    Repository { url: "/srv/vault".into(), user: String::new(), password: secret(""), key: secret(KEY) }
}

pub fn capture(operation: Uuid, system: &StorePath, pass: Pass) -> Request {
    Request::Capture {
        claim: claim(operation),
        system: system.to_string(),
        repository: repository(),
        pass,
        services: None,
        tag: "test".into(),
        follower: Follower::Nobody,
        replicate: None,
        limit_seconds: SECONDS,
    }
}

pub fn restore(operation: Uuid, system: &StorePath, parts: &[(&str, &str)]) -> Request {
    let parts = parts.iter().map(|(service, snapshot)| RestorePart {
        service: service.parse().unwrap(),
        snapshot: (*snapshot).to_owned(),
    });
    Request::Restore {
        claim: claim(operation),
        system: system.to_string(),
        repository: repository(),
        parts: parts.collect(),
        secrets: None,
        reuse: false,
        limit_seconds: SECONDS,
    }
}

pub async fn fingerprint(bench: &Bench, system: &StorePath) -> Fingerprint {
    let request = Request::Fingerprint { claim: claim(Uuid::now_v7()), system: system.to_string() };
    match bench.ask(request).await.answer.unwrap() {
        Answer::Fingerprint(fingerprint) => *fingerprint,
        other => panic!("{other:?}"),
    }
}

/// Copies the repository from one machine to another.
pub fn carry_vault(from: &Bench, to: &Bench) {
    let status =
        Command::new("cp").arg("-a").arg(from.file("/srv/vault")).arg(to.file("/srv/")).status().unwrap();
    assert!(status.success());
}

pub fn captures(told: Told) -> Capture {
    match told.answer.unwrap() {
        Answer::Captured(capture) => capture,
        other => panic!("{other:?}"),
    }
}

/// What became of a service that was captured.
pub fn captured(capture: &Capture, service: &str) -> Captured {
    match &capture.services[service] {
        ServiceCapture::Captured(captured) => captured.clone(),
        ServiceCapture::Failed { message } => panic!("{message}"),
    }
}

pub fn snapshot(captured: &Captured) -> &str {
    captured.snapshot.as_deref().unwrap()
}
