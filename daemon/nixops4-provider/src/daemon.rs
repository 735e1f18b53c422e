//! By the daemon's API, for somebody who calls `nixops4` by hand.

use std::time::Duration;

use async_trait::async_trait;
use berth_client::Client;
use berth_contract::nixops4::NewStateChange;
use berth_domain::{Operation, OperationStatus, TenantName};
use berth_protocol::nixops4::StateChange;
use secrecy::SecretString;
use serde_json::Value;
use tokio_util::task::AbortOnDropHandle;
use uuid::Uuid;

use crate::backend::{Backend, ProviderError, say};
use crate::follow;
use crate::resources::{Deployed, Deployment, StateOf};

/// Where the daemon listens unless told otherwise.
const DEFAULT_URL: &str = "http://127.0.0.1:8484";

/// How often a lease is renewed; it lasts a minute.
const RENEW_EVERY: Duration = Duration::from_secs(15);

/// How many operations that were there before are waited for.
const WAITS: u32 = 3;

/// The daemon.
pub struct Daemon {
    client: Client,
    lease: Option<Lease>,
}

/// The lease of a state. It is renewed for as long as this is here.
struct Lease {
    tenant: TenantName,
    fence: i64,
    _renewing: AbortOnDropHandle<()>,
}

impl Daemon {
    /// The daemon that a client talks to.
    pub fn new(client: Client) -> Self {
        Self { client, lease: None }
    }

    /// The daemon that the variables of the command line `berth` name: `BERTH_URL`, and `BERTH_TOKEN_FILE` or `BERTH_TOKEN`.
    ///
    /// # Errors
    /// There is no token, or the address is none.
    pub fn from_environment() -> Result<Self, ProviderError> {
        let variable = |name| std::env::var(name).ok().filter(|value: &String| !value.is_empty());
        let token = match (variable("BERTH_TOKEN_FILE"), variable("BERTH_TOKEN")) {
            (Some(file), _) => std::fs::read_to_string(&file).map_err(|error| {
                ProviderError::Environment(format!("the token file {file} cannot be read: {error}"))
            })?,
            (None, Some(token)) => token,
            (None, None) => {
                let message = "there is no token to show Berth's daemon: set BERTH_TOKEN_FILE or BERTH_TOKEN";
                return Err(ProviderError::Environment(message.into()));
            }
        };
        let url = variable("BERTH_URL").unwrap_or_else(|| DEFAULT_URL.into());
        Ok(Self::new(Client::new(&url, SecretString::from(token.trim()))?))
    }

    /// A new deployment. What works on the tenant already is waited for, and followed: it may have been begun by an apply
    /// that was interrupted.
    async fn operation(&self, tenant: &TenantName) -> Result<Operation, ProviderError> {
        for _ in 0..WAITS {
            let refused = match self.client.deploy(tenant).await {
                Ok(operation) => return Ok(operation),
                Err(error) => error,
            };
            let running = refused.problem().and_then(|problem| problem.operation);
            match running.filter(|_| refused.is_refusal("operation-running")) {
                Some(id) => {
                    say(&format!("[{tenant}] waiting for the operation {id}"));
                    let earlier = self.client.operation(id).await?;
                    follow::to_its_end(&self.client, &earlier, None).await?;
                }
                None => return Err(refused.into()),
            }
        }
        Err(ProviderError::Deployment(format!("others keep working on the tenant {tenant}; try again later")))
    }

    async fn lease(&mut self, tenant: &TenantName) -> Result<i64, ProviderError> {
        if let Some(lease) = &self.lease
            && lease.tenant == *tenant
        {
            return Ok(lease.fence);
        }
        self.close().await;
        let holder = Uuid::now_v7().to_string();
        let taken = self.client.lease_nixops4_state(tenant, &holder).await?;
        let fence = taken
            .fence
            .ok_or_else(|| ProviderError::Deployment("the daemon gave a lease without a fence".into()))?;
        let renewing = tokio::spawn(keep(self.client.clone(), tenant.clone(), holder, fence));
        self.lease =
            Some(Lease { tenant: tenant.clone(), fence, _renewing: AbortOnDropHandle::new(renewing) });
        Ok(fence)
    }
}

/// Renews a lease for as long as it is ours.
async fn keep(client: Client, tenant: TenantName, holder: String, fence: i64) {
    loop {
        tokio::time::sleep(RENEW_EVERY).await;
        match client.lease_nixops4_state(&tenant, &holder).await {
            Ok(lease) if lease.fence == Some(fence) => {}
            // Changes that name the old fence are refused from now on; the daemon says so when one comes.
            Ok(lease) => {
                if let Some(fence) = lease.fence {
                    let _ = client.release_nixops4_state(&tenant, fence).await;
                }
                return say(&format!("[{tenant}] somebody else worked on the state meanwhile"));
            }
            Err(error) if error.is_absence() => say(&format!("[{tenant}] {error}; trying again")),
            Err(error) => return say(&format!("[{tenant}] the state is not ours any more: {error}")),
        }
    }
}

#[async_trait]
impl Backend for Daemon {
    async fn deploy(&mut self, wanted: &Deployment) -> Result<Deployed, ProviderError> {
        let Some(tenant) = &wanted.tenant else {
            return Err(ProviderError::input(
                "tenant",
                "must not be null: a vacant machine is deployed by Berth itself",
            ));
        };
        let spec = self.client.tenant(tenant).await?.spec;
        if spec.machine != wanted.machine.as_str() {
            let message = format!(
                "the tenant {tenant} is on the machine “{}” by now; fetch its flake again",
                spec.machine
            );
            return Err(ProviderError::input("machine", message));
        }
        let begun = self.operation(tenant).await?;
        let ended = follow::to_its_end(&self.client, &begun, Some(&wanted.system)).await?;
        outcome(tenant, wanted, ended)
    }

    async fn check_state(&mut self, of: &StateOf) -> Result<(), ProviderError> {
        Ok(self.client.nixops4_state(&of.tenant, None).await.map(drop)?)
    }

    async fn take_state(&mut self, of: &StateOf) -> Result<Value, ProviderError> {
        let fence = self.lease(&of.tenant).await?;
        Ok(self.client.nixops4_state(&of.tenant, Some(fence)).await?.state)
    }

    async fn look_at_state(&mut self, of: &StateOf) -> Result<Value, ProviderError> {
        Ok(self.client.nixops4_state(&of.tenant, None).await?.state)
    }

    async fn change_state(&mut self, of: &StateOf, change: StateChange) -> Result<(), ProviderError> {
        let fence = self.lease(&of.tenant).await?;
        let StateChange { event, nixops_version, patch, sensitive } = change;
        let change = NewStateChange { fence, event, nixops_version, patch, sensitive };
        Ok(self.client.change_nixops4_state(&of.tenant, &change).await.map(drop)?)
    }

    async fn close(&mut self) {
        if let Some(Lease { tenant, fence, .. }) = self.lease.take()
            && let Err(error) = self.client.release_nixops4_state(&tenant, fence).await
        {
            say(&format!(
                "[{tenant}] the lease of the state was not given back ({error}); it ends within a minute"
            ));
        }
    }
}

/// What a deployment came to.
fn outcome(tenant: &TenantName, wanted: &Deployment, ended: Operation) -> Result<Deployed, ProviderError> {
    let failed = |what: String| Err(ProviderError::Deployment(format!("[{tenant}] {what}")));
    if ended.system.as_ref().is_some_and(|system| *system != wanted.system) {
        return failed(format!(
            "what Berth deploys for this tenant is another system by now ({}) than the one of this flake ({}); fetch its \
             flake again, or bring your changes into Berth first",
            ended.system.unwrap_or_default(),
            wanted.system
        ));
    }
    match (ended.status, ended.error, ended.revision) {
        (OperationStatus::Succeeded, _, Some(revision)) => Ok(Deployed {
            system: wanted.system.clone(),
            revision: revision.to_string(),
            operation: ended.id.to_string(),
        }),
        (OperationStatus::Failed, Some(error), _) => failed(format!("{} ({})", error.message, error.code)),
        (status, _, _) => failed(format!("the operation {} ended as {status}", ended.id)),
    }
}
