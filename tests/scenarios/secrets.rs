//! Secrets stay where they belong.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use std::{fs, thread};

use anyhow::{Context as _, Result};
use berth_contract::{NewToken, NewWatchLink};
use berth_domain::TenantDraft;
use berth_testbed::Machine;
use berth_tests::daemon::{DaemonOptions, Log};
use berth_tests::drafts::tenant;
use berth_tests::programs;
use berth_tests::stage::{Stage, name};
use berth_tests::told::Told;
use serde_json::json;

#[tokio::test]
async fn secrets_are_never_in_the_log_the_database_the_events_or_the_process_list() -> Result<()> {
    // The more is written, the more could slip through.
    let options = DaemonOptions { log: Log::Everything, ..DaemonOptions::default() };
    let Some(stage) = Stage::set_up_with(options).await? else { return Ok(()) };
    let machine = stage.machine("quiet").await?;
    let processes = ProcessList::watch();
    let token = NewToken { name: "panel".into(), scope: "operator".into(), expires_in_seconds: None };
    let issued = stage.client.create_token(&token).await?.token;
    // Used, so that it went through everything that could write it down.
    let panel = stage.daemon.client_with(&issued)?;
    let mut draft = tenant("acme", "quiet");
    give_password(&mut draft, PASSWORD);
    panel.create_tenant(&draft).await?;
    let told = stage.deploy("acme").await?.succeeded()?;
    assert_eq!(given_to(&machine, 1).await?, format!("gitea 400 {PASSWORD}"));
    let link = panel.watch_link(told.operation.id, &NewWatchLink::default()).await?.url;
    // One that was only asked about, and is nobody's.
    give_password(&mut draft, ASKED_ABOUT);
    let asked = panel.start_preview(&name("acme"), Some(&draft)).await?;
    let previewed = Told::follow(&panel, asked.id).await?.succeeded()?;
    let preview = panel.preview(asked.id).await?;
    assert!(preview.files[0].diff.contains("password = 2"), "{preview:#?}");
    let key = fs::read_to_string(stage.daemon.data().join("ssh/id_ed25519"))?;
    // What follows the token's public number.
    let secret = |token: &str| token.splitn(3, '_').last().unwrap_or_default().to_owned();
    let secrets = BTreeMap::from([
        ("the administrator's token", secret(&stage.daemon.admin_token()?)),
        ("a token", secret(&issued)),
        ("a watch link", link.rsplit('/').next().unwrap_or_default().to_owned()),
        ("the mail server's password", PASSWORD.to_owned()),
        ("a password that was asked about", ASKED_ABOUT.to_owned()),
        // Its first lines say what kind of key it is.
        ("the SSH key", key.lines().nth(3).unwrap_or_default().to_owned()),
    ]);
    let mut places = files(&stage.daemon.data());
    let system = told.operation.system.clone().context("a deployed system")?;
    places.insert("the system".to_owned(), closure(&system)?);
    places.insert("the API".to_owned(), serde_json::to_vec(&panel.tenants().await?)?);
    places.insert("the log".to_owned(), stage.daemon.log().into_bytes());
    places.insert("the process list".to_owned(), processes.end().into_bytes());
    places.insert("the events".to_owned(), format!("{:?}{:?}", told.events, previewed.events).into_bytes());
    places.insert("the preview".to_owned(), serde_json::to_vec(&preview)?);
    places.insert("the previewed system".to_owned(), closure(&preview.system)?);
    assert!(places.keys().any(|name| name.ends_with("berth.db")), "{:?}", places.keys());
    for (what, secret) in &secrets {
        assert!(secret.len() >= 20, "{what} is too short to be looked for: {secret}");
        let found: Vec<&String> = places
            .iter()
            .filter(|(_, bytes)| String::from_utf8_lossy(bytes).contains(secret))
            .map(|(name, _)| name)
            .collect();
        assert!(found.is_empty(), "{what} is in {found:?}");
    }
    only_its_owner_reads(&stage.daemon.data().join("admin.token"));
    only_its_owner_reads(&stage.daemon.data().join("ssh/id_ed25519"));
    only_its_owner_reads(&stage.daemon.data().join("secrets.key"));
    Ok(())
}

const PASSWORD: &str = "correct-horse-battery-staple";
const ASKED_ABOUT: &str = "only-asked-about-and-nobodys";

#[tokio::test]
async fn a_given_secret_is_kept_until_another_is_given_and_reaches_the_machine_under_a_name_of_its_own()
-> Result<()> {
    let Some(stage) = Stage::set_up().await? else { return Ok(()) };
    let machine = stage.machine("given").await?;
    let mut draft = tenant("acme", "given");
    give_password(&mut draft, PASSWORD);
    stage.deployed(&draft).await?.succeeded()?;

    // What is read can be written back: the secret stays, and nothing needs to be done.
    let mut shown = stage.client.tenant(&name("acme")).await?.spec;
    assert!(shown.services["gitea"]["smtp"].get("password").is_none());
    shown.plan = Some("large".into());
    stage.change(&shown).await?;
    let again = stage.deploy("acme").await?.succeeded()?;
    assert_eq!(given_to(&machine, 1).await?, format!("gitea 400 {PASSWORD}"));
    assert!(again.operation.revision.is_some());

    give_password(&mut shown, "another-password-altogether");
    stage.change(&shown).await?;
    stage.deploy("acme").await?.succeeded()?;
    assert_eq!(given_to(&machine, 2).await?, "gitea 400 another-password-altogether");
    Ok(())
}

#[tokio::test]
async fn a_secret_reaches_the_machine_after_the_key_that_it_is_sealed_to_was_rotated() -> Result<()> {
    let Some(mut stage) = Stage::set_up().await? else { return Ok(()) };
    let machine = stage.machine("rotated").await?;
    let mut draft = tenant("acme", "rotated");
    give_password(&mut draft, PASSWORD);
    stage.deployed(&draft).await?.succeeded()?;
    let key = fs::read_to_string(stage.daemon.data().join("secrets.key"))?;
    stage.daemon.stop()?;
    let mut command = Command::new(programs::find("berth")?);
    command.args(["daemon", "rotate-secrets-key"]).env("BERTH_DATA_DIR", stage.daemon.data());
    let output = command.output()?;
    // The tenant's and its revision's.
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success() && said.starts_with("sealed 2 texts to age1"), "{output:?}");
    assert_ne!(fs::read_to_string(stage.daemon.data().join("secrets.key"))?, key);
    only_its_owner_reads(&stage.daemon.data().join("secrets.key"));
    stage.daemon.start_again()?;
    machine.exec(&["rm", "/var/lib/berth/secrets/gitea/smtp-password-1"]).await?;
    let mut shown = stage.client.tenant(&name("acme")).await?.spec;
    shown.services.get_mut("gitea").unwrap().insert("app_name".into(), json!("Rotated"));
    stage.change(&shown).await?;
    stage.deploy("acme").await?.succeeded()?;
    assert_eq!(given_to(&machine, 1).await?, format!("gitea 400 {PASSWORD}"));
    Ok(())
}

fn give_password(draft: &mut TenantDraft, password: &str) {
    let smtp = json!({ "host": "smtp.example.net", "from": "git@acme.example", "username": "git", "password": password });
    draft.services.get_mut("gitea").unwrap().insert("smtp".into(), smtp);
}

/// Owner, mode and content of the password's file on the machine.
async fn given_to(machine: &Machine, number: u32) -> Result<String> {
    let file = format!("/var/lib/berth/secrets/gitea/smtp-password-{number}");
    let found = machine.exec(&["find", &file, "-printf", "%u %m "]).await?;
    let text = machine.exec(&["cat", &file]).await?;
    Ok([found.stdout, text.stdout].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat())
}

/// Everything in a system's own store path.
fn closure(system: &str) -> Result<Vec<u8>> {
    let mut text = Vec::new();
    for (name, bytes) in files(Path::new(system)) {
        text.extend(name.into_bytes());
        text.extend(bytes);
    }
    Ok(text)
}

fn only_its_owner_reads(path: &Path) {
    let mode = fs::metadata(path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600, "{}", path.display());
}

/// Every file below a folder but those that are there to hold a secret.
fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap().flatten() {
            let (path, kind) = (entry.path(), entry.file_type().unwrap());
            if kind.is_dir() {
                folders.push(path);
            } else if kind.is_file()
                && !path.ends_with("admin.token")
                && !path.ends_with("ssh/id_ed25519")
                && !path.ends_with("secrets.key")
            {
                found.insert(path.display().to_string(), fs::read(&path).unwrap_or_default());
            }
        }
    }
    found
}

/// Everything that the process list showed while it was watched: command lines and environments.
struct ProcessList {
    over: Arc<AtomicBool>,
    watcher: thread::JoinHandle<String>,
}

impl ProcessList {
    fn watch() -> Self {
        let over = Arc::new(AtomicBool::new(false));
        let ended = Arc::clone(&over);
        let watcher = thread::spawn(move || {
            let mut lines = std::collections::BTreeSet::new();
            while !ended.load(Ordering::Relaxed) {
                lines.extend(command_lines());
                thread::sleep(Duration::from_millis(20));
            }
            lines.into_iter().collect::<Vec<_>>().join("\n")
        });
        Self { over, watcher }
    }

    fn end(self) -> String {
        self.over.store(true, Ordering::Relaxed);
        let seen = self.watcher.join().unwrap();
        assert!(
            seen.contains("berth daemon serve") || seen.contains("daemon\0serve"),
            "the daemon was not seen"
        );
        seen
    }
}

fn command_lines() -> impl Iterator<Item = String> {
    let processes = fs::read_dir("/proc").unwrap().flatten().map(|entry| entry.path());
    processes
        .flat_map(|path| [path.join("cmdline"), path.join("environ")])
        .filter_map(|path| fs::read(path).ok())
        .map(|bytes| String::from_utf8_lossy(&bytes).replace('\0', " "))
}
