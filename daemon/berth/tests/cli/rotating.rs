//! `berth daemon rotate-secrets-key`, with both databases: whenever it is killed, every secret opens with the key that the
//! daemon will use.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use berth_domain::{MachineDraft, SealedSecret, Setting, TenantDraft, TenantSpec};
use berth_seal::{About, Keys};
use berth_store::{Store, StoreOptions};
use chrono::Utc;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::json;
use tempfile::TempDir;

use crate::{Ran, bare, run};

const TENANTS: usize = 24;

/// A daemon's folder and database, with secrets; the daemon does not run.
struct Stage {
    folder: TempDir,
    url: String,
}

impl Stage {
    /// One with SQLite, and one with PostgreSQL where there is one.
    async fn every() -> Vec<Self> {
        let mut stages = vec![Self::with(None).await];
        match std::env::var("BERTH_TEST_POSTGRES_URL") {
            Ok(server) => stages.push(Self::with(Some(&create_database(&server).await)).await),
            Err(_) => {
                let required = std::env::var("BERTH_REQUIRE_POSTGRES").is_ok_and(|value| value == "1");
                assert!(!required, "BERTH_TEST_POSTGRES_URL names no PostgreSQL");
            }
        }
        stages
    }

    async fn with(url: Option<&str>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let url = url.map_or_else(|| folder.path().join("berth.db").display().to_string(), str::to_owned);
        let stage = Self { folder, url };
        let store = stage.store().await;
        store.migrate().await.unwrap();
        let keys = berthd::secrets_key::ensure(&store, stage.path()).await.unwrap();
        for at in 0..TENANTS {
            let machine = MachineDraft {
                name: format!("vm{at}"),
                address: "192.0.2.1".into(),
                port: None,
                user: None,
                host_key: "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGWdXrNuQQ2w8V5CIfnUhFmpRTmhOXFE+G3wXWm0YWnj"
                    .into(),
                driver: None,
            };
            store.create_machine(&machine.try_into().unwrap(), Utc::now(), None).await.unwrap();
            store.create_tenant(&tenant(at, &keys), Utc::now(), None).await.unwrap();
        }
        stage
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    async fn store(&self) -> Store {
        Store::open(&self.url.parse().unwrap(), StoreOptions::default()).await.unwrap()
    }

    fn berth(&self, line: &[&str]) -> Command {
        let mut command = bare(&[&["daemon"], line].concat());
        command.env("BERTH_DATA_DIR", self.path()).env("BERTH_DATABASE_URL", &self.url);
        command
    }

    fn rotate(&self, words: &[&str]) -> Ran {
        run(self.berth(&[&["rotate-secrets-key"], words].concat()))
    }

    /// The public half of the key that a daemon would use now; every secret opens with it.
    async fn key(&self) -> String {
        let keys = berthd::secrets_key::ensure(&self.store().await, self.path()).await.unwrap();
        self.open_with(&keys).await;
        keys.recipient()
    }

    async fn open_with(&self, keys: &Keys) {
        let store = self.store().await;
        for at in 0..TENANTS {
            let spec = store.tenant(&format!("t{at}").parse().unwrap()).await.unwrap().spec;
            let secret = Setting::Attrs(spec.services["gitea"].settings.clone());
            let sealed = &secret.secret_at("/smtp/password").unwrap().sealed;
            assert_eq!(keys.open(&about(at), sealed).unwrap().expose_secret(), format!("secret {at}"));
        }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.path().join(name)
    }
}

async fn create_database(server: &str) -> String {
    let name = format!("berth_test_{}", uuid::Uuid::now_v7().simple());
    let (base, _) = server.rsplit_once('/').unwrap();
    let create = Command::new("psql").args([server, "-q", "-c", &format!("create database {name}")]).status();
    assert!(create.unwrap().success());
    format!("{base}/{name}")
}

fn about(at: usize) -> About {
    About { tenant: format!("t{at}"), service: "gitea".into(), setting: "/smtp/password".into(), version: 1 }
}

fn tenant(at: usize, keys: &Keys) -> TenantSpec {
    let draft: TenantDraft = serde_json::from_value(json!({
        "name": format!("t{at}"), "domain": format!("t{at}.example"), "contact_email": "a@b.example",
        "machine": format!("vm{at}"), "services": {"gitea": {}}
    }))
    .unwrap();
    let mut spec = TenantSpec::try_from(draft).unwrap();
    let sealed = keys.seal(&about(at), &SecretString::from(format!("secret {at}"))).unwrap();
    let password = Setting::Secret(SealedSecret { version: 1, sealed });
    let smtp = Setting::Attrs([("password".to_owned(), password)].into());
    spec.services.get_mut("gitea").unwrap().settings.insert("smtp".into(), smtp);
    spec
}

/// A new key in a file, as `age-keygen` writes it.
fn written(file: &Path) -> Keys {
    let keys = Keys::generate();
    let text = format!("# public key: {}\n{}\n", keys.recipient(), keys.identity().expose_secret());
    std::fs::write(file, text).unwrap();
    keys
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rotation_that_is_killed_at_any_moment_loses_no_secret_and_can_be_run_again() {
    for stage in Stage::every().await {
        let first = stage.key().await;
        let begun = Instant::now();
        let ran = stage.rotate(&[]);
        let whole = begun.elapsed();
        assert_eq!(ran.code, Some(0), "{}", ran.stderr);
        let second = stage.key().await;
        assert_ne!(first, second);
        assert_eq!(ran.stdout, format!("sealed {TENANTS} texts to {second}\n"));
        let mut seen = vec![second];
        let steps = 24;
        for step in 0..steps {
            let mut command = stage.berth(&["rotate-secrets-key"]);
            let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
            std::thread::sleep(whole * step / steps + Duration::from_millis(1));
            child.kill().unwrap();
            child.wait().unwrap();
            let key = stage.key().await;
            if !seen.contains(&key) {
                seen.push(key);
            }
        }
        // The server sees in its own time that the last one is gone.
        let mut ran = stage.rotate(&[]);
        for _ in 0..50 {
            if ran.code != Some(0) {
                std::thread::sleep(Duration::from_millis(100));
                ran = stage.rotate(&[]);
            }
        }
        assert_eq!(ran.code, Some(0), "{}", ran.stderr);
        assert!(!seen.contains(&stage.key().await));
        assert!(!stage.file("secrets.key.next").exists());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_credential_is_rotated_with_a_key_from_a_file_and_the_old_one_is_refused_from_then_on() {
    for stage in Stage::every().await {
        let credentials = tempfile::tempdir().unwrap();
        let credential = credentials.path().join("berth-secrets-key");
        std::fs::rename(stage.file("secrets.key"), &credential).unwrap();
        let old = std::fs::read_to_string(&credential).unwrap();
        let with_credential = |words: &[&str]| {
            let mut command = stage.berth(words);
            command.env("CREDENTIALS_DIRECTORY", credentials.path());
            run(command)
        };
        let refused = with_credential(&["rotate-secrets-key"]);
        assert!(
            refused.code == Some(1) && refused.stderr.contains("--new-identity FILE"),
            "{}",
            refused.stderr
        );
        let refused = stage.rotate(&[]);
        assert!(refused.code == Some(1) && refused.stderr.contains("--identity"), "{}", refused.stderr);

        let file = stage.file("new.key");
        let new = written(&file);
        let name = file.display().to_string();
        let expected = format!("give the daemon {name} as its key before it starts\n");
        let ran = with_credential(&["rotate-secrets-key", "--new-identity", &name]);
        assert_eq!(
            ran.stdout,
            format!("sealed {TENANTS} texts to {}\n{expected}", new.recipient()),
            "{}",
            ran.stderr
        );
        stage.open_with(&new).await;
        let again = with_credential(&["rotate-secrets-key", "--new-identity", &name]);
        assert_eq!(again.stdout, format!("everything is sealed to {}\n{expected}", new.recipient()));
        let serve = with_credential(&["serve"]);
        assert!(serve.code == Some(1) && serve.stderr.contains(&new.recipient()), "{}", serve.stderr);
        assert!(!stage.file("secrets.key").exists() && !stage.file("secrets.key.next").exists());

        // Without the credential, by its file; and then with both in it.
        let third = stage.file("third.key");
        let keys = written(&third);
        let words = ["--identity", &name, "--new-identity", third.to_str().unwrap()];
        let ran = stage.rotate(&words);
        assert_eq!(ran.code, Some(0), "{}", ran.stderr);
        stage.open_with(&keys).await;
        std::fs::write(&credential, old + &std::fs::read_to_string(&third).unwrap()).unwrap();
        let ran = with_credential(&["rotate-secrets-key", "--new-identity", &name]);
        assert_eq!(ran.code, Some(0), "{}", ran.stderr);
        stage.open_with(&new).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn secrets_whose_key_was_lost_are_named_and_given_up_only_when_that_is_asked_for() {
    for stage in Stage::every().await {
        let lost = stage.key().await;
        std::fs::remove_file(stage.file("secrets.key")).unwrap();
        let refused = stage.rotate(&[]);
        assert!(refused.code == Some(1) && refused.stderr.contains(&lost), "{}", refused.stderr);
        assert!(!stage.file("secrets.key.next").exists());
        let ran = stage.rotate(&["--keep-unreadable"]);
        assert_eq!(ran.code, Some(0), "{}", ran.stderr);
        assert_eq!(ran.stdout.matches("it has to be given again").count(), TENANTS, "{}", ran.stdout);
        assert!(ran.stdout.contains("t3/gitea/smtp/password (version 1)"), "{}", ran.stdout);
        let keys = berthd::secrets_key::ensure(&stage.store().await, stage.path()).await.unwrap();
        assert_ne!(keys.recipient(), lost);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_rotated_while_a_daemon_runs() {
    for stage in Stage::every().await {
        let key = stage.key().await;
        let mut serve = stage.berth(&["serve"]);
        serve.env("BERTH_LISTEN", "127.0.0.1:0").env("PATH", std::env::var_os("PATH").unwrap());
        let mut daemon = serve.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let end = Instant::now() + Duration::from_secs(60);
        while !stage.file("listen").exists() {
            assert!(Instant::now() < end, "the daemon is not ready");
            std::thread::sleep(Duration::from_millis(20));
        }
        let refused = stage.rotate(&[]);
        let said = "stop the daemon first: another daemon uses the data folder";
        assert!(refused.code == Some(1) && refused.stderr.contains(said), "{}", refused.stderr);
        if stage.url.starts_with("postgres") {
            // Another folder with the same key on the same database.
            let other = tempfile::tempdir().unwrap();
            std::fs::copy(stage.file("secrets.key"), other.path().join("secrets.key")).unwrap();
            let mut command = stage.berth(&["rotate-secrets-key"]);
            command.env("BERTH_DATA_DIR", other.path());
            let refused = run(command);
            assert!(
                refused.code == Some(1) && refused.stderr.contains("stop all of them"),
                "{}",
                refused.stderr
            );
        }
        daemon.kill().unwrap();
        daemon.wait().unwrap();
        assert_eq!(stage.key().await, key);
    }
}
