//! What a tenant keeps in an object store of its own is in its snapshots as well.

use std::path::{Path, PathBuf};
use std::process::Output;

use anyhow::{Context as _, Result, ensure};
use berth_client::OperationFilter;
use berth_domain::{OperationKind, TenantDraft};
use berth_garage::{Garage, Owner};
use berth_seal::Keys;
use berth_sign::TrustedKeys;
use berth_tests::bucket::Store;
use berth_tests::daemon::DaemonOptions;
use berth_tests::drafts::{settings, tenant};
use berth_tests::stage::{Stage, name};
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};

use crate::importing::import;
use crate::snapshots::{restore, snapshot};

/// The key of the bucket.
const SECRET: &str = "4f2a-of-the-bucket";

/// A tenant whose Gitea keeps attachments in a bucket.
fn with_a_bucket(tenant_name: &str, machine: &str, endpoint: &str) -> TenantDraft {
    let store = json!({
        "endpoint": endpoint, "region": "here", "bucket": "media", "access_key": "GK1", "secret_key": SECRET,
    });
    with_a_store(tenant_name, machine, store)
}

pub(super) fn with_a_store(tenant_name: &str, machine: &str, store: Value) -> TenantDraft {
    let mut draft = tenant(tenant_name, machine);
    let gitea = settings(json!({ "enable": true, "object_storage": store }));
    draft.services = [("gitea".to_owned(), gitea)].into();
    draft
}

/// A daemon that may speak to stores of this host.
pub(super) async fn beside_stores() -> Result<Option<Stage>> {
    let config = "[vault]\nstore_networks = [\"127.0.0.0/8\"]\n".to_owned();
    Stage::set_up_with(DaemonOptions { config, ..DaemonOptions::default() }).await
}

#[tokio::test]
async fn objects_come_back_with_the_state_and_no_copy_shares_the_bucket() -> Result<()> {
    let Some(stage) = beside_stores().await? else { return Ok(()) };
    let (_original, _other) = (stage.machine("media").await?, stage.machine("double").await?);
    let (store, endpoint) = Store::serve()?;
    store.put("attachments/a", "image/webp", b"first");
    store.put("attachments/b", "text/plain", b"second");
    let before = store.all();
    stage.deployed(&with_a_bucket("acme", "media", &endpoint)).await?;

    let made = snapshot(&stage, "acme").await?;
    let told = stage.client.snapshot(&name("acme"), made.id).await?;
    let (_, gitea) = told.captured().next().unwrap();
    let bucket = &gitea.buckets["media"];
    assert!(told.whole && gitea.left_out.is_empty(), "{told:?}");
    assert_eq!((bucket.objects, bucket.bytes), (2, 11));

    // Any restic has them.
    let found = |words: &[&str]| stage.berth_daemon(words);
    let (repository, key) = (found(&["vault-key", "acme", "--repository"])?, found(&["vault-key", "acme"])?);
    let restic = |words: &[&str]| {
        let mut restic = std::process::Command::new("restic");
        restic.args(words).arg("--no-cache");
        restic.env("RESTIC_REPOSITORY", &repository).env("RESTIC_PASSWORD", &key);
        restic.output()
    };
    let checked = restic(&["check", "--read-data"])?;
    assert!(checked.status.success(), "{checked:?}");
    let dumped = restic(&["dump", &bucket.restic, "/buckets/media/attachments/a"])?;
    assert_eq!(dumped.stdout, b"first", "{dumped:?}");

    store.delete("attachments/a");
    store.put("attachments/b", "text/plain", b"spoilt");
    store.put("attachments/c", "text/plain", b"newer");
    restore(&stage, "acme", &made, None).await?.succeeded()?;
    let mut after = store.all();
    assert_eq!(after.remove("attachments/c").map(|newer| newer.1), Some(b"newer".to_vec()));
    assert_eq!(after, before);

    stage.deployed(&with_a_bucket("stage", "double", &endpoint)).await?;
    let refused = stage.client.restore(&name("acme"), made.id, Some(&name("stage"))).await.unwrap_err();
    assert!(refused.is_refusal("bucket-shared"), "{refused}");
    Ok(())
}

/// An object's key, its headers, and its content.
pub(super) type Object = (&'static str, &'static [(&'static str, &'static str)], Vec<u8>);

/// Objects of every sort that a bundle carries.
pub(super) fn objects() -> Vec<Object> {
    let attributes = &[
        ("content-type", "image/webp"),
        ("cache-control", "public, max-age=60"),
        ("content-disposition", "inline; filename=\"\u{fc}.webp\""),
        ("content-encoding", "gzip"),
        ("content-language", "de"),
        ("x-amz-meta-origin", "far away"),
    ];
    // More than is sent at once, and nothing that repeats.
    let mut chance = fastrand::Rng::with_seed(7);
    let large = std::iter::repeat_with(|| chance.u8(..)).take(17 * 1024 * 1024 + 1).collect();
    vec![
        ("attachments/photo", attributes, b"pixels of a photo".to_vec()),
        ("attachments/", &[("content-type", "application/x-directory")], Vec::new()),
        ("attachments/empty", &[("content-type", "text/plain")], Vec::new()),
        ("sp ace+plus%25&=\u{e4}\n\"'<>", &[], b"odd".to_vec()),
        ("large", &[("content-type", "video/mp4"), ("x-amz-meta-of", "parts")], large),
    ]
}

/// A tenant's bucket at a provider that made a bundle of them and is gone.
struct TakenAlong {
    owner: Owner,
    folder: tempfile::TempDir,
    bundle: PathBuf,
    signer: String,
    identity: String,
}

async fn taken_along(garage: &Garage) -> Result<Option<TakenAlong>> {
    let Some(stage) = beside_stores().await? else { return Ok(None) };
    let _machine = stage.machine("old").await?;
    let owner = Owner::of(garage.bucket("theirs").await);
    for (key, headers, content) in objects() {
        owner.put(key, headers, &content).await;
    }
    owner.put("no//path", &[], b"of no file").await;
    stage.deployed(&with_a_store("acme", "old", store_of(&owner))).await?;
    let folder = tempfile::tempdir()?;
    let (bundle, identity) = (folder.path().join("acme.berth.tar"), folder.path().join("identity"));
    let theirs = Keys::generate();
    std::fs::write(&identity, theirs.identity().expose_secret())?;
    let export = || {
        let out = bundle.display().to_string();
        stage.berth(&["export", "acme", "--out", &out, "--recipient", &theirs.recipient()])
    };

    // What no bundle can carry is not left out in silence.
    let refused = export()?;
    let words = String::from_utf8_lossy(&refused.stderr).into_owned();
    ensure!(!refused.status.success() && words.contains("gitea, bucket theirs: no//path"), "{refused:?}");
    ensure!(!bundle.exists());
    owner.delete("no//path").await;
    let made = export()?;
    ensure!(made.status.success(), "{made:?}");
    let inspection = berth_bundle::inspect(&bundle, &TrustedKeys::none(), &mut |_, _| ())?;
    let signer = inspection.signer.key_id.to_string();
    Ok(Some(TakenAlong { owner, folder, bundle, signer, identity: identity.display().to_string() }))
}

/// The setting that names somebody's bucket.
pub(super) fn store_of(owner: &Owner) -> Value {
    let config = &owner.0;
    json!({
        "endpoint": config.endpoint, "region": config.region, "bucket": config.name,
        "access_key": config.access_key, "secret_key": config.secret.expose_secret(),
    })
}

impl TakenAlong {
    fn import(&self, stage: &Stage, store: &Value, more: &[&str]) -> Result<Output> {
        let services = self.folder.path().join("services.json");
        std::fs::write(&services, json!({ "gitea": { "object_storage": store } }).to_string())?;
        let services = services.display().to_string();
        let accept = ["--accept-signer", &self.signer, "--identity", &self.identity, "--services", &services];
        import(stage, &self.bundle, &[&accept[..], more].concat())
    }

    /// The bundle with a byte of an object that is another.
    fn altered(&self) -> Result<PathBuf> {
        let mut bytes = std::fs::read(&self.bundle)?;
        let photo = b"pixels of a photo";
        let at = bytes.windows(photo.len()).position(|window| window == photo).context("no photo")?;
        bytes[at] ^= 1;
        let path = self.folder.path().join("altered");
        std::fs::write(&path, bytes)?;
        Ok(path)
    }
}

fn verified(stage: &Stage, bundle: &Path) -> Result<Output> {
    stage.berth(&["bundle", "verify", &bundle.display().to_string()])
}

// The store is served while commands are waited for.
#[tokio::test(flavor = "multi_thread")]
async fn objects_are_taken_along_in_a_bundle_and_come_into_another_bucket() -> Result<()> {
    let Some(garage) = Garage::start().await else { return Ok(()) };
    let Some(along) = taken_along(&garage).await? else { return Ok(()) };
    let Some(mut target) = beside_stores().await? else { return Ok(()) };
    let _new = target.machine("new").await?;
    ensure!(verified(&target, &along.bundle)?.status.success());
    let altered = verified(&target, &along.altered()?)?;
    let words = String::from_utf8_lossy(&[altered.stdout, altered.stderr].concat()).into_owned();
    ensure!(words.contains("services/gitea/buckets/theirs/attachments/photo"), "{words}");
    ensure!(altered.status.code() == Some(1), "{:?}", altered.status);

    // Services that would miss their objects are not started.
    let refused = along.import(&target, &Value::Null, &["--go-live"])?;
    let words = String::from_utf8_lossy(&refused.stderr).into_owned();
    ensure!(refused.status.code() == Some(1) && words.contains("name no bucket"), "{refused:?}");
    ensure!(target.client.tenants().await?.is_empty());

    // The old store is still there, and nobody writes into it.
    let own = Owner::of(garage.bucket("own").await);
    own.put("attachments/photo", &[], b"another").await;
    own.put("newer", &[], b"newer").await;
    let begun = along.import(&target, &store_of(&own), &["--go-live"])?;
    ensure!(begun.status.success(), "{begun:?}");
    let operations = target.client.operations(&OperationFilter::default(), 10).await?;
    let operation = operations.iter().find(|it| it.kind == OperationKind::TakeIn).context("the import")?.id;
    let told = target.killed_meanwhile(operation, &[3000, 3000]).await?.succeeded()?;
    for (key, headers, content) in objects() {
        let (found, there) = (own.get(key).await.context(key)?, along.owner.get(key).await.context(key)?);
        ensure!(found.1 == content && found.0 == there.0, "{key}: {:?}, and was {:?}", found.0, there.0);
        for (header, value) in headers {
            ensure!(found.0.get(*header).map(String::as_str) == Some(value), "{key}: {header}");
        }
    }
    assert_eq!(own.get("newer").await.context("newer")?.1, b"newer");
    let first = target.client.snapshot(&name("acme"), operation).await?;
    let (_, gitea) = first.captured().next().context("gitea")?;
    assert_eq!(gitea.buckets["theirs"].objects, objects().len() as u64);
    let secret = own.0.secret.expose_secret().to_owned();
    ensure!(!format!("{:?}", told.events).contains(&secret) && !target.daemon.log().contains(&secret));

    // The next snapshot is of the bucket that it has now.
    let made = snapshot_of(&target).await?;
    assert_eq!(made, objects().len() as u64 + 1);
    Ok(())
}

/// How many objects a new snapshot holds.
pub(super) async fn snapshot_of(stage: &Stage) -> Result<u64> {
    let made = snapshot(stage, "acme").await?;
    let told = stage.client.snapshot(&name("acme"), made.id).await?;
    let (_, gitea) = told.captured().next().context("gitea")?;
    Ok(gitea.buckets.get("own").context("the bucket")?.objects)
}
