//! What a tenant keeps in an object store of its own is in its snapshots as well.

use anyhow::Result;
use berth_domain::TenantDraft;
use berth_tests::bucket::Store;
use berth_tests::daemon::DaemonOptions;
use berth_tests::drafts::{settings, tenant};
use berth_tests::stage::{Stage, name};
use serde_json::json;

use crate::snapshots::{restore, snapshot};

/// The key of the bucket.
const SECRET: &str = "4f2a-of-the-bucket";

/// A tenant whose Gitea keeps attachments in a bucket.
fn with_a_bucket(tenant_name: &str, machine: &str, endpoint: &str) -> TenantDraft {
    let mut draft = tenant(tenant_name, machine);
    let store = json!({
        "endpoint": endpoint, "region": "here", "bucket": "media", "access_key": "GK1", "secret_key": SECRET,
    });
    let gitea = settings(json!({ "enable": true, "object_storage": store }));
    draft.services = [("gitea".to_owned(), gitea)].into();
    draft
}

#[tokio::test]
async fn objects_come_back_with_the_state_and_no_copy_shares_the_bucket() -> Result<()> {
    let config = "[vault]\nstore_networks = [\"127.0.0.0/8\"]\n".to_owned();
    let options = DaemonOptions { config, ..DaemonOptions::default() };
    let Some(stage) = Stage::set_up_with(options).await? else { return Ok(()) };
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
