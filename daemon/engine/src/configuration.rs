//! Spec to flake: what a deployment would begin with, and what `GET …/configuration` shows.

use berth_domain::{MachineName, RolloutId, TenantName, TenantSpec};
use berth_render::{PlatformPin, RenderInput, RenderMachine, RenderSsh, Rendered};
use berth_store::StoreError;

use crate::engine::{Engine, Shared};
use crate::error::StepError;
use crate::ports::{Bounds, Platform};

/// The processor type that is assumed of a machine that has not been seen yet.
const USUAL_SYSTEM: &str = "x86_64-linux";

impl Engine {
    /// The configuration of a tenant as it would be deployed now. Prepares the platform where nobody did yet, which
    /// may take a while.
    ///
    /// # Errors
    /// The platform cannot be prepared.
    pub async fn configuration(&self, tenant: &TenantSpec) -> Result<Rendered, StepError> {
        let current = self.platform().await?;
        let platform = self.shared.platform_for(&tenant.name, None, current, &self.briefly()).await?;
        self.shared.render(&platform, &tenant.machine, Some(tenant)).await
    }
}

impl Engine {
    /// Prepares the platform, so that the first deployment need not wait for it.
    ///
    /// # Errors
    /// It cannot be prepared; the next deployment tries again.
    pub async fn prepare(&self) -> Result<(), StepError> {
        self.platform().await.map(drop)
    }

    /// The platform that the daemon is configured with.
    pub(crate) async fn platform(&self) -> Result<Platform, StepError> {
        self.shared.builder.platform(&self.briefly()).await
    }

    /// Bounds of what is done without an operation.
    pub(crate) fn briefly(&self) -> Bounds {
        let timeout = self.shared.options.timeouts.evaluate;
        Bounds { cancel: self.shared.stopping.clone(), timeout }
    }
}

impl Shared {
    /// The platform that a tenant is deployed on: what its rollout brings it to, else the one that it was deployed with
    /// last, else the current one. So a daemon that is configured with another platform changes no tenant by itself.
    /// Kept from being collected as garbage.
    pub(crate) async fn platform_for(
        &self,
        tenant: &TenantName,
        rollout: Option<RolloutId>,
        current: Platform,
        bounds: &Bounds,
    ) -> Result<Platform, StepError> {
        let pin = match rollout {
            Some(rollout) => self.records.rollout_platform(rollout).await?,
            None => None,
        };
        let pin = match pin {
            Some(pin) => Some(pin),
            None => self.deployed_platform(tenant).await?,
        };
        // Until it is committed, nothing else says that the current one is used.
        let pin = pin.unwrap_or_else(|| current.pin.clone());
        self.builder.keep_platform(&pin, bounds).await?;
        Ok(Platform { pin, ..current })
    }

    /// The platform that a tenant was deployed with last.
    async fn deployed_platform(&self, tenant: &TenantName) -> Result<Option<String>, StepError> {
        let record = match self.records.tenant(tenant).await {
            Ok(record) => record,
            // What is not created yet can be shown all the same.
            Err(StoreError::NotFound { .. }) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        if let Some(pin) = record.platform.filter(|pin| !pin.is_empty()) {
            return Ok(Some(pin));
        }
        // Deployed before this was noted down: its revision names it.
        let Some(revision) = record.deployed_revision else { return Ok(None) };
        let files = self.records.revision(tenant, &revision).await?.files;
        Ok(berth_render::platform_of(&files).map(|pin| pin.to_string()))
    }
}

impl Shared {
    /// Renders a tenant for its machine, or that machine without any tenant.
    pub(crate) async fn render(
        &self,
        platform: &Platform,
        machine: &MachineName,
        tenant: Option<&TenantSpec>,
    ) -> Result<Rendered, StepError> {
        let machine = self.records.machine(machine).await?;
        let pin: PlatformPin =
            platform.pin.parse().map_err(|error| StepError::failed("platform", format!("{error}")))?;
        let input = RenderInput {
            tenant,
            machine: &RenderMachine {
                name: &machine.spec.name,
                address: &machine.spec.address,
                system: machine.facts.as_ref().map_or(USUAL_SYSTEM, |facts| &facts.system),
                tls: platform.tls,
                ssh: Some(RenderSsh {
                    user: &machine.spec.user,
                    port: machine.spec.port,
                    host_key: &machine.spec.host_key,
                }),
            },
            platform: &pin,
        };
        berth_render::render(&input).map_err(|error| StepError::failed("render-failed", error.to_string()))
    }
}
