//! The second provider: a daemon and a machine of its own, which the first one knows nothing of.

use berth_client::Client;
use berth_testbed::{Machine, Testbed};

use super::super::daemon::Daemon;
use super::super::folder::DemoFolder;
use super::super::stages::Stages;
use super::super::tenant;
use crate::failure::Result;

const MACHINE: &str = "vm2";

/// All of it but the testbed. Dropped, it is put away, in the order of the fields.
#[derive(Debug)]
pub(super) struct Neighbour {
    pub(super) client: Client,
    daemon: Daemon,
    pub(super) machine: Machine,
    folder: DemoFolder,
}

impl Neighbour {
    /// Starts the daemon, and boots and registers its machine.
    pub(super) async fn set_up(stages: &Stages, testbed: &Testbed) -> Result<Self> {
        let folder = DemoFolder::create()?;
        let daemon = stages.stage("daemon 2", "starting", Daemon::start(folder.path())).await?;
        let client = daemon.client()?;
        let name = MACHINE.parse().map_err(tenant::refused)?;
        let machine = stages.machine("machine 2", testbed, &client, name).await?;
        let (address, host_key) = (machine.address().to_string(), machine.host_key().to_string());
        tenant::register(&client, MACHINE, address, host_key).await?;
        Ok(Self { client, daemon, machine, folder })
    }

    /// Ends its daemon; its machine goes with the testbed.
    pub(super) fn stop(self) {
        drop((self.daemon, self.folder));
    }
}
