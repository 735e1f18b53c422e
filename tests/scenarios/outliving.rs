//! A provider is gone with all its machines, and a tenant's vault is left: another provider makes the tenant of that alone.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use anyhow::{Context as _, Result, ensure};
use berth_client::OperationFilter;
use berth_domain::{OffsiteVault, OperationKind, OperationStatus, StepName, TenantDraft};
use berth_testbed::Machine;
use berth_tests::bucket::Store;
use berth_tests::daemon::{DaemonOptions, Log};
use berth_tests::drafts::tenant;
use berth_tests::notes;
use berth_tests::programs;
use berth_tests::stage::{Stage, name};
use berth_tests::told::Told;
use reqwest::StatusCode;
use serde_json::json;
use tempfile::TempDir;

/// What was given in confidence to the provider that is gone.
const GIVEN: &str = "of-the-mail-server-and-of-nobody-else";

/// The secret of the key to the store.
const STORE_SECRET: &str = "of-the-store-and-of-nobody-else";

/// A secret that a service makes of chance.
const OF_CHANCE: &str = "/var/lib/berth/secrets/peertube/secret";

/// What is left of a provider.
struct Left {
    folder: TempDir,
    /// The password of the vault, as the provider wrote it down for the tenant.
    password: String,
    /// What was in the services.
    notes: Vec<notes::Notes>,
    /// What a service had made of chance.
    of_chance: String,
}

impl Left {
    /// The folder in which repositories lie.
    fn root(&self) -> PathBuf {
        self.folder.path().join("vaults")
    }

    fn vault(&self) -> PathBuf {
        self.root().join("acme")
    }
}

async fn text(machine: &Machine, file: &str) -> Result<String> {
    Ok(String::from_utf8(machine.exec(&["cat", file]).await?.stdout)?)
}

fn with_password(mut draft: TenantDraft) -> TenantDraft {
    let smtp = json!({ "host": "smtp.example.net", "from": "git@acme.example", "username": "git", "password": GIVEN });
    draft.services.get_mut("gitea").unwrap().insert("smtp".into(), smtp);
    draft
}

/// A provider serves a tenant, and keeps a copy of the vault elsewhere; then the provider and its machines are gone.
async fn left() -> Result<Option<Left>> {
    let Some(source) = Stage::set_up().await? else { return Ok(None) };
    let machine = source.machine("old").await?;
    source.deployed(&with_password(tenant("acme", "old"))).await?;
    for text in ["first", "second"] {
        notes::add_to_all(&machine, "acme", text).await?;
        let snapshot = source.client.start_snapshot(&name("acme")).await?;
        Told::follow(&source.client, snapshot.id).await?.succeeded()?;
    }
    let notes = notes::read_all(&machine, "acme").await?;
    let of_chance = text(&machine, OF_CHANCE).await?;
    let password = source.berth_daemon(&["vault-key", "acme"])?;
    let repository = source.berth_daemon(&["vault-key", "acme", "--repository"])?;
    let left = Left { folder: tempfile::tempdir()?, password, notes, of_chance };
    std::fs::create_dir(left.root())?;
    let copied = Command::new("cp").args(["-r", &repository]).arg(left.vault()).status()?;
    ensure!(copied.success(), "{repository} cannot be copied");
    Ok(Some(left))
}

/// Another provider, which reads what lies in that folder, and speaks to stores of this host.
async fn another(left: &Left) -> Result<Option<Stage>> {
    let root = left.root();
    let config =
        format!("[vault]\nimport_folder = \"{}\"\nstore_networks = [\"127.0.0.0/8\"]\n", root.display());
    Stage::set_up_with(DaemonOptions { config, log: Log::Everything, ..DaemonOptions::default() }).await
}

/// `berth vault …` with the password in the environment, as restic takes it.
fn vault(stage: &Stage, password: &str, words: &[&str]) -> Result<Output> {
    let mut command = Command::new(programs::find("berth")?);
    command.arg("vault").args(words);
    command.env("BERTH_URL", stage.daemon.url()).env("BERTH_TOKEN", stage.daemon.admin_token()?);
    command.env("RESTIC_PASSWORD", password).env("AWS_ACCESS_KEY_ID", "GK1");
    Ok(command.env("AWS_SECRET_ACCESS_KEY", STORE_SECRET).output()?)
}

fn look(stage: &Stage, left: &Left, more: &[&str]) -> Result<OffsiteVault> {
    let folder = left.vault().display().to_string();
    let output = vault(stage, &left.password, &[&["look", &folder, "--json"], more].concat())?;
    // Where something is in the way, that it failed follows.
    let mut documents = serde_json::Deserializer::from_slice(&output.stdout).into_iter();
    documents.next().with_context(|| format!("{output:?}"))?.with_context(|| format!("{output:?}"))
}

/// That an import is refused with these words, and that nothing came of it.
async fn refused(stage: &Stage, password: &str, place: &str, saying: &str) -> Result<()> {
    let output = vault(stage, password, &["import", place, "--machine", "new"])?;
    let words = String::from_utf8_lossy(&output.stderr).into_owned();
    ensure!(
        output.status.code() == Some(1) && words.contains(saying),
        "not refused with {saying}: {output:?}"
    );
    ensure!(stage.client.tenants().await?.is_empty(), "{saying}: a tenant was made");
    let operations = stage.client.operations(&OperationFilter::default(), 10).await?;
    ensure!(operations.is_empty(), "{saying}: something was begun");
    Ok(())
}

/// A copy of the vault in which something was done to each file of a kind.
fn spoiled(left: &Left, copy: &str, kind: &str) -> Result<String> {
    let folder = left.root().join(copy);
    ensure!(Command::new("cp").arg("-r").arg(left.vault()).arg(&folder).status()?.success(), "no copy");
    spoil(&folder.join(kind))?;
    Ok(folder.display().to_string())
}

fn spoil(folder: &Path) -> Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            spoil(&path)?;
        } else {
            let flipped: Vec<u8> = std::fs::read(&path)?.iter().map(|byte| byte ^ 1).collect();
            std::fs::remove_file(&path)?;
            std::fs::write(&path, flipped)?;
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_tenant_whose_provider_is_gone_is_made_of_its_vault_alone_with_all_secrets() -> Result<()> {
    let Some(left) = left().await? else { return Ok(()) };
    let Some(target) = another(&left).await? else { return Ok(()) };
    let new = target.machine("new").await?;
    let folder = left.vault().display().to_string();

    // Each reason why nothing comes of it is told by itself, and nothing is changed.
    refused(&target, "another", &folder, "the password opens none of the repository's keys").await?;
    let nothing = left.root().join("nothing").display().to_string();
    refused(&target, &left.password, &nothing, "there is no restic repository at this place").await?;
    refused(&target, &left.password, "/etc", "must be in a folder below").await?;
    let damaged = spoiled(&left, "damaged", "snapshots")?;
    refused(&target, &left.password, &damaged, "was damaged or forged").await?;
    let none = "s3:http://127.0.0.1:9/vaults/acme";
    refused(&target, &left.password, none, "the store cannot be reached").await?;
    let metadata = "s3:http://169.254.169.254/vaults/acme";
    refused(&target, &left.password, metadata, "does not speak to").await?;

    let found = look(&target, &left, &["--machine", "new"])?;
    assert_eq!((found.snapshots.len(), found.obstacles.as_deref()), (2, Some(&[][..])));
    assert!(
        found.snapshots.iter().all(|snapshot| snapshot.whole && snapshot.services.len() == 3),
        "{found:?}"
    );
    let told = found.tenant.context("a tenant")?;
    assert_eq!((told.snapshot, told.specification.name.as_str()), (found.snapshots[0].id, "acme"));
    assert_eq!(told.given, ["gitea/smtp/password"]);
    assert!(told.secrets.contains(&"peertube/secret".to_owned()), "{:?}", told.secrets);
    let found = look(&target, &left, &["--machine", "other", "--domain", "nonsense"])?;
    let fields: Vec<_> = found.obstacles.unwrap().into_iter().filter_map(|it| it.field).collect();
    assert_eq!(fields, ["/domain"], "what breaks rules is told");

    let made =
        vault(&target, &left.password, &["import", &folder, "--machine", "new", "--go-live", "--watch"])?;
    ensure!(made.status.success(), "{made:?}");
    assert_eq!(notes::read_all(&new, "acme").await?, left.notes, "everything is there");
    assert_eq!(text(&new, OF_CHANCE).await?, left.of_chance, "no secret was made anew");
    assert_eq!(text(&new, "/var/lib/berth/secrets/gitea/smtp-password-1").await?, GIVEN);
    let record = target.client.tenant(&name("acme")).await?;
    assert_eq!(record.spec.mode.as_deref(), Some("active"));
    let page = berth_tests::web::get(&new, "git.acme.example", "/").await?;
    assert_eq!(page.status, StatusCode::OK);
    // It goes on from there, in a vault of its own and under a key of its own.
    let snapshot = target.client.start_snapshot(&name("acme")).await?;
    Told::follow(&target.client, snapshot.id).await?.succeeded()?;
    let snapshots = target.client.snapshots(&name("acme"), 10).await?;
    assert_eq!(snapshots.len(), 2);
    assert!(
        snapshots.iter().all(|snapshot| snapshot.whole && snapshot.tenant_part.is_some()),
        "{snapshots:?}"
    );
    assert_ne!(target.berth_daemon(&["vault-key", "acme"])?, left.password);
    let first = target.client.restore(&name("acme"), snapshots[1].id, None).await?;
    Told::follow(&target.client, first.id).await?.succeeded()?;
    assert_eq!(notes::read_all(&new, "acme").await?, left.notes);

    // One repository is one tenant.
    let again = vault(&target, &left.password, &["import", &folder, "--machine", "new"])?;
    let words = String::from_utf8_lossy(&again.stderr).into_owned();
    ensure!(again.status.code() == Some(1) && words.contains("of this very repository already"), "{again:?}");

    // What opened it is nowhere any more, and was written nowhere.
    let log = target.daemon.log();
    let operations = target.client.operations(&OperationFilter::default(), 10).await?;
    let taken_in = operations.iter().find(|operation| operation.kind == OperationKind::TakeIn);
    let told = Told::follow(&target.client, taken_in.context("the import")?.id).await?;
    let (events, database) = (format!("{:?}", told.events), database(&target)?);
    for secret in [left.password.as_str(), GIVEN, left.of_chance.trim()] {
        for (place, text) in [("the log", &log), ("the events", &events), ("the database", &database)] {
            assert!(!text.contains(secret), "a secret is in {place}");
        }
    }
    Ok(())
}

/// All that the daemon has written down.
fn database(stage: &Stage) -> Result<String> {
    let mut text = String::new();
    for entry in std::fs::read_dir(stage.daemon.data())? {
        let path = entry?.path();
        if path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("berth.db")) {
            text.push_str(&String::from_utf8_lossy(&std::fs::read(path)?));
        }
    }
    ensure!(!text.is_empty(), "there is no database");
    Ok(text)
}

// The stores are served while commands are waited for.
#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_that_is_killed_while_it_takes_a_vault_over_from_a_store_goes_on() -> Result<()> {
    let Some(left) = left().await? else { return Ok(()) };
    let (store, address) = Store::serve()?;
    store.put_folder("of/acme", &left.vault())?;
    let Some(mut target) = another(&left).await? else { return Ok(()) };
    let new = target.machine("new").await?;
    let place = format!("s3:{address}/vaults/of/acme");

    // A pack that is damaged is found out while it comes, and leaves a tenant in standby.
    let (other, other_address) = Store::serve()?;
    other.put_folder("of/acme", &left.vault())?;
    let there = format!("s3:{other_address}/vaults/of/acme");
    let looked = vault(&target, &left.password, &["look", &there, "--machine", "new"])?;
    ensure!(looked.status.success(), "{looked:?}");
    // All that whoever only looks does not need: files, and dumps of databases.
    let seen = other.asked();
    for (key, (media_type, content)) in other.all() {
        if key.contains("/data/") && !seen.contains(&key) {
            let flipped: Vec<u8> = content.iter().map(|byte| byte ^ 1).collect();
            other.put(&key, &media_type, &flipped);
        }
    }
    let output = vault(&target, &left.password, &["import", &there, "--machine", "new", "--watch"])?;
    let words = String::from_utf8_lossy(&output.stderr).into_owned();
    ensure!(words.contains("the repository is damaged or not whole"), "{output:?}");
    if let Ok(record) = target.client.tenant(&name("acme")).await {
        assert_eq!(record.spec.mode.as_deref(), Some("standby"));
    }

    // Once it is whole again, the same import goes on; whoever is killed meanwhile is followed by another.
    let begun = vault(&target, &left.password, &["import", &place, "--machine", "new", "--json"])?;
    ensure!(begun.status.success(), "{begun:?}");
    let operations = target.client.operations(&OperationFilter::default(), 10).await?;
    let operation = operations.first().context("the import")?.id;
    let told = target.killed_meanwhile(operation, &[1500, 4000, 3000]).await?.succeeded()?;
    assert_eq!(told.operation.status, OperationStatus::Succeeded);
    assert!(told.step(StepName::Unpack).is_some());
    let record = target.client.tenant(&name("acme")).await?;
    assert_eq!(record.spec.mode.as_deref(), Some("standby"), "the old provider might still serve it");
    assert!(
        !target.daemon.log().contains(STORE_SECRET) && !format!("{:?}", told.events).contains(STORE_SECRET)
    );

    // Somebody knows that it does not.
    let draft = TenantDraft { mode: None, ..record.spec };
    target.change(&draft).await?;
    target.deploy("acme").await?.succeeded()?;
    assert_eq!(notes::read_all(&new, "acme").await?, left.notes, "everything is there");
    assert_eq!(text(&new, OF_CHANCE).await?, left.of_chance, "no secret was made anew");
    Ok(())
}
