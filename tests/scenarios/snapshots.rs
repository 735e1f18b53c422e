//! Tenants' state, kept in the vault and brought back.

use std::os::unix::fs::PermissionsExt as _;

use anyhow::Result;
use berth_domain::{Operation, OperationStatus, SnapshotPart, StepName, StepStatus};
use berth_tests::daemon::DaemonOptions;
use berth_tests::drafts::tenant;
use berth_tests::notes;
use berth_tests::stage::{Stage, name};
use berth_tests::told::Told;
use reqwest::StatusCode;

pub(super) async fn snapshot(stage: &Stage, tenant: &str) -> Result<Operation> {
    let operation = stage.client.start_snapshot(&name(tenant)).await?;
    Ok(Told::follow(&stage.client, operation.id).await?.succeeded()?.operation)
}

pub(super) async fn restore(
    stage: &Stage,
    from: &str,
    snapshot: &Operation,
    into: Option<&str>,
) -> Result<Told> {
    let into = into.map(name);
    let operation = stage.client.restore(&name(from), snapshot.id, into.as_ref()).await?;
    Told::follow(&stage.client, operation.id).await
}

#[tokio::test]
async fn what_a_snapshot_holds_comes_back_and_a_copy_of_it_serves_another_tenant() -> Result<()> {
    let Some(stage) = Stage::set_up().await? else { return Ok(()) };
    let (machine, other) = (stage.machine("kept").await?, stage.machine("copy").await?);
    stage.client.create_tenant(&tenant("acme", "kept")).await?;
    let early = stage.client.start_snapshot(&name("acme")).await.unwrap_err();
    assert!(early.is_refusal("not-deployed"), "{early}");
    stage.deploy("acme").await?.succeeded()?;
    notes::add_to_all(&machine, "acme", "first").await?;
    notes::add_to_all(&machine, "acme", "second").await?;
    let before = notes::read_all(&machine, "acme").await?;

    let made = snapshot(&stage, "acme").await?;
    let told = stage.client.snapshot(&name("acme"), made.id).await?;
    assert!(told.whole, "{told:?}");
    let services: Vec<_> = told.captured().map(|(service, _)| service.as_str()).collect();
    assert_eq!(services, ["gitea", "mastodon", "peertube"]);
    for (service, captured) in told.captured() {
        assert_eq!(captured.databases.len(), 1, "{service}: {captured:?}");
        assert!(captured.files_total > 0 && captured.bytes_total > 0, "{service}: {captured:?}");
    }
    assert_eq!(notes::read_all(&machine, "acme").await?, before, "a snapshot changes nothing");

    // Any restic reads it where it lies, and finds it whole.
    let found = |words: &[&str]| stage.berth_daemon(words);
    let (repository, key) = (found(&["vault-key", "acme", "--repository"])?, found(&["vault-key", "acme"])?);
    let mut restic = std::process::Command::new("restic");
    restic.args(["check", "--read-data", "--no-cache"]);
    restic.env("RESTIC_REPOSITORY", repository).env("RESTIC_PASSWORD", key);
    let checked = restic.output()?;
    assert!(checked.status.success(), "{checked:?}");

    // What comes after it is gone again once it was brought back.
    notes::add_to_all(&machine, "acme", "third").await?;
    let again = snapshot(&stage, "acme").await?;
    let listed: Vec<_> =
        stage.client.snapshots(&name("acme"), 10).await?.iter().map(|snapshot| snapshot.id).collect();
    assert_eq!(listed, [again.id, made.id]);
    let told = restore(&stage, "acme", &made, None).await?.succeeded()?;
    assert_eq!(told.step(StepName::Verify), Some(StepStatus::Succeeded));
    assert_eq!(notes::read_all(&machine, "acme").await?, before);
    restore(&stage, "acme", &again, None).await?.succeeded()?;
    assert_eq!(notes::read_all(&machine, "acme").await?[0].count, 3);

    // Another tenant on another machine, whose users have other numbers: it has a copy, and both go on.
    stage.deployed(&tenant("stage", "copy")).await?;
    notes::add_to_all(&other, "stage", "of its own").await?;
    restore(&stage, "acme", &made, Some("stage")).await?.succeeded()?;
    assert_eq!(notes::read_all(&other, "stage").await?, before);
    notes::add_to_all(&other, "stage", "after").await?;
    assert_eq!(notes::read_all(&machine, "acme").await?[0].count, 3);

    // Nobody brings back what is not there, or is another's.
    let missing = stage.client.restore(&name("stage"), made.id, None).await.unwrap_err();
    assert!(missing.is_refusal("not-found"), "{missing}");
    Ok(())
}

/// A pg_dump that cannot read one database.
const BROKEN: &str = "#!/bin/sh
case \"$*\" in *mastodon*) echo 'that page is damaged' >&2; exit 1 ;; esac
exec /usr/bin/pg_dump \"$@\"
";

#[tokio::test]
async fn a_snapshot_whose_service_fails_names_it_and_holds_the_others() -> Result<()> {
    let Some(stage) = Stage::set_up().await? else { return Ok(()) };
    let machine = stage.machine("partly").await?;
    stage.deployed(&tenant("acme", "partly")).await?;
    notes::add_to_all(&machine, "acme", "kept").await?;
    let broken = machine.root_path().join("usr/local/bin/pg_dump");
    std::fs::write(&broken, BROKEN)?;
    std::fs::set_permissions(&broken, std::fs::Permissions::from_mode(0o755))?;
    let operation = stage.client.start_snapshot(&name("acme")).await?;
    let told = Told::follow(&stage.client, operation.id).await?;
    assert_eq!(told.operation.status, OperationStatus::Failed);
    let error = told.operation.error.as_ref().unwrap();
    assert_eq!(error.code, "snapshot-incomplete");
    assert!(error.message.starts_with("mastodon: "), "{error:?}");
    let kept = stage.client.snapshot(&name("acme"), operation.id).await?;
    assert!(!kept.whole && kept.captured().count() == 2, "{kept:?}");
    assert!(matches!(kept.services["mastodon"], SnapshotPart::Failed { .. }));
    // Whatever could not be captured serves again, once it has started.
    notes::until_served(&machine, "social.acme.example").await?;
    notes::add(&machine, "social.acme.example", "after").await?;
    Ok(())
}

#[tokio::test]
async fn a_daemon_that_is_killed_meanwhile_finishes_its_snapshot_and_its_restore() -> Result<()> {
    let Some(mut stage) = Stage::set_up_with(DaemonOptions::default()).await? else { return Ok(()) };
    let machine = stage.machine("killed").await?;
    stage.deployed(&tenant("acme", "killed")).await?;
    notes::add_to_all(&machine, "acme", "first").await?;
    let before = notes::read_all(&machine, "acme").await?;
    let operation = stage.client.start_snapshot(&name("acme")).await?;
    tokio::time::sleep(std::time::Duration::from_millis(1500)).await;
    stage.daemon.kill()?;
    stage.daemon.start_again()?;
    let made = Told::follow(&stage.client, operation.id).await?.succeeded()?.operation;
    notes::add_to_all(&machine, "acme", "second").await?;
    let operation = stage.client.restore(&name("acme"), made.id, None).await?;
    tokio::time::sleep(std::time::Duration::from_millis(1500)).await;
    stage.daemon.kill()?;
    stage.daemon.start_again()?;
    Told::follow(&stage.client, operation.id).await?.succeeded()?;
    assert_eq!(notes::read_all(&machine, "acme").await?, before);
    let page = berth_tests::web::get(&machine, "git.acme.example", "/").await?;
    assert_eq!(page.status, StatusCode::OK);
    Ok(())
}

#[tokio::test]
async fn a_customer_leaves_with_everything_in_one_file_that_anybody_can_check() -> Result<()> {
    let Some(stage) = Stage::set_up().await? else { return Ok(()) };
    let machine = stage.machine("leaving").await?;
    stage.deployed(&tenant("acme", "leaving")).await?;
    notes::add_to_all(&machine, "acme", "mine").await?;
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("acme.berth.tar");
    let (out, theirs) = (file.display().to_string(), berth_seal::Keys::generate());
    let wrong = stage.berth(&["export", "acme", "--out", &out, "--recipient", "nobody"])?;
    assert_eq!(wrong.status.code(), Some(1), "{wrong:?}");
    assert!(String::from_utf8_lossy(&wrong.stderr).contains("recipient"), "{wrong:?}");
    let made = stage.berth(&["export", "acme", "--out", &out, "--recipient", &theirs.recipient()])?;
    assert!(made.status.success(), "{made:?}");
    let again = stage.berth(&["export", "acme", "--out", &out])?;
    assert_eq!(again.status.code(), Some(2), "a file that is there is not replaced: {again:?}");

    let verified = stage.berth(&["bundle", "verify", &out])?;
    assert!(verified.status.success(), "{verified:?}");
    let into = folder.path().join("extracted");
    let extracted = stage.berth(&["bundle", "extract", &out, "--into", &into.display().to_string()])?;
    assert!(extracted.status.success(), "{extracted:?}");
    let note = into.join("services/gitea/files/var/lib/gitea/stand-in-notes/000000001.txt");
    assert_eq!(std::fs::read_to_string(note)?, "mine");
    let dump = std::fs::read(into.join("services/mastodon/databases/mastodon.dump"))?;
    assert!(dump.starts_with(b"PGDMP"), "no dump in PostgreSQL's custom format");
    assert!(into.join("configuration/flake.nix").exists());
    let secrets: Vec<_> = std::fs::read_dir(into.join("secrets/mastodon"))?.flatten().collect();
    assert!(!secrets.is_empty());
    for secret in secrets {
        assert!(std::fs::read(secret.path())?.starts_with(b"age-encryption.org/v1\n"));
    }

    // A byte that somebody changed is noticed.
    let mut bytes = std::fs::read(&file)?;
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&file, bytes)?;
    let altered = stage.berth(&["bundle", "verify", &out])?;
    assert_eq!(altered.status.code(), Some(1), "{altered:?}");
    Ok(())
}
