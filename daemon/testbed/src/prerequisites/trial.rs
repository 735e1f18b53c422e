//! Tries what machines need of the kernel, in namespaces and folders that are gone afterwards.

use std::time::Duration;

use super::{Missing, Need};
use crate::command::Call;
use crate::error::{Context, Result};
use crate::mounts;

const TIMEOUT: Duration = Duration::from_secs(10);

/// What the host refuses.
pub(super) async fn refused() -> Vec<Missing> {
    let namespaces = ["--mount", "--net", "--uts", "--ipc", "--pid", "--fork", "--", "true"];
    let ethernet = ["--net", "--", "ip", "link", "add", "probe0", "type", "veth", "peer", "name", "probe1"];
    let trials = [
        (Need::Namespaces, unshare(&namespaces).await),
        (Need::VirtualEthernet, unshare(&ethernet).await),
        (Need::OverlayMounts, overlay()),
    ];
    let refused = |(what, tried): (Need, Result<()>)| {
        let why = tried.err()?.to_string();
        Some(Missing { what, package: None, why })
    };
    trials.into_iter().filter_map(refused).collect()
}

async fn unshare(arguments: &[&str]) -> Result<()> {
    Call::new("unshare", arguments)?.run(TIMEOUT).await.map(drop)
}

fn overlay() -> Result<()> {
    let action = || "cannot make folders for a trial".to_owned();
    let folder = tempfile::tempdir_in(crate::testbed::DISKS_PARENT).context(action)?;
    let [lower, upper, work, root] = ["lower", "upper", "work", "root"].map(|name| folder.path().join(name));
    for path in [&lower, &upper, &work, &root] {
        std::fs::create_dir(path).context(action)?;
    }
    mounts::overlay(&lower, &upper, &work, &root)?;
    mounts::remove_tree(folder.path())
}
