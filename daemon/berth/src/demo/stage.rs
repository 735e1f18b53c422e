//! Daemon, machine and folder of a demo that is up.

use berth_client::Client;
use berth_contract::Tenant;
use berth_testbed::{Machine, Testbed};

use super::daemon::Daemon;
use super::folder::DemoFolder;
use super::record::{Record, Visited};
use crate::failure::{Failure, Result};

/// All of it. Dropped, it is put away, in the order of the fields.
#[derive(Debug)]
pub(super) struct Stage {
    pub(super) client: Client,
    pub(super) daemon: Daemon,
    pub(super) machine: Machine,
    pub(super) testbed: Testbed,
    pub(super) folder: DemoFolder,
}

impl Stage {
    /// What is to be written down of it.
    pub(super) fn record(&self, tenant: &Tenant, services: Vec<Visited>) -> Record {
        Record {
            url: self.client.url().as_str().trim_end_matches('/').to_owned(),
            token_file: self.daemon.token_file(),
            machine: self.machine.name().to_string(),
            address: self.machine.address(),
            tenant: tenant.spec.name.clone(),
            services,
            kept: false,
            testbed: self.testbed.folder().to_owned(),
        }
    }

    /// Lets all of it outlive this process. Nothing waits in here, so that it cannot be interrupted half-way.
    pub(super) fn keep(self, record: &Record) -> Result<()> {
        self.folder.write(record)?;
        self.testbed.keep().map_err(|error| Failure::local(error.to_string()))?;
        self.daemon.keep();
        self.folder.keep();
        Ok(())
    }

    /// Puts all of it away and says what would not go.
    pub(super) async fn stop(self) -> Result<()> {
        drop(self.daemon);
        self.testbed.stop().await.map_err(|error| Failure::local(error.to_string()))?;
        drop((self.machine, self.folder));
        Ok(())
    }
}
