//! Spec to flake: what a deployment would begin with, and what `GET …/configuration` shows.

use berth_domain::{MachineName, TenantSpec};
use berth_render::{PlatformPin, RenderInput, RenderMachine, RenderSsh, Rendered};

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
        let platform = self.platform().await?;
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

    async fn platform(&self) -> Result<Platform, StepError> {
        let timeout = self.shared.options.timeouts.evaluate;
        self.shared.builder.platform(&Bounds { cancel: self.shared.stopping.clone(), timeout }).await
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
        let machine = self.store.machine(machine).await?;
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
