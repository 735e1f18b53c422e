//! A customer whose provider is gone brings the bundle that they kept to another one, which never heard of either.

use std::path::{Path, PathBuf};
use std::process::Output;

use anyhow::{Context as _, Result, ensure};
use berth_bundle::{About, Kind, ServiceAbout, Verified};
use berth_client::{DeleteTenant, Deleted, OperationFilter};
use berth_domain::{BundleStatus, OperationStatus};
use berth_seal::Keys;
use berth_sign::{SigningKey, TrustedKeys};
use berth_tests::drafts::tenant;
use berth_tests::notes;
use berth_tests::stage::{Stage, name};
use berth_tests::told::Told;
use reqwest::StatusCode;
use secrecy::ExposeSecret as _;
use tempfile::TempDir;

/// What a customer has whose provider is gone.
struct Kept {
    folder: TempDir,
    bundle: PathBuf,
    /// The file with the key that the secrets are sealed to.
    identity: PathBuf,
    /// The thumbprint of the key that the provider signed with, as they wrote it down.
    signer: String,
    /// What was in their services.
    notes: Vec<notes::Notes>,
}

/// A provider serves a tenant, who takes a bundle along; then the provider and its machines are gone.
async fn kept() -> Result<Option<Kept>> {
    let Some(source) = Stage::set_up().await? else { return Ok(None) };
    let machine = source.machine("old").await?;
    source.deployed(&tenant("acme", "old")).await?;
    notes::add_to_all(&machine, "acme", "first").await?;
    notes::add_to_all(&machine, "acme", "second").await?;
    let folder = tempfile::tempdir()?;
    let (bundle, identity) = (folder.path().join("acme.berth.tar"), folder.path().join("identity"));
    let theirs = Keys::generate();
    std::fs::write(&identity, theirs.identity().expose_secret())?;
    let notes = notes::read_all(&machine, "acme").await?;
    let out = bundle.display().to_string();
    let made = source.berth(&["export", "acme", "--out", &out, "--recipient", &theirs.recipient()])?;
    ensure!(made.status.success(), "{made:?}");
    let inspection = berth_bundle::inspect(&bundle, &TrustedKeys::none(), &mut |_, _| ())?;
    Ok(Some(Kept { folder, bundle, identity, signer: inspection.signer.key_id.to_string(), notes }))
}

/// `berth bundle import FILE --machine new …`
pub(super) fn import(stage: &Stage, file: &Path, more: &[&str]) -> Result<Output> {
    let file = file.display().to_string();
    stage.berth(&[&["bundle", "import", &file, "--machine", "new"], more].concat())
}

/// That it is refused, by this name or with these words, and that nothing came of it.
async fn refused(stage: &Stage, file: &Path, more: &[&str], saying: &str) -> Result<()> {
    let output = import(stage, file, more)?;
    let words = String::from_utf8_lossy(&output.stderr).into_owned();
    ensure!(
        output.status.code() == Some(1) && words.contains(saying),
        "not refused with {saying}: {output:?}"
    );
    ensure!(stage.client.tenants().await?.is_empty(), "{saying}: a tenant was made");
    ensure!(
        stage.client.operations(&OperationFilter::default(), 10).await?.is_empty(),
        "{saying}: something was begun"
    );
    Ok(())
}

/// The same bundle by somebody else, who says another thing of the services.
fn written_anew(kept: &Kept, file: &str, change: fn(&mut ServiceAbout)) -> Result<(PathBuf, String)> {
    let bundle = Verified::open(&kept.bundle, &TrustedKeys::none(), &mut |_| ());
    let bundle = bundle.map_err(|error| anyhow::anyhow!("{error}"))?;
    let key = SigningKey::from_seed(&[5; 32]);
    let mut services = bundle.report().services.clone();
    services.iter_mut().for_each(change);
    let about = bundle.report().about.clone().context("about")?;
    let about = About::new(about.tenant, about.provider, about.created);
    let path = kept.folder.path().join(file);
    berth_bundle::create(&path, about, services, &key, |writer| {
        bundle
            .each::<Trouble>(&mut |entry, content| {
                let (path, meta) = (entry.path.clone(), entry.meta.clone());
                match &entry.kind {
                    // The writer makes its own.
                    _ if path.as_bytes() == b"bundle.json" => Ok(()),
                    Kind::File { size, .. } => writer.file(path, meta, *size, content),
                    Kind::Directory => writer.directory(path, meta),
                    Kind::Symlink { target } => writer.symlink(path, target.clone(), meta),
                }
                .map_err(Trouble)
            })
            .map_err(|Trouble(error)| error)
    })?;
    Ok((path, key.public().id().to_string()))
}

struct Trouble(berth_bundle::WriteError);

impl From<berth_bundle::ReadError> for Trouble {
    fn from(error: berth_bundle::ReadError) -> Self {
        Self(berth_bundle::WriteError::Write(std::io::Error::other(error)))
    }
}

#[tokio::test]
async fn a_customer_whose_provider_is_gone_is_served_by_another_with_all_that_they_had() -> Result<()> {
    let Some(kept) = kept().await? else { return Ok(()) };
    let Some(target) = Stage::set_up().await? else { return Ok(()) };
    let new = target.machine("new").await?;
    let identity = kept.identity.display().to_string();
    let accept = ["--accept-signer", &kept.signer, "--identity", &identity];

    // What is not as it was signed is refused, whoever is said to have signed it.
    let whole = std::fs::read(&kept.bundle)?;
    let bad = |name: &str, bytes: &[u8]| -> Result<PathBuf> {
        let path = kept.folder.path().join(name);
        std::fs::write(&path, bytes)?;
        Ok(path)
    };
    let mut flipped = whole.clone();
    flipped[whole.len() / 2] ^= 1;
    let without = ["--accept-signer", &kept.signer, "--without-secrets"];
    refused(&target, &bad("flipped", &flipped)?, &without, "bundle-altered").await?;
    refused(&target, &bad("cut", &whole[..whole.len() / 2])?, &without, "bundle-truncated").await?;
    refused(&target, &bad("none", b"no bundle")?, &without, "bundle-truncated").await?;
    // Nobody knows the key; and then it is a key that somebody else has.
    refused(&target, &kept.bundle, &["--identity", &identity], "which is not one that this provider trusts")
        .await?;
    let (foreign, _) = written_anew(&kept, "foreign", |_| ())?;
    refused(&target, &foreign, &without, "which is not one that this provider trusts").await?;
    // What is in the way is told at once.
    refused(&target, &kept.bundle, &accept[..2], "sealed and were not given").await?;

    let made = import(&target, &kept.bundle, &[&accept[..], &["--go-live", "--watch"]].concat())?;
    ensure!(made.status.success(), "{made:?}");
    assert_eq!(notes::read_all(&new, "acme").await?, kept.notes, "everything is there");
    let tenant = target.client.tenant(&name("acme")).await?;
    assert_eq!(tenant.spec.mode.as_deref(), Some("active"));
    let page = berth_tests::web::get(&new, "git.acme.example", "/").await?;
    assert_eq!(page.status, StatusCode::OK);
    // It goes on from there, in a vault of its own.
    notes::add_to_all(&new, "acme", "third").await?;
    let snapshot = target.client.start_snapshot(&name("acme")).await?;
    Told::follow(&target.client, snapshot.id).await?.succeeded()?;
    assert_eq!(target.client.snapshots(&name("acme"), 10).await?.len(), 2);

    // One bundle is one tenant.
    let again = import(&target, &kept.bundle, &accept)?;
    let words = String::from_utf8_lossy(&again.stderr).into_owned();
    ensure!(again.status.code() == Some(1) && words.contains("of this very bundle already"), "{again:?}");
    Ok(())
}

#[tokio::test]
async fn a_daemon_that_is_killed_while_it_takes_a_bundle_in_goes_on_and_leaves_the_tenant_in_standby()
-> Result<()> {
    let Some(kept) = kept().await? else { return Ok(()) };
    let Some(mut target) = Stage::set_up().await? else { return Ok(()) };
    let new = target.machine("new").await?;
    let identity = kept.identity.display().to_string();

    // Data that is newer than the services are is refused before the machine is touched.
    let (newer, theirs) = written_anew(&kept, "newer", |service| {
        if service.name == "mastodon" {
            service.data_version = Some("999.1".into());
        }
    })?;
    let options = [
        "--accept-signer",
        &theirs,
        "--identity",
        &identity,
        "--watch",
        "--name",
        "other",
        "--domain",
        "other.example",
    ];
    let output = import(&target, &newer, &options)?;
    let known_here = String::from_utf8_lossy(&output.stderr).contains("is of version 999.1");
    ensure!(known_here && output.status.code() == Some(5), "{output:?}");
    let other = target.client.tenant(&name("other")).await?;
    ensure!(other.deployed_revision.is_none(), "something was deployed");
    let gone =
        target.client.delete_tenant(&name("other"), DeleteTenant { wipe: true, abandon: false }).await?;
    if let Deleted::Operation(operation) = gone {
        Told::follow(&target.client, operation.id).await?.succeeded()?;
    }

    let begun = import(&target, &kept.bundle, &["--accept-signer", &kept.signer, "--identity", &identity])?;
    ensure!(begun.status.success(), "{begun:?}");
    let bundles = target.client.incoming_bundles(10).await?;
    let bundle = bundles
        .iter()
        .find(|bundle| bundle.taken_in.as_ref().is_some_and(|taken_in| taken_in.tenant.as_str() == "acme"));
    let bundle = bundle.context("a bundle that is taken in")?;
    assert_eq!(bundle.status, BundleStatus::Whole);
    let operation = bundle.taken_in.as_ref().context("taken in")?.operation;
    // Some of these fall into the setting up, some into the unpacking or the putting in place.
    let told = target.killed_meanwhile(operation, &[1500, 4000, 3000]).await?.succeeded()?;
    assert_eq!(told.operation.status, OperationStatus::Succeeded);
    let record = target.client.tenant(&name("acme")).await?;
    assert_eq!(record.spec.mode.as_deref(), Some("standby"), "the old provider might still serve it");

    // Somebody knows that it does not.
    let draft = berth_domain::TenantDraft { mode: None, ..record.spec };
    target.change(&draft).await?;
    target.deploy("acme").await?.succeeded()?;
    assert_eq!(notes::read_all(&new, "acme").await?, kept.notes, "everything is there");
    Ok(())
}
