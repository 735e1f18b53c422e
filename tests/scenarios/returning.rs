//! A tenant whose machine is lost returns on another one, from its newest snapshot alone: who it was, with what it had.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};
use berth_client::{DeleteTenant, Deleted};
use berth_domain::MachineName;
use berth_testbed::Machine;
use berth_tests::drafts::tenant;
use berth_tests::notes;
use berth_tests::stage::{Stage, name};

use super::snapshots::{restore, snapshot};

/// Every secret's file of the tenant on its machine: `SERVICE/NAME` and what is in it.
fn secrets(machine: &Machine) -> Result<BTreeMap<String, Vec<u8>>> {
    let root = machine.root_path().join("var/lib/berth/secrets");
    let mut found = BTreeMap::new();
    for service in fs::read_dir(&root)? {
        let service = service?;
        for file in fs::read_dir(service.path())? {
            let file = file?;
            let full =
                format!("{}/{}", service.file_name().to_string_lossy(), file.file_name().to_string_lossy());
            found.insert(full, fs::read(file.path())?);
        }
    }
    Ok(found)
}

const KEY: &str = "/var/lib/berth/secrets/mastodon/encryption-primary-key";

/// Data that nobody reads without Mastodon's key, as its second factors are.
async fn encrypt(machine: &Machine, what: &str) -> Result<()> {
    let script = format!(
        "printf %s '{what}' | openssl enc -aes-256-cbc -pbkdf2 -pass file:{KEY} -out /var/lib/mastodon/second-factor"
    );
    let done = machine.exec(&["sh", "-c", &script]).await?;
    anyhow::ensure!(done.status.success(), "{done:?}");
    Ok(())
}

/// The same data in clear; nothing where the machine's key does not open it.
async fn decrypted(machine: &Machine) -> Result<Option<String>> {
    let key = format!("file:{KEY}");
    let open = [
        "openssl",
        "enc",
        "-d",
        "-aes-256-cbc",
        "-pbkdf2",
        "-pass",
        &key,
        "-in",
        "/var/lib/mastodon/second-factor",
    ];
    let done = machine.exec(&open).await?;
    Ok(done.status.success().then(|| String::from_utf8_lossy(&done.stdout).into_owned()))
}

/// Whether any file below a folder holds these bytes.
fn holds(folder: &Path, secret: &[u8]) -> Result<Vec<String>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            found.extend(holds(&path, secret)?);
        } else if path.is_file() && fs::read(&path)?.windows(secret.len()).any(|window| window == secret) {
            found.push(path.display().to_string());
        }
    }
    Ok(found)
}

#[tokio::test]
async fn a_tenant_whose_machine_is_lost_returns_with_its_secrets_and_reads_what_it_encrypted() -> Result<()> {
    let Some(stage) = Stage::set_up().await? else { return Ok(()) };
    let lost = stage.machine("lost").await?;
    stage.deployed(&tenant("acme", "lost")).await?;
    notes::add_to_all(&lost, "acme", "kept").await?;
    encrypt(&lost, "the second factor").await?;
    let (before, own) = (notes::read_all(&lost, "acme").await?, secrets(&lost)?);
    let made = snapshot(&stage, "acme").await?;
    let part =
        stage.client.snapshot(&name("acme"), made.id).await?.tenant_part.context("a part of its own")?;
    let held: Vec<String> = part
        .secrets
        .iter()
        .flat_map(|(service, names)| names.iter().map(move |name| format!("{service}/{name}")))
        .collect();
    assert!(held.contains(&"mastodon/encryption-primary-key".to_owned()), "{held:?}");
    let shown = stage.berth(&["snapshot", "show", "acme", &made.id.to_string()])?;
    assert!(String::from_utf8_lossy(&shown.stdout).contains("with the settings"), "{shown:?}");
    // Neither the database nor the vault, nor anything else of the daemon's, shows one of them.
    for full in &held {
        assert_eq!(holds(&stage.daemon.data(), &own[full])?, Vec::<String>::new(), "{full}");
    }

    // The machine is gone for good, and with it all that it alone had.
    lost.remove().await?;
    let gone = DeleteTenant { wipe: false, abandon: true };
    assert_eq!(stage.client.delete_tenant(&name("acme"), gone).await?, Deleted::Gone);
    let machine: MachineName = "lost".parse()?;
    stage.client.delete_machine(&machine).await?;
    let fresh = stage.machine("fresh").await?;
    stage.deployed(&tenant("acme", "fresh")).await?;
    for full in &held {
        assert_ne!(secrets(&fresh)?[full], own[full], "{full}: a new machine makes secrets of its own");
    }
    let told = restore(&stage, "acme", &made, None).await?.succeeded()?;
    assert_eq!(notes::read_all(&fresh, "acme").await?, before);
    let back = secrets(&fresh)?;
    for full in &held {
        assert_eq!(back[full], own[full], "{full}");
    }
    assert_eq!(decrypted(&fresh).await?.as_deref(), Some("the second factor"));
    let said = format!("{:?}", told.events);
    assert!(said.contains("the secret mastodon/encryption-primary-key is as it was again"), "{said}");
    assert!(
        held.iter().all(|full| !said.contains(&*String::from_utf8_lossy(&own[full]))),
        "a secret was told"
    );
    // It goes on from there: writes, and is deployed without any change of its secrets.
    notes::add_to_all(&fresh, "acme", "after").await?;
    stage.deploy("acme").await?.succeeded()?;
    assert_eq!(secrets(&fresh)?, back);
    Ok(())
}

#[tokio::test]
async fn what_was_rotated_since_goes_back_with_the_state_and_a_copy_stays_who_it_is() -> Result<()> {
    let Some(stage) = Stage::set_up().await? else { return Ok(()) };
    let (machine, other) = (stage.machine("turned").await?, stage.machine("double").await?);
    stage.deployed(&tenant("acme", "turned")).await?;
    encrypt(&machine, "first").await?;
    let (own, made) = (secrets(&machine)?, snapshot(&stage, "acme").await?);
    // Somebody puts another key there, and encrypts everything anew.
    let rotated = "another".repeat(4) + "word";
    fs::write(machine.root_path().join(KEY.trim_start_matches('/')), &rotated)?;
    encrypt(&machine, "second").await?;
    let newer = snapshot(&stage, "acme").await?;
    restore(&stage, "acme", &made, None).await?.succeeded()?;
    assert_eq!(secrets(&machine)?, own);
    assert_eq!(decrypted(&machine).await?.as_deref(), Some("first"));
    restore(&stage, "acme", &newer, None).await?.succeeded()?;
    assert_eq!(secrets(&machine)?["mastodon/encryption-primary-key"], rotated.as_bytes());
    assert_eq!(decrypted(&machine).await?.as_deref(), Some("second"));

    stage.deployed(&tenant("stage", "double")).await?;
    let its_own = secrets(&other)?;
    let told = restore(&stage, "acme", &made, Some("stage")).await?.succeeded()?;
    assert_eq!(secrets(&other)?, its_own, "a copy that signs as the other would be taken for it");
    assert!(format!("{:?}", told.events).contains("the copy keeps secrets of its own"), "{:?}", told.events);
    assert_ne!(decrypted(&other).await?.as_deref(), Some("first"));
    Ok(())
}
