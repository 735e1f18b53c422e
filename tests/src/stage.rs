//! A daemon and the machines that it may deploy to.

use std::process::{Command, Output};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use berth_client::Client;
use berth_domain::ssh::SshPublicKey;
use berth_domain::{MachineDraft, MachineName, OperationId, TenantDraft, TenantName};
use berth_testbed::{Disk, Machine, Testbed, TestbedOptions, prerequisites};

use crate::daemon::{Daemon, DaemonOptions};
use crate::programs;
use crate::skip;
use crate::told::Told;

/// A daemon and the machines that it may deploy to. (The order matters: the daemon goes before its machines.)
#[derive(Debug)]
pub struct Stage {
    /// The daemon.
    pub daemon: Daemon,
    /// A client with the administrator's token.
    pub client: Client,
    testbed: Testbed,
    key: SshPublicKey,
}

impl Stage {
    /// A daemon, and a host on which machines can be booted. `None`, and a word about it, where machines cannot be had;
    /// with `BERTH_REQUIRE_MACHINES=1` that is an error.
    ///
    /// # Errors
    /// If something of it does not start.
    pub async fn set_up() -> Result<Option<Self>> {
        Self::set_up_with(DaemonOptions::default()).await
    }

    /// The same with a daemon that is started otherwise.
    ///
    /// # Errors
    /// As [`Self::set_up`].
    pub async fn set_up_with(options: DaemonOptions) -> Result<Option<Self>> {
        if !can_boot().await? {
            return Ok(None);
        }
        let testbed = Testbed::new(TestbedOptions::default(), &mut |line| tell(line)).await?;
        let daemon = Daemon::start(options)?;
        let client = daemon.client()?;
        let key = client.provider().await?.ssh_public_key.parse().ok().context("the daemon's public key")?;
        Ok(Some(Self { daemon, client, testbed, key }))
    }

    /// Boots a machine that the daemon may log in to, and registers it.
    ///
    /// # Errors
    /// If it does not come up or is refused.
    pub async fn machine(&self, name: &str) -> Result<Machine> {
        self.machine_with(name, Disk::default()).await
    }

    /// The same with a disk of a certain size.
    ///
    /// # Errors
    /// As [`Self::machine`].
    pub async fn machine_with(&self, name: &str, disk: Disk) -> Result<Machine> {
        let machine = self.testbed.boot_with(&machine_name(name)?, &self.key, disk).await?;
        self.client.create_machine(&draft(&machine)).await?;
        Ok(machine)
    }

    /// Boots a machine without telling the daemon.
    ///
    /// # Errors
    /// If it does not come up.
    pub async fn boot(&self, name: &str) -> Result<Machine> {
        Ok(self.testbed.boot(&machine_name(name)?, &self.key).await?)
    }

    /// Kills the daemon after each of these waits, in milliseconds, and starts it again, as long as an operation goes on; then follows that to
    /// its end.
    ///
    /// # Errors
    /// The daemon does not start again, or the operation does not end.
    pub async fn killed_meanwhile(&mut self, operation: OperationId, waits: &[u64]) -> Result<Told> {
        for wait in waits {
            tokio::time::sleep(Duration::from_millis(*wait)).await;
            if self.client.operation(operation).await?.status.is_final() {
                break;
            }
            self.daemon.kill()?;
            self.daemon.start_again()?;
        }
        Told::follow(&self.client, operation).await
    }

    /// Deploys a tenant as it is specified now, and follows that to its end.
    ///
    /// # Errors
    /// If the daemon refuses or goes away; how the operation ends is the result's matter.
    pub async fn deploy(&self, tenant: &str) -> Result<Told> {
        let operation = self.client.deploy(&name(tenant)).await?;
        Told::follow(&self.client, operation.id).await
    }

    /// Creates a tenant and deploys it; this must succeed.
    ///
    /// # Errors
    /// If it does not.
    pub async fn deployed(&self, tenant: &TenantDraft) -> Result<Told> {
        self.client.create_tenant(tenant).await?;
        self.deploy(&tenant.name).await?.succeeded()
    }

    /// Changes a tenant.
    ///
    /// # Errors
    /// If the daemon refuses.
    pub async fn change(&self, tenant: &TenantDraft) -> Result<()> {
        let current = self.client.tenant(&name(&tenant.name)).await?;
        self.client.put_tenant(&name(&tenant.name), tenant, Some(current.version)).await?;
        Ok(())
    }

    /// What became of the program `berth` with these words and an administrator's token.
    ///
    /// # Errors
    /// If it cannot be started.
    pub fn berth(&self, words: &[&str]) -> Result<Output> {
        let mut command = Command::new(programs::find("berth")?);
        command
            .args(words)
            .env("BERTH_URL", self.daemon.url())
            .env("BERTH_TOKEN", self.daemon.admin_token()?);
        Ok(command.output()?)
    }

    /// What `berth daemon` prints of the stage's daemon.
    ///
    /// # Errors
    /// If it fails.
    pub fn berth_daemon(&self, words: &[&str]) -> Result<String> {
        let mut command = Command::new(programs::find("berth")?);
        let output = command.arg("daemon").args(words).env("BERTH_DATA_DIR", self.daemon.data()).output()?;
        ensure!(output.status.success(), "{output:?}");
        Ok(String::from_utf8(output.stdout)?.trim().to_owned())
    }
}

fn machine_name(name: &str) -> Result<MachineName> {
    name.parse().ok().context("a machine's name")
}

/// A tenant's name.
///
/// # Panics
/// If it is none.
#[allow(clippy::expect_used)]
pub fn name(tenant: &str) -> TenantName {
    tenant.parse().expect("a DNS label")
}

/// A machine as it is registered.
pub fn draft(machine: &Machine) -> MachineDraft {
    MachineDraft {
        name: machine.name().to_string(),
        address: machine.address().to_string(),
        port: None,
        user: None,
        host_key: machine.host_key().to_string(),
        driver: None,
    }
}

/// Whether machines can be booted here; if not, says why.
///
/// # Errors
/// If they cannot, and `BERTH_REQUIRE_MACHINES=1` says that they must.
pub async fn can_boot() -> Result<bool> {
    let missing = prerequisites::missing().await;
    let words: Vec<String> = missing.iter().map(ToString::to_string).collect();
    if !words.is_empty() {
        let why = format!("machines cannot be booted here: {}", words.join("; "));
        skip::unless_required("BERTH_REQUIRE_MACHINES", &why)?;
    }
    Ok(words.is_empty())
}

#[allow(clippy::print_stderr)]
fn tell(line: &str) {
    eprintln!("{line}");
}
