//! A daemon and the machines that it may deploy to.

use anyhow::{Context as _, Result};
use berth_client::Client;
use berth_domain::ssh::SshPublicKey;
use berth_domain::{MachineDraft, TenantDraft, TenantName};
use berth_testbed::{Machine, Testbed, TestbedOptions, prerequisites};

use crate::daemon::{Daemon, DaemonOptions};
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
        let machine = self.boot(name).await?;
        self.client.create_machine(&draft(&machine)).await?;
        Ok(machine)
    }

    /// Boots a machine without telling the daemon.
    ///
    /// # Errors
    /// If it does not come up.
    pub async fn boot(&self, name: &str) -> Result<Machine> {
        let name = name.parse().ok().context("a machine's name")?;
        Ok(self.testbed.boot(&name, &self.key).await?)
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
    let required = std::env::var_os("BERTH_REQUIRE_MACHINES").is_some_and(|value| value == "1");
    let words: Vec<String> = missing.iter().map(ToString::to_string).collect();
    anyhow::ensure!(words.is_empty() || !required, "machines cannot be booted here: {}", words.join("; "));
    if !words.is_empty() {
        tell(&format!("SKIPPED: machines cannot be booted here: {}", words.join("; ")));
    }
    Ok(words.is_empty())
}

#[allow(clippy::print_stderr)]
fn tell(line: &str) {
    eprintln!("{line}");
}
