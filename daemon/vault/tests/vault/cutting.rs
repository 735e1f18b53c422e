//! A server that is killed in the middle of a backup.

use std::path::Path;
use std::time::{Duration, Instant};

use berth_vault::{FolderStorage, Storage as _};
use secrecy::SecretString;

use crate::alone::{self, PASSWORD};
use crate::restic;
use crate::server::name;
use crate::tree;

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_goes_on_when_a_server_that_was_killed_is_back() {
    for restic in restic::every().await {
        let folder = tempfile::tempdir().unwrap();
        let address = alone::free_address();
        let mut server = alone::serve(folder.path(), &address).await;
        let host = restic.host(&address, "acme", &SecretString::from(PASSWORD));
        host.ok(&["init"]).await;
        tree::make(&host.tree(), 1, 60_000_000);
        let words = ["--limit-upload", "20000", "backup", "--quiet", "tree"];
        let backup = host.start(&words);
        await_packs(folder.path()).await;
        server.kill().await.unwrap();
        // restic notices, and begins to try again.
        tokio::time::sleep(Duration::from_millis(300)).await;
        let _server = alone::serve(folder.path(), &address).await;
        let told = host.await_success(backup, &words).await;
        assert!(told.contains("retrying"), "it was cut: {told}");
        host.ok(&["check", "--read-data"]).await;
        assert!(tree::read(&host.restore("restored").await) == tree::read(&host.tree()));
    }
}

/// Waits until something was backed up.
async fn await_packs(folder: &Path) {
    let storage = FolderStorage::open(folder).await.unwrap();
    let end = Instant::now() + Duration::from_secs(60);
    while storage.usage(&name("acme")).await.unwrap() < 6_000_000 {
        assert!(Instant::now() < end, "nothing is backed up");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
